"""At most so many a second, with time passed in: a bucket that fills steadily.

It holds a quarter second's worth and one: the part of a message that is left over when whole ones go is not lost.
"""

from __future__ import annotations

BURST_SECONDS = 0.25


class Ceiling:
    """A rate that is not exceeded; None is no limit."""

    __slots__ = ("_full", "_level", "_rate", "_seen")

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._full = 1.0 + (rate or 0.0) * BURST_SECONDS
        self._level = self._full
        self._seen: float | None = None

    def allowed(self, wanted: int, now: float) -> int:
        """How many of so many may go now (seconds of any steady clock); `took` says how many did."""
        if self._rate is None:
            return wanted
        if self._seen is not None:
            self._level = min(self._full, self._level + (now - self._seen) * self._rate)
        self._seen = now
        return min(wanted, int(self._level))

    def took(self, count: int) -> None:
        """So many went."""
        if self._rate is not None:
            self._level -= count

    def wait(self) -> float:
        """Seconds until one more may go."""
        return 0.0 if self._rate is None else max(0.0, (1.0 - self._level) / self._rate)
