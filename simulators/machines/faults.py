"""Causes of alarms: watched every tick, and remedied by what the alarm stands for."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from simulators.machine import Part
from simulators.machines import declare
from simulators.machines.alarms import AlarmBook, AlarmKind, Reaction
from simulators.machines.board import Board
from simulators.machines.plant import Plant
from simulators.machines.unit import ProductionUnit
from simulators.physics.tools import Tool

OVERLOAD_PERCENT = 125.0
OVERLOAD_SECONDS = 2.0
HOT_ABOVE = 68.0
COOL_BELOW = 60.0
LUBRICANT_LOW = 10.0
COOLANT_LOW = 8.0
HOURS_BETWEEN_DOORS = 3.0
SOON = (8.0, 16.0)
"""Seconds of work, within which something happens at a demonstration."""

MACHINE = declare.MACHINE

_I, _A, _N = Reaction.INTERRUPT, Reaction.ABORT, Reaction.NONE


def kinds(plant: Plant) -> list[AlarmKind]:
    """Alarms that a machine can raise."""
    found = [
        AlarmKind("DoorOpen", MACHINE, "Door opened while the program runs", 500, "E-1004", _I, 15.0),
        AlarmKind("LubricantLow", MACHINE, "Lubricant level low", 400, "E-2001", _I, 60.0),
        AlarmKind("CoolantLow", MACHINE, f"{plant.spec.fluid}: level low", 300, "W-2002", _N, 120.0),
    ]
    for unit in plant.units:
        name = unit.spec.spindle.name
        source = f"Monitoring/{name}"
        tool = "Nozzle" if unit.spec.dialect.beam else "Tool"
        found += [
            AlarmKind(f"{name}{tool}Broken", source, f"{tool} broken", 800, "E-3001", _A, 90.0),
            AlarmKind(f"{name}{tool}Life", source, f"{tool} life limit reached", 350, "W-3002", _I, 75.0),
            AlarmKind(f"{name}Overload", source, f"{name} overloaded", 600, "E-3003", _I, 20.0),
            AlarmKind(f"{name}Overtemperature", source, f"{name} too hot", 700, "E-3004", _I, None),
        ]
    return found


class Faults:
    """Watches the plant; `remedy` takes a cause away."""

    def __init__(self, board: Board, plant: Plant, alarms: AlarmBook, rng: Random) -> None:
        self._board = board
        self._plant = plant
        self._alarms = alarms
        self._rng = rng
        self._overload = {unit.number: 0.0 for unit in plant.units}
        self._door_in = self._next_door()
        self._names: dict[str, tuple[ProductionUnit, str]] = {}
        for unit in plant.units:
            for suffix in ("Broken", "Life", "Overload", "Overtemperature"):
                self._names[self._name(unit, suffix)] = (unit, suffix)

    def _next_door(self) -> float:
        return self._rng.expovariate(1.0 / (HOURS_BETWEEN_DOORS * 3600.0)) + 300.0

    def soon(self) -> None:
        """Let the door be opened, and the fluid fall to its limit, within the first minute."""
        self._door_in = self._rng.uniform(*SOON)
        coolant = self._plant.coolant
        coolant.level = COOLANT_LOW + coolant.consumption * self._rng.uniform(*SOON) / 3600.0

    def _name(self, unit: ProductionUnit, suffix: str) -> str:
        tool = "Nozzle" if unit.spec.dialect.beam else "Tool"
        name = unit.spec.spindle.name
        return f"{name}{tool}{suffix}" if suffix in {"Broken", "Life"} else f"{name}{suffix}"

    def watch(self, seconds: float, span: float, time: int, *, running: bool, manned: bool) -> None:
        """Look for causes after a tick."""
        raise_ = self._alarms.raise_
        for unit in self._plant.units:
            self._watch_unit(unit, seconds, span, time)
        if running and manned:
            self._door_in -= span
            if self._door_in <= 0:
                self._door_in = self._next_door()
                self._open_door(seconds, time)
        if self._plant.lubricant.level < LUBRICANT_LOW:
            raise_("LubricantLow", seconds, time, f"{self._plant.lubricant.level:.1f} %")
        if self._plant.coolant.level < COOLANT_LOW:
            raise_("CoolantLow", seconds, time)

    def _open_door(self, seconds: float, time: int) -> None:
        board = self._board
        self._alarms.raise_("DoorOpen", seconds, time)
        board.put("Diagnostics/DoorClosed", value=False, time=time)
        board.put("Diagnostics/DoorCycles", board.value("Diagnostics/DoorCycles") + 1, time)

    def _watch_unit(self, unit: ProductionUnit, seconds: float, span: float, time: int) -> None:
        number, tool = unit.number, unit.tool
        if tool is not None and tool.broken and not self._alarms.is_active(self._name(unit, "Broken")):
            self._alarms.raise_(self._name(unit, "Broken"), seconds, time, f"T{tool.number} {tool.name}")
            self.lock(unit, tool, 2, time)
        self._overload[number] = self._overload[number] + span if unit.load > OVERLOAD_PERCENT else 0.0
        if self._overload[number] >= OVERLOAD_SECONDS:
            self._alarms.raise_(self._name(unit, "Overload"), seconds, time, f"{unit.load:.0f} %")
        hot = self._name(unit, "Overtemperature")
        if unit.heat.temperature > HOT_ABOVE:
            self._alarms.raise_(hot, seconds, time, f"{unit.heat.temperature:.1f} °C")
        elif unit.heat.temperature < COOL_BELOW:
            self._alarms.clear(hot, time)

    def lock(self, unit: ProductionUnit, tool: Tool, reason: int, time: int) -> None:
        """Lock a tool: 2 broken, 3 life (ToolLocked)."""
        path = self._plant.tool_path(unit, tool)
        self._board.put(path + "/Locked", value=True, time=time)
        self._board.put(path + "/Locked/ReasonForLocking", reason, time)

    def worn(self, unit: ProductionUnit, tool: Tool, seconds: float, time: int) -> None:
        """The program wants a tool whose life is over."""
        if self._alarms.raise_(self._name(unit, "Life"), seconds, time, f"T{tool.number} {tool.name}"):
            self.lock(unit, tool, 3, time)

    def remedy(self, name: str, time: int) -> None:
        """Take away the cause of an alarm, then the alarm."""
        if name == "DoorOpen":
            self._board.put("Diagnostics/DoorClosed", value=True, time=time)
        elif name == "LubricantLow":
            self._plant.lubricant.fill(85.0)
        elif name == "CoolantLow":
            self._plant.coolant.fill(85.0)
        elif name in self._names:
            unit, suffix = self._names[name]
            self._overload[unit.number] = 0.0
            if suffix in {"Broken", "Life"}:
                self.replace(unit, lambda tool: tool.broken or tool.worn_out, time)
        self._alarms.clear(name, time)

    def curable(self, name: str) -> bool:
        """Somebody can take the cause away now (heat goes by itself)."""
        return self._alarms.kind(name).remedy is not None

    def replace(self, unit: ProductionUnit, which: ToolTest, time: int) -> None:
        """New tools in the place of those chosen: the old object goes, the new one appears."""
        specs = {spec.number: spec for spec in unit.spec.tools}
        for number, old in list(unit.tools.items()):
            if not which(old):
                continue
            self._board.vanish(self._plant.tool_path(unit, old), time)
            new = unit.new_tool(specs[number])
            unit.tools[number] = new
            path = self._plant.tool_path(unit, new)
            part = Part(path, "ToolType")
            self._board.appear(part, declare.tool_points(unit, new, path, time), time)


ToolTest = Callable[[Tool], bool]
