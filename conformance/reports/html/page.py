"""The whole page of a report."""

from __future__ import annotations

from conformance.reports.html import goals, results, tree
from conformance.reports.html.frame import LABEL, bar, check_link, facts, frame
from conformance.reports.visible import escaped
from conformance.suite.outcome import State
from conformance.suite.report import Report

_TIME = "%Y-%m-%d %H:%M:%S UTC"
TO_DO = 40
"""Checks that the list of what keeps the target from conforming names; the rest is counted."""


def page(report: Report) -> str:
    """One self-contained page."""
    parts = [
        _header(report),
        _to_do(report),
        goals.levels(report),
        _run(report),
        results.section(report),
        tree.section(report),
        goals.goals(report),
        results.meanings(report),
        _footer(report),
    ]
    return frame(f"Conformance of {report.target}", f"<main>{''.join(parts)}</main>")


def judgement(report: Report) -> str:
    """One sentence: does it conform, and what keeps it from that?"""
    judged = sum(report.count(state) for state in (State.PASS, State.NON_STRICT, State.FAIL))
    good = judged - report.count(State.FAIL)
    told = f"{good} of {judged} judged checks passed"
    waived = sum(one.waiver is not None for one in report.results)
    if waived:
        told += f"; {waived} failures are waived"
    if not report.complete:
        return f"The run was not complete: {told}."
    if report.conforms:
        return f"Conforms to what was asked: {told}."
    if not judged:
        return "Nothing was judged, so nothing can be said."
    reasons = [
        f"{number} {LABEL[state]}"
        for state in (State.FAIL, State.BLOCKED, State.ERROR)
        if (number := sum(one.breaks and one.state is state for one in report.results))
    ]
    return f"Does not conform: {told}; {', '.join(reasons)}."


def _header(report: Report) -> str:
    claim = report.claim
    vendor = "" if claim.product.startswith(claim.vendor) else claim.vendor
    product = " ".join(part for part in (vendor, claim.product, claim.version) if part)
    shown = [state for state in State if report.count(state)]
    tiles = "".join(
        f'<a class="tile {state.value}" href="#state={state.value}"><b>{report.count(state)}</b>{LABEL[state]}</a>'
        for state in shown
    )
    words = ", ".join(f"{report.count(state)} {LABEL[state]}" for state in shown)
    kind = "good" if report.conforms else "bad"
    links = [("levels", "Levels"), ("run", "The run"), ("results", "Results")]
    links += [("machines", "Machines")] if report.tree else []
    links += [("goals", "Goals"), ("states", "States")]
    menu = "".join(f'<a href="#{name}">{text}</a>' for name, text in links)
    return (
        f'<header><p class="kicker">Conformance report &middot; {escaped(report.claim.target.value)}</p>'
        f"<h1>{escaped(product or report.target)}</h1>"
        f'<p class="target">{escaped(report.target)} &middot; {report.started.strftime(_TIME)}</p>'
        f'<p class="judgement {kind}">{escaped(judgement(report))}</p>'
        f"{bar([(state.value, report.count(state)) for state in shown], words)}"
        f'<div class="tiles">{tiles}</div>'
        f"<nav>{menu}</nav></header>"
    )


def _to_do(report: Report) -> str:
    broken = [one for one in report.results if one.breaks]
    if not broken:
        return ""
    lines = "".join(
        f"<li>{check_link(one.check.id, one.state)} <span>{escaped(one.seen)}</span></li>" for one in broken[:TO_DO]
    )
    more = f"<p>and {len(broken) - TO_DO} more</p>" if len(broken) > TO_DO else ""
    return f'<section id="to-do"><h2>What keeps it from conforming</h2><ol class="to-do">{lines}</ol>{more}</section>'


def _run(report: Report) -> str:
    claim = report.claim
    claimed = "a claim file" if claim.written else "what the target says of itself"
    rows = [
        ("Suite", escaped(report.suite or "unknown version")),
        ("Seed", str(report.seed)),
        ("Begun", report.started.strftime(_TIME)),
        ("Ended", f"{report.finished.strftime(_TIME)} ({(report.finished - report.started).total_seconds():.0f} s)"),
        ("Complete", "yes" if report.complete else "no: it was stopped, or its time was over"),
        *((name, escaped(value)) for name, value in report.options.items()),
    ]
    holds = [
        ("Held against", claimed),
        ("Profiles", escaped(", ".join(claim.profiles)) or "none"),
        ("Units besides", escaped(", ".join(claim.units)) or "none"),
    ]
    mark = [(name, f"<code>{escaped(value)}</code>") for name, value in report.fingerprint.items()]
    return (
        '<section id="run"><h2>The run</h2><div class="columns">'
        f"<div><h3>Settings</h3>{facts(rows)}</div><div><h3>Claim</h3>{facts(holds)}</div>"
        f"<div><h3>What was judged</h3>{facts(mark)}</div></div></section>"
    )


def _footer(report: Report) -> str:
    return (
        f"<footer><p>Made by area4 conform {escaped(report.suite)}. This page loads nothing and sends nothing. "
        "It says what was seen at the time of the run; it is no certificate of a standards body.</p></footer>"
    )
