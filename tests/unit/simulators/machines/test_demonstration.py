"""A machine for a demonstration: something happens within its first minute, whatever the time of day."""

from __future__ import annotations

import pytest

from simulators.machine import TICKS_PER_SECOND, Condition, Happening, Notice
from simulators.machines import build

MIDNIGHT = 133_801_632_000_000_000 // (86_400 * TICKS_PER_SECOND) * (86_400 * TICKS_PER_SECOND)


def first_minute(kind: str, hour: int, seed: int, *, eventful: bool = True) -> list[Happening]:
    machine = build(kind, serial="1", seed=seed, eventful=eventful)
    start = MIDNIGHT + hour * 3600 * TICKS_PER_SECOND
    machine.advance(start)
    return machine.advance(start + 60 * TICKS_PER_SECOND)


@pytest.mark.parametrize("hour", [2, 9, 17])
@pytest.mark.parametrize("seed", [1, 2, 3, 99])
def test_an_alarm_comes_is_acknowledged_and_goes_and_the_program_is_interrupted(
    kind: str, hour: int, seed: int
) -> None:
    told = first_minute(kind, hour, seed)
    door = [(one.active, one.acked) for one in told if isinstance(one, Condition) and one.name == "DoorOpen"]
    assert door == [(True, False), (True, True), (False, True)]
    moves = [one.message.text for one in told if isinstance(one, Notice) and "ProgramTransition" in one.type]
    assert [text.partition(": ")[2] for text in moves] == [
        "Initializing -> Running",
        "Running -> Interrupted",
        "Interrupted -> Running",
    ]


def test_other_machines_are_left_alone(kind: str) -> None:
    assert not [one for one in first_minute(kind, 9, 1, eventful=False) if isinstance(one, Condition)]
