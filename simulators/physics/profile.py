"""Motion along a path with limited acceleration: speed and way as functions of time, in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass

EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class Profile:
    """Up to three phases of constant acceleration.

    Attributes:
        phases: Each with its duration (s), acceleration (mm/s2), speed (mm/s) and way (mm) at its begin.
        duration: Seconds until the end of the path; infinite if the motion comes to rest before.
        target: The speed that it was planned for.
    """

    phases: tuple[tuple[float, float, float, float], ...]
    duration: float
    target: float

    def at(self, time: float) -> tuple[float, float]:
        """Way and speed `time` seconds after the begin."""
        for duration, acceleration, speed, way in self.phases:
            if time <= duration:
                return way + (speed + 0.5 * acceleration * time) * time, max(speed + acceleration * time, 0.0)
            time -= duration
        duration, acceleration, speed, way = self.phases[-1]
        return way + (speed + 0.5 * acceleration * duration) * duration, max(speed + acceleration * duration, 0.0)

    def acceleration_at(self, time: float) -> float:
        """Acceleration along the path, mm/s2."""
        for duration, acceleration, _, _ in self.phases:
            if time <= duration:
                return acceleration
            time -= duration
        return 0.0


def plan(length: float, speed: float, target: float, exit_speed: float, acceleration: float) -> Profile:
    """Cover `length` mm: from `speed` to `target`, and not faster than `exit_speed` at the end (where possible).

    A target of 0 comes to rest on the way if the way is long enough. Speeds in mm/s, acceleration in mm/s2.
    """
    exit_speed = min(exit_speed, target)
    if target < speed - EPSILON:
        return _slow_down(length, speed, target, exit_speed, acceleration)
    return _speed_up(length, speed, target, exit_speed, acceleration)


def _slow_down(length: float, speed: float, target: float, exit_speed: float, a: float) -> Profile:
    way = (speed * speed - target * target) / (2 * a)
    if way >= length - EPSILON:
        last = math.sqrt(max(speed * speed - 2 * a * length, 0.0))
        time = (speed - last) / a
        return Profile(((time, -a, speed, 0.0),), time, target)
    time = (speed - target) / a
    first = (time, -a, speed, 0.0)
    if target <= EPSILON:
        return Profile((first, (math.inf, 0.0, 0.0, way)), math.inf, target)
    rest = _speed_up(length - way, target, target, exit_speed, a)
    shifted = tuple((d, acc, v, w + way) for d, acc, v, w in rest.phases)
    return Profile((first, *shifted), time + rest.duration, target)


def _speed_up(length: float, speed: float, target: float, exit_speed: float, a: float) -> Profile:
    if target <= EPSILON:
        return Profile(((math.inf, 0.0, 0.0, 0.0),), math.inf, target)
    exit_speed = min(exit_speed, math.sqrt(speed * speed + 2 * a * length))
    exit_speed = max(exit_speed, math.sqrt(max(speed * speed - 2 * a * length, 0.0)))
    top = min(target, math.sqrt(max((2 * a * length + speed * speed + exit_speed * exit_speed) / 2, 0.0)))
    top = max(top, speed, exit_speed)
    up, down = (top - speed) / a, (top - exit_speed) / a
    way_up = (speed + top) / 2 * up
    way_down = (top + exit_speed) / 2 * down
    cruise = max(length - way_up - way_down, 0.0)
    steady = cruise / top if top > EPSILON else 0.0
    phases = ((up, a, speed, 0.0), (steady, 0.0, top, way_up), (down, -a, top, way_up + cruise))
    return Profile(phases, up + steady + down, target)
