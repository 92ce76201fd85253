"""How rules over a snapshot collect what they find, and say it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from conformance.device.snapshot import Node, Snapshot
from conformance.suite.outcome import Evidence, Outcome, absent, failed, passed

Judge = Callable[[Snapshot, Mapping[str, Any]], Outcome]
"""A rule: a pure function of the snapshot and a check's parameters."""

SHOWN = 10
"""Findings that a report shows of one check; their number is always told."""


class Findings:
    """What is wrong, node by node.

    Attributes:
        looked: How many nodes were judged.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.looked = 0
        self._found: list[tuple[str, str, str]] = []

    def __bool__(self) -> bool:
        """Something was found."""
        return bool(self._found)

    def add(self, node: Node | str, problem: str, seen: object = "") -> None:
        """A node breaks the rule."""
        path = self.snapshot.path(node)
        key = node if isinstance(node, str) else node.id
        self._found.append((path, problem, f"{key}: {seen}" if seen != "" else key))

    def outcome(self, nothing: str, good: str, bad: Callable[..., Outcome] = failed) -> Outcome:
        """The judgement; `nothing` if no node was there to be judged, `good` if none is wrong."""
        if self._found:
            path, problem, _ = self._found[0]
            more = f" ({len(self._found) - 1} more)" if len(self._found) > 1 else ""
            evidence = [
                Evidence(what="node", where=where, content=f"{what}; {seen}") for where, what, seen in self._found
            ]
            return bad(f"{path}: {problem}{more}", *evidence[:SHOWN], nodes=_paths(row[0] for row in self._found))
        if not self.looked:
            return absent(nothing)
        return passed(f"{good} ({self.looked} looked at)")


def _paths(found: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(found))
