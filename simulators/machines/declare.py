"""Declares what every machine tool shows: identification, monitoring, stacklight, channels, spindles, axes, tools."""

from __future__ import annotations

from collections.abc import Mapping

from simulators.machine import Localized, Point, State, Structure
from simulators.machines import units
from simulators.machines.board import Board
from simulators.machines.spec import ChannelSpec, MachineSpec
from simulators.machines.unit import ProductionUnit
from simulators.physics.path import Axis
from simulators.physics.tools import Tool

MAKER = "Bär & Søn Werkzeugmaschinen"
MACHINE = "Monitoring/MachineTool"
LIGHTS = {"RedLight": 1, "YellowLight": 4, "GreenLight": 2}
"""Lamps from top to bottom with their SignalColor (OPC 10000-200)."""

LIGHT_BYTES = {"RedLight": (255, 0, 0), "YellowLight": (255, 191, 0), "GreenLight": (0, 200, 83)}
TOOLS = "Equipment/Tools"
BASE_COUNTER = 9_007_199_254_740_993
"""2^53 + 1: a whole number that no Double can carry."""


def identification(board: Board, spec: MachineSpec, serial: str) -> None:
    """Nameplate and software."""
    base = "Identification"
    board.point(f"{base}/Manufacturer", Localized(MAKER, "de-DE"))
    board.point(f"{base}/ManufacturerUri", "urn:area4-sim")
    board.point(f"{base}/ProductInstanceUri", f"urn:area4-sim:{spec.kind}:{serial.replace('/', '-')}")
    board.point(f"{base}/SerialNumber", serial)
    board.point(f"{base}/Model", Localized(spec.model, "de-DE"))
    board.point(f"{base}/ProductCode", spec.product_code)
    board.point(f"{base}/SoftwareRevision", next(iter(spec.software.values())))
    board.point(f"{base}/HardwareRevision", "C")
    board.point(f"{base}/YearOfConstruction", spec.year)
    board.point(f"{base}/MonthOfConstruction", 1 + len(serial) % 12)
    board.point(f"{base}/DeviceClass", spec.kind.replace("-", " "))
    board.point(f"{base}/Location", spec.location)
    board.point(f"{base}/AssetId", f"INV-{serial}", writable=True)
    board.point(f"{base}/ComponentName", Localized(f"{spec.model} {serial}", "de-DE"), writable=True)
    board.point(f"{base}/InitialOperationDate", 132_223_104_000_000_000)
    for name, revision in spec.software.items():
        item = board.part(f"{base}/SoftwareIdentification/{name}", "SoftwareIdentificationType")
        board.point(f"{item}/Identifier", f"{name} {spec.kind}")
        board.point(f"{item}/SoftwareRevision", revision)
        board.point(f"{item}/Manufacturer", Localized(MAKER, "de-DE"))


def machine_monitoring(board: Board, lifetime: int) -> None:
    """Operation mode, states, counters, power and fluids."""
    board.point(f"{MACHINE}/OperationMode", 1)
    board.point(f"{MACHINE}/FeedOverride", 100.0, unit=units.PERCENT, span=(0, 150), writable=True)
    board.point(f"{MACHINE}/IsWarmUp", initial=True)
    board.point(f"{MACHINE}/PowerOnDuration", 18_204)
    board.point(f"{MACHINE}/Obligation/EndUserObligated", initial=False)
    board.point(f"{MACHINE}/Obligation/MachineBuilderObligated", initial=False)
    board.point(f"{MACHINE}/OperationCounters/PowerOnDuration", 0.0)
    board.point(f"{MACHINE}/OperationCounters/OperationDuration", 0.0)
    board.point(f"{MACHINE}/OperationCounters/OperationCycleCounter", lifetime)
    board.point(f"{MACHINE}/OperationCounters/PartsProducedInLifetime", lifetime)
    board.point(f"{MACHINE}/MachineryItemState/CurrentState", State("NotExecuting", 2))
    board.point(f"{MACHINE}/MachineryOperationMode/CurrentState", State("Processing", 3))
    board.part("MachineryBuildingBlocks", None)
    board.part("Notification/Messages", None)
    energy = board.part("Monitoring/Energy", None)
    board.point(f"{energy}/Power", 0.0, "Double", unit=units.KILOWATT, span=(0, 60), text="Active power of the machine")
    board.point(f"{energy}/Energy", 0.0, "Double", unit=units.KILOWATT_HOUR, text="Since the start of the run")
    board.point(f"{energy}/EnergyTotal", BASE_COUNTER, "UInt64", text="Meter reading in mWs")
    board.point(f"{energy}/PhaseCurrents", [0.0, 0.0, 0.0], "Double", unit=units.AMPERE, text="L1, L2, L3")
    climate = board.part("Monitoring/Climate", None)
    board.point(f"{climate}/Ambient", 21.0, "Float", unit=units.CELSIUS, span=(0, 50))
    board.point(f"{climate}/Cabinet", 27.0, "Float", unit=units.CELSIUS, span=(0, 80))
    board.point(f"{climate}/CabinetTenths", 270, "Int16", text="Cabinet temperature in tenths of a degree")


