from __future__ import annotations

from typing import Any

import pytest

from simulators.machine import Change, Happening
from simulators.machines import KINDS, build
from simulators.machines.base import SimulatedMachine

SECOND = 10_000_000
MONDAY = 133_801_632_000_000_000 // (86_400 * SECOND) * (86_400 * SECOND)
SEVEN = MONDAY + 7 * 3600 * SECOND
"""Seven o'clock in the morning, early shift."""


class Running:
    """A machine at a moment, with the values that it has told."""

    def __init__(self, kind: str, *, seed: int = 3, start: int = SEVEN) -> None:
        machine = build(kind, serial="0815", seed=seed)
        assert isinstance(machine, SimulatedMachine)
        self.machine: SimulatedMachine = machine
        self.now = start
        self.values: dict[str, Any] = {point.path: point.initial for point in machine.points}
        self.told: list[Happening] = []
        assert machine.advance(start) == []

    def go(self, seconds: float) -> list[Happening]:
        self.now += round(seconds * SECOND)
        return self.take(self.machine.advance(self.now))

    def take(self, happened: list[Happening]) -> list[Happening]:
        self.told += happened
        for one in happened:
            if isinstance(one, Change):
                self.values[one.path] = one.value
        return happened

    def until(self, path: str, wanted: Any, limit: float = 900.0) -> None:
        for _ in range(int(limit)):
            value = self.values[path]
            if wanted in (value, getattr(value, "name", None)):
                return
            self.go(1.0)
        raise AssertionError(f"{path} is {self.values[path]!r}, not {wanted!r}, after {limit} s")

    def until_cutting(self) -> None:
        for _ in range(3000):
            if any(unit.engaged and unit.load > 5.0 for unit in self.machine._plant.units):
                return
            self.go(0.1)
        raise AssertionError("no cut within 300 s")


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def start() -> type[Running]:
    return Running
