"""The results: a foldable line for each check, with everything that a reader needs to see it again."""

from __future__ import annotations

from conformance.reports.html.frame import LABEL, badge, check_anchor, check_link, facts
from conformance.reports.junit import groups
from conformance.reports.visible import escaped
from conformance.suite.outcome import MEANING, Evidence, State
from conformance.suite.report import Report, Result


def section(report: Report) -> str:
    """All results, by group, with the filter (shown where there is JavaScript)."""
    states = {one.check.id: one.state for one in report.results}
    parts = [_filter(report)]
    for name, results in groups(report).items():
        counts = ", ".join(
            f"{sum(one.state is state for one in results)} {LABEL[state]}"
            for state in State
            if any(one.state is state for one in results)
        )
        lines = "".join(_line(one, states) for one in results)
        parts.append(
            f'<section class="group"><h3>{escaped(name)} <span class="counts">{counts}</span></h3>{lines}</section>'
        )
    return f'<section id="results"><h2>Results</h2>{"".join(parts)}</section>'


def _filter(report: Report) -> str:
    buttons = "".join(
        f'<a class="badge {state.value}" href="#state={state.value}" data-filter="{state.value}">'
        f"{LABEL[state]} {report.count(state)}</a>"
        for state in State
        if report.count(state)
    )
    return (
        '<div class="filter" hidden><a class="badge all" href="#state=" data-filter="">'
        f"all {len(report.results)}</a>{buttons}"
        '<label>Find <input type="search" id="find" autocomplete="off" spellcheck="false"></label>'
        '<button type="button" id="unfold">Unfold all</button>'
        '<p id="none" hidden>No check is like that.</p></div>'
    )


def _line(one: Result, states: dict[str, State]) -> str:
    check = one.check
    waived = ' <span class="badge not-claimed">waived</span>' if one.waiver else ""
    return (
        f'<details class="check {one.state.value}" id="{check_anchor(check.id)}" data-state="{one.state.value}">'
        f'<summary>{badge(one.state)}{waived} <span class="title">{escaped(check.title)}</span> '
        f"<code>{escaped(check.id)}</code></summary>{_body(one, states)}</details>"
    )


def _body(one: Result, states: dict[str, State]) -> str:
    check = one.check
    rows = [
        ("Requirement", f"{check.obligation.value}; {escaped('; '.join(check.sources))}"),
        ("Expected", escaped(check.expected)),
        ("Procedure" if check.manual else "Seen", _seen(one)),
    ]
    if one.evidence:
        rows.append(("Evidence", "".join(_piece(piece) for piece in one.evidence)))
    if one.nodes:
        rows.append(("Nodes", _list([f"<code>{escaped(node)}</code>" for node in one.nodes])))
    if one.blocked_by:
        rows.append(("Blocked by", ", ".join(_cause(name, states) for name in one.blocked_by)))
    if one.waiver is not None:
        rows.append(("Waived", f"{escaped(one.waiver.reason)} (until {one.waiver.until})"))
    if not check.manual:
        rows.append(("How it is tested", escaped(check.method)))
    if check.units:
        rows.append(("Conformance units", _list([escaped(unit) for unit in check.units])))
    if check.requirements:
        rows.append(("Answers", ", ".join(f'<a href="#r-{row}">{row}</a>' for row in map(escaped, check.requirements))))
    if check.mutants:
        rows.append(("Fails on the mutants", ", ".join(f"<code>{escaped(name)}</code>" for name in check.mutants)))
    if one.repeat and not check.manual:
        rows.append(("Do it again", f'<code class="repeat">{escaped(one.repeat)}</code> ({one.seconds:.2f} s)'))
    return facts(rows)


def _seen(one: Result) -> str:
    text = escaped(one.seen)
    if one.verdict is not None:
        text += f' <span class="counts">(nobody claims this; judged as: {escaped(one.verdict.value)})</span>'
    return text


def _cause(name: str, states: dict[str, State]) -> str:
    return check_link(name, states[name]) if name in states else f"<code>{escaped(name)}</code>"


def _piece(piece: Evidence) -> str:
    where = f" <code>{escaped(piece.where)}</code>" if piece.where else ""
    content = escaped(_hex_lines(piece.content) if piece.what == "bytes" else piece.content, lines=True)
    shown = f"<pre>{content}</pre>" if content else ""
    return f'<div class="piece"><span class="what">{escaped(piece.what)}</span>{where}{shown}</div>'


def _hex_lines(text: str) -> str:
    """Hexadecimal digits in pairs, 16 bytes a line; anything else as it is."""
    digits = "".join(text.split())
    if not digits or any(one not in "0123456789abcdefABCDEF" for one in digits):
        return text
    pairs = [digits[at : at + 2] for at in range(0, len(digits), 2)]
    return "\n".join(f"{at:04x}  {' '.join(pairs[at : at + 16])}" for at in range(0, len(pairs), 16))


def _list(items: list[str]) -> str:
    return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"


def meanings(report: Report) -> str:
    """What each state says."""
    rows = "".join(
        f"<tr><td>{badge(state)}</td><td>{report.count(state)}</td><td>{escaped(MEANING[state])}</td></tr>"
        for state in State
    )
    return (
        '<section id="states"><h2>What the states mean</h2><table><thead><tr><th>state</th><th>checks</th>'
        f"<th>meaning</th></tr></thead><tbody>{rows}</tbody></table></section>"
    )
