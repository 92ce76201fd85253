"""The report for a terminal: lines of text, each with the state that colours it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from conformance.reports.html.frame import LABEL
from conformance.reports.html.page import judgement
from conformance.reports.visible import visible
from conformance.suite.outcome import MEANING, State
from conformance.suite.report import Level, Report, Result

WIDE = 18
"""Columns of what a level came to."""

SHOWN = 30
"""Results that are written out; the rest is in the other forms of the report."""

_TOLD = frozenset({State.FAIL, State.ERROR, State.NON_STRICT})


class Line(NamedTuple):
    """A line, and the state that gives it its colour."""

    text: str
    state: State | None = None


def progress(result: Result, number: int, of: int) -> Line:
    """The line of a check that has just ended."""
    digits = len(str(of))
    return Line(f"{number:>{digits}}/{of}  {_word(result.state)}  {visible(result.check.id)}", result.state)


def lines(report: Report) -> Iterator[Line]:
    """What failed and why, levels, counts, judgement."""
    told = [one for one in report.results if one.breaks or one.state in _TOLD]
    for one in told[:SHOWN]:
        yield from _result(one)
    if len(told) > SHOWN:
        yield Line(f"... and {len(told) - SHOWN} more; --html FILE and --json FILE have all of them.")
        yield Line("")
    yield Line("levels")
    for level in sorted(report.levels, key=lambda one: not one.name.startswith("Area 4 ")):
        if level.claimed or level.asked:
            yield _level(level)
    yield Line("")
    for state in State:
        if report.count(state):
            yield Line(f"{report.count(state):>5}  {_word(state)}  {MEANING[state]}", state)
    yield Line("")
    yield Line(visible(judgement(report)), State.PASS if report.conforms else State.FAIL)


def _result(one: Result) -> Iterator[Line]:
    waived = " (waived)" if one.waiver else ""
    yield Line(f"{_word(one.state)}  {one.check.id}{waived}: {one.check.title}", one.state)
    yield Line(f"    source    {visible('; '.join(one.check.sources))}")
    yield Line(f"    expected  {visible(one.check.expected)}")
    yield Line(f"    seen      {visible(one.seen)}")
    for piece in one.evidence[:3]:
        content = visible(piece.content)
        yield Line(
            f"    {piece.what[:9]:<9} {visible(piece.where)} {content[:200]}{'...' if len(content) > 200 else ''}"
        )
    if one.repeat:
        yield Line(f"    again     {visible(one.repeat)}")
    yield Line("")


def _level(level: Level) -> Line:
    name = visible(level.name)
    if not level.asked:
        return Line(f"  {'not judged':<{WIDE}}{name}", State.NOT_CLAIMED)
    if level.reached:
        word, state = ("as far as judged", State.NON_STRICT) if level.unjudged else ("reached", State.PASS)
        claimed = "" if level.claimed else " (nobody claims it)"
        return Line(f"  {word:<{WIDE}}{name}: {level.passed} of {level.asked} checks passed{claimed}", state)
    state = State.FAIL if level.claimed else State.NOT_CLAIMED
    claimed = "" if level.claimed else "; nobody claims it"
    counts = f"{level.passed} of {level.asked} checks passed, {len(level.open)} keep it open{claimed}"
    return Line(f"  {'open':<{WIDE}}{name}: {counts}", state)


def _word(state: State) -> str:
    return ("error" if state is State.ERROR else LABEL[state]).ljust(13)
