"""Levels, and the way from Area 4's goals over requirements to checks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from conformance.reports.html.frame import LABEL, bar, check_link
from conformance.reports.visible import escaped
from conformance.suite.check import Goal
from conformance.suite.outcome import State
from conformance.suite.report import Level, Report, Result

FEW = 8
"""Checks that are named in a cell; more are folded."""


def levels(report: Report) -> str:
    """Profiles and Area 4's goals; what nobody claims and nothing was seen of is only named."""
    told = [one for one in report.levels if one.claimed or one.asked]
    silent = [one.name for one in report.levels if one not in told]
    states = {one.check.id: one.state for one in report.results}
    ordered = sorted(told, key=lambda one: (not one.name.startswith("Area 4 "), not one.claimed))
    rows = "".join(_level(one, states) for one in ordered)
    rest = (
        f"<details><summary>{len(silent)} profiles that nobody claims and of which nothing was seen</summary>"
        f"<p>{escaped(', '.join(silent))}</p></details>"
        if silent
        else ""
    )
    return (
        '<section id="levels"><h2>Levels</h2><table><thead><tr><th>level</th><th>claimed</th><th>reached</th>'
        f"<th>passed</th><th>what is open</th></tr></thead><tbody>{rows}</tbody></table>{rest}</section>"
    )


def _level(one: Level, states: dict[str, State]) -> str:
    claimed = "asked of all" if one.name.startswith("Area 4 ") else "yes" if one.claimed else "no"
    reached = '<span class="badge pass">reached</span>' if one.reached else '<span class="badge fail">open</span>'
    if one.reached and one.unjudged:
        reached = '<span class="badge non-strict">as far as judged</span>'
    elif not one.asked:
        reached = '<span class="badge not-claimed">not judged</span>'
    elif not one.reached and not one.claimed:
        reached = '<span class="badge not-claimed">open</span>'
    return (
        f"<tr><th scope='row'>{escaped(one.name)}</th><td>{claimed}</td><td>{reached}</td>"
        f"<td class='number'>{one.passed} of {one.asked}</td><td>{_links(one.open, states)}{_unjudged(one)}</td></tr>"
    )


def _unjudged(one: Level) -> str:
    if not one.unjudged or not one.asked:
        return ""
    return (
        f"<details><summary>{len(one.unjudged)} units not judged</summary>{escaped(', '.join(one.unjudged))}</details>"
    )


def _links(names: Sequence[str], states: dict[str, State]) -> str:
    links = [check_link(name, states.get(name)) for name in names]
    if len(links) <= FEW:
        return ", ".join(links)
    return f"<details><summary>{len(links)} checks</summary>{', '.join(links)}</details>"


def goals(report: Report) -> str:
    """A table for each goal: its requirements, and the checks that answer them."""
    parts = [_goal(goal, report) for goal in Goal]
    return f'<section id="goals"><h2>Goals, requirements, checks</h2>{"".join(parts)}</section>'


def _goal(goal: Goal, report: Report) -> str:
    mine = [one for one in report.results if goal in one.check.goals]
    rows = [one for one in report.requirements if one.goal is goal]
    if not mine and not rows:
        return ""
    by_row = {row.id: [one for one in report.results if row.id in one.check.requirements] for row in rows}
    lines = [
        f'<tr id="r-{escaped(row.id)}"><th scope="row">{escaped(row.id)}</th><td>{escaped(row.title)}'
        f'<div class="source">{escaped("; ".join(row.sources))}</div></td><td>{_checks(by_row[row.id])}</td></tr>'
        for row in rows
    ]
    answered = {one.check.id for found in by_row.values() for one in found}
    rest = [one for one in mine if one.check.id not in answered]
    if rest:
        lines.append(f"<tr><th scope='row'></th><td>Other checks of this goal</td><td>{_checks(rest)}</td></tr>")
    return (
        f"<h3>Area 4 {goal.value}</h3><table><thead><tr><th>row</th><th>requirement</th><th>checks</th></tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def _checks(found: Sequence[Result]) -> str:
    if not found:
        return '<span class="counts">not in this run</span>'
    links = ", ".join(check_link(one.check.id, one.state) for one in found)
    if len(found) <= 2:
        return links
    return f"<details><summary>{_counted(found)}</summary>{links}</details>"


def _counted(found: Iterable[Result]) -> str:
    states = [one.state for one in found]
    counts = [(state, states.count(state)) for state in State if state in states]
    told = ", ".join(f"{number} {LABEL[state]}" for state, number in counts)
    return f"{bar([(state.value, number) for state, number in counts], told, 160, 8)} {told}"
