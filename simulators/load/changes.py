"""When which signal changes, and the changes of a while as one DataChangeNotification; pure, time is passed in.

The changes of a server are numbered from 1, evenly in time, its signals taking turns: change `g` is of signal
`(g - 1) % signals`, and it is that signal's change number `(g - 1) // signals + 1`, its counter.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from simulators.load.layout import GOOD_OVERFLOW, Kind
from simulators.machine import TICKS_PER_SECOND

Entry: TypeAlias = "tuple[Any, int, int, int, int, Any]"
"""pack_into, bytes, client handle, head, mask, fields."""

_COUNT = struct.Struct("<i")


class Schedule:
    """The clock of the changes.

    Args:
        signals: Number of signals.
        rate: Changes a second of all signals together; 0: none. None: as many as the subscriber takes.
        burst: Changes in one publication when there is no rate.
        now: In ticks.

    Attributes:
        base: Changes until the rate was last set.
    """

    def __init__(self, signals: int, rate: float | None, burst: int, now: int) -> None:
        self.signals = signals
        self.burst = burst
        self.told = 0  # without a rate
        self.base, self._begin = 0, now
        self._step = 0
        self.rate = rate
        self.set_rate(rate, now)

    @property
    def elastic(self) -> bool:
        """As many changes as the subscriber takes."""
        return self.rate is None

    def set_rate(self, rate: float | None, now: int) -> None:
        """Change the rate from now on; it is rounded so that changes are whole ticks of 100 ns apart."""
        self.base, self._begin = self.due(now), now
        self._step = max(1, round(TICKS_PER_SECOND / rate)) if rate else 0
        self.rate = None if rate is None else (TICKS_PER_SECOND / self._step if self._step else 0.0)

    def due(self, now: int) -> int:
        """Number of the last change until now."""
        if self._step:
            return max(self.base, self.base + (now - self._begin) // self._step)
        return max(self.base, self.told)

    def take(self, now: int) -> int:
        """The same, and without a rate the next burst is made."""
        if self.elastic:
            self.told = self.due(now) + self.burst
            self._begin = now
            return self.told
        return self.due(now)

    def time(self, change: int) -> int:
        """Source time of a change in ticks."""
        return self._begin + max(0, change - self.base) * self._step

    @property
    def step(self) -> int:
        """Ticks between two changes."""
        return self._step

    def counter(self, signal: int, change: int) -> int:
        """Counter of a signal after this change of the server; 0 before its first."""
        return max(0, (change - 1 - signal) // self.signals + 1)


@dataclass(slots=True)
class Block:
    """A DataChangeNotification.

    Attributes:
        body: Its encoding.
        values: How many changes are in it.
    """

    body: bytearray
    values: int


class Writer:
    """Writes the changes of the signals that a subscription monitors."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self._kinds = kinds
        self._plain: list[Entry | None] = [None] * len(kinds)
        self._flagged: list[Entry | None] = [None] * len(kinds)
        self._stamps = 1
        self._largest = 0
        self.monitored = 0

    def attach(self, signal: int, handle: int, stamps: int) -> None:
        """Monitor a signal under this client handle, with so many timestamps (the same for all signals)."""
        self.detach(signal)
        self._stamps = stamps
        self._plain[signal] = self._entry(self._kinds[signal], handle, overflow=False)
        self._flagged[signal] = flagged = self._entry(self._kinds[signal], handle, overflow=True)
        self._largest = max(self._largest, flagged[1])
        self.monitored += 1

    def detach(self, signal: int) -> None:
        """Monitor a signal no longer."""
        if self._plain[signal] is not None:
            self._plain[signal] = self._flagged[signal] = None
            self.monitored -= 1

    def _entry(self, kind: Kind, handle: int, *, overflow: bool) -> Entry:
        layout = kind.notification(self._stamps, overflow=overflow)
        return layout.pack_into, layout.size, handle, kind.head(self._stamps, overflow=overflow), kind.mask, kind.fields

    def count(self, first: int, last: int) -> int:
        """How many of the changes `first` to `last` are of monitored signals."""
        if self.monitored == len(self._plain):
            return max(0, last - first + 1)
        whole, rest = divmod(max(0, last - first + 1), len(self._plain))
        start = (first - 1) % len(self._plain)
        order = self._plain[start:] + self._plain[:start]
        return whole * self.monitored + sum(1 for entry in order[:rest] if entry is not None)

    def write(self, schedule: Schedule, first: int, last: int, flagged: range) -> Block:
        """The changes `first` to `last`; those in `flagged` with the Overflow bit."""
        body = bytearray(_COUNT.size * 2 + (last - first + 1) * self._largest)
        at, values = _COUNT.size, 0
        signals = len(self._plain)
        while first <= last:
            counter, signal = divmod(first - 1, signals)
            overflow = first in flagged
            end = min(last, first + signals - signal - 1)
            if overflow:
                end = min(end, flagged[-1])
            elif first < flagged.start <= end:
                end = flagged.start - 1
            if first <= schedule.base < end:
                end = schedule.base
            step = schedule.step if first > schedule.base else 0
            entries = (self._flagged if overflow else self._plain)[signal : signal + end - first + 1]
            status = (GOOD_OVERFLOW,) if overflow else ()
            before = values
            at, values = self._fill(body, at, entries, counter + 1, schedule.time(first), step, status)
            values += before
            first = end + 1
        _COUNT.pack_into(body, 0, values)
        _COUNT.pack_into(body, at, -1)  # no diagnostics
        del body[at + _COUNT.size :]
        return Block(body, values)

    def _fill(
        self, body: bytearray, at: int, entries: Sequence[Entry | None], counter: int, time: int, step: int,
        status: tuple[int, ...],
    ) -> tuple[int, int]:  # fmt: skip
        """Write one change of each of these signals; where it ends, and how many they were."""
        values = 0
        stamps = self._stamps
        for entry in entries:
            if entry is not None:
                pack, size, handle, head, mask, fields = entry
                if fields is None and stamps == 1 and not status:
                    pack(body, at, handle, head, counter & mask, time)
                else:
                    content = (counter & mask,) if fields is None else fields(counter)
                    pack(body, at, handle, head, *content, *status, *(time,) * stamps)
                at += size
                values += 1
            time += step
        return at, values
