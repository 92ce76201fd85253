"""A 3-axis machining centre: one channel, one spindle, a magazine of twelve tools."""

from __future__ import annotations

from simulators.gcode import MILLING
from simulators.machines.spec import ChannelSpec, MachineSpec, Product, SpindleSpec, ToolSpec
from simulators.physics.path import Axis

_TOOLS = (
    ToolSpec(1, "Planfräser D63", 63.0, 58.0, 45.0),
    ToolSpec(2, "Schaftfräser D16", 16.0, 92.0, 50.0),
    ToolSpec(3, "Schaftfräser D12", 12.0, 83.0, 40.0),
    ToolSpec(4, "Kugelfräser D8", 8.0, 75.0, 35.0),
    ToolSpec(5, "Bohrer D8.5", 8.5, 105.0, 30.0),
    ToolSpec(6, "Zentrierbohrer 90°", 10.0, 70.0, 60.0),
    ToolSpec(7, "Fasfräser D10", 10.0, 72.0, 60.0),
    ToolSpec(8, "Bohrer D12", 12.0, 118.0, 35.0),
    ToolSpec(9, "Gewindefräser M10", 8.2, 80.0, 40.0),
    ToolSpec(10, "Reibahle Ø10 H7", 10.0, 110.0, 50.0),
    ToolSpec(11, "Messtaster", 6.0, 145.0, 9000.0),
    ToolSpec(12, "Scheibenfräser D80", 80.0, 65.0, 55.0),
)

_OFFSETS = {
    54: (-500.0, -350.0, -430.0),
    55: (-300.0, -250.0, -430.0),
    56: (-600.0, -250.0, -430.0),
    57: (-400.0, -250.0, -430.0),
    58: (-400.0, -250.0, -430.0),
    59: (-400.0, -250.0, -430.0),
}

MACHINING_CENTRE = MachineSpec(
    kind="machining-centre",
    model="BSM 800 Fräszentrum",
    product_code="BSM-800-3",
    year=2021,
    location="N 51.257315 E 6.740885",
    channels=(
        ChannelSpec(
            name="Kanal 1",
            dialect=MILLING,
            axes=(
                Axis("X", -800.0, 0.0, 500.0, 4000.0, 7000.0, 450.0),
                Axis("Y", -500.0, 0.0, 500.0, 4000.0, 7000.0, 600.0),
                Axis("Z", -520.0, 0.0, 400.0, 4500.0, 9000.0, 350.0),
            ),
            home=(0.0, 0.0, 0.0),
            offsets=_OFFSETS,
            spindle=SpindleSpec("Spindle1", 12_000.0, 4_000.0, 11.0, "Hauptspindel"),
            tools=_TOOLS,
            holder="Magazin",
        ),
    ),
    products=(
        Product("Winkel 40 CrMo 4", ("bracket.nc",), 2_150.0, 45.0),
        Product("Flansch Ø110", ("flange.nc",), 1_950.0, 60.0),
    ),
    change_seconds=4.2,
    idle_power=1.35,
    pump_power=1.5,
    fluid="Kühlschmierstoff",
    software={"NC": "4.8.2", "PLC": "2.13.0", "HMI": "7.1.5"},
)
