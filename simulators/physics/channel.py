"""A channel of a numeric control: runs the steps of a program in time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from simulators.gcode.steps import (
    Coolant,
    Dwell,
    FeedMode,
    Motion,
    Position,
    ProgramEnd,
    ProgramStop,
    SpindleCommand,
    Step,
    ToolChange,
    WaitMark,
)
from simulators.physics.path import Axis, Leg, look_ahead
from simulators.physics.profile import Profile, plan

SPINDLE_READY = 0.9
"""Share of the commanded speed below which no cut begins."""

REPLAN = 0.002
"""Relative change of the wanted speed that is worth a new plan."""


class Host(Protocol):
    """What a channel asks of its machine; times are seconds of the model's clock."""

    def change_tool(self, channel: Channel, tool: int, time: float) -> float | None:
        """Seconds that the change takes; None while it is not possible."""

    def command_spindle(self, channel: Channel, step: SpindleCommand, time: float) -> float:
        """Seconds until the speed is reached."""

    def switch_coolant(self, channel: Channel, *, on: bool) -> None:
        """Switch coolant or assist gas."""

    def wait(self, channel: Channel, mark: int) -> bool:
        """All channels have reached this mark."""

    def auxiliary(self, channel: Channel, code: int, time: float) -> None:
        """An auxiliary function begins."""

    def stop(self, channel: Channel, *, optional: bool, time: float) -> bool:
        """The program stops here; False if it goes on (M1 switched off)."""

    def end(self, channel: Channel, time: float) -> None:
        """The program has ended."""

    def spindle_speed(self, channel: Channel, time: float) -> tuple[float, float]:
        """Actual and commanded speed of the channel's spindle, 1/min, without sign."""


@dataclass(slots=True)
class Cut:
    """What was cut since the last reset: seconds, mm of feed path, mm3 removed."""

    seconds: float = 0.0
    way: float = 0.0
    volume: float = 0.0


