"""Machines for the reliability tests: a counter in every value, and an identity of its own for each server.

`python -m simulators --kind tests.reliability.machines:first`
"""

from __future__ import annotations

import os

from simulators.load.machine import PlainMachine
from simulators.machine import TICKS_PER_SECOND, Change, Happening


class Counting(PlainMachine):
    """Changes its signals one after the other, evenly in time.

    AREA4_LOAD says how many signals, and how many values they change each second: 20x100.
    """

    def __init__(self, name: str) -> None:
        signals, _, rate = os.environ.get("AREA4_LOAD", "20x100").partition("x")
        self._paths = [f"Load/S{index:04d}" for index in range(int(signals))]
        super().__init__(name.capitalize(), [(path, 0.0, "Double") for path in self._paths], ["Load"], serial=name)
        self._step = TICKS_PER_SECOND / float(rate)
        self._told = 0
        self._begin: int | None = None

    def advance(self, now: int) -> list[Happening]:
        if self._begin is None:
            self._begin = now
            return []
        due = int((now - self._begin) / self._step)
        changes: list[Happening] = []
        for count in range(self._told + 1, due + 1):
            path = self._paths[count % len(self._paths)]
            changes.append(Change(path, float(count), self._begin + int(count * self._step)))
        self._told = max(due, self._told)
        return changes


def first() -> Counting:
    return Counting("first")


def second() -> Counting:
    return Counting("second")


def third() -> Counting:
    return Counting("third")
