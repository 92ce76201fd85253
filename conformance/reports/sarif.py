"""The report as SARIF 2.1.0 (OASIS), as code scanning and security dashboards read it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from conformance.reports.visible import visible
from conformance.suite.check import Check, Obligation
from conformance.suite.outcome import State
from conformance.suite.report import Report, Result

_KIND = {
    State.PASS: "pass",
    State.NON_STRICT: "fail",
    State.FAIL: "fail",
    State.INFORMATIONAL: "informational",
    State.NOT_CLAIMED: "notApplicable",
    State.BLOCKED: "open",
    State.MANUAL: "review",
}
_STAMP = "%Y-%m-%dT%H:%M:%S.%fZ"


def log(report: Report) -> dict[str, Any]:
    """The document as an object; the suite's own errors are notifications, not results."""
    rules = [one.check for one in report.results]
    index = {check.id: number for number, check in enumerate(rules)}
    return {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "area4 conform",
                        "version": report.suite or "0",
                        "rules": [_rule(check) for check in rules],
                    }
                },
                "invocations": [
                    {
                        "executionSuccessful": report.complete,
                        "startTimeUtc": report.started.strftime(_STAMP),
                        "endTimeUtc": report.finished.strftime(_STAMP),
                        "toolExecutionNotifications": [
                            _notification(one, index) for one in report.results if one.state is State.ERROR
                        ],
                    }
                ],
                "results": [_result(one, index, report) for one in report.results if one.state is not State.ERROR],
                "columnKind": "unicodeCodePoints",
            }
        ],
    }


def written(report: Report) -> str:
    """The document as text."""
    return json.dumps(log(report), indent=2, ensure_ascii=False) + "\n"


def _rule(check: Check) -> dict[str, Any]:
    return {
        "id": check.id,
        "shortDescription": {"text": check.title},
        "fullDescription": {"text": check.expected},
        "help": {"text": f"{check.method} Source: {'; '.join(check.sources)}."},
        "defaultConfiguration": {"level": "error" if check.obligation is Obligation.MUST else "warning"},
        "properties": {"tags": [*check.goals, *check.requirements], "obligation": check.obligation.value},
    }


def _notification(one: Result, index: dict[str, int]) -> dict[str, Any]:
    return {
        "level": "error",
        "message": {"text": visible(one.seen)},
        "associatedRule": {"id": one.check.id, "index": index[one.check.id]},
    }


def _result(one: Result, index: dict[str, int], report: Report) -> dict[str, Any]:
    kind = _KIND[one.state]
    names = list(one.nodes) or [piece.where for piece in one.evidence if piece.where]
    made: dict[str, Any] = {
        "ruleId": one.check.id,
        "ruleIndex": index[one.check.id],
        "kind": kind,
        "level": _level(one) if kind == "fail" else "none",
        "message": {"text": visible(f"{one.seen} (expected: {one.check.expected})")},
        "locations": [_location(name) for name in names[:10]] or [_location(report.target)],
        "partialFingerprints": {"check/v1": hashlib.sha256(f"{report.target} {one.check.id}".encode()).hexdigest()},
        "properties": {
            "state": one.state.value,
            "evidence": [visible(f"{piece.what} {piece.where}: {piece.content}") for piece in one.evidence],
            "repeat": visible(one.repeat),
        },
    }
    if one.waiver is not None:
        text = f"{one.waiver.reason} (until {one.waiver.until})"
        made["suppressions"] = [{"kind": "external", "status": "accepted", "justification": visible(text)}]
    return made


def _level(one: Result) -> str:
    return "error" if one.state is State.FAIL else "warning"


def _location(name: str) -> dict[str, Any]:
    return {"logicalLocations": [{"fullyQualifiedName": visible(name), "kind": "element"}]}
