"""Mutants of what machines show over time: values, states and events."""

# ruff: noqa: ANN401 - asyncua's own objects come without usable annotations
from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from asyncua import ua

from simulators.mutants.device import Apply, DeviceMutant, MutationError, operated
from simulators.mutants.patching import core, patched
from simulators.mutants.surgery import Surgery
from simulators.opcua.instance import Instance, Variable
from simulators.opcua.subscriptions import MonitoredItems, Subscription

if TYPE_CHECKING:
    from simulators.opcua.server import SimulatorServer

_VALUE, _EVENT = "OPC 10000-4, 7.7", "OPC 10000-5, 6.4.2"
_STATES = "OPC 40501-1 1.02, ProductionStateMachineType"
_ENUMERATION = ua.NodeId(ua.ObjectIds.Enumeration)
_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
_NUMBERS = {ua.VariantType.Double, ua.VariantType.Float}
_STEP = itertools.count(1)
_UNDECLARED = 99

Fields = dict[str, ua.Variant]


def shown_as(change: Callable[[Variable, ua.DataValue], ua.DataValue]) -> Apply:
    """Values are changed on their way from the machine to the address space."""

    def patches(server: SimulatorServer) -> list[tuple[Any, str, Any]]:
        runner = server.runner
        assert runner is not None
        usual = runner._as_shown

        def shown(variable: Variable, *args: Any) -> ua.DataValue | None:
            value = usual(variable, *args)
            return None if value is None else change(variable, value)

        return [(runner, "_as_shown", shown)]

    return patched(patches)


def reported_as(change: Callable[[ua.DataValue], ua.DataValue]) -> Apply:
    """Values are changed on their way to the client, for what the address space itself does not take."""

    class Items(MonitoredItems):
        async def report(self, data: Any, value: ua.DataValue) -> None:
            await super().report(data, change(value))

    class Reporting(Subscription):
        items = Items

    return patched(lambda server: [(core(server).subscription_service, "make", Reporting)])


def told_as(change: Callable[[Fields], None]) -> Apply:
    """Fields of events are changed before they are emitted."""

    def patches(server: SimulatorServer) -> list[tuple[Any, str, Any]]:
        assert server.runner is not None
        emitters = [one.emitter for one in server.runner.machines]
        return [(one, "_recorded", _changed(one._recorded, change)) for one in emitters]

    return patched(patches)


def _changed(usual: Callable[..., Any], change: Callable[[Fields], None]) -> Callable[..., Any]:
    def recorded(type_id: Any, source: str, time: int, fields: Fields) -> Any:
        change(fields)
        return usual(type_id, source, time, fields)

    return recorded


def _null(value: ua.DataValue) -> ua.DataValue:
    return dataclasses.replace(value, Value=ua.Variant(None), StatusCode=ua.StatusCode())


def _as_text(value: ua.DataValue) -> ua.DataValue:
    if value.Value is None or value.Value.VariantType not in _NUMBERS or value.Value.is_array:
        return value
    return dataclasses.replace(value, Value=ua.Variant(str(value.Value.Value), ua.VariantType.String))


def _at(moment: Callable[[datetime], datetime | None]) -> Callable[[Variable, ua.DataValue], ua.DataValue]:
    return lambda _variable, value: dataclasses.replace(value, SourceTimestamp=moment(value.SourceTimestamp))


def _numbers(change: Callable[[ua.Variant], ua.Variant]) -> Callable[[Variable, ua.DataValue], ua.DataValue]:
    def changed(_variable: Variable, value: ua.DataValue) -> ua.DataValue:
        if value.Value is None or value.Value.VariantType not in _NUMBERS or value.Value.is_array:
            return value
        return dataclasses.replace(value, Value=change(value.Value))

    return changed


def _state(name: Callable[[str], str]) -> Callable[[Variable, ua.DataValue], ua.DataValue]:
    def changed(variable: Variable, value: ua.DataValue) -> ua.DataValue:
        text = value.Value.Value if value.Value is not None else None
        if variable.state_machine is None or variable.transition or not isinstance(text, ua.LocalizedText):
            return value
        made = ua.Variant(ua.LocalizedText(name(text.Text or ""), "en"), ua.VariantType.LocalizedText)
        return dataclasses.replace(value, Value=made)

    return changed


def _enumeration(surgery: Surgery, instance: Instance) -> None:
    for variable in instance.variables.values():
        if surgery.space.is_subtype(variable.data_type, _ENUMERATION) and variable.rank < 0:
            surgery.value(variable.node, _UNDECLARED, ua.VariantType.Int32)
            return
    raise MutationError("the machine has no enumeration")


