"""What was seen of a device during a window: values and events with the times at which they came. No network here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from conformance.device.snapshot import Node, Reading, Snapshot


@dataclass(frozen=True, slots=True)
class Seen:
    """A value of a variable.

    Attributes:
        node: Id of the variable.
        received: When the suite got it, UTC.
    """

    node: str
    reading: Reading
    received: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """An event: its fields by browse path (`ActiveState/Id`), as plain data.

    Attributes:
        received: When the suite got it, UTC.
    """

    fields: Mapping[str, Any]
    received: datetime

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - fields are of every type
        return self.fields.get(name)


@dataclass(frozen=True)
class Observation:
    """A window.

    Attributes:
        values: In the order in which they came.
        events: In the order in which they came.
        missed: Why it is not all; empty if it is.
    """

    snapshot: Snapshot
    values: tuple[Seen, ...] = ()
    events: tuple[Event, ...] = ()
    missed: str = ""

    @cached_property
    def of(self) -> Mapping[str, tuple[Seen, ...]]:
        """Values by node."""
        found: dict[str, list[Seen]] = {}
        for one in self.values:
            found.setdefault(one.node, []).append(one)
        return {key: tuple(rows) for key, rows in found.items()}

    def machines(self, path: str) -> Iterator[tuple[Node, Node]]:
        """Objects with a variable of this name (`CurrentState`), and that variable."""
        for node in self.snapshot.inside.values():
            child = self.snapshot.child(node, path) if node.node_class == "Object" else None
            if child is not None:
                yield node, child