def fluids(board: Board, fluid: str) -> None:
    """Tanks with their levels."""
    base = board.part("Monitoring/Fluids", None)
    board.point(f"{base}/LubricantLevel", 80.0, "Double", unit=units.PERCENT, span=(0, 100))
    board.point(f"{base}/CoolantLevel", 90.0, "Double", unit=units.PERCENT, span=(0, 100), text=fluid)
    board.point(f"{base}/CoolantOn", initial=False, data_type="Boolean")
    board.point(f"{base}/CoolantPressure", 0.0, "Double", unit=units.BAR, span=(0, 100))
    board.point(
        f"{base}/CoolantPressureSetpoint",
        20.0,
        "Double",
        unit=units.BAR,
        span=(5, 70),
        writable=True,
        text="5 to 70 bar",
    )


def stacklight(board: Board) -> None:
    """Red, yellow and green lamp."""
    base = "Monitoring/Stacklight"
    board.point(f"{base}/StacklightMode", 0)
    for number, (name, colour) in enumerate(LIGHTS.items()):
        lamp = board.part(f"{base}/{name}", "StackElementLightType")
        red, green, blue = LIGHT_BYTES[name]
        board.point(f"{lamp}/NumberInList", number)
        board.point(f"{lamp}/IsPartOfBase", initial=False)
        board.point(f"{lamp}/SignalColor", colour)
        board.point(f"{lamp}/SignalMode", 0)
        board.point(f"{lamp}/SignalOn", initial=False)
        fields = {"Red": red, "Green": green, "Blue": blue, "White": 0}
        board.point(f"{lamp}/SignalRGBWValue", Structure("RGBWDataType", fields))


def channel(board: Board, unit: ProductionUnit) -> str:
    """A channel; returns its path."""
    spec = unit.spec
    base = board.part(f"Monitoring/Channel{unit.number}", "ChannelMonitoringType", spec.name)
    board.point(f"{base}/Name", spec.name)
    board.point(f"{base}/ChannelMode", 0)
    board.point(f"{base}/ChannelState", 2)
    board.point(f"{base}/FeedOverride", 100.0, unit=units.PERCENT, span=(0, 150), writable=True)
    board.point(f"{base}/RapidOverride", 100.0, unit=units.PERCENT, span=(0, 100), writable=True)
    for name, writable in (("DryRun", False), ("SingleStep", False), ("TestMode", False)):
        board.point(f"{base}/ChannelModifiers/{name}", initial=False, writable=writable)
    board.point(f"{base}/ChannelModifiers/OptionalStop", initial=False, writable=True)
    board.point(f"{base}/ChannelModifiers/BlockSkip", initial=True, writable=True)
    speed = round(max(axis.speed for axis in spec.axes) * 60.0 * 1.8)
    board.point(f"{base}/ActualFeed", 0.0, "Double", unit=units.MM_PER_MINUTE, span=(0, speed))
    board.point(f"{base}/ProgrammedFeed", 0.0, "Double", text="As programmed, mm/min or mm/rev")
    board.point(f"{base}/ActiveBlock", "", "String", text="Block that runs now")
    board.point(f"{base}/LineNumber", 0, "Int32", text="Line of the program file")
    board.point(f"{base}/ProgramName", "", "String")
    board.point(f"{base}/Progress", 0.0, "Float", unit=units.PERCENT, span=(0, 100))
    board.point(f"{base}/ActiveTool", unit.channel.tool, "UInt16")
    board.point(f"{base}/WaitMark", 0, "UInt16", text="Mark at which the channel waits, 0 if it does not")
    board.point(f"{base}/AxisPositions", shown(spec, spec.home), "Double", text="All axes, mm")
    board.point(f"{base}/AxisNames", [axis.name for axis in spec.axes], "String")
    return base


