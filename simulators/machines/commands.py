"""What clients may do: writes with their checks, methods with their effects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from simulators.machine import Argument, Localized, MethodPoint, RefusedError
from simulators.machines.alarms import AlarmBook
from simulators.machines.board import Board, Value
from simulators.machines.cycle import Cycle, Phase
from simulators.machines.faults import Faults
from simulators.machines.plant import Plant
from simulators.machines.production import Production

CONTROL = "Control"
MESSAGE_LENGTH = 200

METHODS = (
    MethodPoint(
        f"{CONTROL}/StartProgram",
        (Argument("Name", "String", "File name of the program, for example bracket.nc"),),
        (Argument("Accepted", "Boolean"),),
        "Make one part with this program; only while the machine is loading or stopped",
    ),
    MethodPoint(f"{CONTROL}/Stop", (), (), "Interrupt the program, or begin no other part"),
    MethodPoint(f"{CONTROL}/Resume", (), (), "Go on after Stop"),
    MethodPoint(f"{CONTROL}/Abort", (), (), "Give up the program; Resume or StartProgram begin anew"),
    MethodPoint(
        f"{CONTROL}/ResetAlarm",
        (Argument("Name", "String", "ConditionName; empty for all"),),
        (Argument("Cleared", "UInt32", "How many have gone"),),
        "Acknowledge alarms and take their causes away",
    ),
    MethodPoint(
        f"{CONTROL}/RefillLubricant",
        (Argument("Percent", "Double", "Of the tank, above 0 to 100"),),
        (Argument("Level", "Double", "Percent"),),
        "Refill the lubricant tank",
    ),
)


class Commands:
    """Executes writes and calls at a moment (seconds of the model and OPC UA ticks)."""

    def __init__(
        self, board: Board, plant: Plant, production: Production, alarms: AlarmBook, cycle: Cycle, faults: Faults
    ) -> None:
        self._board = board
        self._plant = plant
        self._production = production
        self._alarms = alarms
        self._cycle = cycle
        self._faults = faults

    def write(self, path: str, value: Value, time: int) -> None:
        """A client writes.

        Raises:
            RefusedError: Unknown path, not writable, wrong type or out of range.
        """
        point = self._board.points.get(path)
        if point is None:
            raise RefusedError("BadNodeIdUnknown", f"there is no {path}")
        if not point.writable:
            raise RefusedError("BadNotWritable", f"{path} is read only")
        checked = _checked(path, value, point.initial, point.low, point.high)
        self._apply(path, checked)
        self._board.put(path, checked, time)
        if path == "Monitoring/MachineTool/FeedOverride":
            for unit in self._plant.units:
                self._board.put(f"Monitoring/Channel{unit.number}/FeedOverride", checked, time)

    def _apply(self, path: str, value: Value) -> None:
        for unit in self._plant.units:
            base = f"Monitoring/Channel{unit.number}/"
            if path in {base + "FeedOverride", "Monitoring/MachineTool/FeedOverride"}:
                unit.channel.feed_override = value
            elif path == base + "RapidOverride":
                unit.channel.rapid_override = value
            elif path == f"Monitoring/{unit.spec.spindle.name}/Override":
                unit.override = value
        if path == "Monitoring/Fluids/CoolantPressureSetpoint":
            self._plant.setpoint = value

    def call(self, path: str, arguments: Sequence[Any], seconds: float, time: int) -> list[Any]:
        """A client calls a method.

        Raises:
            RefusedError: Unknown method, wrong arguments, or not possible now.
        """
        method = next((one for one in METHODS if one.path == path), None)
        if method is None:
            raise RefusedError("BadMethodInvalid", f"no method {path}; there are: {', '.join(m.path for m in METHODS)}")
        if len(arguments) != len(method.inputs):
            status = "BadArgumentsMissing" if len(arguments) < len(method.inputs) else "BadTooManyArguments"
            raise RefusedError(status, f"{path} takes {len(method.inputs)} arguments, got {len(arguments)}")
        for argument, value in zip(method.inputs, arguments, strict=True):
            wanted = str if argument.data_type == "String" else (int, float)
            if not isinstance(value, wanted) or isinstance(value, bool):
                raise RefusedError(
                    "BadInvalidArgument", f"{argument.name} must be a {argument.data_type}, got {value!r}"
                )
        name = path.rpartition("/")[2]
        if name == "StartProgram":
            return self._start(arguments[0], seconds)
        if name == "ResetAlarm":
            return [self._reset(arguments[0], seconds, time)]
        if name == "RefillLubricant":
            return [self._refill(float(arguments[0]), time)]
        {"Stop": self._stop, "Resume": self._resume, "Abort": self._abort}[name](seconds, time)
        return []

    def _start(self, name: str, seconds: float) -> list[Any]:
        products = {product.programs[0]: product for product in self._plant.spec.products}
        if name not in products:
            raise RefusedError("BadInvalidArgument", f"no program {name!r}; there are: {', '.join(products)}")
        if self._cycle.phase not in {Phase.LOADING, Phase.STOPPED} or self._alarms.blocking:
            raise RefusedError(
                "BadInvalidState", f"the machine is {self._cycle.phase.value}; wait, Abort or ResetAlarm"
            )
        self._production.forced = products[name]
        self._cycle.wants_start, self._cycle.until = True, seconds
        return [True]

    def _stop(self, seconds: float, time: int) -> None:
        if self._cycle.phase is Phase.RUNNING:
            self._cycle.interrupt(seconds, time, math.inf)
        elif self._cycle.phase in {Phase.LOADING, Phase.SETUP}:
            self._cycle.phase, self._cycle.wants_start = Phase.STOPPED, False
        else:
            raise RefusedError("BadInvalidState", f"the machine is {self._cycle.phase.value}, nothing to stop")

    def _resume(self, seconds: float, _time: int) -> None:
        if self._alarms.blocking:
            raise RefusedError("BadInvalidState", f"open alarms: {', '.join(self._alarms.blocking)}")
        if self._cycle.phase is Phase.INTERRUPTED:
            self._cycle.until = seconds
        elif self._cycle.phase is Phase.STOPPED:
            self._cycle.wants_start = True
        else:
            raise RefusedError("BadInvalidState", f"the machine is {self._cycle.phase.value}, nothing to resume")

    def _abort(self, _seconds: float, time: int) -> None:
        if self._cycle.phase not in {Phase.RUNNING, Phase.INTERRUPTED, Phase.INITIALIZING}:
            raise RefusedError("BadInvalidState", f"the machine is {self._cycle.phase.value}, no program to abort")
        self._cycle.abort(time)

    def _reset(self, name: str, seconds: float, time: int) -> int:
        if name and name not in self._alarms.names():
            raise RefusedError("BadInvalidArgument", f"no alarm {name!r}; known: {', '.join(self._alarms.names())}")
        chosen = [one for one in ([name] if name else self._alarms.names()) if self._alarms.is_open(one)]
        if not chosen:
            raise RefusedError("BadInvalidState", "no such alarm is open")
        cleared = 0
        for one in chosen:
            if one not in [c.name for c in self._alarms.conditions() if c.acked]:
                self._alarms.acknowledge(one, None, seconds, time)
            if self._alarms.is_active(one) and self._faults.curable(one):
                self._faults.remedy(one, time)
                cleared += 1
        return cleared

    def _refill(self, percent: float, time: int) -> float:
        if not 0 < percent <= 100:
            raise RefusedError("BadOutOfRange", f"Percent must be above 0 and at most 100, got {percent}")
        self._plant.lubricant.fill(percent)
        level = round(self._plant.lubricant.level, 2)
        self._board.put("Monitoring/Fluids/LubricantLevel", level, time)
        if level >= 15.0:
            self._alarms.clear("LubricantLow", time)
        return level


def _checked(path: str, value: Value, initial: Value, low: float | None, high: float | None) -> Value:
    if isinstance(initial, bool):
        if not isinstance(value, bool):
            raise RefusedError("BadTypeMismatch", f"{path} is a Boolean, got {value!r}")
        return value
    if isinstance(initial, float):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RefusedError("BadTypeMismatch", f"{path} is a number, got {value!r}")
        least = 5.0 if path.endswith("CoolantPressureSetpoint") else low
        if (least is not None and not value >= least) or (high is not None and not value <= high):
            raise RefusedError("BadOutOfRange", f"{path} goes from {least:g} to {high:g}, got {value:g}")
        return float(value)
    if isinstance(initial, Localized) and isinstance(value, Localized):
        return value
    if not isinstance(value, str) or not isinstance(initial, str):
        raise RefusedError("BadTypeMismatch", f"{path} is a {type(initial).__name__}, got {value!r}")
    if len(value) > MESSAGE_LENGTH:
        raise RefusedError("BadOutOfRange", f"{path} takes {MESSAGE_LENGTH} characters, got {len(value)}")
    return value
