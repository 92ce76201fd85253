"""Events and alarms: what is subscribed, and how a notification becomes an event of a machine.

Every machine that is an event notifier gets a monitored item of its own; one item on the Server object brings the
events of all other machines and the changes of the address space. The names of SourceNode, ConditionId and EventType
are looked up here; no NodeId leaves.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from asyncua import Client, ua
from asyncua.ua.uaerrors import UaStatusCodeError

from adapters.opcua.browse import Reader
from adapters.opcua.conditions import ConditionBook
from adapters.opcua.eventtypes import CONDITION_ID, Clause, EventTypes, load_event_types
from adapters.opcua.forms import DecodeError
from adapters.opcua.namespaces import Namespaces
from adapters.opcua.plan import MachinePlan
from adapters.opcua.types import TypeSpace
from adapters.opcua.values import Values
from gateway.model import ConditionState, Event, EventBody, JsonValue, LocalizedText
from gateway.model.values import json_text

SERVER = ua.NodeId(ua.ObjectIds.Server)
_REFRESH_START = ua.NodeId(ua.ObjectIds.RefreshStartEventType)
_REFRESH_END = ua.NodeId(ua.ObjectIds.RefreshEndEventType)
_REFRESH_REQUIRED = ua.NodeId(ua.ObjectIds.RefreshRequiredEventType)
_OVERFLOW = ua.NodeId(ua.ObjectIds.EventQueueOverflowEventType)
_MODEL_CHANGES = (
    ua.NodeId(ua.ObjectIds.BaseModelChangeEventType),
    ua.NodeId(ua.ObjectIds.SemanticChangeEventType),
)
_NOT_FIELDS = frozenset({
    "EventId", "EventType", "SourceNode", "SourceName", "Time", "Message", "Severity", CONDITION_ID,
    "ConditionName", "BranchId", "Retain", "Comment",
})  # fmt: skip
"""What has a place of its own in the message."""

_GONE = frozenset({ua.StatusCodes.BadNothingToDo, ua.StatusCodes.BadRefreshInProgress})


@dataclass(frozen=True, slots=True)
class EventItem:
    """One monitored item for events: the notifier, and the machine that it belongs to (None: the Server object)."""

    node: ua.NodeId
    machine: str | None


@dataclass(slots=True)
class Reading:
    """What a notification of events brought.

    Attributes:
        events: Events of machines, in order.
        rediscover: The address space changed, or a type is unknown; the server must be looked at again.
        refresh: The server asks for a ConditionRefresh.
        problems: Events that could not be understood, one sentence each.
        overflowed: Machines of which the server dropped events, its queue being full.
    """

    events: list[Event] = field(default_factory=list)
    rediscover: bool = False
    refresh: bool = False
    problems: list[str] = field(default_factory=list)
    overflowed: set[str] = field(default_factory=set)


class EventReader:
    """Reads the events of one connection; `items` and `event_filter` say what to subscribe."""

    def __init__(
        self,
        kinds: EventTypes,
        namespaces: Namespaces,
        values: Values,
        machines: Sequence[MachinePlan],
        book: ConditionBook,
    ) -> None:
        self._kinds = kinds
        self._namespaces = namespaces
        self._values = values
        self._book = book
        self._clauses: tuple[Clause, ...] = kinds.clauses
        self._places: dict[ua.NodeId, tuple[str, str]] = {}
        self._by_server = {plan.description.id for plan in machines if plan.notifier in (None, SERVER)}
        for plan in machines:
            self._place(plan)
        own = [plan for plan in machines if plan.notifier not in (None, SERVER)]
        self.items = [EventItem(SERVER, None), *(EventItem(plan.node, plan.description.id) for plan in own)]

    def event_filter(self, *, reduced: bool = False) -> ua.EventFilter:
        """The filter of all items; `reduced` for a server that refused the full one. Decides how answers are read."""
        self._clauses = self._kinds.base if reduced else self._kinds.clauses
        return ua.EventFilter(SelectClauses=[clause.operand() for clause in self._clauses])

    def read(self, item: EventItem, fields: Sequence[ua.Variant], reading: Reading) -> None:
        """One event of an item; its outcome is added to `reading`."""
        found = {
            clause.name: variant.Value
            for clause, variant in zip(self._clauses, fields, strict=False)
            if variant.Value is not None
        }
        kind = found.get("EventType")
        if kind is None:
            reading.problems.append("an event without EventType was left out")
            return
        try:
            if self._of_subscription(item, kind, found, reading) or self._of_server(item, kind, reading):
                return
            event = self._event(item, kind, found, reading)
        except (DecodeError, TypeError, ValueError) as fault:
            reading.problems.append(f"an event of type {self._kinds.name(kind)} could not be read: {fault}")
            return
        if event is not None:
            self._book.take(event)
            reading.events.append(event)

    def _of_subscription(self, item: EventItem, kind: ua.NodeId, found: Mapping[str, Any], reading: Reading) -> bool:
        """Whether the event speaks of this item: of a refresh of it, or of its queue."""
        machines = self._by_server if item.machine is None else {item.machine}
        if kind == _REFRESH_START:
            self._book.begin_refresh(machines)
        elif kind == _REFRESH_END:
            reading.events += self._book.end_refresh(machines, self._time(found))
        elif kind == _REFRESH_REQUIRED:
            reading.refresh = True
        elif kind == _OVERFLOW:
            reading.overflowed |= machines
            reading.refresh = True  # the states of alarms can be had again, what happened in between not
        else:
            return False
        return True

    def _of_server(self, item: EventItem, kind: ua.NodeId, reading: Reading) -> bool:
        """Whether the event speaks of the address space."""
        if item.machine is not None or not any(self._kinds.types.is_subtype(kind, one) for one in _MODEL_CHANGES):
            return False
        reading.rediscover = True
        return True

    def _event(self, item: EventItem, kind: ua.NodeId, found: Mapping[str, Any], reading: Reading) -> Event | None:
        """The event of a machine; None when it is of none, or comes by the machine's own item too."""
        place = self._places.get(found.get("SourceNode"))
        machine = item.machine or (place[0] if place else None)
        if machine is None or (item.machine is None and machine not in self._by_server):
            return None
        reading.rediscover |= not self._kinds.known(kind)
        condition = self._condition(kind, found)
        body = EventBody(
            id=base64.b64encode(found.get("EventId") or b"").decode(),
            type=self._kinds.name(kind),
            type_id=self._namespaces.semantic(kind),
            source=place[1] if place and place[0] == machine else None,
            source_name=_text(found.get("SourceName")),
            time=self._time(found),
            severity=int(found.get("Severity", 0)),
            message=_localized(found.get("Message")),
            condition=condition,
            refresh=self._book.refreshing(machine) and condition is not None,
            fields=self._fields(found),
        )
        return Event(machine, body)

    def _condition(self, kind: ua.NodeId, found: Mapping[str, Any]) -> ConditionState | None:
        node = found.get(CONDITION_ID)
        if kind not in self._kinds.conditions and (node is None or node.is_null()):
            return None
        key = self._namespaces.node_text(node) if node is not None else str(found.get("ConditionName"))
        branch = found.get("BranchId")
        return ConditionState(
            id=_digest(key),
            name=_text(found.get("ConditionName")),
            enabled=found.get("EnabledState/Id"),
            active=found.get("ActiveState/Id"),
            acked=found.get("AckedState/Id"),
            confirmed=found.get("ConfirmedState/Id"),
            retain=bool(found.get("Retain")),
            branch=None if branch is None or branch.is_null() else _digest(self._namespaces.node_text(branch)),
            comment=_localized(found.get("Comment")),
        )

    def _fields(self, found: Mapping[str, Any]) -> dict[str, JsonValue]:
        return {name: self._values.any(value) for name, value in found.items() if name not in _NOT_FIELDS}

    def _time(self, found: Mapping[str, Any]) -> str | None:
        time = self._values.any(found.get("Time"))
        return time if isinstance(time, str) else None

    def _place(self, plan: MachinePlan) -> None:
        machine = plan.description.id
        for signal in plan.signals:
            self._places[signal.node] = (machine, signal.ref.path)
        for node, path in plan.objects.items():
            self._places[node] = (machine, path)