def shown(spec: ChannelSpec, place: tuple[float, ...]) -> list[float]:
    """Positions as the control shows them: X of a turning machine as diameter."""
    values = list(place)
    if spec.dialect.diameter:
        values[0] *= 2.0
    return [round(value, 3) + 0.0 for value in values]


def axis(board: Board, base: str, spec: Axis, position: float, *, diameter: bool) -> str:
    """A linear axis below the vendor's folder; returns its path."""
    path = board.part(f"{base}/{spec.name}", None)
    scale = 2.0 if diameter else 1.0
    span = (spec.low * scale, spec.high * scale)
    board.point(f"{path}/ActualPosition", position, "Double", unit=units.MILLIMETRE, span=span)
    board.point(
        f"{path}/ActualSpeed", 0.0, "Double", unit=units.MM_PER_MINUTE, span=(-spec.speed * 60, spec.speed * 60)
    )
    board.point(f"{path}/Load", 0.0, "Float", unit=units.PERCENT, span=(0, 150))
    board.point(f"{path}/Current", 0.0, "Double", unit=units.AMPERE, span=(0, 40))
    board.point(f"{path}/MotorTemperature", 22.0, "Float", unit=units.CELSIUS, span=(0, 150))
    board.point(
        f"{path}/WayTotal", -BASE_COUNTER, "Int64", text="Way passed in micrometres, counted from a negative mark"
    )
    board.point(f"{path}/InPosition", initial=True, data_type="Boolean")
    return path


def spindle(board: Board, unit: ProductionUnit) -> str:
    """A spindle; returns its path."""
    spec = unit.spec.spindle
    base = board.part(f"Monitoring/{spec.name}", "SpindleMonitoringType", spec.text or spec.name)
    board.point(f"{base}/Name", spec.text or spec.name)
    board.point(f"{base}/IsRotating", initial=False)
    board.point(f"{base}/IsUsedAsAxis", initial=False)
    board.point(f"{base}/Override", 100.0, unit=units.PERCENT, span=(50, 120), writable=True)
    board.point(f"{base}/ActualSpeed", 0.0, "Double", unit=units.RPM, span=(-spec.max_speed, spec.max_speed))
    board.point(f"{base}/CommandedSpeed", 0.0, "Double", unit=units.RPM, span=(-spec.max_speed, spec.max_speed))
    board.point(f"{base}/Load", 0.0, "Double", unit=units.PERCENT, span=(0, 200))
    board.point(f"{base}/Power", 0.0, "Double", unit=units.KILOWATT, span=(0, 2 * spec.rated_power))
    board.point(f"{base}/Torque", 0.0, "Double", unit=units.NEWTON_METRE, span=(0, 2000))
    board.point(f"{base}/Temperature", 21.0, "Float", unit=units.CELSIUS, span=(0, 120))
    board.point(f"{base}/Vibration", 0.0, "Float", unit=units.MM_PER_SECOND, span=(0, 20))
    board.point(f"{base}/Revolutions", BASE_COUNTER, "UInt64", text="Revolutions in its life")
    return base


def tool_path(unit: ProductionUnit, tool: Tool, *, several: bool) -> str:
    """Path of a tool; the identifier makes a replacement another object."""
    prefix = f"C{unit.number}T" if several else "T"
    return f"{TOOLS}/{prefix}{tool.identifier}"


