"""Shows a machine's physics on its board: fast signals every tick, others every half second and second."""

from __future__ import annotations

from simulators.gcode.steps import Motion
from simulators.machine import Localized
from simulators.machines import declare
from simulators.machines.board import Board
from simulators.machines.plant import Plant
from simulators.machines.unit import ProductionUnit

TICK = 0.1
"""Seconds of the model's grid; every sample stands on it."""

MEDIUM = 5
SLOW = 10
"""Every how many ticks the slower signals are shown."""


class Publisher:
    """Writes the values of a plant."""

    def __init__(self, board: Board, plant: Plant) -> None:
        self._board = board
        self._plant = plant
        self._channels = [f"Monitoring/Channel{unit.number}" for unit in plant.units]
        self._spindles = [f"Monitoring/{unit.spec.spindle.name}" for unit in plant.units]
        self._axes = [[f"Monitoring/Axes/{axis.name}" for axis in unit.spec.axes] for unit in plant.units]

    def tick(self, count: int, time: int) -> None:
        """Show what is due at tick `count`."""
        for index, unit in enumerate(self._plant.units):
            self._fast(index, unit, time)
            if count % MEDIUM == 0:
                self._medium(index, unit, time)
            if count % SLOW == 0:
                self._slow(index, unit, time)
        self._board.put("Monitoring/Energy/Power", round(self._plant.power, 3), time)
        if count % SLOW == 0:
            self._machine(count, time)

    def _fast(self, index: int, unit: ProductionUnit, time: int) -> None:
        put, channel = self._board.put, unit.channel
        values = declare.shown(unit.spec, channel.position)
        for path, value in zip(self._axes[index], values, strict=True):
            put(path + "/ActualPosition", value, time)
        base, spindle = self._channels[index], self._spindles[index]
        put(base + "/ActualFeed", round(channel.speed * 60.0, 1), time)
        if unit.spec.dialect.beam:
            self._beam(spindle, unit, time)
        else:
            put(spindle + "/ActualSpeed", round(unit.spindle.speed, 1) + 0.0, time)
            put(spindle + "/Load", round(unit.load, 1), time)
            put(spindle + "/Power", round(unit.power, 3), time)
            put(spindle + "/IsRotating", abs(unit.spindle.speed) > 0.5, time)
        step = channel.step
        put(base + "/LineNumber", step.line if step else 0, time)
        put(base + "/ActiveBlock", step.text if step else "", time)

    def _beam(self, base: str, unit: ProductionUnit, time: int) -> None:
        put = self._board.put
        on = unit.spindle.speed > 0.5
        put(base + "/BeamPower", round(unit.spindle.speed, 1), time)
        put(base + "/BeamOn", on, time)
        put(base + "/LaserState", self._plant.laser_state(unit), time)

    def _medium(self, index: int, unit: ProductionUnit, time: int) -> None:
        put, channel = self._board.put, unit.channel
        for path, speed, load in zip(self._axes[index], channel.velocity, unit.axis_loads(), strict=True):
            put(path + "/ActualSpeed", round(speed * 60.0, 1) + 0.0, time)
            put(path + "/Load", round(load, 1), time)
            put(path + "/Current", round(0.3 + load * 0.14, 2), time)
            put(path + "/InPosition", speed == 0.0, time)
        base = self._channels[index]
        put(base + "/AxisPositions", declare.shown(unit.spec, channel.position), time)
        step = channel.step
        put(base + "/ProgrammedFeed", step.feed if isinstance(step, Motion) else 0.0, time)
        put(base + "/ActiveTool", channel.tool, time)
        put(base + "/WaitMark", channel.waiting, time)
        if not unit.spec.dialect.beam:
            spindle = self._spindles[index]
            put(spindle + "/CommandedSpeed", round(unit.spindle.target, 1) + 0.0, time)
            omega = abs(unit.spindle.speed) * 0.10472
            put(spindle + "/Torque", round(unit.power * 1000.0 / omega, 2) if omega > 1.0 else 0.0, time)

    def _slow(self, index: int, unit: ProductionUnit, time: int) -> None:
        put, plant = self._board.put, self._plant
        base, spindle = self._channels[index], self._spindles[index]
        put(base + "/Progress", round(unit.channel.progress, 1), time)
        for path, (way, temperature) in zip(self._axes[index], plant.axis_state(unit), strict=True):
            put(path + "/WayTotal", -declare.BASE_COUNTER + int(way * 1000.0), time)
            put(path + "/MotorTemperature", round(temperature, 1), time)
        if unit.spec.dialect.beam:
            put(spindle + "/SourceTemperature", round(unit.heat.temperature, 1), time)
        else:
            put(spindle + "/Temperature", round(unit.heat.temperature, 1), time)
            put(spindle + "/Revolutions", declare.BASE_COUNTER + int(unit.spindle.revolutions), time)
            put(spindle + "/Vibration", round(plant.vibration(unit), 2), time)
        tool = unit.tool
        if tool is not None and unit.engaged:
            path = plant.tool_path(unit, tool)
            put(path + "/ToolLife/CuttingTime", round(tool.minutes / 60.0, 4), time)
            put(path + "/Wear", round(tool.wear * 100.0, 2), time)

    def _machine(self, count: int, time: int) -> None:
        put, plant = self._board.put, self._plant
        put("Monitoring/Energy/Energy", round(plant.energy, 5), time)
        put("Monitoring/Energy/EnergyTotal", declare.BASE_COUNTER + int(plant.energy * 3.6e9), time)
        current = plant.power * 1000.0 / (3.0 * 230.0 * 0.87)
        put("Monitoring/Energy/PhaseCurrents", [round(current * f, 2) for f in (1.0, 0.98, 1.03)], time)
        put("Monitoring/Climate/Ambient", round(plant.ambient, 1), time)
        put("Monitoring/Climate/Cabinet", round(plant.cabinet.temperature, 1), time)
        put("Monitoring/Climate/CabinetTenths", round(plant.cabinet.temperature * 10.0), time)
        put("Monitoring/Fluids/LubricantLevel", round(plant.lubricant.level, 2), time)
        put("Monitoring/Fluids/CoolantLevel", round(plant.coolant.level, 2), time)
        put("Monitoring/Fluids/CoolantPressure", round(plant.pressure, 2), time)
        put("Monitoring/Fluids/CoolantOn", plant.pumping, time)
        base = declare.MACHINE
        seconds = (count * TICK) + plant.age * 3600.0
        put(base + "/PowerOnDuration", int(seconds // 3600), time)
        put(base + "/OperationCounters/PowerOnDuration", round(seconds * 1000.0, 1), time)
        put(base + "/OperationCounters/OperationDuration", round(plant.operating * 1000.0, 1), time)
        put(base + "/IsWarmUp", plant.warming, time)
        put("Diagnostics/CycleCounter", count, time)
        hint = Localized("Warmlauf läuft" if plant.warming else "Bereit für Produktion", "de-DE")
        put("Diagnostics/Hint", hint, time)
