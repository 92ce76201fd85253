"""Events and conditions: their fields by type, emitted on Messages, the machine and the Server with one EventId."""

# ruff: noqa: ANN401 - values of every data type, and asyncua's objects, pass through here
from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from asyncua import Server, ua

from simulators.ledger import Ledger, encode_variant, iso, node_id_text
from simulators.machine import Condition, Localized, Notice, State
from simulators.opcua.describe import Describer
from simulators.opcua.instance import Instance
from simulators.opcua.space import Id, Space
from simulators.opcua.types import Types
from simulators.opcua.values import Values, datetime_from_ticks

_ANY = ua.NodeId(ua.ObjectIds.BaseDataType)
_ACKNOWLEDGEABLE = ua.NodeId(ua.ObjectIds.AcknowledgeableConditionType)
_ALARM = ua.NodeId(ua.ObjectIds.AlarmConditionType)
_CONDITION_CLASS = ua.NodeId(ua.ObjectIds.BaseConditionClassType)
_STATE_MACHINE = ua.NodeId(ua.ObjectIds.StateMachineType)
_SERVER = ua.NodeId(ua.ObjectIds.Server)
_HEAD = ("EventId", "EventType", "SourceNode", "SourceName", "Time", "ReceiveTime", "Message", "Severity")
_STATES = {"EnabledState": ("Disabled", "Enabled"), "ActiveState": ("Inactive", "Active"),
           "AckedState": ("Unacknowledged", "Acknowledged")}  # fmt: skip
_ABSTRACT = (
    "NotificationEventType", "ProductionJobTransitionEventType", "ProductionPartTransitionEventType",
    "ProductionProgramTransitionEventType", "InterruptionConditionType",
)  # fmt: skip
"""Event types of which a machine shows concrete ones; clients look for types when they connect."""


@dataclass(slots=True)
class Event:
    """An event as asyncua's monitored items want it: where it is emitted, and its fields by select clause."""

    fields: dict[str, ua.Variant]
    emitting_node: Id = field(default_factory=lambda: _SERVER)

    def __getattr__(self, name: str) -> Any:
        """A field's value, for where-clauses."""
        variant = self.fields.get(name)
        if variant is None:
            raise AttributeError(name)
        return variant.Value

    def to_event_fields(self, clauses: Iterable[ua.SimpleAttributeOperand]) -> list[ua.Variant]:
        """The selected fields; null for what the event does not have (OPC 10000-4, 7.22.3)."""
        return [self.fields.get(_selected(clause), ua.Variant(None)) for clause in clauses]

    def at(self, node: Id) -> Event:
        """The same event emitted on `node`."""
        return Event(self.fields, node)


def _selected(clause: ua.SimpleAttributeOperand) -> str:
    if clause.BrowsePath:
        return "/".join(name.Name for name in clause.BrowsePath)
    return "ConditionId" if clause.AttributeId == ua.AttributeIds.NodeId else ""


@dataclass(slots=True)
class Kept:
    """A condition's last state."""

    condition: Condition
    event: Event
    node: Id


