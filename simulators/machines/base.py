"""A simulated machine tool: the contract of `simulators.machine` on a grid of simulated time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from simulators.gcode import Program, load_program
from simulators.gcode.steps import SpindleCommand
from simulators.machine import TICKS_PER_SECOND, Condition, Happening, Machine, MethodPoint, Part, Point
from simulators.machines import declare
from simulators.machines.alarms import AlarmBook
from simulators.machines.board import Board, Value
from simulators.machines.commands import CONTROL, METHODS, Commands
from simulators.machines.crew import seconds_of_day
from simulators.machines.cycle import STOP_SECONDS, Cycle, Phase
from simulators.machines.faults import Faults, kinds
from simulators.machines.plant import Plant
from simulators.machines.production import Production
from simulators.machines.publish import TICK, Publisher
from simulators.machines.spec import MachineSpec
from simulators.machines.unit import ProductionUnit
from simulators.physics.channel import Channel

GRID = round(TICK * TICKS_PER_SECOND)
"""OPC UA ticks of one step of the model."""

MICROSECOND = 10
"""Source times are whole microseconds, which every stack can carry."""

CHANGE_ABOVE = 0.95
"""Tools worn more than this are changed when the job changes."""

PROGNOSIS_TICKS = 600


class SimulatedMachine(Machine):
    """A machine tool built to a `MachineSpec`; everything happens on a grid of 100 ms from the first call on.

    Args:
        spec: What it is built of.
        serial: Its serial number.
        seed: The same serial and seed give the same run.
        eventful: For a demonstration: an alarm and an interruption come within the first minute, and somebody is
            there to acknowledge them, whatever the time of day.
    """

    def __init__(self, spec: MachineSpec, *, serial: str, seed: int, eventful: bool = False) -> None:
        rng = Random(f"{spec.kind}/{serial}/{seed}")
        self.spec = spec
        self.name = f"{spec.kind.title().replace('-', '')}-{serial}"
        self.namespace = f"urn:area4:sim:{spec.kind}:{serial.replace('/', '-')}"
        self._board = Board()
        self._plant = Plant(spec, rng)
        self._production = Production(self._board, spec, rng)
        self._alarms = AlarmBook(self._board, kinds(self._plant))
        self._cycle = Cycle(self._board, self._plant, self._production, self._alarms)
        self._faults = Faults(self._board, self._plant, self._alarms, rng)
        if eventful:
            self._cycle.demonstrated = True
            self._faults.soon()
        self._commands = Commands(self._board, self._plant, self._production, self._alarms, self._cycle, self._faults)
        self._publisher = Publisher(self._board, self._plant)
        self._programs: dict[str, Program] = {
            name: load_program(name, unit.spec.dialect)
            for product in spec.products
            for name, unit in zip(product.programs, self._plant.units, strict=True)
        }
        self._released: set[tuple[int, int]] = set()
        self._epoch: int | None = None
        self._count = 0
        self._stamp = 0
        self._declare(serial)
        self._parts = tuple(self._board.parts)
        self._points = tuple(self._board.points.values())

    def _declare(self, serial: str) -> None:
        board = self._board
        declare.identification(board, self.spec, serial)
        declare.machine_monitoring(board, self._production.lifetime)
        declare.fluids(board, self.spec.fluid)
        declare.stacklight(board)
        axes = board.part("Monitoring/Axes", None)
        for unit in self._plant.units:
            declare.channel(board, unit)
            self._declare_drive(unit)
            positions = declare.shown(unit.spec, unit.spec.home)
            for axis, position in zip(unit.spec.axes, positions, strict=True):
                diameter = unit.spec.dialect.diameter and axis is unit.spec.axes[0]
                declare.axis(board, axes, axis, position, diameter=diameter)
            for tool in unit.tools.values():
                path = self._plant.tool_path(unit, tool)
                declare.tool(board, path, declare.tool_points(unit, tool, path, 132_223_104_000_000_000))
        declare.components(board, self._components(), serial)
        declare.diagnostics(board)
        declare.prognoses(board)
        board.part(CONTROL, None)

    def _declare_drive(self, unit: ProductionUnit) -> None:
        declare.spindle(self._board, unit)

    def _components(self) -> Mapping[str, str]:
        return {"Control": "Numerische Steuerung", "CoolantSystem": self.spec.fluid, "Drives": "Antriebspaket"}

    @property
    def parts(self) -> Sequence[Part]:
        """Objects whose type must be named, parents before children."""
        return self._parts

    @property
    def points(self) -> Sequence[Point]:
        """All variables at the start of the run."""
        return self._points

    @property
    def methods(self) -> Sequence[MethodPoint]:
        """Methods that a client may call."""
        return METHODS

    def advance(self, now: int) -> list[Happening]:
        """Run until `now`; the first call only sets the clock."""
        self._run(now)
        return self._board.take()

    def _run(self, now: int) -> None:
        if self._epoch is None:
            self._epoch = self._stamp = -(-now // MICROSECOND) * MICROSECOND
        while self._epoch + (self._count + 1) * GRID <= now:
            self._count += 1
            self._stamp = self._epoch + self._count * GRID
            self._tick()

    @property
    def _seconds(self) -> float:
        return self._count * TICK

    def _tick(self) -> None:
        seconds, time = self._seconds, self._stamp
        cycle = self._cycle
        if self._count % 10 == 1:
            cycle.crew(time)
        for name in self._alarms.remediable(seconds):
            self._faults.remedy(name, time)
        before = cycle.phase
        if cycle.advance(seconds, time):
            self._begin()
        self._follow(before)
        start = seconds - TICK
        for unit in self._plant.units:
            unit.follow(start)
            unit.channel.run(self, start, TICK)
        running = cycle.phase is Phase.RUNNING
        force = self._production.product.specific_force
        self._plant.advance(seconds, TICK, seconds_of_day(time), force, running=running)
        manned = cycle.shift is not None and cycle.shift.manned
        self._faults.watch(seconds, TICK, time, running=running, manned=manned)
        cycle.react(time)
        self._publisher.tick(self._count, time)
        cycle.show(time)
        if self._count % PROGNOSIS_TICKS == 1:
            self._foresee(time)

    def _begin(self) -> None:
        for unit, name in zip(self._plant.units, self._production.product.programs, strict=True):
            base = f"Monitoring/Channel{unit.number}"
            skip = bool(self._board.value(f"{base}/ChannelModifiers/BlockSkip"))
            unit.channel.load(unit.prepare(self._programs[name], block_skip=skip))
            self._board.put(f"{base}/ProgramName", name, self._stamp)
        self._released.clear()

    def _follow(self, before: Phase) -> None:
        """The channels follow what the cycle decided."""
        phase = self._cycle.phase
        if phase in {Phase.ABORTED, Phase.STOPPED} and any(unit.channel.active for unit in self._plant.units):
            for unit in self._plant.units:
                unit.stop(self._seconds - TICK)
        if phase is Phase.SETUP and before is not Phase.SETUP:
            return
        for unit in self._plant.units:
            unit.held = unit.channel.hold = phase is not Phase.RUNNING

    def _foresee(self, time: int) -> None:
        """Prognoses: the tool that is worn first, the end of the job."""
        put, base = self._board.put, "Notification/Prognoses"
        tool = max((t for unit in self._plant.units for t in unit.tools.values()), key=lambda one: one.wear)
        minutes = max(tool.life * (1.0 - tool.wear), 0.0) * 4.0
        put(f"{base}/NextToolChange/PredictedTime", time + int(minutes * 60) * TICKS_PER_SECOND, time)
        put(f"{base}/NextToolChange/ToolName", tool.name, time)
        put(f"{base}/NextToolChange/ToolIdentifier", tool.identifier, time)
        job = self._production.job
        cycle = float(self._board.value("Production/CycleTime")) or 300.0
        left = int((job.planned - job.completed) * (cycle + job.product.loading))
        put(f"{base}/JobEnd/PredictedTime", time + left * TICKS_PER_SECOND, time)
        put(f"{base}/JobEnd/SourceIdentifier", job.identifier, time)

    def write(self, path: str, value: Value, now: int) -> list[Happening]:
        """A client writes; includes what happened until `now`, which a refusal leaves for the next call."""
        self._run(now)
        self._commands.write(path, value, self._moment(now))
        return self._board.take()

    def call(self, path: str, arguments: Sequence[Any], now: int) -> tuple[list[Any], list[Happening]]:
        """A client calls a method; includes what happened until `now`."""
        self._run(now)
        outputs = self._commands.call(path, arguments, self._seconds, self._moment(now))
        return outputs, self._board.take()

    def acknowledge(self, condition: str, comment: str | None, now: int) -> list[Happening]:
        """An operator acknowledges; includes what happened until `now`."""
        self._run(now)
        self._alarms.acknowledge(condition, comment, self._seconds, self._moment(now))
        return self._board.take()

    def conditions(self) -> Sequence[Condition]:
        """Every condition that is of interest now."""
        return self._alarms.conditions()

    def _moment(self, now: int) -> int:
        return max(now - now % MICROSECOND, self._stamp)

    def _unit(self, channel: Channel) -> ProductionUnit:
        return self._plant.units[channel.number - 1]

    def change_tool(self, channel: Channel, tool: int, time: float) -> float | None:
        """Seconds of a tool change; None while the tool's life is over."""
        unit = self._unit(channel)
        wanted = unit.tools[tool]
        if wanted.worn_out:
            self._faults.worn(unit, wanted, time, self._stamp)
            return None
        wanted.usages += 1
        path = self._plant.tool_path(unit, wanted)
        self._board.put(path + "/ToolLife/Usages", wanted.usages, self._stamp)
        self._board.put(path + "/LastUsage", self._stamp, self._stamp)
        unit.command = None
        unit.spindle.command(0.0, time)
        return self.spec.change_seconds

    def command_spindle(self, channel: Channel, step: SpindleCommand, time: float) -> float:
        """Seconds until the spindle (or beam) has reached what is commanded."""
        return self._unit(channel).turn(step, time)

    def switch_coolant(self, channel: Channel, *, on: bool) -> None:
        """Switch coolant or assist gas."""
        self._unit(channel).coolant = on

    def wait(self, channel: Channel, mark: int) -> bool:
        """All other channels that run have reached this mark."""
        me = (channel.number, mark)
        others = [unit.channel for unit in self._plant.units if unit.channel is not channel and unit.channel.active]
        if me in self._released:
            self._released.discard(me)
            return True
        if all(other.waiting == mark for other in others):
            self._released.update((other.number, mark) for other in others)
            return True
        return False

    def auxiliary(self, channel: Channel, code: int, time: float) -> None:
        """Clamps, pierces: nothing but their time on this machine."""

    def stop(self, channel: Channel, *, optional: bool, time: float) -> bool:
        """M0 stops; M1 if optional stop is on."""
        modifier = f"Monitoring/Channel{channel.number}/ChannelModifiers/OptionalStop"
        if optional and not self._board.value(modifier):
            return False
        self._cycle.message("ProgramStop", "Programmhalt: bitte prüfen", 150, self._stamp)
        self._cycle.interrupt(time, self._stamp, STOP_SECONDS)
        return True

    def end(self, channel: Channel, time: float) -> None:
        """A channel's program has ended; the part is done when all have."""
        unit = self._unit(channel)
        unit.command = None
        unit.coolant = False
        unit.spindle.command(0.0, time)
        self._cycle.ended += 1
        if self._cycle.ended < len(self._plant.units):
            return
        for one in self._plant.units:
            one.channel.clear()
        job = self._production.job
        self._cycle.finish(time, self._stamp)
        if self._production.job is not job:
            for one in self._plant.units:
                self._faults.replace(one, lambda tool: tool.wear > CHANGE_ABOVE, self._stamp)

    def spindle_speed(self, channel: Channel, time: float) -> tuple[float, float]:
        """Actual and commanded speed of the channel's spindle."""
        spindle = self._unit(channel).spindle
        return abs(spindle.at(time)), abs(spindle.target)
