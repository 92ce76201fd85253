"""A machine without physics for benchmarks: signals that change at a fixed rate, a counter in each value.

The environment variable AREA4_LOAD says how many signals a machine has and how many values they change each second,
for example `50x250`: 50 signals, 250 values a second for the whole machine.
"""

import itertools
import os
from collections.abc import Sequence
from typing import Any

from simulators.machine import (
    TICKS_PER_SECOND,
    Change,
    Condition,
    Happening,
    Localized,
    Machine,
    MethodPoint,
    Part,
    Point,
    RefusedError,
    State,
)

_NUMBERS = itertools.count(1)


class LoadMachine(Machine):
    """Changes its signals one after the other, evenly in time."""

    def __init__(self, signals: int, rate: float) -> None:
        number = next(_NUMBERS)
        self.name = f"Load{number}"
        self.namespace = f"urn:area4:load:{number}"
        self._signals = [f"Load/S{index:04d}" for index in range(signals)]
        self._step = TICKS_PER_SECOND / rate
        self._told = 0
        self._begin: int | None = None
        self._serial = str(number)

    @property
    def parts(self) -> Sequence[Part]:
        return [Part("Load", None)]

    @property
    def points(self) -> Sequence[Point]:
        fixed = [
            Point("Identification/Manufacturer", Localized("area4")),
            Point("Identification/SerialNumber", self._serial),
            Point("Identification/ProductInstanceUri", f"urn:area4-sim:load:{self._serial}"),
            Point("Monitoring/MachineTool/OperationMode", 1),
            Point("Production/ActiveProgram/Name", "load"),
            Point("Production/ActiveProgram/NumberInList", 0),
            Point("Production/ActiveProgram/State/CurrentState", State("Running", 1)),
        ]
        return fixed + [Point(path, 0.0, data_type="Double") for path in self._signals]

    @property
    def methods(self) -> Sequence[MethodPoint]:
        return ()

    def advance(self, now: int) -> list[Happening]:
        if self._begin is None:
            self._begin = now
            return []
        due = int((now - self._begin) / self._step)
        changes: list[Happening] = []
        for count in range(self._told + 1, due + 1):
            path = self._signals[count % len(self._signals)]
            changes.append(Change(path, float(count), self._begin + int(count * self._step)))
        self._told = max(due, self._told)
        return changes

    def write(self, path: str, value: Any, now: int) -> list[Happening]:
        raise RefusedError("BadNotWritable", path)

    def call(self, path: str, arguments: Sequence[Any], now: int) -> tuple[list[Any], list[Happening]]:
        raise RefusedError("BadMethodInvalid", path)

    def acknowledge(self, condition: str, comment: str | None, now: int) -> list[Happening]:
        raise RefusedError("BadConditionNotShelved", condition)

    def conditions(self) -> Sequence[Condition]:
        return ()


def machine() -> LoadMachine:
    """Entry for `python -m simulators --kind tests/benchmarks/load_machine.py:machine`."""
    signals, _, rate = os.environ.get("AREA4_LOAD", "50x250").partition("x")
    return LoadMachine(int(signals), float(rate))
