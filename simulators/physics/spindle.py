"""A spindle that ramps with constant acceleration; speed and angle at any time in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(slots=True)
class Spindle:
    """A main spindle.

    Attributes:
        max_speed: Highest speed, 1/min.
        ramp: Change of speed, 1/min per second.
        rated_power: kW at 100 % load.
        speed: Speed at `time`, 1/min, signed by direction.
        target: Speed that it runs to, signed.
        time: Moment of `speed` in seconds of the model's clock.
    """

    max_speed: float
    ramp: float
    rated_power: float
    speed: float = 0.0
    target: float = 0.0
    time: float = 0.0
    revolutions: float = 0.0

    def at(self, time: float) -> float:
        """Speed at `time`, not before the last command."""
        gap = self.target - self.speed
        reach = self.ramp * max(time - self.time, 0.0)
        return self.target if abs(gap) <= reach else self.speed + math.copysign(reach, gap)

    def advance(self, time: float) -> None:
        """Move the reference moment to `time`."""
        before, after = self.speed, self.at(time)
        span = max(time - self.time, 0.0)
        ramped = min(abs(after - before) / self.ramp, span)
        self.revolutions += (abs(before + after) / 2 * ramped + abs(after) * (span - ramped)) / 60.0
        self.speed, self.time = after, max(time, self.time)

    def command(self, target: float, time: float) -> None:
        """Run to `target` (signed, 1/min), limited to the highest speed."""
        self.advance(time)
        self.target = max(-self.max_speed, min(self.max_speed, target))

    def reached_at(self) -> float:
        """Moment at which the target is reached."""
        return self.time + abs(self.target - self.speed) / self.ramp

    @property
    def accelerating(self) -> float:
        """Signed change of speed now, 1/min per second."""
        if abs(self.target - self.speed) < 1e-9:
            return 0.0
        return math.copysign(self.ramp, self.target - self.speed)
