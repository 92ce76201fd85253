"""A turning centre: two channels with a turret each, a main and a counter spindle, joined by wait marks."""

from __future__ import annotations

from simulators.gcode import TURNING
from simulators.machines.spec import ChannelSpec, MachineSpec, Product, SpindleSpec, ToolSpec
from simulators.physics.path import Axis

_MAIN_TOOLS = (
    ToolSpec(1, "Schruppmeißel CNMG", 0.0, 120.0, 30.0),
    ToolSpec(2, "Schlichtmeißel DNMG", 0.0, 120.0, 35.0),
    ToolSpec(3, "Bohrer D20", 20.0, 150.0, 40.0),
    ToolSpec(4, "Gewindemeißel 60°", 0.0, 118.0, 45.0),
    ToolSpec(5, "Abstechmeißel B3", 0.0, 125.0, 25.0),
    ToolSpec(6, "Bohrstange Ø16", 16.0, 160.0, 35.0),
    ToolSpec(7, "Stechmeißel B4", 0.0, 122.0, 35.0),
)
_COUNTER_TOOLS = (
    ToolSpec(1, "Planmeißel CCMT", 0.0, 110.0, 35.0),
    ToolSpec(2, "Bohrer D10", 10.0, 130.0, 35.0),
    ToolSpec(3, "Fasmeißel 45°", 0.0, 105.0, 50.0),
    ToolSpec(4, "Reibahle Ø20 H7", 20.0, 140.0, 50.0),
)


def _channel(number: int, spindle: SpindleSpec, tools: tuple[ToolSpec, ...], zero: float) -> ChannelSpec:
    offsets = {g: (0.0, zero + 5.0 * (g - 54)) for g in range(54, 60)}
    return ChannelSpec(
        name=f"Kanal {number}",
        dialect=TURNING,
        axes=(
            Axis(f"X{number}", -12.0, 120.0, 400.0, 5000.0, 5000.0, 250.0),
            Axis(f"Z{number}", 0.0, 420.0, 500.0, 5000.0, 6000.0, 350.0),
        ),
        home=(120.0, 420.0),
        offsets=offsets,
        spindle=spindle,
        tools=tools,
        holder=f"Revolver {number}",
    )


TURNING_CENTRE = MachineSpec(
    kind="turning-centre",
    model="BSD 65 Doppelspindel-Drehzentrum",
    product_code="BSD-65-2C",
    year=2019,
    location="N 51.257402 E 6.741120",
    channels=(
        _channel(1, SpindleSpec("Spindle1", 4_500.0, 1_800.0, 18.0, "Hauptspindel"), _MAIN_TOOLS, 120.0),
        _channel(2, SpindleSpec("Spindle2", 5_000.0, 2_200.0, 11.0, "Gegenspindel"), _COUNTER_TOOLS, 110.0),
    ),
    products=(
        Product("Welle D60", ("shaft_main.nc", "shaft_counter.nc"), 2_100.0, 30.0),
        Product("Buchse D40", ("bushing_main.nc", "bushing_counter.nc"), 1_800.0, 25.0),
    ),
    change_seconds=1.4,
    idle_power=1.8,
    pump_power=1.1,
    fluid="Schneidöl",
    software={"NC": "5.2.0", "PLC": "3.4.1", "HMI": "7.0.9"},
)
