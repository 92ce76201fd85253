"""How findings about messages are written."""

from __future__ import annotations

from collections.abc import Sequence

from conformance.consumer import Received
from conformance.delivery import Difference
from conformance.suite.outcome import Evidence, Outcome, failed, passed

SHOWN = 5
"""Pieces of evidence of a finding."""

BYTES = 600
"""Of a message, as evidence."""


def message(one: Received) -> Evidence:
    """A message as it came."""
    return Evidence(what="message", where=one.topic, content=one.payload[:BYTES].decode(errors="backslashreplace"))


def difference(one: Difference) -> Evidence:
    """A value that is missing or wrong."""
    return Evidence(what="value", where=f"{one.machine} {one.path}", content=str(one))


def none_of(found: Sequence[Difference], bad: str, good: str) -> Outcome:
    """Fails with what was found."""
    if not found:
        return passed(good)
    return failed(
        f"{len(found)} values {bad}",
        *(difference(one) for one in found[:SHOWN]),
        nodes=sorted({one.path for one in found})[:SHOWN],
    )


def no_message(found: Sequence[Received], bad: str, good: str) -> Outcome:
    """Likewise, for messages."""
    if not found:
        return passed(good)
    return failed(f"{len(found)} messages {bad}", *(message(one) for one in found[:SHOWN]))
