"""A machine tool with nearly all that OPC 40501-1 offers; it does nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from simulators.machine import Condition, Happening, Localized, Machine, MethodPoint, Part, Point, State, Unit

PERCENT = Unit("P1", "%", "percent")


class FullMachine(Machine):
    def __init__(self, name: str, serial: str) -> None:
        self.name = name
        self.serial = serial
        self.namespace = f"urn:example:works:{serial}"

    @property
    def parts(self) -> Sequence[Part]:
        parts = [
            Part("Monitoring/Spindle1", "SpindleMonitoringType", "Main spindle"),
            Part("Monitoring/Spindle2", "SpindleMonitoringType"),
            Part("Monitoring/Channel1", "ChannelMonitoringType"),
            Part("Monitoring/Channel2", "CombinedChannelMonitoringType"),
            Part("Monitoring/Laser1", "LaserMonitoringType"),
            Part("Monitoring/Stacklight/Red", "StackElementLightType"),
            Part("Monitoring/Stacklight/Green", "StackElementLightType"),
            Part("Components/Coolant", None),
            Part("Notification/Messages", None),
            Part("Notification/Prognoses/Filter", "MaintenancePrognosisType"),
            Part("MachineryBuildingBlocks", None),
            Part("Production/ProductionPlan/Job1", "ProductionJobType"),
        ]
        return [*parts, *(Part(f"Equipment/Tools/T{n}", "ToolType") for n in range(1, 17))]

    @property
    def points(self) -> Sequence[Point]:
        points = [
            Point("Identification/Manufacturer", Localized("Example Works", "en")),
            Point("Identification/ProductInstanceUri", f"urn:example:works:{self.serial}:machine"),
            Point("Identification/SerialNumber", self.serial),
            Point("Identification/YearOfConstruction", 2024),
            Point("Identification/Location", "N 51.2 E 6.7"),
            Point("Monitoring/MachineTool/OperationMode", 1),
            Point("Monitoring/MachineTool/FeedOverride", 100.0, unit=PERCENT, low=0.0, high=150.0, writable=True),
            Point("Monitoring/MachineTool/MachineryItemState/CurrentState", State("Executing", 3)),
            Point("MachineryBuildingBlocks/OperationCounters/PowerOnDuration", 3.6e6),
            Point("MachineryBuildingBlocks/JobManagement/JobOrderControl/JobOrderList", []),
            Point("Monitoring/Stacklight/StacklightMode", 0),
            Point("Production/ActiveProgram/Name", "MAIN.MPF"),
            Point("Production/ActiveProgram/NumberInList", 0),
            Point("Production/ActiveProgram/State/CurrentState", State("Running", 1)),
            Point("Components/Coolant/Temperature", 293.5, "Float", unit=Unit("KEL", "K", "kelvin"), low=270, high=330),
            Point("Axes/X/Position", 1.5, "Double", unit=Unit("MMT", "mm", "millimetre"), low=-500, high=500),
            Point("Axes/X/Ratio", math.nan, "Double"),
            Point("Axes/Counter", 2**62 + 1, "Int64"),
            Point("Axes/Row", [1, 2, 3], "UInt16"),
            Point("Axes/Matrix", [[1.0, 2.0], [3.0, 4.0]], "Double"),
        ]
        for spindle in (1, 2):
            points += [
                Point(f"Monitoring/Spindle{spindle}/Name", f"Spindle {spindle}"),
                Point(f"Monitoring/Spindle{spindle}/IsRotating", True),
                Point(f"Monitoring/Spindle{spindle}/Override", 100.0, unit=PERCENT, low=50.0, high=120.0),
            ]
        for channel in (1, 2):
            points += [
                Point(f"Monitoring/Channel{channel}/Name", f"Channel {channel}"),
                Point(f"Monitoring/Channel{channel}/ChannelState", 0),
            ]
        for tool in range(1, 17):
            points += [
                Point(f"Equipment/Tools/T{tool}/Identifier", f"T{tool}"),
                Point(f"Equipment/Tools/T{tool}/ToolLife/Wear", 12.5, unit=Unit("MMT", "mm", "millimetre")),
            ]
        return points

    @property
    def methods(self) -> Sequence[MethodPoint]:
        return ()

    def advance(self, now: int) -> list[Happening]:
        return []

    def write(self, path: str, value: Any, now: int) -> list[Happening]:
        return []

    def call(self, path: str, arguments: Sequence[Any], now: int) -> tuple[list[Any], list[Happening]]:
        return [], []

    def acknowledge(self, condition: str, comment: str | None, now: int) -> list[Happening]:
        return []

    def conditions(self) -> Sequence[Condition]:
        return ()
