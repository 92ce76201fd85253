"""Which codes a kind of control understands, and which of them exclude each other in one block."""

from __future__ import annotations

from dataclasses import dataclass

MODAL_GROUPS: dict[str, frozenset[int]] = {
    "motion": frozenset({0, 1, 2, 3, 32, 33, 76, 80, 81, 82, 83}),
    "plane": frozenset({17, 18, 19}),
    "units": frozenset({20, 21}),
    "radius compensation": frozenset({40, 41, 42}),
    "length compensation": frozenset({43, 49}),
    "work offset": frozenset({54, 55, 56, 57, 58, 59}),
    "distance": frozenset({90, 91}),
    "feed": frozenset({94, 95}),
    "spindle": frozenset({96, 97}),
    "return level": frozenset({98, 99}),
}
"""Codes of one group exclude each other in one block (ISO 6983-1, modal groups)."""

WAIT_MARKS = range(200, 300)
"""M codes at which the channels of a machine wait for each other."""

_COMMON_G = {0, 1, 2, 3, 4, 17, 18, 19, 20, 21, 28, 40, 41, 42, 53, 54, 55, 56, 57, 58, 59, 90, 91, 94}
_COMMON_M = {0, 1, 2, 3, 5, 8, 9, 30, 98, 99}


@dataclass(frozen=True, slots=True)
class Dialect:
    """A control's vocabulary.

    Attributes:
        name: For messages.
        g: G codes it knows.
        m: M codes it knows.
        axes: Its axis letters, in the order of every position.
        diameter: X is programmed as a diameter (turning).
        tool_by_t: A T word changes the tool at once (turret); otherwise M6 does.
        plane: Plane at the start of a program, 17, 18 or 19.
        beam: M3 switches a beam whose power (W) is S; otherwise a spindle.
    """

    name: str
    g: frozenset[int]
    m: frozenset[int]
    axes: tuple[str, ...]
    diameter: bool = False
    tool_by_t: bool = False
    plane: int = 17
    beam: bool = False


MILLING = Dialect(
    "milling",
    frozenset(_COMMON_G | {43, 49, 80, 81, 82, 83, 92, 95, 96, 97, 98, 99}),
    frozenset(_COMMON_M | {4, 6}),
    ("X", "Y", "Z"),
)
TURNING = Dialect(
    "turning",
    frozenset(_COMMON_G | {32, 33, 50, 76, 80, 81, 82, 83, 92, 95, 96, 97, 98, 99}),
    frozenset(_COMMON_M | {4, 10, 11} | set(WAIT_MARKS)),
    ("X", "Z"),
    diameter=True,
    tool_by_t=True,
    plane=18,
)
LASER = Dialect("laser", frozenset(_COMMON_G), frozenset(_COMMON_M | {12}), ("X", "Y", "Z"), beam=True)
