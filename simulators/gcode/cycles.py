"""Canned cycles as sequences of strokes: drilling (G81, G82, G83) and threading (G76)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

CLEARANCE = 0.5
"""Distance in mm at which a rapid motion into the hole ends above the last depth."""

MAX_PASSES = 60


@dataclass(frozen=True, slots=True)
class Stroke:
    """One motion along the drilling axis.

    Attributes:
        to: Target in machine coordinates, mm.
        feed: With feed; otherwise rapid.
        dwell: Seconds to wait there.
    """

    to: float
    feed: bool
    dwell: float = 0.0


def drilling(level: float, depth: float, peck: float, dwell: float, back: float) -> Iterator[Stroke]:
    """Strokes of one hole, from anywhere above it back to `back`; `peck` 0 drills in one go."""
    yield Stroke(level, feed=False)
    reached = level
    while peck > 0 and reached - peck > depth + 1e-9:
        reached -= peck
        yield Stroke(reached, feed=True)
        yield Stroke(level, feed=False)
        yield Stroke(min(reached + CLEARANCE, level), feed=False)
    yield Stroke(depth, feed=True, dwell=dwell)
    yield Stroke(back, feed=False)


def threading(height: float, first: float) -> Iterator[tuple[float, float]]:
    """Depth and chip thickness of each pass: the area of each chip stays the same (degressive infeed)."""
    passes = min(max(math.ceil((height / first) ** 2), 1), MAX_PASSES)
    done = 0.0
    for number in range(1, passes + 1):
        depth = height if number == passes else min(first * math.sqrt(number), height)
        yield depth, depth - done
        done = depth
