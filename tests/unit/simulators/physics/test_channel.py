from __future__ import annotations

import math
from typing import Any

import pytest

from simulators.gcode import LASER, MILLING, TURNING, Dialect, Setup, interpret, load_program, parse_program
from simulators.gcode.steps import SpindleCommand
from simulators.machines.laser import LASER_CUTTER
from simulators.machines.milling import MACHINING_CENTRE
from simulators.machines.spec import MachineSpec
from simulators.machines.turning import TURNING_CENTRE
from simulators.machines.unit import setup_of
from simulators.physics.channel import Channel
from simulators.physics.path import Axis, look_ahead

AXES = tuple(Axis(name, -1000.0, 1000.0, 500.0, 1000.0) for name in "XYZ")


class Bench:
    """A machine that does everything at once, with a spindle at full speed."""

    def __init__(self, speed: float = 1000.0) -> None:
        self.speed = speed
        self.ended: float | None = None
        self.stops = 0
        self.blocked = False

    def change_tool(self, channel: Channel, tool: int, time: float) -> float | None:
        return None if self.blocked else 2.0

    def command_spindle(self, channel: Channel, step: SpindleCommand, time: float) -> float:
        return 0.5

    def switch_coolant(self, channel: Channel, *, on: bool) -> None: ...

    def wait(self, channel: Channel, mark: int) -> bool:
        return not self.blocked

    def auxiliary(self, channel: Channel, code: int, time: float) -> None: ...

    def stop(self, channel: Channel, *, optional: bool, time: float) -> bool:
        self.stops += 1
        return False

    def end(self, channel: Channel, time: float) -> None:
        self.ended = time

    def spindle_speed(self, channel: Channel, time: float) -> tuple[float, float]:
        return self.speed, self.speed


def channel_of(text: str) -> Channel:
    home = (0.0, 0.0, 0.0)
    offsets = dict.fromkeys(range(54, 60), home)
    setup = Setup(MILLING, home, (-1000.0,) * 3, (1000.0,) * 3, offsets, {1: 0.0}, {1: 10.0})
    channel = Channel(1, AXES, home)
    channel.load(interpret(parse_program(text, "test.nc", MILLING), setup))
    return channel


def run(channel: Channel, host: Bench, step: float = 0.1, limit: float = 600.0) -> float:
    time = 0.0
    while host.ended is None and time < limit:
        channel.run(host, time, step)
        time += step
    assert host.ended is not None
    return host.ended


def test_a_program_takes_as_long_as_worked_out_by_hand() -> None:
    # rapid 100 mm at 500 mm/s, 1000 mm/s2: triangle, 2*sqrt(0.1) s; dwell 1 s; spindle 0.5 s; tool 2 s;
    # feed 60 mm at 3000 mm/min = 50 mm/s: 1.2 s + 0.05 s for both ramps
    text = "G0 X100\nG4 P1000\nS500 M3\nT1 M6\nG1 Y60 F3000\nM30"
    assert run(channel_of(text), Bench()) == pytest.approx(2 * math.sqrt(0.1) + 1 + 0.5 + 2 + 1.25, abs=1e-6)


@pytest.mark.parametrize("step", [0.013, 0.1, 1.0, 50.0])
def test_the_size_of_steps_does_not_change_the_time(step: float) -> None:
    text = "G0 X100\nG1 X200 F1200\nG2 X210 Y10 R10\nG4 P300\nG1 Y50\nM30"
    assert run(channel_of(text), Bench(), step) == pytest.approx(run(channel_of(text), Bench(), 0.05), abs=1e-6)


def test_tangential_blocks_are_passed_without_stop() -> None:
    straight = run(channel_of("G1 X100 F3000\nM30"), Bench())
    divided = run(channel_of("G1 X20 F3000\nX40\nX60\nX80\nX100\nM30"), Bench())
    corner = run(channel_of("G1 X50 F3000\nY50\nM30"), Bench())
    assert divided == pytest.approx(straight, abs=1e-6)
    assert corner == pytest.approx(straight + 0.05, abs=1e-6)


