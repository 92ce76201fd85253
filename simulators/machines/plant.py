"""What a machine is made of physically: its units, power and energy, fluids, temperatures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from simulators.machines import declare
from simulators.machines.spec import MachineSpec
from simulators.machines.unit import HEAT_SHARE, ProductionUnit
from simulators.physics.thermal import Body, Tank, ambient_at
from simulators.physics.tools import Tool

WARM_ABOVE = 4.0
"""A machine has warmed up when its spindle or source is this many K above the air, or after half an hour's work."""

AXIS_KILOWATT = 0.02
"""Power of an axis drive per percent of load."""


@dataclass(slots=True)
class _Drive:
    heat: Body
    way: float = 0.0


class Plant:
    """Physical state; `advance` moves it on by a tick."""

    def __init__(self, spec: MachineSpec, rng: Random) -> None:
        self.spec = spec
        self.rng = rng
        self.units = [ProductionUnit(number, one, rng) for number, one in enumerate(spec.channels, start=1)]
        self.lubricant = Tank(rng.uniform(55.0, 95.0), 6.0)
        self.coolant = Tank(rng.uniform(60.0, 95.0), 1.5)
        self.cabinet = Body(1.6, 1500.0, 24.0)
        self.ambient = 21.0
        self.pressure = 0.0
        self.setpoint = 20.0
        self.power = 0.0
        self.energy = 0.0
        self.operating = 0.0
        self.age = 18_204.0
        self.warming = True
        self._axes = {unit.number: [_Drive(Body(0.25, 700.0, 21.0)) for _ in unit.spec.axes] for unit in self.units}
        self._several = len(self.units) > 1

    def advance(self, time: float, span: float, day: float, force: float, *, running: bool) -> None:
        """Physics of the last `span` seconds until `time`; `day` is the second of the day."""
        self.ambient = ambient_at(day)
        total = self.spec.idle_power
        for unit in self.units:
            unit.after(time, span, force)
            unit.heat.advance(span, unit.power * HEAT_SHARE, self.ambient)
            total += unit.power
            total += self._drives(unit, span)
        wanted = self.setpoint if self.pumping else 0.0
        self.pressure += (wanted - self.pressure) * (1.0 - math.exp(-span / 0.8))
        total += self.spec.pump_power * self.pressure / 20.0
        self.power = total
        # What is shown is the power rounded to a watt; the meter counts the same.
        self.energy += round(total, 3) * span / 3600.0
        self.cabinet.advance(span, total, self.ambient)
        if self.pumping:
            self.coolant.use(span)
        if running:
            self.operating += span
            self.lubricant.use(span)
        self._warm()

    def _drives(self, unit: ProductionUnit, span: float) -> float:
        total = 0.0
        for state, load, speed in zip(self._axes[unit.number], unit.axis_loads(), unit.channel.velocity, strict=True):
            state.way += abs(speed) * span
            state.heat.advance(span, load, self.ambient)
            total += AXIS_KILOWATT * load if speed else 0.0
        return total

    def _warm(self) -> None:
        if self.warming:
            hottest = max(unit.heat.temperature for unit in self.units)
            self.warming = hottest < self.ambient + WARM_ABOVE and self.operating < 1800.0

    @property
    def pumping(self) -> bool:
        """Coolant or gas flows."""
        return any(unit.coolant and not unit.held for unit in self.units)

    def axis_state(self, unit: ProductionUnit) -> list[tuple[float, float]]:
        """Way passed (mm) and motor temperature of each axis."""
        return [(state.way, state.heat.temperature) for state in self._axes[unit.number]]

    def vibration(self, unit: ProductionUnit) -> float:
        """Vibration of a spindle in mm/s: speed, load and a blunt tool shake it."""
        if abs(unit.spindle.speed) < 0.5:
            return 0.0
        wear = unit.tool.wear if unit.tool is not None else 0.0
        share = abs(unit.spindle.speed) / unit.spindle.max_speed
        return 0.3 + 1.2 * share + unit.load / 100.0 * (1.0 + 2.0 * wear) * self.rng.uniform(0.9, 1.1)

    def tool_path(self, unit: ProductionUnit, tool: Tool) -> str:
        """Path of a tool."""
        return declare.tool_path(unit, tool, several=self._several)

    def laser_state(self, unit: ProductionUnit) -> int:
        """LaserState: 2 active while a program with beam runs, else 1 ready."""
        return 2 if unit.channel.active and unit.command is not None and not unit.held else 1
