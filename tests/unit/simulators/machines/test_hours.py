"""What must hold over hours: allowed transitions, counters, ranges, energy, correlations."""

from __future__ import annotations

from typing import Any

import pytest

from simulators.machine import Appeared, Change, Notice, State, Vanished
from simulators.machines.states import (
    ITEM_STATES,
    MODE_STATES,
    PRODUCTION_STATES,
    PRODUCTION_TRANSITIONS,
    ProductionState,
    TransitionError,
)

PROGRAM = "Production/ActiveProgram/State/"
HOURS = 1.6
"""From 5:10, so that night, shift change, early shift and several jobs are seen."""


class Witness:
    """Follows all that a machine tells."""

    def __init__(self, running: Any) -> None:
        self.running = running
        self.ranges = {point.path: (point.low, point.high) for point in running.machine.points if point.low is not None}
        self.values = dict(running.values)
        self.transitions: list[tuple[str, str]] = []
        self.counters: dict[str, list[int]] = {}
        self.joules = 0.0
        self.last_time = running.now
        self.alive = {path.rpartition("/")[0] for path in self.values}
        self.events: list[Any] = []

    def see(self, one: Any) -> None:
        if isinstance(one, Change):
            self._change(one)
        elif isinstance(one, Appeared):
            self.values |= {point.path: point.initial for point in one.points}
            self.ranges |= {point.path: (point.low, point.high) for point in one.points if point.low is not None}
            self.events.append(one)
        elif isinstance(one, Vanished):
            assert any(path.startswith(one.path + "/") for path in self.values)
            self.values = {path: v for path, v in self.values.items() if not path.startswith(one.path + "/")}
            self.events.append(one)
        else:
            self.events.append(one)

    def _change(self, one: Change) -> None:
        assert one.path in self.values, f"{one.path} changes but is not there"
        before = self.values[one.path]
        if one.path == "Monitoring/Energy/Power":
            # Power told at a grid point is what the step before it took.
            steps = round((one.time - self.last_time) / 1_000_000)
            self.joules += (before * (steps - 1) + one.value) * 0.1
            self.last_time = one.time
        if one.path == PROGRAM + "CurrentState":
            self.transitions.append((before.name, one.value.name))
        if one.path.startswith("Production/Parts") and isinstance(one.value, int):
            assert one.value == before + 1
        if one.path.endswith(("/Wear", "/CuttingTime", "/Usages", "/Energy", "PartsProducedInLifetime", "EnergyTotal")):
            assert one.value > before, one.path
        if one.path.endswith("/CurrentState") and "Machinery" in one.path:
            known = ITEM_STATES if "Item" in one.path else MODE_STATES
            assert known[one.value.name] == one.value.number
        low, high = self.ranges.get(one.path, (None, None))
        if low is not None:
            assert low <= one.value <= high, one
        self.values[one.path] = one.value


def test_hours_of_production(kind: str, start: Any) -> None:
    running = start(kind, seed=5, start=133_801_632_000_000_000 // 864_000_000_000 * 864_000_000_000 + 186_000_000_000)
    witness = Witness(running)
    units = running.machine._plant.units
    for _ in range(int(HOURS * 3600)):
        running.told.clear()
        for one in running.go(1.0):
            witness.see(one)
        for unit in units:
            if abs(unit.spindle.speed) <= 0.5:
                assert unit.load == unit.power == 0.0
        lamps = [
            witness.values[f"Monitoring/Stacklight/{colour}Light/SignalOn"] for colour in ("Red", "Yellow", "Green")
        ]
        assert sum(lamps) == 1
        program = witness.values[PROGRAM + "CurrentState"].name
        assert lamps[2] == (program == "Running")
        assert (program == "Running") == (
            witness.values["Monitoring/MachineTool/MachineryItemState/CurrentState"].name == "Executing"
        )
    assert set(witness.transitions) <= set(PRODUCTION_TRANSITIONS)
    assert witness.transitions.count(("Running", "Ended")) >= 10
    ended = witness.transitions.count(("Running", "Ended"))
    assert witness.values["Production/PartsGood"] == ended
    shown = witness.values["Monitoring/Energy/Energy"]
    assert witness.joules / 3600 == pytest.approx(shown, rel=1e-3)
    assert [e for e in witness.events if isinstance(e, Notice) and e.fields.get("Identifier") == "ShiftChange"]
    jobs = [e for e in witness.events if isinstance(e, Vanished) and "ProductionPlan" in e.path]
    assert jobs
    plan = {path.split("/")[2] for path in witness.values if path.startswith("Production/ProductionPlan/Job")}
    assert len(plan) == 3
    temperature = max(unit.heat.temperature for unit in units)
    assert temperature > running.machine._plant.ambient + 1.0


def test_transition_notices_carry_states_and_numbers(kind: str, start: Any) -> None:
    running = start(kind)
    running.go(400.0)
    notices = [
        one for one in running.told if isinstance(one, Notice) and one.type == "ProductionProgramTransitionEventType"
    ]
    assert len(notices) >= 3
    for notice in notices:
        before, after, via = (notice.fields[name] for name in ("FromState", "ToState", "Transition"))
        assert PRODUCTION_TRANSITIONS[(before.name, after.name)] == via.number
        assert via == State(f"{before.name}To{after.name}", via.number)


def test_wear_rises_only_while_cutting(kind: str, start: Any) -> None:
    running = start(kind)
    units = running.machine._plant.units
    rises = 0
    for _ in range(2500):
        before = {id(tool): tool.wear for unit in units for tool in unit.tools.values()}
        running.go(0.1)
        for unit in units:
            for tool in unit.tools.values():
                if id(tool) in before and tool.wear != before[id(tool)]:
                    assert tool.wear > before[id(tool)]
                    assert tool is unit.tool
                    assert unit.engaged
                    # A beam may have gone off within the step.
                    assert abs(unit.spindle.speed) > 0.5 or unit.spec.dialect.beam
                    rises += 1
    assert rises > 300


def test_load_follows_the_cut_and_power_the_load(kind: str, start: Any) -> None:
    running = start(kind)
    unit = running.machine._plant.units[0]
    cutting, air = [], []
    for _ in range(1500):
        running.go(0.1)
        if running.machine._cycle.phase.value == "running":
            (cutting if unit.engaged else air).append((unit.load, running.machine._plant.power))
    assert sum(load for load, _ in cutting) / len(cutting) > 1.5 * sum(load for load, _ in air) / len(air)
    assert sum(power for _, power in cutting) / len(cutting) > sum(power for _, power in air) / len(air)


def test_the_channels_of_the_turning_centre_wait_for_each_other(start: Any) -> None:
    running = start("turning-centre")
    running.go(300.0)
    marks = [one for one in running.told if isinstance(one, Change) and one.path.endswith("/WaitMark") and one.value]
    assert {one.value for one in marks} & {200, 201, 202}
    assert running.values["Production/PartsGood"] >= 1


@pytest.mark.parametrize("before", PRODUCTION_STATES)
@pytest.mark.parametrize("after", PRODUCTION_STATES)
def test_state_machine_takes_only_its_transitions(before: str, after: str) -> None:
    machine = ProductionState(before)
    if (before, after) in PRODUCTION_TRANSITIONS:
        assert machine.go(after).via.number == PRODUCTION_TRANSITIONS[(before, after)]
        assert machine.state == State(after, PRODUCTION_STATES[after])
    else:
        with pytest.raises(TransitionError, match="allowed"):
            machine.go(after)
        assert machine.name == before
