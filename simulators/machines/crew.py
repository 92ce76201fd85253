"""Shifts and operators by the time of day (UTC): early, late, and a night without anybody."""

from __future__ import annotations

from dataclasses import dataclass

from simulators.machine import TICKS_PER_SECOND

DAY = 86_400


@dataclass(frozen=True, slots=True)
class Shift:
    """A shift: its name, the operator's name and number (empty and 0 at night), seconds to react to an alarm."""

    name: str
    operator: str
    number: int
    reaction: float

    @property
    def manned(self) -> bool:
        """Somebody is there."""
        return bool(self.operator)


EARLY = Shift("Frühschicht", "Bedienerin Früh-12", 40112, 35.0)
LATE = Shift("Spätschicht", "Bediener Spät-07", 40207, 55.0)
# At night the stand-by service comes after half an hour.
NIGHT = Shift("Nachtschicht (mannlos)", "", 0, 1800.0)

DEMONSTRATION = Shift("Vorführung", "Bedienerin Vorführung-01", 40301, 6.0)
"""At a demonstration somebody stands beside the machine, whatever the time."""


def seconds_of_day(time: int) -> float:
    """Seconds since midnight UTC of OPC UA ticks."""
    return (time / TICKS_PER_SECOND) % DAY


def shift_at(time: int) -> Shift:
    """The shift at a time: early from 6, late from 14, night from 22 o'clock."""
    hour = seconds_of_day(time) / 3600
    if 6 <= hour < 14:
        return EARLY
    return LATE if 14 <= hour < 22 else NIGHT