class Emitter:
    """Makes the events of one machine and emits them."""

    def __init__(self, server: Server, instance: Instance, types: Types, values: Values, ledger: Ledger) -> None:
        self.space: Space = types.space
        self.service = server.iserver.subscription_service
        self.instance = instance
        self.types = types
        self.values = values
        self.describe = Describer(types.space, types, values)
        self.ledger = ledger
        self.conditions: dict[str, Kept] = {}
        self._declared: dict[Id, dict[str, tuple[Id, int]]] = {}
        self._concrete: dict[Id, Id] = {}
        for name in _ABSTRACT:
            self._type(name)

    def emitters(self) -> list[Id]:
        """The nodes on which events of this machine are emitted."""
        messages = self.instance.entries.get("Notification/Messages")
        return [*([messages.node] if messages is not None else []), self.instance.node, _SERVER]

    def notice(self, notice: Notice) -> Event:
        """Write an event without state to the ledger; the caller emits it."""
        type_id = self._type(notice.type)
        fields = self._head(type_id, notice.source, notice.message, notice.severity, notice.time)
        self._add(fields, type_id, notice.fields, notice.source)
        return self._recorded(type_id, notice.source, notice.time, fields)

    def condition(self, condition: Condition) -> Event:
        """Write a condition's new state to the ledger and keep it; the caller emits it."""
        type_id = self._type(condition.type)
        node = ua.NodeId(f"{self.instance.machine.name}//conditions/{condition.name}", self.instance.namespace)
        fields = self._head(type_id, condition.source, condition.message, condition.severity, condition.time)
        time = fields["Time"]
        known = self.conditions.get(condition.name)
        severity = known.condition.severity if known is not None else condition.severity
        comment = (
            ua.LocalizedText(condition.comment, "en") if condition.comment is not None else ua.LocalizedText("", "en")
        )
        fields |= {
            "ConditionId": ua.Variant(node, ua.VariantType.NodeId),
            "ConditionClassId": ua.Variant(_CONDITION_CLASS, ua.VariantType.NodeId),
            "ConditionClassName": _text("BaseConditionClassType"),
            "ConditionName": ua.Variant(condition.name, ua.VariantType.String),
            "BranchId": ua.Variant(ua.NodeId(), ua.VariantType.NodeId),
            "Retain": ua.Variant(condition.retain, ua.VariantType.Boolean),
            "Quality": ua.Variant(ua.StatusCode(), ua.VariantType.StatusCode),
            "Quality/SourceTimestamp": time,
            "LastSeverity": ua.Variant(severity, ua.VariantType.UInt16),
            "LastSeverity/SourceTimestamp": time,
            "Comment": ua.Variant(comment, ua.VariantType.LocalizedText),
            "Comment/SourceTimestamp": time,
            "ClientUserId": ua.Variant("", ua.VariantType.String),
        }
        fields |= _two_state("EnabledState", on=True)
        if self.space.is_subtype(type_id, _ACKNOWLEDGEABLE):
            fields |= _two_state("AckedState", on=condition.acked)
        if self.space.is_subtype(type_id, _ALARM):
            fields |= _two_state("ActiveState", on=condition.active)
            fields["InputNode"] = ua.Variant(ua.NodeId(), ua.VariantType.NodeId)
            fields["SuppressedOrShelved"] = ua.Variant(False, ua.VariantType.Boolean)
        self._add(fields, type_id, condition.fields, condition.source)
        event = self._recorded(type_id, condition.source, condition.time, fields)
        self.conditions[condition.name] = Kept(condition, event, node)
        return event

    async def emit(self, event: Event) -> None:
        """Give an event to all who subscribed to Messages, the machine or the Server."""
        for node in self.emitters():
            await self.service.trigger_event(event.at(node))

    def retained(self) -> list[Event]:
        """The last events of all conditions that are of interest, for ConditionRefresh."""
        return [kept.event for kept in self.conditions.values() if kept.condition.retain]

    def by_node(self, node: Id) -> Kept | None:
        """The condition with this ConditionId."""
        return next((kept for kept in self.conditions.values() if kept.node == node), None)

    def _type(self, name: str) -> Id:
        """The concrete event type of this name: an abstract one gets a subtype in the machine's namespace."""
        type_id = self.types.named(name)
        if not self.space.attribute(type_id, ua.AttributeIds.IsAbstract):
            return type_id
        if type_id not in self._concrete:
            made = ua.NodeId(f"types/{name}", self.instance.namespace)
            if not self.space.exists(made):
                self.space.add_object_type(made, type_id, ua.QualifiedName(name, self.instance.namespace))
            self._concrete[type_id] = made
        return self._concrete[type_id]

    def _head(self, type_id: Id, source: str, message: Localized, severity: int, time: int) -> dict[str, ua.Variant]:
        entry = self.instance.entries.get(source)
        if entry is None:
            raise ValueError(f"an event names the source {source!r}, the machine has no such object")
        moment = ua.Variant(datetime_from_ticks(time), ua.VariantType.DateTime)
        name = self.space.browse_name(entry.node).Name
        return {
            "EventId": ua.Variant(secrets.token_bytes(16), ua.VariantType.ByteString),
            "EventType": ua.Variant(type_id, ua.VariantType.NodeId),
            "SourceNode": ua.Variant(entry.node, ua.VariantType.NodeId),
            "SourceName": ua.Variant(name, ua.VariantType.String),
            "Time": moment,
            "ReceiveTime": moment,
            "Message": ua.Variant(ua.LocalizedText(message.text, message.locale), ua.VariantType.LocalizedText),
            "Severity": ua.Variant(severity, ua.VariantType.UInt16),
        }

    def _add(self, fields: dict[str, ua.Variant], type_id: Id, given: Mapping[str, Any], source: str) -> None:
        """Add the model's fields, typed as the event type declares them, and neutral ones for mandatory others."""
        declared = self._fields(type_id)
        for name, value in given.items():
            if isinstance(value, State):
                fields |= self._state(name, value, source)
                continue
            data_type, rank = declared.get(name, (_ANY, -1))
            fields[name] = self.values.variant(value, data_type, rank)
        for name, (data_type, rank) in declared.items():
            if name not in fields:
                fields[name] = ua.Variant(None) if data_type == _ANY else self.values.neutral(data_type, rank)

    def _state(self, name: str, state: State, source: str) -> dict[str, ua.Variant]:
        """A field Transition, FromState or ToState with its Id and Number."""
        fields = {name: _text(state.name), f"{name}/Number": ua.Variant(state.number, ua.VariantType.UInt32)}
        entry = self.instance.entries[source]
        for node in (entry.node, self.space.child(entry.node, "State")):
            machine = self.space.type_of(node) if node is not None else None
            if machine is not None and self.space.is_subtype(machine, _STATE_MACHINE):
                found = self.types.state(machine, state.name, state.number, transition=name == "Transition")
                if found is not None:
                    fields[f"{name}/Id"] = ua.Variant(found, ua.VariantType.NodeId)
                    break
        return fields

    def _fields(self, type_id: Id) -> dict[str, tuple[Id, int]]:
        """Data types of the mandatory fields (and of their mandatory parts) that an event type declares."""
        if type_id not in self._declared:
            found: dict[str, tuple[Id, int]] = {}
            self._collect(self.types.chain(type_id), "", found)
            self._declared[type_id] = found
        return self._declared[type_id]

    def _collect(self, sources: tuple[Id, ...], prefix: str, found: dict[str, tuple[Id, int]]) -> None:
        for name, declared in self.types.members(sources).items():
            first = declared[0]
            if first.node_class is not ua.NodeClass.Variable or not any(one.mandatory for one in declared):
                continue
            data_type = self.space.attribute(first.node, ua.AttributeIds.DataType)
            rank = int(self.space.attribute(first.node, ua.AttributeIds.ValueRank))
            found[f"{prefix}{name}"] = (data_type, rank)
            self._collect(self.types.sources(declared), f"{prefix}{name}/", found)

    def _recorded(self, type_id: Id, source: str, time: int, fields: dict[str, ua.Variant]) -> Event:
        head = {
            "id": encode_variant(fields["EventId"], self.ledger.uris),
            "type": self.space.browse_name(type_id).Name,
            "type_id": node_id_text(type_id, self.ledger.uris),
            "source": self._shown(source),
            "source_name": fields["SourceName"].Value,
            "time": iso(datetime_from_ticks(time)),
            "severity": fields["Severity"].Value,
            "message": encode_variant(fields["Message"], self.ledger.uris),
        }
        rest = {name: variant for name, variant in fields.items() if name not in _HEAD}
        self.ledger.event(self.instance.uri, head, rest)
        return Event(fields)

    def _shown(self, source: str) -> str:
        return self.instance.shown_objects.get(self.instance.entries[source].node, source)


def _text(text: str) -> ua.Variant:
    return ua.Variant(ua.LocalizedText(text, "en"), ua.VariantType.LocalizedText)


def _two_state(name: str, *, on: bool) -> dict[str, ua.Variant]:
    return {name: _text(_STATES[name][on]), f"{name}/Id": ua.Variant(on, ua.VariantType.Boolean)}


def plain_event(event_type: int, message: str, time: int) -> Event:
    """An event of the server itself, of a type of namespace 0."""
    moment = ua.Variant(datetime_from_ticks(time), ua.VariantType.DateTime)
    return Event(
        {
            "EventId": ua.Variant(secrets.token_bytes(16), ua.VariantType.ByteString),
            "EventType": ua.Variant(ua.NodeId(event_type), ua.VariantType.NodeId),
            "SourceNode": ua.Variant(_SERVER, ua.VariantType.NodeId),
            "SourceName": ua.Variant("Server", ua.VariantType.String),
            "Time": moment,
            "ReceiveTime": moment,
            "Message": _text(message),
            "Severity": ua.Variant(1, ua.VariantType.UInt16),
        }
    )
