"""Several reports side by side: implementations x checks, what differs first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from conformance.reports.html.frame import LABEL, badge, bar, frame
from conformance.reports.html.page import judgement
from conformance.reports.visible import escaped, visible
from conformance.suite.outcome import State
from conformance.suite.report import Report, Result


@dataclass(frozen=True, slots=True)
class Row:
    """One check and what each implementation did; None where it was not asked."""

    id: str
    title: str
    results: tuple[Result | None, ...]

    @property
    def same(self) -> bool:
        """All of them the same."""
        return len({one.state if one else None for one in self.results}) <= 1


@dataclass(frozen=True, slots=True)
class Comparison:
    """Reports, their short names, and the checks of all of them: differences first, else in the catalogue's order."""

    names: tuple[str, ...]
    reports: tuple[Report, ...]
    rows: tuple[Row, ...]

    @property
    def differing(self) -> list[Row]:
        """Checks that did not come out alike."""
        return [row for row in self.rows if not row.same]


def compare(reports: Sequence[Report], names: Sequence[str] = ()) -> Comparison:
    """Lay reports side by side; without names each has its claim's product, else its target."""
    given = list(names) or [_name(one) for one in reports]
    told = [name if given.count(name) == 1 else f"{name} ({number})" for number, name in enumerate(given, 1)]
    found: dict[str, list[Result | None]] = {}
    titles: dict[str, str] = {}
    for column, report in enumerate(reports):
        for one in report.results:
            titles.setdefault(one.check.id, one.check.title)
            found.setdefault(one.check.id, [None] * len(reports))[column] = one
    rows = [Row(check, titles[check], tuple(results)) for check, results in found.items()]
    rows.sort(key=lambda row: row.same)
    return Comparison(tuple(told), tuple(reports), tuple(rows))


def _name(report: Report) -> str:
    claim = report.claim
    return " ".join(part for part in (claim.product, claim.version) if part) or report.target


def text(found: Comparison) -> list[str]:
    """Lines for a terminal: a numbered column for each implementation, differences, and how many are alike."""
    lines = []
    for number, (name, report) in enumerate(zip(found.names, found.reports, strict=True), 1):
        lines.append(f"{number}  {visible(name)}: {visible(judgement(report))}")
    lines.append("")
    width = max((len(row.id) for row in found.differing), default=0)
    for row in found.differing:
        cells = "  ".join(_word(one).ljust(13) for one in row.results)
        lines.append(f"{row.id.ljust(width)}  {cells}".rstrip())
    alike = len(found.rows) - len(found.differing)
    lines.append(f"{len(found.differing)} checks differ, {alike} came out alike.")
    return lines


def facts(found: Comparison) -> dict[str, Any]:
    """For machines."""
    return {
        "implementations": [
            {
                "name": name,
                "target": one.target,
                "conforms": one.conforms,
                "suite": one.suite,
                "claim": one.claim.product,
            }
            for name, one in zip(found.names, found.reports, strict=True)
        ],
        "checks": [
            {
                "id": row.id,
                "same": row.same,
                "states": [one.state.value if one else None for one in row.results],
                "seen": [one.seen if one else None for one in row.results],
            }
            for row in found.rows
        ],
    }


def page(found: Comparison) -> str:
    """One self-contained page."""
    alike = [row for row in found.rows if row.same]
    heads = "".join(f'<th scope="col">{escaped(name)}</th>' for name in found.names)
    who = "".join(_who(name, one) for name, one in zip(found.names, found.reports, strict=True))
    body = (
        '<main><header><p class="kicker">Conformance reports side by side</p>'
        f"<h1>{len(found.names)} implementations, {len(found.rows)} checks</h1></header>"
        f'<section id="who"><h2>Implementations</h2><table class="same"><thead><tr><th>name</th><th>target</th>'
        f"<th>result</th><th>states</th></tr></thead><tbody>{who}</tbody></table></section>"
        f'<section id="differences"><h2>{len(found.differing)} checks differ</h2>'
        f"{_table(heads, found.differing)}</section>"
        f'<section id="alike"><details><summary>{len(alike)} checks came out alike</summary>{_table(heads, alike)}'
        "</details></section></main>"
    )
    return frame("Conformance reports side by side", body)


def _who(name: str, report: Report) -> str:
    counts = [(state, report.count(state)) for state in State if report.count(state)]
    words = ", ".join(f"{number} {LABEL[state]}" for state, number in counts)
    return (
        f"<tr><th scope='row'>{escaped(name)}</th><td>{escaped(report.target)}</td>"
        f"<td>{escaped(judgement(report))}</td>"
        f"<td>{bar([(state.value, number) for state, number in counts], words, 160, 8)} {words}</td></tr>"
    )


def _table(heads: str, rows: Sequence[Row]) -> str:
    if not rows:
        return "<p>None.</p>"
    lines = "".join(
        f"<tr><td>{escaped(row.title)}<br><code>{escaped(row.id)}</code></td>{''.join(map(_cell, row.results))}</tr>"
        for row in rows
    )
    return f'<table class="matrix"><thead><tr><th>check</th>{heads}</tr></thead><tbody>{lines}</tbody></table>'


def _cell(one: Result | None) -> str:
    if one is None:
        return '<td><span class="counts">not asked</span></td>'
    detail = f"<details><summary>{badge(one.state)}</summary>{escaped(one.seen)}</details>"
    return f"<td>{detail}</td>"


def _word(one: Result | None) -> str:
    return LABEL[one.state] if one else "not asked"
