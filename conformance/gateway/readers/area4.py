"""The common data model itself."""

from __future__ import annotations

from collections.abc import Sequence

from conformance.consumer import Received


class Area4Reader:
    """Nothing to translate (docs/topics.md)."""

    topics = ("area4/v1/#",)
    carries = frozenset({"time", "quality", "stream", "events", "gaps", "description"})

    def __init__(self, machines: Sequence[str]) -> None:
        self.machines = tuple(machines)

    def read(self, message: Received) -> list[Received]:
        """The message."""
        return [message]