def _number(surgery: Surgery, instance: Instance) -> None:
    for variable in instance.variables.values():
        if variable.state_machine is not None and not variable.transition and "Number" in variable.parts:
            surgery.value(variable.parts["Number"].node, _UNDECLARED, ua.VariantType.UInt32)


def _set(name: str, variant: ua.Variant) -> Callable[[Fields], None]:
    def change(fields: Fields) -> None:
        fields[name] = variant

    return change


def _later(fields: Fields) -> None:
    moment = fields["Time"].Value + timedelta(hours=1)
    fields["Time"] = fields["ReceiveTime"] = ua.Variant(moment, ua.VariantType.DateTime)


def _not_retained(fields: Fields) -> None:
    if "Retain" in fields:
        fields["Retain"] = ua.Variant(not fields["Retain"].Value, ua.VariantType.Boolean)


def _frozen(fields: Fields) -> None:
    """An alarm that is there, whatever becomes of it."""
    if "Retain" in fields:
        for name in ("ActiveState/Id", "AckedState/Id", "Retain"):
            fields[name] = ua.Variant(True, ua.VariantType.Boolean)


def _mutant(name: str, title: str, breaks: str, source: str, apply: Apply) -> DeviceMutant:
    return DeviceMutant(f"device.behaviour.{name}", title, breaks, source, apply)


MUTANTS: tuple[DeviceMutant, ...] = (
    _mutant("good-null", "A value is Good and Null", "It has no value, but says that it is good.", _VALUE,
            reported_as(_null)),
    _mutant("no-source-time", "Values have no source time", "Nobody can tell when a value was true.", _VALUE,
            shown_as(_at(lambda _moment: None))),
    _mutant("future-source-time", "Source times are an hour ahead", "The machine's clock is not that of the server.",
            _VALUE, shown_as(_at(lambda moment: moment + timedelta(hours=1)))),
    _mutant("backward-source-time", "Source times go back", "Each change is older than the one before.", _VALUE,
            shown_as(_at(lambda moment: moment - timedelta(minutes=next(_STEP))))),
    _mutant("frozen-source-time", "Source times stand still", "Values change, their source time does not.", _VALUE,
            shown_as(_at(lambda _moment: _LONG_AGO))),
    _mutant("other-type", "Values come with another built-in type", "A number comes as text.", "OPC 10000-3, 5.6.2",
            reported_as(_as_text)),
    _mutant("out-of-range", "Values leave their range", "A value is far above EURange.", "OPC 10000-8, 5.6",
            shown_as(_numbers(lambda old: ua.Variant(old.Value + 1e9, old.VariantType)))),
    _mutant("undeclared-enumeration", "An enumeration has a value that is not declared",
            "A client has no text for it.", "OPC 10000-3, 8.14", operated(_enumeration)),
    _mutant("unknown-state", "A state machine is in a state that its type does not have",
            "CurrentState is Dancing.", "OPC 10000-16, 4.4", shown_as(_state(lambda _name: "Dancing"))),
    _mutant("wrong-state-number", "State and number disagree", "CurrentState/Number is not the number of CurrentState.",
            "OPC 10000-16, 4.4", operated(_number)),
    _mutant("skips-states", "A program ends without running", "From Initializing it goes to Ended.", _STATES,
            shown_as(_state(lambda name: "Ended" if name == "Running" else name))),
    _mutant("event-severity", "An event's severity is 5000", "Severities are 1 to 1000.", _EVENT,
            told_as(_set("Severity", ua.Variant(5_000, ua.VariantType.UInt16)))),
    _mutant("event-message", "An event says nothing", "Its message is empty.", _EVENT,
            told_as(_set("Message", ua.Variant(ua.LocalizedText("", "en"), ua.VariantType.LocalizedText)))),
    _mutant("event-time", "Events are an hour ahead", "Their Time is in the future.", _EVENT, told_as(_later)),
    _mutant("event-source", "An event names another source", "SourceName is not the name of SourceNode.", _EVENT,
            told_as(_set("SourceName", ua.Variant("somebody else", ua.VariantType.String)))),
    _mutant("event-id", "Events have the same EventId", "Acknowledging one acknowledges any of them.", _EVENT,
            told_as(_set("EventId", ua.Variant(bytes(16), ua.VariantType.ByteString)))),
    _mutant("event-type", "Events have no type", "EventType is null.", _EVENT,
            told_as(_set("EventType", ua.Variant(ua.NodeId(), ua.VariantType.NodeId)))),
    _mutant("event-retain", "Retain is upside down",
            "An active alarm is not retained: a client that comes later does not see it.", "OPC 10000-9, 5.5.2",
            told_as(_not_retained)),
    _mutant("event-frozen", "An alarm never changes and never goes",
            "Each of its events says the same as the first.", "OPC 10000-9, 5.5.2", told_as(_frozen)),
)  # fmt: skip
