"""What a machine shows: declared points, their last values, and what has happened since it was last asked."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from simulators.machine import GOOD, Appeared, Change, Happening, Part, Point, Unit, Vanished

Value = Any
"""Plain value of a point, as `Point.initial` describes it."""


class Board:
    """Parts and points of a machine; tells a value only when it differs from the last one told."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.points: dict[str, Point] = {}
        self._values: dict[str, Any] = {}
        self._status: dict[str, int] = {}
        self._floats: set[str] = set()
        self._happened: list[Happening] = []

    def part(self, path: str, type_: str | None, name: str | None = None) -> str:
        """Declare an object; returns its path."""
        self.parts.append(Part(path, type_, name))
        return path

    def point(
        self,
        path: str,
        initial: Value,
        data_type: str | None = None,
        *,
        unit: Unit | None = None,
        span: tuple[float, float] | None = None,
        writable: bool = False,
        text: str = "",
    ) -> str:
        """Declare a variable; returns its path."""
        low, high = span if span is not None else (None, None)
        if data_type == "Float":
            initial = single(initial)
        self._add(Point(path, initial, data_type, unit, low, high, writable, text))
        return path

    def _add(self, point: Point) -> None:
        if point.path in self.points:
            raise ValueError(f"point {point.path} is declared twice; each path may stand once")
        self.points[point.path] = point
        self._values[point.path] = point.initial
        if point.data_type == "Float":
            self._floats.add(point.path)

    def value(self, path: str) -> Value:
        """The value last told."""
        return self._values[path]

    def put(self, path: str, value: Value, time: int, status: int = GOOD) -> None:
        """A point has a value; told if it is new."""
        if path in self._floats:
            value = single(value)
        if value != self._values[path] or status != self._status.get(path, GOOD):
            self._values[path] = value
            self._status[path] = status
            self._happened.append(Change(path, value, time, status))

    def tell(self, happening: Happening) -> None:
        """Anything else has happened."""
        self._happened.append(happening)

    def appear(self, part: Part, points: Sequence[Point], time: int) -> None:
        """An object with its points comes into being."""
        for point in points:
            self._add(point)
        self._happened.append(Appeared(part, tuple(points), time))

    def vanish(self, path: str, time: int) -> None:
        """The object at `path` and all below it goes."""
        below = path + "/"
        for gone in [name for name in self.points if name.startswith(below)]:
            del self.points[gone], self._values[gone]
            self._status.pop(gone, None)
            self._floats.discard(gone)
        self._happened.append(Vanished(path, time))

    def take(self) -> list[Happening]:
        """All that has happened since the last call, in the order of its times."""
        happened, self._happened = self._happened, []
        return sorted(happened, key=lambda one: one.time)


def single(value: float) -> float:
    """The value that a Float (32 bit) can carry."""
    result: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return result
