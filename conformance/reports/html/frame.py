"""What each page has: a head whose policy forbids all but the page's own style and script, and small parts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from conformance.reports.visible import escaped
from conformance.suite.outcome import State

LABEL: dict[State, str] = {
    State.PASS: "pass",
    State.NON_STRICT: "non-strict",
    State.FAIL: "fail",
    State.INFORMATIONAL: "informational",
    State.NOT_CLAIMED: "not claimed",
    State.BLOCKED: "blocked",
    State.MANUAL: "manual",
    State.ERROR: "error of the suite",
}
"""Words for the states; colour alone tells nobody anything."""


@cache
def resource(name: str) -> str:
    """A file of this folder."""
    return (files("conformance.reports.html") / name).read_text(encoding="utf-8")


def frame(title: str, body: str) -> str:
    """A whole page; `body` is HTML, `title` is text."""
    style, script = resource("page.css"), resource("page.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n{body}\n"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def badge(state: State, text: str = "") -> str:
    """A state in its colour and in words."""
    return f'<span class="badge {state.value}">{text or LABEL[state]}</span>'


def check_anchor(check_id: str) -> str:
    """The id of a check's place on the page."""
    return f"c-{escaped(check_id)}"


def check_link(check_id: str, state: State | None = None) -> str:
    """A link to a check."""
    kind = f' class="mark {state.value}" title="{LABEL[state]}"' if state is not None else ""
    return f'<a{kind} href="#{check_anchor(check_id)}">{escaped(check_id)}</a>'


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Names and values; the values are HTML."""
    return "<dl>" + "".join(f"<dt>{escaped(name)}</dt><dd>{value}</dd>" for name, value in rows) + "</dl>"


def bar(parts: Iterable[tuple[str, int]], label: str, width: int = 600, height: int = 14) -> str:
    """A bar of coloured parts; `label` says the same in words."""
    shown = [(name, count) for name, count in parts if count]
    total = sum(count for _, count in shown) or 1
    at = 0.0
    drawn = []
    for name, count in shown:
        size = width * count / total
        drawn.append(f'<rect class="{name}" x="{at:.1f}" y="0" width="{size:.1f}" height="{height}"/>')
        at += size
    return (
        f'<svg class="bar" viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escaped(label)}">{"".join(drawn)}</svg>'
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
