"""The reference machine: one of everything that OPC 40501-1 declares for a machine tool. It stands still."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulators.machine import Condition, Happening, Localized, Machine, MethodPoint, Part, Point, RefusedError, Unit

_PERCENT = Unit("P1", "%", "percent")
_HOUR = Unit("HUR", "h", "hour")
_CELSIUS = Unit("CEL", "\u00b0C", "degree Celsius")
_MOMENT = 133_800_000_000_000_000
"""A day in 2024, in OPC UA ticks."""

_PROGNOSES = {
    "Maintenance": "MaintenancePrognosisType",
    "Manual": "ManualActivityPrognosisType",
    "PartLoad": "PartLoadPrognosisType",
    "PartUnload": "PartUnloadPrognosisType",
    "Changeover": "ProcessChangeoverPrognosisType",
    "JobEnd": "ProductionJobEndPrognosisType",
    "ToolChange": "ToolChangePrognosisType",
    "ToolLoad": "ToolLoadPrognosisType",
    "ToolUnload": "ToolUnloadPrognosisType",
    "Utility": "UtilityChangePrognosisType",
}
KIND = "simulators.mutants.reference:ReferenceMachine"
"""What a simulator process is told to show it."""

_JOB = "Production/ProductionPlan/Job1"


class ReferenceMachine(Machine):
    """Shows all optional members and fills every placeholder."""

    name = "Reference"
    namespace = "urn:area4:sim:reference:1"
    complete = True

    @property
    def parts(self) -> Sequence[Part]:
        """What fills placeholders."""
        prognoses = [Part(f"Notification/Prognoses/{name}", kind) for name, kind in _PROGNOSES.items()]
        return [
            Part("Identification/SoftwareIdentification/Firmware", "SoftwareIdentificationType"),
            Part("Components/Coolant", None),
            Part("MachineryBuildingBlocks", None),
            Part("Monitoring/Channel1", "ChannelMonitoringType"),
            Part("Monitoring/Channels", "CombinedChannelMonitoringType"),
            Part("Monitoring/Spindle1", "SpindleMonitoringType"),
            Part("Monitoring/Laser1", "LaserMonitoringType"),
            Part("Monitoring/Generator1", "EDMGeneratorMonitoringType"),
            Part("Monitoring/Stacklight/Red", "StackElementLightType"),
            Part("Monitoring/Stacklight/Red/Blinker", "ControlChannelType"),
            Part("Equipment/Tools/T1", "ToolType"),
            Part("Equipment/Tools/Head", "MultiToolType"),
            Part("Equipment/Tools/Head/T2", "ToolType"),
            Part("Notification/Messages", None),
            *prognoses,
            Part(_JOB, "ProductionJobType"),
            Part(f"{_JOB}/ProductionPrograms/Main", "ProductionProgramType"),
            Part(f"{_JOB}/PartSets/Flanges", "ProductionPartSetType"),
            Part(f"{_JOB}/PartSets/Flanges/PartsPerRun/Flange1", "ProductionPartType"),
        ]

    @property
    def points(self) -> Sequence[Point]:
        """What must not be neutral."""
        identity = "Identification"
        points = [
            Point(f"{identity}/Manufacturer", Localized("Reference Works", "en")),
            Point(f"{identity}/ManufacturerUri", "urn:area4-sim"),
            Point(f"{identity}/ProductInstanceUri", "urn:area4-sim:reference:1"),
            Point(f"{identity}/SerialNumber", "1"),
            Point(f"{identity}/Model", Localized("Reference", "en")),
            Point(f"{identity}/ProductCode", "R-1"),
            Point(f"{identity}/SoftwareRevision", "1.0"),
            Point(f"{identity}/YearOfConstruction", 2024),
            Point(f"{identity}/MonthOfConstruction", 6),
            Point(f"{identity}/Location", "METAV 1 A22"),
            Point("Components/Coolant/Identification/Manufacturer", Localized("Reference Works", "en")),
            Point("Components/Coolant/Identification/SerialNumber", "C-1"),
            Point("Components/Coolant/Temperature", 20.0, "Double", unit=_CELSIUS, low=0.0, high=60.0),
            Point("Components/Coolant/Pressures", [4.0, 4.5], "Double"),
            Point("Monitoring/MachineTool/FeedOverride", 100.0, unit=_PERCENT, low=0.0, high=150.0),
            Point("Monitoring/MachineTool/OperationCounters/PartsProducedInLifetime", 12),
            Point(f"{_JOB}/PartSets/Flanges/ContainsMixedParts", initial=True),
            Point("Notification/Prognoses/Maintenance/PredictedTime", _MOMENT),
        ]
        lights = ("Red/Intensity", "Red/Blinker/Intensity", "StackLevel/LevelPercent")
        points += [Point(f"Monitoring/Stacklight/{one}", 50.0, unit=_PERCENT, low=0.0, high=100.0) for one in lights]
        for channel in ("Channel1", "Channels"):
            points += [
                Point(f"Monitoring/{channel}/FeedOverride", 100.0, unit=_PERCENT, low=0.0, high=150.0),
                Point(f"Monitoring/{channel}/RapidOverride", 100.0, unit=_PERCENT, low=0.0, high=100.0),
            ]
        points.append(Point("Monitoring/Spindle1/Override", 100.0, unit=_PERCENT, low=50.0, high=120.0))
        for tool in ("T1", "Head/T2"):
            life = f"Equipment/Tools/{tool}/ToolLife/CuttingTime"
            points += [Point(life, 1.5, "Double", unit=_HOUR), Point(f"{life}/Indication", 0)]
        return points

    @property
    def methods(self) -> Sequence[MethodPoint]:
        """None of its own."""
        return ()

    def advance(self, now: int) -> list[Happening]:  # noqa: ARG002 - time does nothing to it
        """Nothing happens."""
        return []

    def write(self, path: str, value: Any, now: int) -> list[Happening]:  # noqa: ANN401, ARG002 - any value is refused
        """Nothing can be written."""
        raise RefusedError("BadNotWritable", f"{path} of the reference machine stands still")

    def call(self, path: str, arguments: Sequence[Any], now: int) -> tuple[list[Any], list[Happening]]:  # noqa: ARG002
        """Nothing can be called."""
        raise RefusedError("BadNotImplemented", f"{path} of the reference machine does nothing")

    def acknowledge(self, condition: str, comment: str | None, now: int) -> list[Happening]:  # noqa: ARG002
        """There is nothing to acknowledge."""
        raise RefusedError("BadNodeIdUnknown", f"there is no condition {condition}")

    def conditions(self) -> Sequence[Condition]:
        """None."""
        return ()