def test_override_halves_the_feed_and_zero_stops_it() -> None:
    channel, host = channel_of("G1 X100 F3000\nM30"), Bench()
    channel.run(host, 0.0, 0.5)
    assert channel.speed == pytest.approx(50.0)
    channel.feed_override = 50.0
    channel.run(host, 0.5, 0.5)
    assert channel.speed == pytest.approx(25.0)
    channel.feed_override = 0.0
    channel.run(host, 1.0, 0.5)
    place = channel.position
    assert channel.speed == 0.0
    channel.run(host, 1.5, 100.0)
    assert channel.position == place
    channel.feed_override = 100.0
    assert host.ended is None
    channel.run(host, 101.5, 10.0)
    assert host.ended is not None


def test_rapid_override_and_hold() -> None:
    channel, host = channel_of("G0 X900\nM30"), Bench()
    channel.rapid_override = 25.0
    channel.run(host, 0.0, 1.0)
    assert channel.speed == pytest.approx(125.0)
    channel.hold = True
    channel.run(host, 1.0, 1.0)
    assert channel.speed == 0.0
    channel.hold = False
    run(channel, host)
    assert channel.position == (900.0, 0.0, 0.0)


def test_no_cut_without_spindle() -> None:
    channel, host = channel_of("G1 Z-2 F600\n(CUT AP2 AE5)\nG1 X50\nM30"), Bench(speed=0.0)
    channel.run(host, 0.0, 20.0)
    assert channel.position == (0.0, 0.0, -2.0)
    assert channel.cut.seconds == 0.0
    host.speed = 1000.0
    run(channel, host)
    assert channel.cut.way == pytest.approx(50.0)
    assert channel.cut.volume == pytest.approx(50.0 * 2 * 5)


def test_feed_per_revolution_follows_the_spindle() -> None:
    channel, host = channel_of("G95\nG1 X100 F0.5\nM30"), Bench(speed=1200.0)
    channel.run(host, 0.0, 1.0)
    assert channel.speed == pytest.approx(10.0)
    host.speed = 600.0
    channel.run(host, 1.0, 1.0)
    assert channel.speed == pytest.approx(5.0)


def test_a_blocked_tool_change_or_wait_mark_waits() -> None:
    channel, host = channel_of("T1 M6\nG0 X10\nM30"), Bench()
    host.blocked = True
    channel.run(host, 0.0, 100.0)
    assert channel.position == (0.0, 0.0, 0.0)
    host.blocked = False
    assert run(channel, host) < 100.0


PARTS = [
    (spec, dialect, index, name)
    for spec, dialect in ((MACHINING_CENTRE, MILLING), (TURNING_CENTRE, TURNING), (LASER_CUTTER, LASER))
    for product in spec.products
    for index, name in enumerate(product.programs)
]


@pytest.mark.parametrize(
    ("spec", "dialect", "index", "name"), PARTS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_no_axis_exceeds_its_speed_or_acceleration(spec: MachineSpec, dialect: Dialect, index: int, name: str) -> None:
    unit = spec.channels[index]
    channel: Any = Channel(1, unit.axes, unit.home, diameter=dialect.diameter)
    channel.load(interpret(load_program(name, dialect), setup_of(unit)))
    host, time, step = Bench(), 0.0, 0.004
    place, speed = channel.position, (0.0,) * len(unit.axes)
    worst = 0.0
    while host.ended is None:
        channel.run(host, time, step)
        time += step
        now = channel.position
        moved = tuple((a - b) / step for a, b in zip(now, place, strict=True))
        for axis, value, before, here in zip(unit.axes, moved, speed, now, strict=True):
            assert abs(value) <= axis.speed * 1.000001
            assert axis.low - 1e-6 <= here <= axis.high + 1e-6
            worst = max(worst, abs(value - before) / step / axis.acceleration)
        place, speed = now, moved
        assert time < 900.0
    assert worst <= 1.01
    assert time > 10.0


def test_look_ahead_never_plans_an_end_speed_that_cannot_be_stopped() -> None:
    channel = channel_of("G1 X50 F60000\nX50.5\nX51\nX51.2\nY10\nM30")
    for index, leg in look_ahead(channel.steps, AXES).items():
        rest = sum(
            other.length for number, other in channel.legs.items() if number > index and other.motion.end[1] == 0.0
        )
        assert leg.exit_speed**2 <= 2 * leg.acceleration * rest + 1e-6
