"""Watches all variables of the machines and the events of the server for a while."""

# ruff: noqa: ANN401 - asyncua's structures come without usable annotations
from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from asyncua import ua

from conformance.device.access import Limits
from conformance.device.behaviour.observation import Event, Observation, Seen
from conformance.device.prober import Prober
from conformance.device.snapshot import Snapshot
from conformance.device.values import Names
from conformance.device.wire.errors import Silent
from conformance.device.wire.feed import Feed, Message, item

MOST = 3_000
"""Variables that are watched."""
_CALL = 200
_QUEUE = 50
_LIMIT = ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall
_KEPT = 100_000
_BASE = ua.NodeId(ua.ObjectIds.BaseEventType)
_CONDITION = ua.NodeId(ua.ObjectIds.ConditionType)
_ACKNOWLEDGEABLE = ua.NodeId(ua.ObjectIds.AcknowledgeableConditionType)
_ALARM = ua.NodeId(ua.ObjectIds.AlarmConditionType)
FIELDS: tuple[tuple[Any, str], ...] = (
    *((_BASE, name) for name in ("EventId", "EventType", "SourceNode", "SourceName", "Time", "ReceiveTime", "Message")),
    (_BASE, "Severity"),
    (_CONDITION, "ConditionName"),
    (_CONDITION, "Retain"),
    (_CONDITION, "Quality"),
    (_CONDITION, "Comment"),
    (_ACKNOWLEDGEABLE, "AckedState/Id"),
    (_ALARM, "ActiveState/Id"),
)
"""What is asked of every event: type that declares it, and path."""


def event_filter() -> Any:
    """Select clauses for `FIELDS`."""
    made = ua.EventFilter()
    for kind, path in FIELDS:
        clause = ua.SimpleAttributeOperand()
        clause.TypeDefinitionId, clause.AttributeId = kind, ua.AttributeIds.Value
        clause.BrowsePath = [ua.QualifiedName(name, 0) for name in path.split("/")]
        made.SelectClauses.append(clause)
    return made


async def observe(prober: Prober, snapshot: Snapshot, seconds: float) -> Observation:
    """Watch for this long, on a session of its own.

    Raises:
        TargetError: The device does not let itself be watched.
    """
    recorder = _Recorder(snapshot)
    async with prober.session() as session:
        table, limit = await session.read(ua.ObjectIds.Server_NamespaceArray, _LIMIT)
        uris = table.Value.Value if table.Value is not None else []
        recorder.names = Names(uris if isinstance(uris, list) else [], Limits())
        most = limit.Value.Value if limit.Value is not None else None
        recorder.most = min(_CALL, most) if isinstance(most, int) and most > 0 else _CALL
        feed = await Feed(session).create(interval=100.0, alive=10)
        await recorder.subscribe(feed)
        await recorder.record(feed, seconds)
    return recorder.observation()


class _Recorder:
    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.names = Names([], Limits())
        self.nodes: list[str] = []
        self.values: list[Seen] = []
        self.events: list[Event] = []
        self.missed = ""
        self.most = _CALL

    async def subscribe(self, feed: Feed) -> None:
        """Events first, then the variables."""
        server = ua.NodeId(ua.ObjectIds.Server)
        watch = item(server, 0, queue=1_000, attribute=ua.AttributeIds.EventNotifier, events=event_filter())
        await feed.monitor([watch])
        self.nodes = sorted({one.id for one in self.snapshot.variables})[:MOST]
        numbered = list(enumerate(self.nodes, 1))
        for start in range(0, len(numbered), self.most):
            chunk = numbered[start : start + self.most]
            await feed.monitor([item(self.names.node(node), at, queue=_QUEUE, sampling=0.0) for at, node in chunk])

    async def record(self, feed: Feed, seconds: float) -> None:
        """Take messages until the time is over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        done: tuple[int, ...] = ()
        while loop.time() < end and len(self.values) + len(self.events) < _KEPT:
            try:
                found = await feed.publish(*done)
            except Silent as silence:
                self.missed = str(silence)
                return
            done = () if found.empty else (found.number,)
            self.take(found)

    def take(self, found: Message) -> None:
        """Keep what is in a message."""
        now = datetime.now(UTC)
        for handle, value in found.values:
            if 1 <= handle <= len(self.nodes):
                self.values.append(Seen(self.nodes[handle - 1], self.names.reading(value), now))
        for _, fields in found.events:
            named = {path: self.names.plain(one) for (_, path), one in zip(FIELDS, fields or (), strict=False)}
            self.events.append(Event(named, now))

    def observation(self) -> Observation:
        """All of it."""
        return Observation(self.snapshot, tuple(self.values), tuple(self.events), self.missed)
