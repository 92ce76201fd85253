"""How long something took, as percentiles, in memory that does not grow: counts in classes of 2 % width."""

from __future__ import annotations

import math
from collections import Counter

_BASE = 1.02
_SMALLEST = 1e-5
"""Seconds; everything shorter, and what a clock that is ahead makes negative, is one class."""


class Latencies:
    """Durations in seconds; percentiles are right within 2 %."""

    __slots__ = ("_classes", "count", "least", "longest")

    def __init__(self) -> None:
        self._classes: Counter[int] = Counter()
        self.count = 0
        self.least = math.inf
        self.longest = -math.inf

    def add(self, seconds: float) -> None:
        """One more."""
        self.count += 1
        self.least = min(self.least, seconds)
        self.longest = max(self.longest, seconds)
        place = -1 if seconds < _SMALLEST else int(math.log(seconds / _SMALLEST, _BASE))
        self._classes[place] += 1

    def percentile(self, percent: float) -> float | None:
        """The duration that so many percent do not exceed; None when there was none."""
        if not self.count:
            return None
        left = max(1, math.ceil(self.count * percent / 100))
        for place in sorted(self._classes):
            left -= self._classes[place]
            if left <= 0:
                return self.least if place < 0 else min(self.longest, _SMALLEST * _BASE ** (place + 1))
        return self.longest

    def facts(self) -> dict[str, float | int | None]:
        """Count and percentiles in seconds, for machines."""
        told = {f"p{percent:g}": _rounded(self.percentile(percent)) for percent in (50, 95, 99)}
        return {"count": self.count, **told, "max": _rounded(self.longest if self.count else None)}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
