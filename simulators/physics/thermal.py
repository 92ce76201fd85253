"""Heat and fluids: first-order lags and levels."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(slots=True)
class Body:
    """A body that warms with the power it takes and cools to its surroundings.

    Attributes:
        kelvin_per_kw: Rise in K at 1 kW in the long run.
        time_constant: Seconds until 63 % of a rise.
        temperature: Degrees Celsius.
    """

    kelvin_per_kw: float
    time_constant: float
    temperature: float

    def advance(self, seconds: float, power: float, ambient: float) -> None:
        """Take `power` kW for some seconds."""
        final = ambient + self.kelvin_per_kw * power
        self.temperature = final + (self.temperature - final) * math.exp(-seconds / self.time_constant)


@dataclass(slots=True)
class Tank:
    """A tank of a fluid.

    Attributes:
        level: Percent.
        consumption: Percent per hour in use.
    """

    level: float
    consumption: float

    def use(self, seconds: float) -> None:
        """Consume for some seconds."""
        self.level = max(self.level - self.consumption * seconds / 3600.0, 0.0)

    def fill(self, percent: float) -> None:
        """Refill by some percent, at most to 100."""
        self.level = min(self.level + percent, 100.0)


def ambient_at(seconds_of_day: float) -> float:
    """Temperature of the shop floor in degrees Celsius: coolest at 5, warmest at 17 o'clock."""
    return 21.5 + 2.5 * math.cos((seconds_of_day - 17 * 3600) / 86400 * math.tau)
