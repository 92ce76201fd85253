"""A channel of a machine with its spindle and tools: what moves and cuts together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

from simulators.gcode import Program, Setup, interpret
from simulators.gcode.steps import FeedMode, Motion, Position, SpindleCommand, Step
from simulators.machines.spec import ChannelSpec, ToolSpec
from simulators.physics.channel import Channel, Cut
from simulators.physics.spindle import Spindle
from simulators.physics.thermal import Body
from simulators.physics.tools import Tool, cutting_power, draw_strength

FRICTION = 0.06
"""Share of the rated power that a spindle needs to turn at full speed."""

HEAT_SHARE = 0.35
"""Share of the spindle's power that warms the spindle."""

PEAK = 1.9
"""The drive gives at most this many times its rated power."""

LOAD_LAG = 0.25
"""Seconds after which the shown load has followed by 63 %."""


class ProductionUnit:
    """State of a channel, its spindle (or beam) and its tools."""

    def __init__(self, number: int, spec: ChannelSpec, rng: Random) -> None:
        self.number = number
        self.spec = spec
        self._rng = rng
        self.channel = Channel(number, spec.axes, spec.home, diameter=spec.dialect.diameter, tool=spec.first_tool)
        self.spindle = Spindle(spec.spindle.max_speed, spec.spindle.ramp, spec.spindle.rated_power)
        self.command: SpindleCommand | None = None
        self.override = 100.0
        self.tools = {tool.number: self.new_tool(tool, worn=True) for tool in spec.tools}
        self.coolant = False
        self.held = False
        self.power = 0.0
        self.load = 0.0
        self.engaged = False
        self.heat = Body(60.0 / (HEAT_SHARE * spec.spindle.rated_power), 900.0, 21.0)
        self.cut = Cut()

    def new_tool(self, spec: ToolSpec, *, worn: bool = False) -> Tool:
        """A tool with its own life and strength; `worn` gives it a past."""
        rng = self._rng
        identifier = f"{spec.number:02d}-{rng.randrange(16**8):08X}"
        life = round(spec.life * rng.uniform(0.85, 1.15), 2)
        wear = rng.uniform(0.0, 0.85) if worn else 0.0
        tool = Tool(spec.number, spec.name, identifier, spec.diameter, spec.length, life, wear)
        tool.minutes = wear * life
        tool.usages = int(wear * 40)
        tool.strength = draw_strength(rng)
        return tool

    def prepare(self, program: Program, *, block_skip: bool) -> list[Step]:
        """Steps of a program, with the way to the reference point before it."""
        spec = self.spec
        steps = interpret(program, setup_of(spec, block_skip=block_skip))
        return [*homing(self.channel.position, spec.home, diameter=spec.dialect.diameter), *steps]

    def turn(self, step: SpindleCommand, time: float) -> float:
        """Follow a spindle command; seconds until the speed is reached."""
        self.command = step
        self.spindle.command(self.wanted_speed(), time)
        return max(self.spindle.reached_at() - time, 0.0)

    def wanted_speed(self) -> float:
        """Speed that the program asks for now, signed, with override; 0 while held."""
        step = self.command
        if step is None or step.direction == 0 or self.held:
            return 0.0
        speed = step.speed
        if step.surface:
            radius = max(abs(self.channel.position[0]), 0.5)
            speed = 1000.0 * step.speed / (math.tau * radius)
        if self.spec.dialect.beam:
            return min(speed, self.spindle.max_speed)
        speed = min(speed, step.limit) * self.override / 100.0
        return step.direction * min(speed, self.spindle.max_speed)

    def follow(self, time: float) -> None:
        """Let the spindle follow what is wanted now (surface speed, override, hold)."""
        wanted = self.wanted_speed()
        if abs(wanted - self.spindle.target) > 0.001 * max(abs(wanted), 1.0):
            self.spindle.command(wanted, time)

    def stop(self, time: float) -> None:
        """Forget program and spindle command."""
        self.command = None
        self.spindle.command(0.0, time)
        self.channel.clear()
        self.coolant = False

    @property
    def tool(self) -> Tool | None:
        """The tool in use."""
        return self.tools.get(self.channel.tool)

    def after(self, time: float, span: float, force: float) -> Cut:
        """Physics of the last `span` seconds: power, load, wear, heat; returns what was cut in it."""
        cut, self.channel.cut = self.channel.cut, Cut()
        self.spindle.advance(time)
        self.engaged = cut.seconds > 0
        tool = self.tool
        wear = tool.wear if tool is not None else 0.0
        removal = cut.volume / span * 60.0
        power = 0.0
        if abs(self.spindle.speed) > 0.5:
            power = self._drive_power()
            if not self.spec.dialect.beam:
                power += cutting_power(removal, wear, force) * self._unsteady()
        self._settle(power, span)
        if tool is not None and cut.seconds > 0:
            tool.cut(cut.seconds, self.load)
        return cut

    def _drive_power(self) -> float:
        spec = self.spec.spindle
        if self.spec.dialect.beam:
            return self.spindle.speed / 1000.0
        share = abs(self.spindle.speed) / spec.max_speed
        ramping = self.spindle.accelerating * math.copysign(1.0, self.spindle.speed)
        return spec.rated_power * (FRICTION * share + 0.5 * share * max(ramping, 0.0) / spec.ramp)

    def _unsteady(self) -> float:
        return 0.97 + 0.06 * self._rng.random()

    def _settle(self, power: float, span: float) -> None:
        if abs(self.spindle.speed) <= 0.5:
            self.power = self.load = 0.0
            return
        power = min(power, PEAK * self.spec.spindle.rated_power)
        share = 1.0 - math.exp(-span / LOAD_LAG)
        self.power += (power - self.power) * share
        self.load = 100.0 * self.power / self.spec.spindle.rated_power

    def axis_loads(self) -> Sequence[float]:
        """Load of each axis drive in percent: friction, acceleration, cutting force."""
        velocity = self.channel.velocity
        total = math.hypot(*velocity) or 1.0
        push = 18.0 * self.load / 100.0 if self.engaged else 0.0
        loads = []
        for axis, speed in zip(self.spec.axes, velocity, strict=True):
            friction = 6.0 + 14.0 * abs(speed) / axis.speed if speed else 2.0
            inertia = 100.0 * axis.mass * abs(self.channel.acceleration) / 1000.0 * abs(speed) / total / axis.force
            loads.append(min(friction + inertia + push * abs(speed) / total, 150.0))
        return loads


def setup_of(spec: ChannelSpec, *, block_skip: bool = False) -> Setup:
    """What the machine adds to a program of this channel."""
    return Setup(
        dialect=spec.dialect,
        home=spec.home,
        low=tuple(axis.low for axis in spec.axes),
        high=tuple(axis.high for axis in spec.axes),
        offsets=spec.offsets,
        lengths={tool.number: tool.length for tool in spec.tools},
        diameters={tool.number: tool.diameter for tool in spec.tools},
        block_skip=block_skip,
    )


def homing(place: Position, home: Position, *, diameter: bool) -> list[Step]:
    """Rapid motions to the reference point: first the axis that frees the tool, then the others."""
    first = 0 if diameter else len(place) - 1
    between = tuple(home[i] if i == first else value for i, value in enumerate(place))
    steps: list[Step] = []
    for start, end in ((place, between), (between, home)):
        if max(abs(a - b) for a, b in zip(start, end, strict=True)) > 1e-9:
            steps.append(Motion(0, "G28", start, end, FeedMode.RAPID, 0.0, 0.0, 0.0))
    return steps
