"""Which clock a source time is of: how far it lies from the server's, so that a gap encloses what it is about.

A gap is told in source times, but its edges are known by the server's clock (the times of its messages). Often the two
are one; where a controller behind the server stamps the values, or the server holds them back, they are not. So the
distance is measured while values flow, and the edges are moved by it. Pure: times are passed in.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from adapters.opcua.publish import SHOWN_WITHIN
from gateway.model import Record, Sample, Samples
from gateway.model.times import TICKS_PER_SECOND

WINDOW = 60.0
"""Seconds; what was measured longer ago than two of these does not count."""

FRESH = 5.0
"""Seconds after items were created in which values may be their current ones, whatever their age."""


class Skew(msgspec.Struct, array_like=True, frozen=True):
    """How far source times lie from the time of the message that brings them, in ticks.

    Attributes:
        behind: At most so far before it.
        ahead: At most so far after it; 0 where none was ahead.
        wall: Our own clock when the last message came; 0: none came.
    """

    behind: int = 0
    ahead: int = 0
    wall: int = 0

    def begin(self, complete: int) -> int:
        """Source time from which something may be missing, if all was complete at this server time.

        Args:
            complete: `SHOWN_WITHIN` before the time of the server's last message.
        """
        return complete - self.behind if self.behind > SHOWN_WITHIN // 2 else complete

    def end(self, now: int) -> int:
        """Source time from which nothing is missing any more, if all is complete since this server time."""
        return now + self.ahead


class Clocks:
    """What is measured of one source; it lives as long as the process.

    Args:
        skew: As a predecessor measured it.
    """

    def __init__(self, skew: Skew | None = None) -> None:
        skew = skew or Skew()
        self._behind, self._ahead = _Window(skew.behind), _Window(skew.ahead)
        self._wall = skew.wall
        self._last: tuple[int, float] | None = None
        self._fresh_until = 0.0
        self._turn = 0

    @property
    def measured(self) -> bool:
        """Something came."""
        return self._last is not None

    @property
    def skew(self) -> Skew:
        """The present distance."""
        return Skew(self._behind.largest, self._ahead.largest, self._wall)

    def created(self, monotonic: float) -> None:
        """Items were created: the next values are not measured."""
        self._fresh_until = monotonic + FRESH

    def heard(self, sent: int, records: Iterable[Record], wall: int, monotonic: float) -> None:
        """Records came with messages of which the last was sent at the server's time `sent`.

        Of each machine's values the first, the last and one in turn are measured: each signal has its turn, and the
        many others cost nothing.
        """
        self._wall, self._last = wall, (sent, monotonic)
        if monotonic < self._fresh_until:
            return
        self._turn += 1
        for record in records:
            if isinstance(record, Samples):
                samples = record.samples
                for sample in (samples[0], samples[self._turn % len(samples)], samples[-1]):
                    self._measure(sample, sent, monotonic)

    def _measure(self, sample: Sample, sent: int, monotonic: float) -> None:
        if sample.time and sample.status is None:  # one whose status changed may carry the time of its value
            self._behind.add(sent - sample.time, monotonic)
            self._ahead.add(sample.time - sent, monotonic)

    def expected(self, stored: int, now: int, wall: int, monotonic: float) -> int:
        """The server's time as it would be had nobody set its clock; `now` is what it says.

        A clock that was set back says less than what passed since: values of just before the end would lie after `now`.

        Args:
            stored: Server time up to which all is known, as a predecessor stored it.
            now: Server time.
            wall: Our clock.
            monotonic: Ours, too, that nobody sets.
        """
        if self._last is not None:
            sent, at = self._last
            return max(now, sent + round((monotonic - at) * TICKS_PER_SECOND))
        if now < stored and self._wall:  # another process: only our own clock knows how much time has passed
            return stored + SHOWN_WITHIN + max(0, wall - self._wall)
        return now


class _Window:
    """The largest number of the last one to two windows, at least 0."""

    def __init__(self, before: int) -> None:
        self._before = max(0, before)
        self._present = 0
        self._since: float | None = None

    @property
    def largest(self) -> int:
        return max(self._before, self._present)

    def add(self, number: int, monotonic: float) -> None:
        if self._since is None:
            self._since = monotonic
        elif monotonic - self._since >= WINDOW:
            self._before, self._present, self._since = self._present, 0, monotonic
        self._present = max(self._present, number)
