"""The machines as trees, with the findings at the nodes that they are about."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.reports.html.frame import check_link
from conformance.reports.visible import escaped
from conformance.suite.outcome import State, Verdict
from conformance.suite.report import Report, Result, TreeNode

_SHOWN = frozenset({State.FAIL, State.NON_STRICT, State.ERROR})
MANY = 12
"""Findings that are linked at one node; the rest is counted."""


def section(report: Report) -> str:
    """All machines; nothing where the target has none."""
    if not report.tree:
        return ""
    parts = []
    for machine in report.tree:
        found, paths = _findings(report, machine)
        parts.append(_node(machine, machine, found, paths))
    return (
        '<section id="machines"><h2>Machines</h2><p class="counts">Nodes with a finding are unfolded; a finding about '
        "a node that is missing stands at the nearest node above it.</p>"
        f'<ul class="tree">{"".join(parts)}</ul></section>'
    )


def finding(one: Result) -> bool:
    """Something about this result is worth a look at its nodes."""
    return one.state in _SHOWN or one.verdict is Verdict.FAIL


def _findings(report: Report, machine: TreeNode) -> tuple[dict[str, list[tuple[Result, str]]], set[str]]:
    """By path of a node: what is about it, or about something missing below it; and all paths on the way there."""
    known = {_key(node, machine) for node in _all(machine)}
    others = tuple(f"{one.path}/" for one in report.tree if one is not machine)
    found: dict[str, list[tuple[Result, str]]] = {}
    open_paths: set[str] = set()
    for one in report.results:
        if finding(one):
            for name in one.nodes:
                if not name.startswith(others):
                    place, missing = _place(
                        "" if name == machine.path else name.removeprefix(f"{machine.path}/"), known
                    )
                    found.setdefault(place, []).append((one, missing))
                    open_paths.update(_above(place))
    return found, open_paths


def _key(node: TreeNode, machine: TreeNode) -> str:
    """The path below the machine, whether it was given with the machine's name or without; empty for the machine."""
    return "" if node is machine else node.path.removeprefix(f"{machine.path}/")


def _place(path: str, known: set[str]) -> tuple[str, str]:
    """The node itself, or the nearest one above, and what is missing below it."""
    at = path
    while at not in known:
        at = at.rpartition("/")[0]
    return at, path[len(at) :].lstrip("/")


def _above(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition("/")[0]


def _all(node: TreeNode) -> Iterator[TreeNode]:
    yield node
    for child in node.children:
        yield from _all(child)


def _node(
    node: TreeNode, machine: TreeNode, found: dict[str, list[tuple[Result, str]]], paths: set[str], parent: str = ""
) -> str:
    key = _key(node, machine)
    name = node.path if node is machine else key.removeprefix(f"{parent}/") if parent else key
    kind = f' <span class="kind">{escaped(node.kind)}</span>' if node.kind else ""
    value = f" <samp>{escaped(node.value)}</samp>" if node.value else ""
    line = f'<span class="name">{escaped(name)}</span>{kind}{value}{_marks(found.get(key, []))}'
    if not node.children:
        return f"<li>{line}</li>"
    unfolded = " open" if node is machine or key in paths else ""
    below = "".join(_node(child, machine, found, paths, key) for child in node.children)
    return f"<li><details{unfolded}><summary>{line}</summary><ul>{below}</ul></details></li>"


def _marks(found: list[tuple[Result, str]]) -> str:
    marks = [
        check_link(one.check.id, one.state) + (f" <code>{escaped(missing)}</code>" if missing else "")
        for one, missing in found[:MANY]
    ]
    if len(found) > MANY:
        marks.append(f"and {len(found) - MANY} more")
    return f' <span class="marks">{", ".join(marks)}</span>' if marks else ""
