"""Cutting tools: what they remove, how they wear, when they break."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(slots=True)
class Tool:
    """A tool in a magazine or turret.

    Attributes:
        number: Place and control identifier.
        name: Name of the kind of tool, for example ``End mill D16``.
        identifier: Identifier of this piece; a replacement gets a new one.
        diameter: mm; 0 for turning tools.
        length: mm.
        life: Cutting time in minutes at half load until it is worn out.
        wear: 0 new to 1 worn out; rises only while cutting.
        minutes: Cutting time so far.
        usages: Parts (or holes, cuts) so far.
        broken: It has broken.
        strength: Accumulated hazard at which this piece breaks; drawn once.
        hazard: Accumulated hazard.
    """

    number: int
    name: str
    identifier: str
    diameter: float
    length: float
    life: float
    wear: float = 0.0
    minutes: float = 0.0
    usages: int = 0
    broken: bool = False
    strength: float = 1.0
    hazard: float = 0.0

    @property
    def worn_out(self) -> bool:
        """Its life is over."""
        return self.wear >= 1.0

    def cut(self, seconds: float, load: float) -> None:
        """Cut for some seconds with a spindle load in percent."""
        minutes = seconds / 60.0
        self.minutes += minutes
        # Life falls with load; 50 % is the reference, and light cuts wear too.
        rate = (max(load, 30.0) / 50.0) ** 1.2
        self.wear += minutes / self.life * rate
        self.hazard += minutes * 0.002 * (1.0 + 8.0 * max(self.wear - 0.7, 0.0)) * (1.0 + (load / 110.0) ** 8)
        if self.hazard >= self.strength:
            self.broken = True


def draw_strength(rng: Random) -> float:
    """Hazard that a new tool bears."""
    return rng.expovariate(1.0) + 0.01


def cutting_power(removal: float, wear: float, specific_force: float) -> float:
    """Spindle power in kW for a removal rate in mm3/min; a blunt tool needs more.

    `specific_force` is the material's kc in N/mm2 (about 2100 for steel, 800 for aluminium).
    """
    return removal * specific_force / 60e6 / 0.85 * (1.0 + 0.6 * min(wear, 1.2))
