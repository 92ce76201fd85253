"""What a control remembers from block to block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from simulators.gcode.dialect import Dialect
from simulators.gcode.steps import FeedMode, Position

INCH = 25.4
"""Millimetres in an inch (G20)."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What the machine adds to a program.

    Attributes:
        dialect: The control's vocabulary.
        home: Machine coordinates of the reference point; every program begins there.
        low: Lowest machine coordinates that may be reached (soft limits).
        high: Highest.
        offsets: Work offsets by G54 to G59; X of a turning machine as radius.
        lengths: Length of each tool in mm, added to the last axis while G43 is active.
        diameters: Diameter of each tool in mm, for the width of cut of a drill.
        block_skip: Blocks that begin with `/` are left out.
    """

    dialect: Dialect
    home: Position
    low: Position
    high: Position
    offsets: Mapping[int, Position]
    lengths: Mapping[int, float] = field(default_factory=dict)
    diameters: Mapping[int, float] = field(default_factory=dict)
    block_skip: bool = False


@dataclass(slots=True)
class Modal:
    """Modal state; `G` numbers where a group has them."""

    plane: int
    motion: int = 0
    scale: float = 1.0
    absolute: bool = True
    feed_mode: FeedMode = FeedMode.PER_MINUTE
    feed: float = 0.0
    offset: int = 54
    length: float = 0.0
    surface: bool = False
    speed: float = 0.0
    direction: int = 0
    limit: float = 1e9
    tool: int = 0
    next_tool: int = 0
    ap: float = 0.0
    ae: float = 0.0
    cycle: dict[str, float] = field(default_factory=dict)
    to_initial: bool = True

    def apply(self, codes: list[int]) -> None:
        """Take over the G codes of a block that only set something."""
        for code in codes:
            if code in {17, 18, 19}:
                self.plane = code
            elif code in {20, 21}:
                self.scale = INCH if code == 20 else 1.0
            elif 54 <= code <= 59:
                self.offset = code
            elif code in {90, 91}:
                self.absolute = code == 90
            elif code in {94, 95}:
                self.feed_mode = FeedMode.PER_MINUTE if code == 94 else FeedMode.PER_REVOLUTION
            elif code in {96, 97}:
                self.surface = code == 96
            else:
                self._move_by(code)

    def _move_by(self, code: int) -> None:
        if code in {98, 99}:
            self.to_initial = code == 98
        elif code in {0, 1, 2, 3, 32, 33, 81, 82, 83}:
            self.motion = code
        elif code == 80:
            self.motion = 0
            self.cycle = {}
