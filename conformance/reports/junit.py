"""The report as JUnit XML, as CI systems show it: a suite for each group of checks, a case for each check."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from conformance.reports.visible import visible
from conformance.suite.outcome import State
from conformance.suite.report import Report, Result

_SKIPPED = frozenset({State.NOT_CLAIMED, State.BLOCKED, State.MANUAL})


def group_of(result: Result) -> str:
    """The first two words of a check's id: `device.security`."""
    return ".".join(result.check.id.split(".")[:2])


def groups(report: Report) -> dict[str, list[Result]]:
    """Results by group, in their order."""
    found: dict[str, list[Result]] = {}
    for one in report.results:
        found.setdefault(group_of(one), []).append(one)
    return found


def written(report: Report) -> str:
    """The document; a failure is what breaks conformance, so a waived one is skipped and a blocked MUST is not."""
    root = ET.Element("testsuites", {"name": f"area4 conform {visible(report.target)}", **_counts(report.results)})
    for name, results in groups(report).items():
        suite = ET.SubElement(
            root, "testsuite", {"name": name, "timestamp": report.started.isoformat(), **_counts(results)}
        )
        for one in results:
            _case(suite, name, one)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ET.Element, group: str, one: Result) -> None:
    case = ET.SubElement(suite, "testcase", {"classname": group, "name": one.check.id, "time": f"{one.seconds:.3f}"})
    kind = _kind(one)
    if kind is not None:
        told = ET.SubElement(case, kind, {"message": visible(one.seen), "type": one.state.value})
        told.text = _text(one)
    else:
        ET.SubElement(case, "system-out").text = _text(one)


def _kind(one: Result) -> str | None:
    """The element that says how a case ended; None where it succeeded."""
    if one.breaks:
        return "error" if one.state is State.ERROR else "failure"
    return "skipped" if one.state in _SKIPPED or one.state is State.FAIL else None


def _text(one: Result) -> str:
    lines = [
        f"{one.state.value}: {one.check.title} ({one.check.obligation})",
        f"source: {'; '.join(one.check.sources)}",
        f"expected: {one.check.expected}",
        f"seen: {one.seen}",
        *(f"{piece.what} {piece.where}: {piece.content}" for piece in one.evidence),
        *([f"waived until {one.waiver.until}: {one.waiver.reason}"] if one.waiver else []),
        *([f"again: {one.repeat}"] if one.repeat else []),
    ]
    return "\n".join(visible(line) for line in lines)


def _counts(results: Sequence[Result]) -> dict[str, str]:
    kinds = [_kind(one) for one in results]
    return {
        "tests": str(len(results)),
        "failures": str(kinds.count("failure")),
        "errors": str(kinds.count("error")),
        "skipped": str(kinds.count("skipped")),
        "time": f"{sum(one.seconds for one in results):.3f}",
    }
