"""What goes into and comes out of the outbox, beside messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from gateway.contracts import Outgoing
from gateway.model.times import TICKS_PER_SECOND

WhenFull: TypeAlias = Literal["evict", "wait"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How large the outbox may become.

    Attributes:
        bytes: Of all payloads together; the file is a little larger.
        age: Seconds after which a message that no sink took leaves.
        reserve: Bytes of disk held back, so that a full disk can still be drained: twice the size at which the
            write-ahead log is folded (4 MiB), or draining may have to wait for space; 0 holds nothing back.
        tail: Bytes of the newest messages that are kept in memory too, so that a sink that is not behind needs no disk.
        message: Bytes that a data message should not exceed; a single sample may.
        full: What happens when `bytes` are reached: `evict`: the oldest leave, and a gap names their numbers; `wait`:
            nothing new is taken until something is delivered, so that reading stops. What is too old leaves anyway.
    """

    bytes: int = 1 << 30
    age: float = 7 * 86_400.0
    reserve: int = 8 << 20
    tail: int = 8 << 20
    message: int = 256 << 10
    full: WhenFull = "evict"

    @property
    def age_ticks(self) -> int:
        """The age in ticks."""
        return int(self.age * TICKS_PER_SECOND)


@dataclass(frozen=True, slots=True)
class Positions:
    """How far the sinks' brokers have everything.

    Attributes:
        cursors: By sink: every message up to this id.
        ahead: By sink and machine: every message of the machine up to this id, where that is more.
    """

    cursors: Mapping[str, int]
    ahead: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def delivered(self) -> int:
        """Every message up to this id is delivered everywhere."""
        return min(self.cursors.values())

    def through(self) -> dict[str, int]:
        """Machines of which more is delivered everywhere than of all, and up to which id."""
        machines = {machine for further in self.ahead.values() for machine in further}
        found = {
            machine: min(max(self.cursors[sink], self.ahead.get(sink, {}).get(machine, 0)) for sink in self.cursors)
            for machine in machines
        }
        return {machine: through for machine, through in found.items() if through > self.delivered}

    def onward(self, other: Positions) -> Positions:
        """These, or those of `other` where they are further on; what is no further than its cursor is left out."""
        cursors = {sink: max(cursor, other.cursors.get(sink, 0)) for sink, cursor in self.cursors.items()}
        ahead = {}
        for sink, cursor in cursors.items():
            joined = dict(self.ahead.get(sink, {}))
            for machine, position in other.ahead.get(sink, {}).items():
                joined[machine] = max(position, joined.get(machine, 0))
            further = {machine: position for machine, position in joined.items() if position > cursor}
            if further:
                ahead[sink] = further
        return Positions(cursors, ahead)


@dataclass(frozen=True, slots=True)
class Stored:
    """What the outbox holds now.

    Attributes:
        messages: Not yet delivered to all sinks.
        bytes: Of their payloads.
        oldest: When the oldest of them was taken (ticks); None when there is none.
        first: Id of the oldest; the next id when there is none.
    """

    messages: int
    bytes: int
    oldest: int | None
    first: int


@dataclass(frozen=True, slots=True)
class Depth:
    """What the outbox holds, for people and metrics; age in seconds."""

    messages: int
    bytes: int
    oldest_age: float


@dataclass(frozen=True, slots=True)
class Committed:
    """What one transaction has made durable.

    Attributes:
        messages: With their numbers; ids follow each other without a hole.
        lost: Values that left unread, by eviction or with a damaged file, by cause.
        gaps: Gap messages that the outbox itself has added, by cause.
        evicted: Messages that left to make room.
    """

    messages: tuple[Outgoing, ...] = ()
    lost: Mapping[str, int] = field(default_factory=dict)
    gaps: Counter[str] = field(default_factory=Counter)
    evicted: int = 0

    @property
    def ids(self) -> range:
        """Of the messages."""
        return range(self.messages[0].id, self.messages[-1].id + 1) if self.messages else range(0)


@dataclass(frozen=True, slots=True)
class Loss:
    """A former file that was damaged or removed: between which moments (ticks) its content was lost, and why."""

    begin: int
    end: int
    detail: str
