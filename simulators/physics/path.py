"""Limits of the axes along a path, and the speeds at which blocks may join (look-ahead)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from simulators.gcode.steps import Arc, Coolant, FeedMode, Motion, Step

TANGENT = 1e-6
"""Blocks whose directions differ by less than this are passed without a stop."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear axis.

    Attributes:
        name: Letter.
        low: Lower end of its range, mm.
        high: Upper end, mm.
        speed: Highest speed, mm/s.
        acceleration: Highest acceleration, mm/s2.
        force: Rated force of its drive, N.
        mass: Mass moved, kg.
    """

    name: str
    low: float
    high: float
    speed: float
    acceleration: float
    force: float = 6000.0
    mass: float = 400.0


@dataclass(frozen=True, slots=True)
class Leg:
    """A motion with what the axes allow along it.

    Attributes:
        motion: The programmed motion.
        length: mm.
        speed: Highest speed along the path, mm/s.
        acceleration: Highest acceleration along the path, mm/s2.
        exit_speed: Highest speed at its end, so that all that follows can still be done.
    """

    motion: Motion
    length: float
    speed: float
    acceleration: float
    exit_speed: float


def path_limits(motion: Motion, axes: Sequence[Axis]) -> tuple[float, float]:
    """Highest speed and acceleration along a motion so that no axis exceeds its own."""
    if not isinstance(motion, Arc):
        unit = motion.direction(0.0)
        speeds = [axis.speed / abs(u) for axis, u in zip(axes, unit, strict=True) if abs(u) > 1e-12]
        rates = [axis.acceleration / abs(u) for axis, u in zip(axes, unit, strict=True) if abs(u) > 1e-12]
        return min(speeds, default=1.0), min(rates, default=1.0)
    moved = [axis for i, axis in enumerate(axes) if i in motion.plane or motion.start[i] != motion.end[i]]
    # Along and across the path share the acceleration of an axis: each gets its part of the sum of squares.
    rate = min(axis.acceleration for axis in moved) / math.sqrt(2.0)
    return min(*(axis.speed for axis in moved), math.sqrt(rate * motion.radius)), rate


def look_ahead(steps: Sequence[Step], axes: Sequence[Axis]) -> dict[int, Leg]:
    """A leg for each motion by its index: joined without a stop where directions agree and nothing stands between."""
    legs: dict[int, Leg] = {}
    following: tuple[Motion, Leg] | None = None
    for index in range(len(steps) - 1, -1, -1):
        step = steps[index]
        if not isinstance(step, Motion):
            if not isinstance(step, Coolant):
                following = None
            continue
        speed, rate = path_limits(step, axes)
        length = step.length
        exit_speed = 0.0
        if following is not None and _joined(step, length, following[0]):
            after = following[1]
            limit = math.sqrt(after.exit_speed**2 + 2 * after.acceleration * after.length)
            exit_speed = min(speed, after.speed, limit)
        leg = Leg(step, length, speed, rate, exit_speed)
        legs[index] = leg
        following = (step, leg)
    return legs


def _joined(first: Motion, length: float, second: Motion) -> bool:
    if FeedMode.RAPID in {first.mode, second.mode} or FeedMode.THREAD in {first.mode, second.mode}:
        return False
    return math.dist(first.direction(length), second.direction(0.0)) < TANGENT
