"""A small deterministic machine for the tests of the server: every kind of value, state, event and method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from simulators.machine import (
    TICKS_PER_SECOND,
    Appeared,
    Argument,
    Change,
    Condition,
    Happening,
    Localized,
    Machine,
    MethodPoint,
    Notice,
    Part,
    Point,
    RefusedError,
    State,
    Structure,
    Unit,
    Vanished,
)

STEP = TICKS_PER_SECOND // 20
PERCENT = Unit("P1", "%", "percent")
MILLIMETRE = Unit("MMT", "mm", "millimetre")
KELVIN = Unit("KEL", "K", "kelvin")
UNCERTAIN = 0x40000000
BAD_SENSOR = 0x808C0000


class BenchMachine(Machine):
    """Every 50 ms of simulated time one step; what happens depends on the step's number alone."""

    def __init__(self, name: str = "Bench", serial: str = "B-1") -> None:
        self.name = name
        self.namespace = f"urn:example:bench:{serial}"
        self.serial = serial
        self.clock: int | None = None
        self.step = 0
        self.override = 100.0
        self.alarm: Condition | None = None

    @property
    def parts(self) -> Sequence[Part]:
        return (
            Part("Monitoring/Spindle1", "SpindleMonitoringType", "Main spindle"),
            Part("Monitoring/Channel1", "ChannelMonitoringType"),
            Part("Monitoring/Stacklight/Red", "StackElementLightType"),
            Part("Equipment/Tools/T1", "ToolType"),
            Part("Components/Coolant", None),
            Part("Odd/Ünïcode 50%25 %2F x", None),
            Part("Notification/Messages", None),
            Part("MachineryBuildingBlocks", None),
        )

    @property
    def points(self) -> Sequence[Point]:
        return (
            Point("Identification/Manufacturer", Localized("Example Works", "en")),
            Point("Identification/ProductInstanceUri", f"urn:example:bench:{self.serial}"),
            Point("Identification/SerialNumber", self.serial),
            Point("Identification/YearOfConstruction", 2024),
            Point("Monitoring/MachineTool/OperationMode", 1),
            Point("Monitoring/MachineTool/FeedOverride", 100.0, unit=PERCENT, low=0.0, high=150.0, writable=True),
            Point("Monitoring/MachineTool/PowerOnDuration", 7),
            Point("Monitoring/MachineTool/MachineryItemState/CurrentState", State("Executing", 3)),
            Point("Monitoring/Spindle1/Name", "Spindle 1"),
            Point("Monitoring/Spindle1/IsRotating", True),
            Point("Monitoring/Spindle1/Override", 100.0, unit=PERCENT, low=50.0, high=120.0),
            Point(
                "Monitoring/Spindle1/Speed",
                0.0,
                "Double",
                unit=Unit("RPM", "r/min", "revolutions per minute"),
                low=0,
                high=12000,
            ),
            Point("Monitoring/Stacklight/StacklightMode", 0),
            Point("Monitoring/Stacklight/Red/SignalOn", False),
            Point("Monitoring/Stacklight/Red/NumberInList", 1),
            Point("Production/ActiveProgram/Name", "MAIN.MPF"),
            Point("Production/ActiveProgram/NumberInList", 0),
            Point("Production/ActiveProgram/State/CurrentState", State("Running", 1)),
            Point("Equipment/Tools/T1/Identifier", "T1"),
            Point("Equipment/Tools/T1/ToolLife/Wear", 12.5, unit=MILLIMETRE),
            Point("Equipment/Tools/T1/ToolLife/Wear/LimitValue", 40.0),
            Point("Components/Coolant/Temperature", 293.5, "Float", unit=KELVIN, low=270, high=330),
            Point("Components/Coolant/Probe", None, "Double", status=0x80320000),
            Point("Odd/Ünïcode 50%25 %2F x/Value", "ä€", "String"),
            Point("Odd/Big", 2**62 + 1, "Int64"),
            Point("Odd/Ratio", math.nan, "Double"),
            Point("Odd/Row", [1, 2, 3], "UInt16"),
            Point("Odd/Matrix", [[1.0, 2.0], [3.0, 4.0]], "Double"),
            Point("Odd/Raw", b"\x00\xff", "ByteString"),
            Point("Odd/When", 133_000_000_000_000_000, "DateTime"),
            Point("Odd/Words", Localized("hallo", "de-DE"), "LocalizedText"),
            Point("Odd/Light", Structure("RGBWDataType", {"Red": 1, "Green": 2, "Blue": 3}), "RGBWDataType"),
            Point("Odd/Text", None, "String"),
            Point("Odd/Note", "", "String", writable=True),
        )

    @property
    def methods(self) -> Sequence[MethodPoint]:
        return (
            MethodPoint(
                "Control/Add", (Argument("a", "Double", "first"), Argument("b", "Double")), (Argument("sum", "Double"),)
            ),
            MethodPoint("Control/Refuse"),
        )

    def rewind(self, now: int) -> list[Happening]:
        """Begin anew: every point shows its initial value, the alarm is over, the next step is the first."""
        self.clock, self.step, self.alarm = now, 0, None
        over = replace(self._alarm(now, active=False, acked=True), retain=False)
        return [*(Change(point.path, point.initial, now, point.status) for point in self.points), over]

    def advance(self, now: int) -> list[Happening]:
        if self.clock is None:
            self.clock = now
            return []
        happened: list[Happening] = []
        while self.clock + STEP <= now:
            self.clock += STEP
            self.step += 1
            happened += self._step(self.clock)
        return happened

    def _step(self, time: int) -> list[Happening]:
        n = self.step
        happened: list[Happening] = [
            Change("Monitoring/Spindle1/Speed", float(n), time),
            Change("Components/Coolant/Temperature", 293.5 + math.sin(n / 10), time),
            Change("Odd/Big", 2**62 + n, time),
        ]
        if n % 7 == 0:
            happened.append(Change("Odd/Ratio", [math.nan, math.inf, -math.inf, 0.5][n // 7 % 4], time))
        if n % 10 == 0:
            status = [0, UNCERTAIN, BAD_SENSOR][n // 10 % 3]
            happened.append(Change("Components/Coolant/Probe", None if status == BAD_SENSOR else n / 4, time, status))
            happened.append(Change("Monitoring/Stacklight/Red/SignalOn", n % 20 == 0, time))
        if n % 15 == 0:
            name, number = [("Interrupted", 3), ("Running", 1)][n // 15 % 2]
            happened.append(Change("Production/ActiveProgram/State/CurrentState", State(name, number), time))
            happened.append(
                Notice(
                    "ProductionProgramTransitionEventType",
                    "Production/ActiveProgram/State",
                    Localized(f"now {name}"),
                    100,
                    time,
                    {"Name": "MAIN.MPF", "JobIdentifier": "J1", "ToState": State(name, number)},
                )
            )
        if n % 12 == 0:
            happened.append(
                Notice(
                    "NotificationEventType",
                    "Notification/Messages",
                    Localized(f"message {n}"),
                    200,
                    time,
                    {"Identifier": f"M{n}"},
                )
            )
        if n % 40 == 5:
            self.alarm = self._alarm(time, active=True, acked=False)
            happened.append(self.alarm)
        if n % 40 == 30 and self.alarm is not None and self.alarm.active:
            self.alarm = self._alarm(time, active=False, acked=self.alarm.acked)
            happened.append(self.alarm)
        if n == 25:
            happened.append(
                Appeared(Part("Equipment/Tools/T2", "ToolType"), (Point("Equipment/Tools/T2/Identifier", "T2"),), time)
            )
        if n == 55:
            happened.append(Vanished("Equipment/Tools/T2", time))
        return happened

    def _alarm(self, time: int, *, active: bool, acked: bool, comment: str | None = None) -> Condition:
        return Condition(
            "AlertType",
            "DoorOpen",
            "Notification/Messages",
            Localized("door open"),
            700,
            active,
            acked,
            active or not acked,
            time,
            {"ErrorCode": "E42"},
            comment,
        )

    def write(self, path: str, value: Any, now: int) -> list[Happening]:
        if path == "Monitoring/MachineTool/FeedOverride":
            if not 0 <= value <= 150:
                raise RefusedError("BadOutOfRange", "0 to 150 % are possible")
            return [Change(path, value, now)]
        return [Change(path, value, now)]

    def call(self, path: str, arguments: Sequence[Any], now: int) -> tuple[list[Any], list[Happening]]:
        if path == "Control/Refuse":
            raise RefusedError("BadInvalidState", "not now")
        total = arguments[0] + arguments[1]
        return [total], [Change("Odd/Note", f"sum {total}", now)]

    def acknowledge(self, condition: str, comment: str | None, now: int) -> list[Happening]:
        if self.alarm is None or condition != self.alarm.name or self.alarm.acked:
            raise RefusedError("BadConditionBranchAlreadyAcked", "there is nothing to acknowledge")
        self.alarm = self._alarm(now, active=self.alarm.active, acked=True, comment=comment)
        return [self.alarm]

    def conditions(self) -> Sequence[Condition]:
        return [self.alarm] if self.alarm is not None and self.alarm.retain else []


def build() -> Machine:
    """One machine, for processes."""
    return BenchMachine()
