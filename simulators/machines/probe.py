"""A machine without physics that shows everything a gateway can stumble over: the conformance suite's gateway target.

Values of many data types that change ten times a second, names that no topic can carry, numbers that JSON does not
know, an alarm that comes, changes and goes, notifications. Started by
`python -m simulators --kind simulators.machines.probe:probe`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from simulators.machine import (
    TICKS_PER_SECOND,
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
)
from simulators.machines.units import CELSIUS, PERCENT

STEP = TICKS_PER_SECOND // 10
FOLDER = "Probe"
ALARM = "ProbeAlarm"
ALARM_STEPS = 20
"""Steps from one state of the alarm to the next: it comes, is acknowledged, goes."""

NOTICE_STEPS = 15
PROGRAM_STEPS = 25
_STATES = (State("Running", 1), State("Interrupted", 3), State("Running", 1), State("Ended", 2))


class ProbeMachine(Machine):
    """Every step changes every signal below `Probe`; a counter in each makes any loss visible."""

    name = "Probe"
    namespace = "urn:area4-sim:probe"

    def __init__(self, serial: str = "P-1") -> None:
        self._serial = serial
        self._begin: int | None = None
        self._told = 0
        self._alarm: Condition | None = None

    @property
    def parts(self) -> Sequence[Part]:
        """One folder of the vendor's."""
        return [Part(FOLDER, None)]

    @property
    def points(self) -> Sequence[Point]:
        """The mandatory ones of OPC 40501-1, and the vendor's."""
        fixed = [
            Point("Identification/Manufacturer", Localized("Prüfstand & Söhne", "de")),
            Point("Identification/SerialNumber", self._serial),
            Point("Identification/ProductInstanceUri", f"urn:area4-sim:probe:{self._serial}"),
            Point("Monitoring/MachineTool/OperationMode", 1),
            Point("Monitoring/MachineTool/FeedOverride", 100.0, unit=PERCENT, low=0.0, high=150.0),
            Point("Production/ActiveProgram/Name", "probe.nc"),
            Point("Production/ActiveProgram/NumberInList", 0),
            Point("Production/ActiveProgram/State/CurrentState", _STATES[0]),
        ]
        signals = [
            Point(f"{FOLDER}/{name}", value, data_type, CELSIUS if name == "Temperature" else None)
            for name, data_type, value in _signals(0)
        ]
        return fixed + signals

    @property
    def methods(self) -> Sequence[MethodPoint]:
        """None."""
        return ()

    def advance(self, now: int) -> list[Happening]:
        """All steps that are due."""
        if self._begin is None:
            self._begin = now
            return []
        happened: list[Happening] = []
        for step in range(self._told + 1, (now - self._begin) // STEP + 1):
            time = self._begin + step * STEP
            happened += [Change(f"{FOLDER}/{name}", value, time) for name, _, value in _signals(step)]
            happened += self._events(step, time)
            self._told = step
        return happened

    def write(self, path: str, value: Any, now: int) -> list[Happening]:  # noqa: ARG002, ANN401 - of the contract
        """Nothing can be written."""
        raise RefusedError("BadNotWritable", path)

    def call(self, path: str, arguments: Sequence[Any], now: int) -> tuple[list[Any], list[Happening]]:  # noqa: ARG002
        """There are no methods."""
        raise RefusedError("BadMethodInvalid", path)

    def acknowledge(self, condition: str, comment: str | None, now: int) -> list[Happening]:  # noqa: ARG002
        """The alarm acknowledges itself."""
        raise RefusedError("BadConditionDisabled", condition)

    def conditions(self) -> Sequence[Condition]:
        """The alarm, while it is of interest."""
        return [self._alarm] if self._alarm is not None and self._alarm.retain else []

    def _events(self, step: int, time: int) -> list[Happening]:
        happened: list[Happening] = []
        if step % ALARM_STEPS == 0:
            self._alarm = _next(self._alarm, step, time)
            happened.append(self._alarm)
        if step % NOTICE_STEPS == 0:
            text = Localized(f"notice {step}: <b>äöü</b>\r\nsecond line", "de")
            happened.append(
                Notice("NotificationEventType", "", text, 100 + step % 500, time, {"Identifier": f"N{step}"})
            )
        if step % PROGRAM_STEPS == 0:
            state = _STATES[step // PROGRAM_STEPS % len(_STATES)]
            happened.append(Change("Production/ActiveProgram/State/CurrentState", state, time))
        return happened


def _next(alarm: Condition | None, step: int, time: int) -> Condition:
    """Active; then acknowledged; then gone."""
    if alarm is None or not alarm.retain:
        text = Localized(f"probe alarm at step {step}")
        return Condition("AlertType", ALARM, "", text, 500, True, False, True, time, {"ErrorCode": f"E{step}"})
    if not alarm.acked:
        return replace(alarm, acked=True, time=time)
    return replace(alarm, active=False, retain=False, time=time)


def _signals(step: int) -> list[tuple[str, str, Any]]:
    """Browse name, data type and value at a step; no value is that of the step before."""
    odd = (math.nan, 0.5, math.inf, -0.0, -math.inf)[step % 5]
    return [
        ("Counter", "UInt32", step),
        ("Temperature", "Double", 20.0 + step / 7.0),
        ("NotANumber", "Double", odd),
        ("Large", "Int64", 2**62 + step),
        ("Largest", "UInt64", 2**64 - 1 - step),
        ("Small", "SByte", step % 200 - 100),
        ("Flag", "Boolean", step % 2 == 1),
        ("Text", "String", f'Läufer "{step}" \\ \u2028 \x07 𝄞'),
        ("Bytes", "ByteString", bytes([step % 256, 0, 255])),
        ("Array", "Double", [float(step), 0.25, -1.0]),
        ("Kühl+mittel #1", "Double", step / 2.0),
        ("a%2Fb+c#", "Int32", -step),
    ]


def probe() -> ProbeMachine:
    """Entry for `--kind simulators.machines.probe:probe`."""
    return ProbeMachine()
