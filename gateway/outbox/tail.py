"""The newest messages in memory, bounded in bytes: a sink that is not behind never reads from disk."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from operator import attrgetter

from gateway.contracts import Outgoing

_COMPACT_FROM = 64
"""Let go of so many before a list is made anew."""


class _Lane:
    """One machine's part of the tail."""

    __slots__ = ("messages", "start")

    def __init__(self) -> None:
        self.messages: list[Outgoing] = []
        self.start = 0

    def drop_first(self) -> bool:
        """Let go of the oldest; True when nothing is left."""
        self.start += 1
        if self.start > _COMPACT_FROM and self.start * 2 > len(self.messages):
            del self.messages[: self.start]
            self.start = 0
        return self.start == len(self.messages)


class Tail:
    """Messages with ids that follow each other, the oldest leaving first."""

    __slots__ = ("_bytes", "_lanes", "_limit", "_messages", "_start")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._messages: list[Outgoing] = []
        self._start = 0
        self._bytes = 0
        self._lanes: dict[str, _Lane] = {}

    @property
    def bytes(self) -> int:
        """Of the payloads that are held."""
        return self._bytes

    def extend(self, messages: Iterable[Outgoing]) -> None:
        """Take newer messages; what is beyond the limit leaves. A jump of the ids starts anew."""
        for message in messages:
            if self._messages and self._messages[-1].id + 1 != message.id:
                self.clear()
            self._messages.append(message)
            lane = self._lanes.get(message.machine)
            if lane is None:
                lane = self._lanes[message.machine] = _Lane()
            lane.messages.append(message)
            self._bytes += len(message.payload)
        while self._bytes > self._limit and self._start < len(self._messages):
            self._drop_first()
        self._compact()

    def drop(self, through: int) -> None:
        """Let go of everything up to this id."""
        while self._start < len(self._messages) and self._messages[self._start].id <= through:
            self._drop_first()
        self._compact()

    def clear(self) -> None:
        """Let go of everything."""
        self._messages, self._start, self._bytes = [], 0, 0
        self._lanes = {}

    def after(self, cursor: int, messages: int, size: int) -> Sequence[Outgoing] | None:
        """The messages after `cursor`, at most so many and so many bytes, but one; None if they are not all here."""
        if self._start >= len(self._messages) or cursor + 1 < self._messages[self._start].id:
            return None
        begin = self._start + cursor + 1 - self._messages[self._start].id
        end = min(begin + messages, len(self._messages))
        total = 0
        for index in range(begin, end):
            total += len(self._messages[index].payload)
            if total > size and index > begin:
                return self._messages[begin:index]
        return self._messages[begin:end]

    def of(self, machine: str, cursor: int, messages: int, size: int) -> Sequence[Outgoing] | None:
        """The machine's messages after `cursor`, bounded likewise; None if they are not all here."""
        if self._start >= len(self._messages) or cursor + 1 < self._messages[self._start].id:
            return None
        lane = self._lanes.get(machine)
        if lane is None:
            return ()
        begin = bisect_right(lane.messages, cursor, lo=lane.start, key=attrgetter("id"))
        end = min(begin + messages, len(lane.messages))
        total = 0
        for index in range(begin, end):
            total += len(lane.messages[index].payload)
            if total > size and index > begin:
                return lane.messages[begin:index]
        return lane.messages[begin:end]

    def _drop_first(self) -> None:
        message = self._messages[self._start]
        self._bytes -= len(message.payload)
        self._start += 1
        if self._lanes[message.machine].drop_first():
            del self._lanes[message.machine]

    def _compact(self) -> None:
        if self._start > _COMPACT_FROM and self._start * 2 > len(self._messages):
            del self._messages[: self._start]
            self._start = 0
        elif self._start == len(self._messages):
            self.clear()
