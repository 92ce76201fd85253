"""A laser cutting machine: gantry with a fibre laser, assist gas, nozzles instead of tools."""

from __future__ import annotations

from simulators.gcode import LASER
from simulators.machines import declare, units
from simulators.machines.base import SimulatedMachine
from simulators.machines.spec import ChannelSpec, MachineSpec, Product, SpindleSpec, ToolSpec
from simulators.machines.unit import ProductionUnit
from simulators.physics.channel import Channel
from simulators.physics.path import Axis

PIERCE = 12
"""M12 pierces."""

_OFFSETS = {g: (120.0 + 20.0 * (g - 54), 80.0, 0.0) for g in range(54, 60)}

LASER_CUTTER = MachineSpec(
    kind="laser-cutter",
    model="BSL 3015 Faserlaser",
    product_code="BSL-3015-6K",
    year=2023,
    location="N 51.257188 E 6.740662",
    channels=(
        ChannelSpec(
            name="Kanal 1",
            dialect=LASER,
            axes=(
                Axis("X", 0.0, 3050.0, 1600.0, 12_000.0, 8000.0, 300.0),
                Axis("Y", 0.0, 1550.0, 1600.0, 12_000.0, 8000.0, 180.0),
                Axis("Z", 0.0, 120.0, 500.0, 8_000.0, 1500.0, 30.0),
            ),
            home=(0.0, 0.0, 120.0),
            offsets=_OFFSETS,
            spindle=SpindleSpec("Laser1", 6_000.0, 40_000.0, 6.0, "Faserlaser 6 kW"),
            tools=tuple(
                ToolSpec(n, f"Düse Ø{d} mm", d, 14.0, 90.0) for n, d in ((1, 1.7), (2, 1.4), (3, 2.0), (4, 2.3))
            ),
            holder="Düsenwechsler",
        ),
    ),
    products=(
        Product("Blende 1.4301 3 mm", ("panel.nc",), 0.0, 40.0),
        Product("Ronde S355 8 mm", ("gear_blank.nc",), 0.0, 50.0),
    ),
    change_seconds=6.0,
    idle_power=2.4,
    pump_power=0.6,
    fluid="Stickstoff",
    software={"NC": "2.9.4", "PLC": "1.18.2", "LaserControl": "6.3.0"},
)


class LaserMachine(SimulatedMachine):
    """The laser cutting machine; shows a LaserMonitoringType and pierces."""

    def _declare_drive(self, unit: ProductionUnit) -> None:
        board, spec = self._board, unit.spec.spindle
        self._pierces = 0
        self._base = board.part(f"Monitoring/{spec.name}", "LaserMonitoringType", spec.text)
        base = self._base
        board.point(f"{base}/Name", spec.text)
        board.point(f"{base}/ControllerIsOn", initial=True)
        board.point(f"{base}/LaserState", 1)
        board.point(f"{base}/BeamPower", 0.0, "Double", unit=units.WATT, span=(0, spec.max_speed))
        board.point(f"{base}/BeamOn", initial=False, data_type="Boolean")
        board.point(f"{base}/SourceTemperature", 21.0, "Float", unit=units.CELSIUS, span=(0, 90))
        board.point(f"{base}/LensTemperature", 21.0, "Float", unit=units.CELSIUS, span=(0, 120))
        board.point(f"{base}/GasPressure", 0.0, "Double", unit=units.BAR, span=(0, 100))
        board.point(f"{base}/GasFlow", 0.0, "Double", unit=units.LITRE_PER_MINUTE, span=(0, 2000))
        board.point(f"{base}/FocusPosition", -1.5, "Double", unit=units.MILLIMETRE, span=(-15, 10))
        board.point(f"{base}/NozzleDistance", 0.0, "Double", unit=units.MILLIMETRE, span=(0, 120))
        board.point(f"{base}/Pierces", declare.BASE_COUNTER, "UInt64", text="Pierces in its life")
        board.point(f"{base}/Piercing", initial=False, data_type="Boolean")

    def auxiliary(self, channel: Channel, code: int, time: float) -> None:
        """A pierce counts; a worn nozzle is found there."""
        if code != PIERCE:
            return
        unit = self._plant.units[channel.number - 1]
        self._pierces += 1
        self._board.put(f"{self._base}/Pierces", declare.BASE_COUNTER + self._pierces, self._stamp)
        tool = unit.tool
        if tool is not None:
            tool.usages += 1
            path = self._plant.tool_path(unit, tool)
            self._board.put(path + "/ToolLife/Usages", tool.usages, self._stamp)
            if tool.worn_out:
                self._faults.worn(unit, tool, time, self._stamp)

    def _tick(self) -> None:
        super()._tick()
        unit, put, time = self._plant.units[0], self._board.put, self._stamp
        base, plant = self._base, self._plant
        step = unit.channel.step
        put(f"{base}/Piercing", getattr(step, "code", 0) == PIERCE and not unit.held, time)
        if self._count % 5:
            return
        beam = unit.spindle.speed
        put(f"{base}/GasPressure", round(plant.pressure * 0.75, 2), time)
        put(f"{base}/GasFlow", round(plant.pressure * 42.0, 1), time)
        height = unit.channel.position[2]
        jitter = self._plant.rng.uniform(-0.04, 0.04) if beam > 0 else 0.0
        put(f"{base}/NozzleDistance", round(height + jitter, 3), time)
        put(f"{base}/FocusPosition", round(-1.5 + (unit.heat.temperature - plant.ambient) * 0.01, 3), time)
        lens = plant.ambient + (unit.heat.temperature - plant.ambient) * 1.4 + beam * 0.0006
        put(f"{base}/LensTemperature", round(lens, 1), time)