async def load_events(
    reader: Reader,
    namespaces: Namespaces,
    types: TypeSpace,
    values: Values,
    machines: Sequence[MachinePlan],
    book: ConditionBook,
) -> EventReader:
    """The reader of this connection's events."""
    kinds = await load_event_types(reader, namespaces, types)
    return EventReader(kinds, namespaces, values, machines, book)


async def refresh_conditions(client: Client, subscription: int) -> str | None:
    """Ask for the states of all conditions (OPC 10000-9, 5.5.7); why not, where the server does not tell them."""
    request = ua.CallMethodRequest(
        ObjectId=ua.NodeId(ua.ObjectIds.ConditionType),
        MethodId=ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh),
        InputArguments=[ua.Variant(subscription, ua.VariantType.UInt32)],
    )
    try:
        (result,) = await client.uaclient.call([request])
    except UaStatusCodeError as fault:
        return str(ua.StatusCode(fault.code).name)
    status = result.StatusCode
    return None if status.is_good() or status.value in _GONE else str(status.name)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _text(value: object) -> str | None:
    return json_text(value) if isinstance(value, str) else None


def _localized(value: Any) -> LocalizedText | None:  # noqa: ANN401 - asyncua's LocalizedText is untyped to us
    if not isinstance(value, ua.LocalizedText) or (not value.Text and not value.Locale):
        return None
    return LocalizedText(text=_text(value.Text), locale=_text(value.Locale))