def tool_points(unit: ProductionUnit, tool: Tool, path: str, time: int) -> list[Point]:
    """Points of a tool."""
    life = f"{path}/ToolLife/CuttingTime"
    parts = f"{path}/ToolLife/Usages"
    hours = tool.life / 60.0
    return [
        Point(f"{path}/Identifier", tool.identifier),
        Point(f"{path}/Name", tool.name),
        Point(f"{path}/ControlIdentifier1", tool.number),
        Point(f"{path}/ControlIdentifierInterpretation", 0),
        Point(f"{path}/LastUsage", time),
        Point(f"{path}/Locked", initial=False),
        Point(f"{path}/Locked/ReasonForLocking", 0),
        Point(f"{path}/PlannedForOperating", initial=True),
        Point(f"{path}/Location/Name", unit.spec.holder),
        Point(f"{path}/Location/PlaceNumber", tool.number),
        Point(life, round(tool.minutes / 60.0, 4), "Double", units.HOUR),
        Point(f"{life}/Indication", 0),
        Point(f"{life}/IsCountingUp", initial=True),
        Point(f"{life}/LimitValue", round(hours, 4), "Double"),
        Point(f"{life}/WarningValue", round(hours * 0.85, 4), "Double"),
        Point(parts, tool.usages, "UInt32", units.ONE),
        Point(f"{parts}/Indication", 2),
        Point(f"{parts}/IsCountingUp", initial=True),
        Point(f"{path}/Wear", round(100 * tool.wear, 2), "Double", units.PERCENT, 0, 130, text="Of its life"),
        Point(f"{path}/Diameter", tool.diameter, "Double", units.MILLIMETRE),
        Point(f"{path}/Length", tool.length, "Double", units.MILLIMETRE),
    ]


def tool(board: Board, path: str, points: list[Point]) -> None:
    """A tool that is there from the start."""
    board.part(path, "ToolType")
    for point in points:
        span = None if point.low is None or point.high is None else (point.low, point.high)
        board.point(point.path, point.initial, point.data_type, unit=point.unit, span=span, text=point.text)


def components(board: Board, names: Mapping[str, str], serial: str) -> None:
    """Components of the machine with their nameplates (OPC 40001-1)."""
    for name, text in names.items():
        base = f"{board.part(f'Components/{name}', None)}/Identification"
        board.point(f"{base}/Manufacturer", Localized(MAKER, "de-DE"))
        board.point(f"{base}/SerialNumber", f"{serial}-{name[:2].upper()}")
        board.point(f"{base}/ComponentName", Localized(text, "de-DE"))
        board.point(f"{base}/ProductCode", f"K-{name.upper()}")


def diagnostics(board: Board) -> None:
    """Vendor's diagnostics and the operator."""
    base = board.part("Diagnostics", None)
    board.point(f"{base}/PlcOutputs", bytes(4), "ByteString", text="Image of the PLC's outputs")
    board.point(f"{base}/CycleCounter", 0, "Int64", text="Cycles of the model of 100 ms")
    board.point(f"{base}/LastServiceDate", 132_223_104_000_000_000, "DateTime")
    board.point(f"{base}/Hint", Localized("Bereit", "de-DE"), "LocalizedText", text="Hint for the operator")
    board.point(f"{base}/OpenAlarms", 0, "UInt16")
    board.point(f"{base}/DoorClosed", initial=True, data_type="Boolean")
    board.point(f"{base}/DoorCycles", 118_204, "UInt32")
    board.point(f"{base}/ShopFloorMessage", "", "String", writable=True, text="Shown to the operator; 200 characters")
    operator = board.part("Operator", None)
    board.point(f"{operator}/Name", "", "String", text="Personal datum: the operator signed in")
    board.point(f"{operator}/PersonnelNumber", 0, "UInt32", text="Personal datum")
    board.point(f"{operator}/Shift", "", "String")
    board.point(f"{operator}/Present", initial=False, data_type="Boolean")


def prognoses(board: Board) -> None:
    """Next tool change and end of the job."""
    base = "Notification/Prognoses"
    change = board.part(f"{base}/NextToolChange", "ToolChangePrognosisType")
    board.point(f"{change}/PredictedTime", 132_223_104_000_000_000)
    board.point(f"{change}/Location", Localized("Werkzeugmagazin", "de-DE"))
    board.point(f"{change}/ToolName", "")
    board.point(f"{change}/ToolIdentifier", "")
    end = board.part(f"{base}/JobEnd", "ProductionJobEndPrognosisType")
    board.point(f"{end}/PredictedTime", 132_223_104_000_000_000)
    board.point(f"{end}/SourceIdentifier", "")
