"""Which checks a run asks, and in which order."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from conformance.suite.catalogue import Catalogue, CatalogueError
from conformance.suite.check import Check, TargetKind


def selected(catalogue: Catalogue, kind: TargetKind, only: Sequence[str] = ()) -> list[Check]:
    """The checks of a run, in an order in which what is needed comes first.

    Raises:
        CatalogueError: A name of `only` selects nothing.
    """
    known = {one.id: one for one in catalogue.of(kind)}
    chosen = {name: [one for one in known.values() if _named(one, name)] for name in only}
    for name, found in chosen.items():
        if not found:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            raise CatalogueError(f"no check of a {kind} is {name!r}" + (f"; near is {close[0]!r}" if close else ""))
    wanted = {one.id for found in chosen.values() for one in found} if only else set(known)
    ordered: dict[str, Check] = {}

    def add(one: Check) -> None:
        for need in one.needs:
            if need not in ordered:
                add(known[need])
        ordered.setdefault(one.id, one)

    for one in known.values():
        if one.id in wanted:
            add(one)
    return list(ordered.values())


def _named(check: Check, name: str) -> bool:
    return check.id == name or check.id.startswith(f"{name}.")
