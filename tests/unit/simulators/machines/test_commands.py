"""Writes and methods take effect on the physics."""

from __future__ import annotations

from typing import Any

import pytest

from simulators.machine import RefusedError

PROGRAM = "Production/ActiveProgram/State/CurrentState"
FEED = "Monitoring/Channel1/ActualFeed"


def test_feed_override_zero_stops_the_feed_and_100_goes_on(kind: str, start: Any) -> None:
    running = start(kind)
    running.until_cutting()
    running.take(running.machine.write("Monitoring/MachineTool/FeedOverride", 0.0, running.now))
    assert running.values["Monitoring/Channel1/FeedOverride"] == 0.0
    channel = running.machine._plant.units[0].channel
    running.go(2.0)
    assert channel.rapid or channel.speed == 0.0
    running.go(60.0)
    assert running.values[FEED] == 0.0
    place = channel.position
    running.go(30.0)
    assert channel.position == place
    running.take(running.machine.write("Monitoring/Channel1/FeedOverride", 100, running.now))
    running.go(20.0)
    assert channel.position != place


def test_rapid_and_spindle_override(start: Any) -> None:
    running = start("machining-centre")
    running.until_cutting()
    unit = running.machine._plant.units[0]
    speed = abs(unit.spindle.speed)
    running.take(running.machine.write("Monitoring/Spindle1/Override", 50.0, running.now))
    running.go(1.0)
    assert abs(unit.spindle.speed) == pytest.approx(speed / 2)
    with pytest.raises(RefusedError, match="BadOutOfRange"):
        running.machine.write("Monitoring/Spindle1/Override", 49.9, running.now)


def test_optional_stop_stops_at_m1(start: Any) -> None:
    running = start("machining-centre")
    running.machine.write("Monitoring/Channel1/ChannelModifiers/OptionalStop", True, running.now)
    running.machine.write("Monitoring/Channel1/ChannelModifiers/BlockSkip", False, running.now)
    running.until(PROGRAM, "Interrupted", 300.0)
    running.until(PROGRAM, "Running", 40.0)
    running.until(PROGRAM, "Ended", 60.0)


def test_stop_and_resume(kind: str, start: Any) -> None:
    running = start(kind)
    running.until_cutting()
    running.take(running.machine.call("Control/Stop", [], running.now)[1])
    assert running.values[PROGRAM].name == "Interrupted"
    running.go(2.0)
    assert running.values[FEED] == 0.0
    running.go(3600.0)
    assert running.values[PROGRAM].name == "Interrupted"
    running.machine.call("Control/Resume", [], running.now)
    running.until(PROGRAM, "Running", 2.0)
    with pytest.raises(RefusedError, match="BadInvalidState"):
        running.machine.call("Control/Resume", [], running.now)


def test_abort_then_start_another_program(kind: str, start: Any) -> None:
    running = start(kind)
    running.until_cutting()
    name = running.machine.spec.products[1].programs[0]
    with pytest.raises(RefusedError, match="BadInvalidState"):
        running.machine.call("Control/StartProgram", [name], running.now)
    running.take(running.machine.call("Control/Abort", [], running.now)[1])
    running.go(5.0)
    assert running.values[PROGRAM].name == "Aborted"
    with pytest.raises(RefusedError, match=r"BadInvalidArgument.*there are"):
        running.machine.call("Control/StartProgram", ["none.nc"], running.now)
    outputs, happened = running.machine.call("Control/StartProgram", [name], running.now)
    running.take(happened)
    assert outputs == [True]
    running.until(PROGRAM, "Running", 10.0)
    assert running.values["Production/ActiveProgram/Name"] == name
    good = running.values["Production/PartsGood"]
    running.until(PROGRAM, "Ended", 900.0)
    assert running.values["Production/PartsGood"] == good + 1


@pytest.mark.parametrize(
    ("path", "arguments", "status"),
    [
        ("Control/Fly", [], "BadMethodInvalid"),
        ("Control/StartProgram", [], "BadArgumentsMissing"),
        ("Control/Stop", ["now"], "BadTooManyArguments"),
        ("Control/StartProgram", [5], "BadInvalidArgument"),
        ("Control/RefillLubricant", ["much"], "BadInvalidArgument"),
        ("Control/RefillLubricant", [0.0], "BadOutOfRange"),
        ("Control/RefillLubricant", [float("nan")], "BadOutOfRange"),
        ("Control/Abort", [], "BadInvalidState"),
    ],
)
def test_refused_calls(kind: str, start: Any, path: str, arguments: list[Any], status: str) -> None:
    running = start(kind)
    with pytest.raises(RefusedError) as caught:
        running.machine.call(path, arguments, running.now)
    assert caught.value.status == status
