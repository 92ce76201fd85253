"""What an interpreted program asks of the machine: motions and actions, in machine coordinates (mm, radius)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

Position = tuple[float, ...]


class FeedMode(Enum):
    """What a feed means."""

    RAPID = "rapid"
    PER_MINUTE = "mm/min"
    PER_REVOLUTION = "mm/rev"
    THREAD = "mm/rev, bound to the spindle"


@dataclass(frozen=True, slots=True)
class Step:
    """What every step carries: the block that it comes from."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Motion(Step):
    """A path of the tool.

    Attributes:
        start: Machine coordinates, in the order of the dialect's axes; X of a turning machine as radius.
        end: Likewise.
        mode: What `feed` means.
        feed: mm/min or mm per revolution; 0 for rapid.
        ap: Depth of cut in mm, 0 in air.
        ae: Width of cut in mm (milling, drilling); 0 in turning, where the feed per revolution is the width.
    """

    start: Position
    end: Position
    mode: FeedMode
    feed: float
    ap: float
    ae: float

    @property
    def length(self) -> float:
        """Length of the path in mm."""
        return math.dist(self.start, self.end)

    def at(self, way: float) -> Position:
        """Position after `way` mm."""
        length = self.length
        share = way / length if length > 0 else 1.0
        return tuple(a + (b - a) * share for a, b in zip(self.start, self.end, strict=True))

    def direction(self, way: float) -> Position:
        """Unit vector of the motion after `way` mm."""
        del way
        length = self.length or 1.0
        return tuple((b - a) / length for a, b in zip(self.start, self.end, strict=True))


@dataclass(frozen=True, slots=True)
class Arc(Motion):
    """A circular or helical path.

    Attributes:
        plane: Indexes of the two axes of the circle.
        centre: Their coordinates of the centre.
        sweep: Angle passed in radians, positive is counter-clockwise seen in the plane's axes.
    """

    plane: tuple[int, int]
    centre: tuple[float, float]
    sweep: float

    @property
    def radius(self) -> float:
        """Radius in mm."""
        a, b = self.plane
        return math.hypot(self.start[a] - self.centre[0], self.start[b] - self.centre[1])

    @property
    def length(self) -> float:
        """Length of the path in mm, of the helix too."""
        return math.hypot(self.radius * self.sweep, self._rise())

    def _rise(self) -> float:
        return math.sqrt(sum((self.end[i] - self.start[i]) ** 2 for i in range(len(self.start)) if i not in self.plane))

    def at(self, way: float) -> Position:
        """Position after `way` mm."""
        a, b = self.plane
        length = self.length
        share = way / length if length > 0 else 1.0
        angle = math.atan2(self.start[b] - self.centre[1], self.start[a] - self.centre[0]) + self.sweep * share
        radius = self.radius
        place = [p + (q - p) * share for p, q in zip(self.start, self.end, strict=True)]
        place[a] = self.centre[0] + radius * math.cos(angle)
        place[b] = self.centre[1] + radius * math.sin(angle)
        return tuple(place)

    def direction(self, way: float) -> Position:
        """Unit vector of the motion after `way` mm."""
        a, b = self.plane
        length = self.length or 1.0
        share = way / length
        angle = math.atan2(self.start[b] - self.centre[1], self.start[a] - self.centre[0]) + self.sweep * share
        speed = self.radius * self.sweep / length
        vector = [(q - p) / length for p, q in zip(self.start, self.end, strict=True)]
        vector[a] = -math.sin(angle) * speed
        vector[b] = math.cos(angle) * speed
        return tuple(vector)


@dataclass(frozen=True, slots=True)
class Dwell(Step):
    """G4, or an auxiliary function that takes its time (`code` is its M code)."""

    seconds: float
    code: int = 0


@dataclass(frozen=True, slots=True)
class ToolChange(Step):
    """M6, or a T word on a turret."""

    tool: int


@dataclass(frozen=True, slots=True)
class SpindleCommand(Step):
    """M3, M4, M5 or a new S: a spindle's speed, or a beam's power.

    Attributes:
        direction: 1 clockwise, -1 counter-clockwise, 0 stopped (or beam off).
        speed: Revolutions per minute; m/min with constant surface speed; W of a beam.
        surface: Constant surface speed (G96).
        limit: Highest revolutions per minute (G50 or G92).
    """

    direction: int
    speed: float
    surface: bool
    limit: float


@dataclass(frozen=True, slots=True)
class Coolant(Step):
    """M8 and M9: coolant, or assist gas of a laser."""

    on: bool


@dataclass(frozen=True, slots=True)
class WaitMark(Step):
    """The channels wait for each other here."""

    mark: int


@dataclass(frozen=True, slots=True)
class ProgramStop(Step):
    """M0; M1 if `optional`."""

    optional: bool


@dataclass(frozen=True, slots=True)
class ProgramEnd(Step):
    """M2 or M30."""