@dataclass(slots=True)
class Channel:
    """State of one channel.

    Attributes:
        number: From 1 on.
        axes: Its axes.
        place: Position when no motion runs.
        feed_override: Percent.
        rapid_override: Percent.
        hold: Feed hold: comes to rest on the path, begins nothing.
        diameter: X is a radius here, and the work turns (removal depends on it).
    """

    number: int
    axes: Sequence[Axis]
    place: Position
    diameter: bool = False
    feed_override: float = 100.0
    rapid_override: float = 100.0
    hold: bool = False
    steps: Sequence[Step] = ()
    legs: dict[int, Leg] = field(default_factory=dict)
    index: int = 0
    tool: int = 0
    waiting: int = 0
    cut: Cut = field(default_factory=Cut)
    total: float = 0.0
    _way: float = 0.0
    _speed: float = 0.0
    _profile: Profile | None = None
    _base: float = 0.0
    _tau: float = 0.0
    _left: float | None = None

    def load(self, steps: Sequence[Step]) -> None:
        """Take a program; it starts with the next `run`."""
        self.steps = steps
        self.legs = look_ahead(steps, self.axes)
        self.total = sum(leg.length for leg in self.legs.values()) or 1.0
        self.index = 0
        self._reset()

    def clear(self) -> None:
        """Drop the program; the axes stand where they are."""
        self.place = self.position
        self.steps, self.legs, self.index = (), {}, 0
        self._reset()

    @property
    def active(self) -> bool:
        """A program is loaded and not at its end."""
        return self.index < len(self.steps)

    @property
    def step(self) -> Step | None:
        """The step that runs now."""
        return self.steps[self.index] if self.active else None

    @property
    def position(self) -> Position:
        """Machine coordinates, mm."""
        leg = self.legs.get(self.index)
        return leg.motion.at(min(self._way, leg.length)) if leg else self.place

    @property
    def speed(self) -> float:
        """Speed along the path, mm/s."""
        return self._speed

    @property
    def velocity(self) -> Position:
        """Speed of each axis, mm/s."""
        leg = self.legs.get(self.index)
        if leg is None or self._speed == 0.0:
            return (0.0,) * len(self.axes)
        return tuple(u * self._speed for u in leg.motion.direction(min(self._way, leg.length)))

    @property
    def acceleration(self) -> float:
        """Acceleration along the path, mm/s2."""
        return self._profile.acceleration_at(self._tau) if self._profile and self.index in self.legs else 0.0

    @property
    def removal(self) -> float:
        """Removal rate now, mm3/min."""
        leg = self.legs.get(self.index)
        return leg.motion.ap * self._width(leg.motion) * self._speed * 60.0 if leg and self._speed > 0 else 0.0

    @property
    def rapid(self) -> bool:
        """The motion that runs is a rapid one."""
        leg = self.legs.get(self.index)
        return leg is not None and leg.motion.mode is FeedMode.RAPID

    @property
    def progress(self) -> float:
        """Percent of the program's steps that are done."""
        return 100.0 * self.index / len(self.steps) if self.steps else 0.0

    def run(self, host: Host, start: float, span: float) -> None:
        """Run for `span` seconds from `start` on."""
        left = span
        while left > 1e-9 and self.active:
            time = start + span - left
            step = self.steps[self.index]
            if isinstance(step, Motion):
                left -= self._move(host, step, time, left)
            elif self._left is None:
                if self.hold or not self._begin(host, step, time):
                    return
            else:
                used = min(self._left, left)
                self._left -= used
                left -= used
                if self._left <= 1e-9:
                    self._next()

    def _begin(self, host: Host, step: Step, time: float) -> bool:
        if isinstance(step, ToolChange):
            seconds = host.change_tool(self, step.tool, time)
            if seconds is None:
                return False
            self._left, self.tool = seconds, step.tool
        elif isinstance(step, SpindleCommand):
            self._left = host.command_spindle(self, step, time)
        elif isinstance(step, Dwell):
            host.auxiliary(self, step.code, time)
            self._left = step.seconds
        elif isinstance(step, WaitMark):
            self.waiting = step.mark
            if not host.wait(self, step.mark):
                return False
            self.waiting = 0
            self._left = 0.0
        elif isinstance(step, Coolant):
            host.switch_coolant(self, on=step.on)
            self._left = 0.0
        elif isinstance(step, ProgramStop):
            self._next()
            return not host.stop(self, optional=step.optional, time=time)
        elif isinstance(step, ProgramEnd):
            self._next()
            host.end(self, time)
            return False
        return True

    def _move(self, host: Host, motion: Motion, time: float, left: float) -> float:
        leg = self.legs[self.index]
        wanted = self._wanted(host, leg, motion, time)
        profile = self._profile
        if profile is None or abs(profile.target - wanted) > REPLAN * max(wanted, profile.target, 1.0):
            profile = plan(leg.length - self._way, self._speed, wanted, leg.exit_speed, leg.acceleration)
            self._profile, self._base, self._tau = profile, self._way, 0.0
        used = min(profile.duration - self._tau, left)
        before = self._way
        self._tau += used
        way, self._speed = profile.at(self._tau)
        self._way = self._base + way
        self._count(motion, used, self._way - before)
        if self._tau >= profile.duration - 1e-12:
            speed = self._speed if leg.exit_speed > 0 else 0.0
            self.place = motion.end
            self._next()
            self._speed = speed
        return used

    def _wanted(self, host: Host, leg: Leg, motion: Motion, time: float) -> float:
        if self.hold:
            return 0.0
        if motion.mode is FeedMode.RAPID:
            return leg.speed * self.rapid_override / 100.0
        actual, commanded = host.spindle_speed(self, time)
        if motion.ap > 0 and (actual <= 0 or actual < SPINDLE_READY * commanded):
            return 0.0
        speed = motion.feed * (1.0 if motion.mode is FeedMode.PER_MINUTE else actual) / 60.0
        if motion.mode is not FeedMode.THREAD:
            speed *= self.feed_override / 100.0
        return min(speed, leg.speed)

    def _count(self, motion: Motion, seconds: float, way: float) -> None:
        if motion.ap > 0 and way > 0:
            self.cut.seconds += seconds
            self.cut.way += way
            self.cut.volume += way * motion.ap * self._width(motion)

    def _width(self, motion: Motion) -> float:
        if not self.diameter or motion.ae > 0:
            return motion.ae
        return math.tau * max(abs(self.position[0]), 0.5)

    def _next(self) -> None:
        self.index += 1
        self._reset()

    def _reset(self) -> None:
        self._way = self._speed = self._tau = self._base = 0.0
        self._profile, self._left = None, None
