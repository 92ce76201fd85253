"""Subscriptions whose values are written when they are published, and kept until they are acknowledged."""

# ruff: noqa: ANN401 - asyncua's own objects come without usable annotations
from __future__ import annotations

import asyncio
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import extensionobject_to_binary, struct_from_binary

from simulators.load.changes import Writer
from simulators.opcua.subscriptions import MonitoredItems, Subscription, Subscriptions

if TYPE_CHECKING:
    from simulators.load.server import Source

MOST_VALUES = 20_000
"""Values of one publication; what is beyond goes into the next, at once (MoreNotifications)."""

MOST_UNACKNOWLEDGED = 64 * 1024 * 1024
"""Bytes kept for Republish; beyond, nothing is published until the subscriber acknowledges, and queues overflow."""

_DATA = struct.Struct("<BBHBi")  # NodeId of the encoding, with a body of so many bytes
_HEAD = struct.Struct("<Iqi")  # sequence number, publish time, notifications
_STAMPS = {
    ua.TimestampsToReturn.Source: 1,
    ua.TimestampsToReturn.Both: 2,
    ua.TimestampsToReturn.Server: 1,
    ua.TimestampsToReturn.Neither: 0,
}
"""The server's time is the source time here; who asks for the server's alone gets the source's."""


@dataclass(slots=True)
class Prepared:
    """A NotificationMessage as bytes, and what the rest of its PublishResponse needs."""

    subscription: int
    message: bytes
    values: int
    available: list[int]
    more: bool

    @property
    def NotificationMessage(self) -> ua.NotificationMessage:  # noqa: N802 - asyncua's name, asked for by Republish
        """The message as asyncua's object."""
        return struct_from_binary(ua.NotificationMessage, Buffer(self.message))


class LoadItems(MonitoredItems):
    """Monitored items; those of signals are entries of the subscription's writer."""

    isub: Any

    async def create_monitored_items(self, params: Any) -> Any:
        """Create; what was due before is not for the new items."""
        self._stamps = _STAMPS.get(params.TimestampsToReturn, 1)
        self.isub.flush()
        return await super().create_monitored_items(params)

    async def _create_data_change_monitored_item(self, params: Any) -> Any:
        item = params.ItemToMonitor
        signal = self.isub.source.signals.get(item.NodeId) if item.AttributeId == ua.AttributeIds.Value else None
        if signal is None:
            return await super()._create_data_change_monitored_item(params)
        result, data = self._make_monitored_item_common(params)
        result.RevisedQueueSize = data.queue_size = self.isub.source.queue
        data.signal = signal
        self._commit_monitored_item(result, data)
        await self._switch(data, params.MonitoringMode)
        return result

    async def _switch(self, data: Any, mode: Any) -> None:
        data.mode = mode
        writer = self.isub.writer
        if mode == ua.MonitoringMode.Reporting:
            writer.attach(data.signal, data.client_handle, self._stamps)
            await self.report(data, self.isub.source.value(data.signal, self.isub.told))
        else:
            writer.detach(data.signal)

    async def _set_monitoring_mode(self, mode: Any, mid: int) -> Any:
        data = self._monitored_items.get(mid)
        if data is None or not hasattr(data, "signal"):
            return await super()._set_monitoring_mode(mode, mid)
        if mode != data.mode:
            self.isub.flush()
            await self._switch(data, mode)
        return ua.StatusCode()

    def _modify_monitored_item(self, params: Any) -> Any:
        result = super()._modify_monitored_item(params)
        data = self._monitored_items.get(params.MonitoredItemId)
        if data is not None and hasattr(data, "signal"):
            result.RevisedQueueSize = data.queue_size = self.isub.source.queue
            if data.mode == ua.MonitoringMode.Reporting:
                self.isub.writer.attach(data.signal, data.client_handle, self._stamps)
        return result

    def _delete_monitored_items(self, mid: int) -> Any:
        data = self._monitored_items.get(mid)
        if data is None or not hasattr(data, "signal"):
            return super()._delete_monitored_items(mid)
        self.isub.writer.detach(data.signal)
        del self._monitored_items[mid]
        return ua.StatusCode()

    async def report_current(self) -> None:
        """Queue the current values of all items that report."""
        await super().report_current()
        self.isub.flush()
        for data in list(self._monitored_items.values()):
            if hasattr(data, "signal") and data.mode == ua.MonitoringMode.Reporting:
                await self.report(data, self.isub.source.value(data.signal, self.isub.told))


