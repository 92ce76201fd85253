"""The subscription of one connection: created, filled within the server's limits, kept equal to the plan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from asyncua import ua

from adapters.opcua.config import OpcUaConfig
from adapters.opcua.connection import Connection, stage
from adapters.opcua.dispatch import Dispatcher, Item
from adapters.opcua.events import EventItem, EventReader
from adapters.opcua.plan import MachinePlan, SignalPlan
from adapters.opcua.settings import ItemSettings, settings_of
from gateway.errors import UnreachableError

FIRST_EVENT_HANDLE = 0x4000_0000
"""Client handles of event items; those of values are below."""

EVENT_QUEUE = 1000
"""Events of one notifier that the server keeps between two publications."""

_FILTER_REFUSED = frozenset({
    ua.StatusCodes.BadFilterNotAllowed, ua.StatusCodes.BadMonitoredItemFilterUnsupported,
    ua.StatusCodes.BadMonitoredItemFilterInvalid, ua.StatusCodes.BadDeadbandFilterInvalid,
})  # fmt: skip
_TOO_MANY = frozenset({
    ua.StatusCodes.BadTooManyOperations, ua.StatusCodes.BadRequestTooLarge, ua.StatusCodes.BadResponseTooLarge,
    ua.StatusCodes.BadEncodingLimitsExceeded, ua.StatusCodes.BadTcpMessageTooLarge,
})  # fmt: skip
_FATAL = frozenset({
    ua.StatusCodes.BadSubscriptionIdInvalid, ua.StatusCodes.BadSessionIdInvalid, ua.StatusCodes.BadSessionClosed,
    ua.StatusCodes.BadTimeout, ua.StatusCodes.BadSecureChannelClosed,
})  # fmt: skip


@dataclass(slots=True)
class Wish:
    """One signal to monitor, under its client handle."""

    machine: MachinePlan
    plan: SignalPlan
    settings: ItemSettings
    handle: int = -1


@dataclass(frozen=True, slots=True)
class EventHandle:
    """A monitored item for events, under its client handle."""

    handle: int
    number: int
    reader: EventReader
    item: EventItem
    reduced: bool = False


@dataclass(slots=True)
class Subscription:
    """A subscription at the server and its monitored items.

    Attributes:
        interval: Publishing interval in seconds, as the server revised it.
        keep_alive: Seconds after which the server speaks at the latest.
        refused: Why a signal is not monitored, by machine and path.
        short_queues: Signals whose queue the server made smaller than asked, with its size.
        notes: Sentences about what the server made differently.
    """

    connection: Connection
    id: int
    interval: float
    keep_alive: float
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    short_queues: dict[tuple[str, str], int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _per_call: int = 1000

    async def add(self, wishes: Sequence[Wish], dispatcher: Dispatcher) -> None:
        """Monitor these; what the server refuses is in `refused` and takes no other with it."""
        self._per_call = min(self._per_call, self.connection.limits.monitored_items_per_call)
        position = 0
        while position < len(wishes):
            part = wishes[position : position + self._per_call]
            results = await self._create([one.settings.request(one.plan, one.handle) for one in part])
            if results is None:
                continue  # again in smaller parts
            position += len(part)
            for wish, result in zip(part, results, strict=True):
                checked = await self._without_filter(wish) if result.StatusCode.value in _FILTER_REFUSED else result
                self._created(wish, checked, dispatcher)

    async def _create(
        self, requests: Sequence[ua.MonitoredItemCreateRequest]
    ) -> Sequence[ua.MonitoredItemCreateResult] | None:
        """Results for all of them; None if the server wants fewer at once."""
        parameters = ua.CreateMonitoredItemsParameters(
            SubscriptionId=self.id, TimestampsToReturn=ua.TimestampsToReturn.Source, ItemsToCreate=list(requests)
        )
        try:
            results = await self.connection.client.uaclient.create_monitored_items(parameters)
        except ua.UaStatusCodeError as problem:
            if problem.code in _FATAL:
                raise
            if len(requests) > 1:
                self._per_call = len(requests) // 2 if problem.code in _TOO_MANY else 1
                return None
            return [_result(problem.code)]
        if len(results) != len(requests):
            raise UnreachableError(
                f"{self.connection.config.url} answered {len(results)} results for {len(requests)} monitored items.",
                advice="The server is faulty; look for an update of it.",
            )
        return list(results)

    async def _without_filter(self, wish: Wish) -> ua.MonitoredItemCreateResult:
        """The server takes no deadband for this signal: every change then, which is more, not less."""
        results = await self._create([wish.settings.request(wish.plan, wish.handle, filtered=False)])
        self.notes.append(f"{wish.plan.ref.path}: the server takes no deadband; every change is read")
        return results[0] if results else _result(ua.StatusCodes.BadFilterNotAllowed)

    def _created(self, wish: Wish, result: ua.MonitoredItemCreateResult, dispatcher: Dispatcher) -> None:
        machine = wish.machine.description.id
        key = (machine, wish.plan.ref.path)
        if not result.StatusCode.is_good():
            self.refused[key] = str(result.StatusCode.name)
            return
        self.refused.pop(key, None)
        item = Item(wish.plan, dispatcher.bucket(machine))
        item.number = result.MonitoredItemId
        while len(dispatcher.items) <= wish.handle:
            dispatcher.items.append(None)
        dispatcher.items[wish.handle] = item
        if result.RevisedQueueSize < wish.settings.queue:
            self.short_queues[key] = result.RevisedQueueSize

    async def remove(self, handles: Sequence[int], dispatcher: Dispatcher) -> None:
        """Monitor these no longer."""
        items = [(handle, item) for handle in handles if (item := dispatcher.items[handle]) is not None]
        size = min(self._per_call, self.connection.limits.monitored_items_per_call)
        for start in range(0, len(items), size):
            await self._delete([item.number for _, item in items[start : start + size]])
        for handle, _ in items:
            dispatcher.items[handle] = None

    async def add_events(self, reader: EventReader, first_handle: int) -> tuple[list[EventHandle], dict[str, str]]:
        """Monitor the events of all notifiers: what was accepted, and why others were not, by machine."""
        accepted: list[EventHandle] = []
        refused: dict[str, str] = {}
        reduced = False
        for handle, item in enumerate(reader.items, first_handle):
            result = await self._create_event(reader, item, handle, reduced=reduced)
            if not result.StatusCode.is_good() and not accepted and not reduced:  # all items share one filter
                result = await self._create_event(reader, item, handle, reduced=True)
                reduced = bool(result.StatusCode.is_good())
                if reduced:
                    self.notes.append("events: the server refused the full filter; only the standard fields are read")
            if result.StatusCode.is_good():
                accepted.append(EventHandle(handle, result.MonitoredItemId, reader, item, reduced))
            else:
                refused[item.machine or "Server"] = str(result.StatusCode.name)
        return accepted, refused

    async def remove_events(self, handles: Sequence[EventHandle]) -> None:
        """Monitor these no longer."""
        await self._delete([one.number for one in handles])

    async def _delete(self, numbers: Sequence[int]) -> None:
        known = [number for number in numbers if number]  # 0: of a resumed subscription, not stored
        if known:
            parameters = ua.DeleteMonitoredItemsParameters(SubscriptionId=self.id, MonitoredItemIds=known)
            await self.connection.client.uaclient.delete_monitored_items(parameters)

    async def _create_event(
        self, reader: EventReader, item: EventItem, handle: int, *, reduced: bool
    ) -> ua.MonitoredItemCreateResult:
        request = ua.MonitoredItemCreateRequest(
            ItemToMonitor=ua.ReadValueId(NodeId=item.node, AttributeId=ua.AttributeIds.EventNotifier),
            MonitoringMode=ua.MonitoringMode.Reporting,
            RequestedParameters=ua.MonitoringParameters(
                ClientHandle=handle,
                Filter=reader.event_filter(reduced=reduced),
                QueueSize=EVENT_QUEUE,
                DiscardOldest=True,
            ),
        )
        results = await self._create([request])
        return results[0] if results else _result(ua.StatusCodes.BadUnexpectedError)


async def create_subscription(connection: Connection) -> Subscription:
    """A new, empty subscription; the server's revised values are the ones that count.

    Raises:
        UnreachableError: The server did not create it.
    """
    wanted = connection.config.subscription
    interval = wanted.publishing_interval
    keep_alive = max(1, round(wanted.keep_alive / interval))
    request = ua.CreateSubscriptionRequest()
    request.Parameters = ua.CreateSubscriptionParameters(
        RequestedPublishingInterval=interval * 1000,
        RequestedLifetimeCount=max(3 * keep_alive, math.ceil(wanted.lifetime / interval)),
        RequestedMaxKeepAliveCount=keep_alive,
        MaxNotificationsPerPublish=0,
        PublishingEnabled=True,
        Priority=0,
    )
    with stage(connection.config.url, "subscribe"):
        body = await connection.client.uaclient.session._send_request(request)
        response = ua.ua_binary.struct_from_binary(ua.CreateSubscriptionResponse, body)
        response.ResponseHeader.ServiceResult.check()
    revised = response.Parameters
    seconds = max(revised.RevisedPublishingInterval / 1000, 0.001)
    return Subscription(
        connection,
        revised.SubscriptionId,
        seconds,
        max(1, revised.RevisedMaxKeepAliveCount) * seconds,
        _per_call=connection.limits.monitored_items_per_call,
    )


def wishes_of(config: OpcUaConfig, machines: Sequence[MachinePlan]) -> list[Wish]:
    """All signals that are to be monitored, in the order of the plan; their client handles are given later."""
    wishes: list[Wish] = []
    for machine in machines:
        for plan in machine.signals:
            settings = settings_of(config, machine, plan)
            if settings is not None:
                wishes.append(Wish(machine, plan, settings))
    return wishes


def _result(code: int) -> ua.MonitoredItemCreateResult:
    return ua.MonitoredItemCreateResult(StatusCode=ua.StatusCode(code))
