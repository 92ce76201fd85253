"""Alarms by their physical causes, and what operators and clients do about them."""

from __future__ import annotations

from typing import Any

import pytest

from simulators.machine import Appeared, Change, Condition, RefusedError, Vanished

PROGRAM = "Production/ActiveProgram/State/CurrentState"
RED = "Monitoring/Stacklight/RedLight/SignalOn"
FEED = "Monitoring/Channel1/ActualFeed"


def states(running: Any, suffix: str) -> list[tuple[bool, bool, bool]]:
    found = [one for one in running.told if isinstance(one, Condition) and one.name.endswith(suffix)]
    return [(one.active, one.acked, one.retain) for one in found]


def test_a_broken_tool_aborts_and_is_replaced(kind: str, start: Any) -> None:
    running = start(kind)
    running.until_cutting()
    unit = running.machine._plant.units[0]
    broken = unit.tool
    broken.hazard = broken.strength
    bad = running.values["Production/PartsBad"]
    running.until(PROGRAM, "Aborted", 3.0)
    running.go(3.0)
    assert running.values[RED]
    assert running.values[FEED] == 0.0
    assert unit.load == 0.0 or abs(unit.spindle.speed) > 0
    assert running.values["Production/PartsBad"] == bad + 1
    assert [one.fields["ErrorCode"] for one in running.machine.conditions()] == ["E-3001"]
    running.until(RED, False, 300.0)
    assert states(running, "Broken") == [(True, False, True), (True, True, True), (False, True, False)]
    gone = [one for one in running.told if isinstance(one, Vanished)]
    come = [one for one in running.told if isinstance(one, Appeared)]
    assert broken.identifier in gone[0].path
    assert come[0].part.type == "ToolType"
    assert unit.tools[broken.number].wear == 0.0
    locked = [one.value for one in running.told if isinstance(one, Change) and one.path.endswith("ReasonForLocking")]
    assert locked == [2]
    running.until(PROGRAM, "Running", 120.0)
    assert running.machine.conditions() == []


def test_an_open_door_interrupts_and_the_program_goes_on(kind: str, start: Any) -> None:
    running = start(kind)
    running.until_cutting()
    running.machine._faults._door_in = 0.0
    running.until(PROGRAM, "Interrupted", 2.0)
    running.go(4.0)
    assert not running.values["Diagnostics/DoorClosed"]
    assert running.values[FEED] == 0.0
    assert all(unit.spindle.target == 0.0 for unit in running.machine._plant.units)
    place = running.machine._plant.units[0].channel.position
    line = running.values["Monitoring/Channel1/LineNumber"]
    running.go(5.0)
    assert running.machine._plant.units[0].channel.position == place
    running.until(PROGRAM, "Running", 120.0)
    assert running.values["Diagnostics/DoorClosed"]
    assert running.values["Monitoring/Channel1/LineNumber"] >= line
    running.until(PROGRAM, "Ended", 400.0)


def test_low_lubricant_interrupts_until_it_is_refilled_by_a_client(kind: str, start: Any) -> None:
    running = start(kind)
    running.until_cutting()
    running.machine._plant.lubricant.level = 9.0
    running.until(PROGRAM, "Interrupted", 2.0)
    running.take(running.machine.acknowledge("LubricantLow", "komme", running.now))
    assert running.machine.conditions()[0].comment == "komme"
    outputs, happened = running.machine.call("Control/RefillLubricant", [50.0], running.now)
    running.take(happened)
    assert outputs == [pytest.approx(59.0, abs=0.1)]
    assert states(running, "LubricantLow")[-1] == (False, True, False)
    running.until(PROGRAM, "Running", 10.0)


def test_a_worn_tool_interrupts_at_its_next_use(start: Any) -> None:
    running = start("machining-centre")
    running.until(PROGRAM, "Running", 10.0)
    unit = running.machine._plant.units[0]
    unit.tools[5].wear = 1.0
    running.until(PROGRAM, "Interrupted", 300.0)
    assert running.machine.conditions()[0].name == "Spindle1ToolLife"
    running.until(PROGRAM, "Running", 200.0)
    assert unit.tools[5].wear < 0.01
    assert states(running, "ToolLife") == [(True, False, True), (True, True, True), (False, True, False)]


@pytest.mark.parametrize("kind", ["machining-centre", "turning-centre"])
def test_too_hard_a_cut_overloads_the_spindle(kind: str, start: Any) -> None:
    running = start(kind)
    spec = running.machine._production.jobs[0].product
    object.__setattr__(spec, "specific_force", spec.specific_force * 30)
    try:
        running.until(PROGRAM, "Interrupted", 100.0)
    finally:
        object.__setattr__(spec, "specific_force", spec.specific_force / 30)
    names = [condition.name for condition in running.machine.conditions()]
    assert "Spindle1Overload" in names or "Spindle2Overload" in names
    running.go(5.0)
    assert max(unit.load for unit in running.machine._plant.units) < 125.0


def test_overtemperature_goes_by_itself_when_it_has_cooled(kind: str, start: Any) -> None:
    running = start(kind)
    running.until_cutting()
    unit = running.machine._plant.units[0]
    unit.heat.temperature = 80.0
    running.until(PROGRAM, "Interrupted", 2.0)
    name = f"{unit.spec.spindle.name}Overtemperature"
    running.take(running.machine.acknowledge(name, None, running.now))
    with pytest.raises(RefusedError, match="BadConditionBranchAlreadyAcked"):
        running.machine.acknowledge(name, None, running.now)
    running.until(PROGRAM, "Running", 1500.0)
    assert unit.heat.temperature < 61.0
    assert states(running, "Overtemperature")[-1] == (False, True, False)


def test_acknowledging_needs_something_to_acknowledge(kind: str, start: Any) -> None:
    running = start(kind)
    with pytest.raises(RefusedError, match="BadNodeIdUnknown"):
        running.machine.acknowledge("Fire", None, running.now)
    with pytest.raises(RefusedError, match="BadConditionBranchAlreadyAcked"):
        running.machine.acknowledge("DoorOpen", None, running.now)


def test_at_night_nobody_acknowledges_for_half_an_hour(start: Any) -> None:
    night = 133_801_632_000_000_000 // 864_000_000_000 * 864_000_000_000
    running = start("laser-cutter", start=night)
    running.until_cutting()
    assert running.values["Operator/Name"] == ""
    assert not running.values["Operator/Present"]
    running.machine._plant.lubricant.level = 5.0
    running.until(PROGRAM, "Interrupted", 2.0)
    running.go(1700.0)
    assert states(running, "LubricantLow") == [(True, False, True)]
    running.go(300.0)
    assert states(running, "LubricantLow")[-1] == (False, True, False)


def test_reset_alarm_acknowledges_and_clears(kind: str, start: Any) -> None:
    running = start(kind)
    running.until_cutting()
    running.machine._faults._door_in = 0.0
    running.until(PROGRAM, "Interrupted", 2.0)
    with pytest.raises(RefusedError, match="BadInvalidArgument"):
        running.machine.call("Control/ResetAlarm", ["Fire"], running.now)
    outputs, happened = running.machine.call("Control/ResetAlarm", [""], running.now)
    running.take(happened)
    assert outputs == [1]
    assert running.machine.conditions() == []
    with pytest.raises(RefusedError, match="BadInvalidState"):
        running.machine.call("Control/ResetAlarm", [""], running.now)
    running.until(PROGRAM, "Running", 10.0)
