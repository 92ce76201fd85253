"""The status page: one HTML document without scripts and without anything from elsewhere; all texts are escaped."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from html import escape

from gateway.ops.logs import utc
from gateway.ops.snapshot import LinkFigures, Snapshot

REFRESH_SECONDS = 10
_WARN_EXPIRY_DAYS = 30
_MARKS = {"online": "ok", "degraded": "warn", "silent": "warn", "connecting": "warn"}
_STYLE = """
:root { color-scheme: light dark; --fg: #1a1a1a; --bg: #ffffff; --line: #767676; --ok: #0b6b2d; --warn: #7a4a00;
  --bad: #a1131d; --soft: #f2f4f6; }
@media (prefers-color-scheme: dark) { :root { --fg: #f0f0f0; --bg: #16191d; --line: #9aa0a6; --ok: #6fdc8c;
  --warn: #ffc56b; --bad: #ff9a9a; --soft: #22272d; } }
body { font: 1rem/1.5 system-ui, sans-serif; color: var(--fg); background: var(--bg); margin: 0 auto; max-width: 75rem;
  padding: 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4rem .7rem; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
thead th { background: var(--soft); }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
.ok { color: var(--ok); font-weight: 600; } .warn { color: var(--warn); font-weight: 600; }
.bad { color: var(--bad); font-weight: 600; }
a { color: inherit; }
"""


def status_page(snapshot: Snapshot, now: float | None = None) -> str:
    """The page for people: connections, machines, outbox, gaps, waivers."""
    now = time.time() if now is None else now
    name = escape(snapshot.gateway)
    reasons = snapshot.not_ready()
    verdict = '<span class="bad">not ready</span>' if reasons else '<span class="ok">ready</span>'
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{name} - area4 gateway</title><style>{_STYLE}</style></head><body>",
        (
            f"<header><h1>{name}</h1><p>Site {escape(snapshot.site)}, version {escape(snapshot.version)}, "
            f"up {duration(now - snapshot.started)}, at {utc(now)}: {verdict}.</p></header><main>"
        ),
        _list("Why it is not ready", reasons),
        _waivers(snapshot.waivers),
        _links(snapshot.links, now),
        _machines(snapshot, now),
        _outbox(snapshot),
        _gaps(snapshot),
        (
            "</main><footer><p>For machines: "
            '<a href="/metrics">metrics</a>, <a href="/readyz">readiness</a>, <a href="/healthz">health</a>. '
            f"The page is renewed every {REFRESH_SECONDS} seconds.</p></footer></body></html>"
        ),
    ]
    return "\n".join(part for part in parts if part) + "\n"


def duration(seconds: float) -> str:
    """`3 d 4 h`, `5 min 12 s`, `0.4 s`."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    whole = int(seconds)
    for size, unit, below, part in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // below} {part}"
    return f"{whole} s"


def _links(links: Sequence[LinkFigures], now: float) -> str:
    rows = []
    for link in links:
        status = link.status
        told = f"{status.reason} {status.advice}".strip()
        facts = "; ".join(f"{name}: {value}" for name, value in status.details.items())
        rows.append(
            [
                f'<th scope="row">{escape(link.name)}<br>({link.kind})</th>',
                _cell(status.peer),
                (
                    f'<td><span class="{_MARKS.get(status.state, "bad")}">{escape(status.state)}</span> '
                    f"for {duration(now - status.since)}<br>{escape(told)}</td>"
                ),
                _number(link.values),
                _number(link.pending if link.kind == "sink" else None),
                _number(link.refused if link.kind == "sink" else None),
                _expiry(status.certificate_expiry, now),
                _cell(", ".join(status.waivers) or "none"),
                _cell(facts),
            ]
        )
    heads = (
        "Name",
        "Peer",
        "State",
        "Values in / messages out",
        "Pending",
        "Refused",
        "Certificate ends",
        "Waivers",
        "Facts",
    )
    return _table("Connections", heads, rows, "No connection is configured.")


def _machines(snapshot: Snapshot, now: float) -> str:
    rows = [
        [
            f'<th scope="row">{escape(machine.id)}</th>',
            _cell(machine.source),
            (
                f'<td><span class="{_MARKS.get(machine.state, "bad")}">{escape(machine.state)}</span> '
                f"for {duration(now - machine.since)}<br>{escape(machine.reason)}</td>"
            ),
        ]
        for machine in snapshot.machines
    ]
    return _table("Machines", ("Machine", "Source", "State"), rows, "No machine has been found yet.")


def _outbox(snapshot: Snapshot) -> str:
    outbox = snapshot.outbox
    share = f" ({100 * outbox.bytes / outbox.max_bytes:.1f} % of {outbox.max_bytes:,})" if outbox.max_bytes else ""
    state = f'<span class="bad">cannot store: {escape(outbox.problem)}</span>' if outbox.problem else "can store"
    row = [
        _number(outbox.messages),
        f'<td class="n">{outbox.bytes:,}{share}</td>',
        _cell(duration(outbox.oldest) if outbox.messages else "empty"),
        f"<td>{state}</td>",
    ]
    return _table("Outbox", ("Messages", "Bytes", "Oldest", "State"), [row], "")


def _gaps(snapshot: Snapshot) -> str:
    rows = [
        [f'<th scope="row">{escape(cause)}</th>', _number(count)]
        for cause, count in sorted(snapshot.gaps.items())
        if count
    ]
    return _table("Announced losses", ("Cause", "Gaps"), rows, "No value was lost since the start.")


def _waivers(waivers: Sequence[str]) -> str:
    return _list("Weaker than the default (waivers in use)", waivers)


def _list(title: str, items: Sequence[str]) -> str:
    if not items:
        return ""
    return f"<section><h2>{title}</h2><ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul></section>"


def _table(title: str, heads: Sequence[str], rows: Sequence[Iterable[str]], empty: str) -> str:
    if not rows:
        return f"<section><h2>{title}</h2><p>{empty}</p></section>"
    head = "".join(f'<th scope="col">{one}</th>' for one in heads)
    body = "\n".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    anchor = title.split(maxsplit=1)[0].lower()
    return (
        f'<section><h2 id="{anchor}">{title}</h2><div class="scroll" tabindex="0" role="region" '
        f'aria-labelledby="{anchor}"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n'
        "</tbody></table></div></section>"
    )


def _cell(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def _number(value: int | None) -> str:
    return f'<td class="n">{"" if value is None else format(value, ",")}</td>'


def _expiry(moment: float | None, now: float) -> str:
    if moment is None:
        return "<td></td>"
    days = (moment - now) / 86_400
    mark = "bad" if days < 7 else "warn" if days < _WARN_EXPIRY_DAYS else "ok"
    told = f"in {days:.0f} days" if days >= 0 else "expired"
    return f'<td><span class="{mark}">{utc(moment)[:10]}</span> ({told})</td>'