class LoadSubscription(Subscription):
    """A subscription that writes its values at the moment of publication.

    Nothing is queued: what waits is the range of changes after `told`. Where that is longer than the queues of all
    signals, its oldest part is lost and counted, and the next change of each signal that lost one says so.

    Attributes:
        told: Number of the last change that was published, or lost.
    """

    _notification_seq: int

    def __init__(self, source: Source, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.source = source
        self.writer = Writer(source.kinds)
        self.told = source.schedule.due(source.clock())
        self.monitored_item_srv = LoadItems(self, self.monitored_item_srv.aspace)
        self._flushed: list[Any] = []
        self._kept = 0
        self._waiting_since: float | None = None

    def flush(self) -> None:
        """Write all that is due for the items that there are now."""
        last = self.source.schedule.due(self.source.clock())
        while self.told < last:
            block = self._write(last)
            if block.values:
                self._flushed.append(block)

    def _write(self, last: int) -> Any:
        """The next values, up to the change `last` or as many as go into one publication."""
        schedule, counters = self.source.schedule, self.source.counters
        flagged = range(0)
        room = schedule.signals * self.source.queue
        if last - self.told > room and not schedule.elastic:
            lost_until = last - room
            counters.dropped += (lost := self.writer.count(self.told + 1, lost_until))
            counters.generated += lost
            if self.source.queue > 1:
                flagged = range(max(lost_until, self.told + schedule.signals) + 1, lost_until + schedule.signals + 1)
            self.told = lost_until
        end = min(last, max(self.told + MOST_VALUES, flagged.stop - 1))
        block = self.writer.write(schedule, self.told + 1, end, flagged)
        self.told = end
        counters.generated += block.values
        return block

    @property
    def _blocked(self) -> bool:
        return self._kept > MOST_UNACKNOWLEDGED or len(self._not_acknowledged_results) >= self._no_acks_limit

    def _due(self) -> bool:
        if not self.writer.monitored or not self._publishing_enabled or self._blocked:
            return False
        schedule = self.source.schedule
        return bool(self._flushed) or schedule.elastic or schedule.due(self.source.clock()) > self.told

    def has_published_results(self) -> bool:
        """Whether there is something to publish now."""
        return self._due() or bool(super().has_published_results())

    async def publish_results(self, requestdata: Any = None) -> bool:
        """Publish, and go on while there is more and the subscriber asks for it."""
        sent = consumed = await super().publish_results(requestdata)
        while sent and self._due() and (self.source.schedule.elastic or self._more()):
            await asyncio.sleep(0)
            sent = await super().publish_results()
        now = time.monotonic()
        if sent or not self._due():
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = now
        return bool(consumed)

    def _more(self) -> bool:
        schedule = self.source.schedule
        return bool(self._flushed) or schedule.due(self.source.clock()) - self.told >= MOST_VALUES

    def _pop_publish_result(self) -> Any:
        if self._waiting_since is not None:
            self.source.counters.waited += time.monotonic() - self._waiting_since
            self._waiting_since = None
        if not self._due():
            return super()._pop_publish_result()
        block = self._flushed.pop(0) if self._flushed else self._write(self._take())
        if not block.values:
            return super()._pop_publish_result()
        return self._prepared(block)

    def _take(self) -> int:
        return self.source.schedule.take(self.source.clock())

    def _prepared(self, block: Any) -> Prepared:
        """A publication with these values, after all others that wait."""
        others = ua.PublishResult()
        self._pop_triggered_datachanges(others)
        self._pop_triggered_events(others)
        self._pop_triggered_statuschanges(others)
        self._keep_alive_count = self._publish_cycles_count = 0
        self._startup = False
        number = self._notification_seq
        self._notification_seq = number % 0xFFFF_FFFF + 1
        notifications = [extensionobject_to_binary(one) for one in others.NotificationMessage.NotificationData]
        head = _HEAD.pack(number, self.source.clock(), len(notifications) + 1)
        encoding = ua.ObjectIds.DataChangeNotification_Encoding_DefaultBinary
        data = _DATA.pack(1, 0, encoding, 1, len(block.body))
        message = b"".join((head, *notifications, data, block.body))
        made = Prepared(self.data.SubscriptionId, message, block.values, [], more=self._more())
        self._not_acknowledged_results[number] = made
        made.available = list(self._not_acknowledged_results)
        self._kept += len(message)
        self.source.counters.sent += block.values
        self.source.counters.publications += 1
        return made

    def acknowledge(self, number: int) -> ua.StatusCode:
        """The client has stored this message."""
        found = self._not_acknowledged_results.get(number)
        if isinstance(found, Prepared):
            self._kept -= len(found.message)
            self.source.counters.acknowledged += found.values
        return super().acknowledge(number)

    async def _subscription_loop(self) -> None:
        period = self.data.RevisedPublishingInterval / 1000
        due = time.monotonic()
        while not self._closing:
            self.source.counters.cycle(time.monotonic() - due, period)
            await self.publish_results()
            due = max(due + period, time.monotonic() - period)
            await asyncio.sleep(max(0.0, due - time.monotonic()))


class LoadSubscriptions(Subscriptions):
    """All subscriptions of a load server."""

    iserver: Any

    def make(self, *args: Any, **kwargs: Any) -> Subscription:
        """A subscription of our kind."""
        return LoadSubscription(self.iserver.source, *args, **kwargs)
