"""Subscriptions whose losses can be seen, that survive their client and go to its successor (see `mended`)."""

# ruff: noqa: ANN401 - asyncua's own objects come without usable annotations
from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from asyncua import ua
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.monitored_item_service import MonitoredItemService, WhereClauseEvaluator
from asyncua.server.subscription_service import SubscriptionService

from simulators.opcua.services import CHANNEL, fault, stamped
from simulators.opcua.space import Id

_OVERFLOW = 0x0480
"""InfoType DataValue with the bit Overflow (OPC 10000-4, 7.39.1)."""


class Where(WhereClauseEvaluator):
    """A where-clause in which OfType includes subtypes."""

    def _eval_el(self, index: int, event: Any) -> Any:
        element = self.elements[index]
        if element.FilterOperator != ua.FilterOperator.OfType:
            return super()._eval_el(index, event)
        wanted = self._eval_op(element.FilterOperands[0], event)
        current = event.EventType
        while current is not None:
            if current == wanted:
                return True
            node = self._aspace.get(current)
            current = next(
                (
                    found.NodeId
                    for found in (node.references if node is not None else ())
                    if not found.IsForward and found.ReferenceTypeId == ua.NodeId(ua.ObjectIds.HasSubtype)
                ),
                None,
            )
        return False


class MonitoredItems(MonitoredItemService):
    """The monitored items of a subscription."""

    _times: Any = ua.TimestampsToReturn.Both

    async def create_monitored_items(self, params: Any) -> Any:
        """Create items, which report with the timestamps that are asked for."""
        self._times = params.TimestampsToReturn
        return await super().create_monitored_items(params)

    def _make_monitored_item_common(self, params: Any) -> Any:
        result, data = super()._make_monitored_item_common(params)
        wanted = params.RequestedParameters
        data.discard_oldest = wanted.DiscardOldest
        data.reported = None
        data.times = self._times
        if wanted.QueueSize == 0 and params.ItemToMonitor.AttributeId != ua.AttributeIds.EventNotifier:
            result.RevisedQueueSize = data.queue_size = 1
        if wanted.SamplingInterval >= 0:
            result.RevisedSamplingInterval = wanted.SamplingInterval
        return result, data

    def _modify_monitored_item(self, params: Any) -> Any:
        data = self._monitored_items.get(params.MonitoredItemId)
        if data is None:
            return ua.MonitoredItemModifyResult(StatusCode=ua.StatusCode(ua.StatusCodes.BadMonitoredItemIdInvalid))
        result = super()._modify_monitored_item(params)
        wanted = params.RequestedParameters
        data.client_handle, data.discard_oldest = wanted.ClientHandle, wanted.DiscardOldest
        events = data.read_value_id.AttributeId == ua.AttributeIds.EventNotifier
        revised = 1 if wanted.QueueSize == 0 and not events else self._revise_queue_size(wanted.QueueSize)
        result.RevisedQueueSize = data.queue_size = revised
        if wanted.SamplingInterval < 0:
            result.RevisedSamplingInterval = self.isub.data.RevisedPublishingInterval
        return result

    def _create_events_monitored_item(self, params: Any) -> Any:
        result = super()._create_events_monitored_item(params)
        data = self._monitored_items.get(result.MonitoredItemId)
        if data is not None:
            data.where_clause_evaluator = Where(self.logger, self.aspace, data.filter.WhereClause)
        return result

    async def datachange_callback(self, handle: int, value: ua.DataValue, error: ua.StatusCode | None = None) -> None:
        """A monitored variable was written."""
        if error is not None:
            await super().datachange_callback(handle, value, error)
            return
        data = self._monitored_items[self._monitored_datachange[handle]]
        if data.mode == ua.MonitoringMode.Disabled:
            return
        data.mvalue.old_dvalue, data.mvalue.current_dvalue = data.reported, value
        trigger = data.filter.Trigger if data.filter else ua.DataChangeTrigger.StatusValue
        if not self._is_data_changed(data.mvalue, trigger):
            return
        if data.filter and value.StatusCode.is_good() and not self._is_deadband_exceeded(data.mvalue, data.filter):
            return
        data.reported = value
        await self.report(data, value)

    async def report(self, data: Any, value: ua.DataValue) -> None:
        """Queue a value for the client."""
        note = ua.MonitoredItemNotification(data.client_handle, stamped(value, data.times))
        await self.isub.enqueue_datachange_event(data.monitored_item_id, note, data.queue_size)

    async def report_current(self) -> None:
        """Queue the current values of all items that report."""
        for data in list(self._monitored_items.values()):
            if data.callback_handle is not None and data.mode == ua.MonitoringMode.Reporting:
                item = data.read_value_id
                await self.report(data, self.aspace.read_attribute_value(item.NodeId, item.AttributeId))


class Subscription(InternalSubscription):
    """A subscription whose losses can be seen."""

    items: type[MonitoredItems] = MonitoredItems
    _task: Any
    monitored_item_srv: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.monitored_item_srv = self.items(self, self.monitored_item_srv.aspace)

    async def _enqueue_event(self, mid: int, eventdata: Any, size: int, queue: dict[int, list[Any]]) -> None:
        waiting = queue.get(mid)
        if waiting is None or size == 0 or len(waiting) < size:
            await super()._enqueue_event(mid, eventdata, size, queue)
            return
        item = self.monitored_item_srv._monitored_items.get(mid)
        keep_newest = item is None or item.discard_oldest
        if keep_newest:
            waiting.pop(0)
            waiting.append(eventdata)
        else:
            waiting[-1] = eventdata
        if size > 1 and isinstance(eventdata, ua.MonitoredItemNotification):
            at = 0 if keep_newest else -1
            waiting[at] = _overflowed(waiting[at])

    def restart(self) -> None:
        """Publish at the interval that was agreed upon anew."""
        self._publish_cycles_count = 0
        if self._task is not None:
            self._task.cancel()
            self._task = asyncio.create_task(self._subscription_loop(), name=f"subscription {self.data.SubscriptionId}")

    def acknowledge(self, number: int) -> ua.StatusCode:
        """The client has stored this message."""
        if self._not_acknowledged_results.pop(number, None) is None:
            return ua.StatusCode(ua.StatusCodes.BadSequenceNumberUnknown)
        return ua.StatusCode()

    def republish(self, nb: int) -> ua.NotificationMessage:
        """The message again; it stays until it is acknowledged."""
        self._publish_cycles_count = 0
        if nb not in self._not_acknowledged_results:
            raise fault("BadMessageNotAvailable")
        return self._not_acknowledged_results[nb].NotificationMessage


def _overflowed(note: ua.MonitoredItemNotification) -> ua.MonitoredItemNotification:
    status = ua.StatusCode(note.Value.StatusCode.value | _OVERFLOW)
    return ua.MonitoredItemNotification(note.ClientHandle, dataclasses.replace(note.Value, StatusCode=status))


class Subscriptions(SubscriptionService):
    """All subscriptions of the server."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.owners: dict[int, bytes | None] = {}

    async def create_subscription(
        self, params: Any, callback: Any, session_id: Id, request_callback: Any = None
    ) -> Any:
        """Create a subscription of our class, revised as asyncua does."""
        iserver = self.iserver
        if len(self.subscriptions) >= iserver.max_subscriptions:
            raise fault("BadTooManySubscriptions")
        result = ua.CreateSubscriptionResult()
        self._revise(params, result)
        self._sub_id_counter += 1
        number = result.SubscriptionId = self._sub_id_counter
        made = self.make(
            result, self.aspace, callback, session_id, request_callback=request_callback,
            delete_callback=lambda: self.subscriptions.pop(number, None),
            no_acks_limit=iserver.max_unacked_messages_per_subscription,
            max_queue_size=iserver.max_monitored_item_queue_size, publishing_enabled=params.PublishingEnabled,
        )  # fmt: skip
        channel = CHANNEL.get(None)
        made.owner = channel.session.user_key() if channel is not None and channel.session is not None else None
        await made.start()
        self.subscriptions[number] = made
        return result

    def make(self, *args: Any, **kwargs: Any) -> Subscription:
        """A subscription object; servers of other kinds have theirs."""
        return Subscription(*args, **kwargs)

    def modify_subscription(self, params: ua.ModifySubscriptionParameters) -> ua.ModifySubscriptionResult:
        """Change the intervals of a subscription (OPC 10000-4, 5.14.3)."""
        found = self.subscriptions[params.SubscriptionId]
        self._revise(params, found.data)
        found.restart()
        result = ua.ModifySubscriptionResult()
        result.RevisedPublishingInterval = found.data.RevisedPublishingInterval
        result.RevisedLifetimeCount = found.data.RevisedLifetimeCount
        result.RevisedMaxKeepAliveCount = found.data.RevisedMaxKeepAliveCount
        return result

    def _revise(self, params: Any, result: Any) -> None:
        result.RevisedPublishingInterval = max(params.RequestedPublishingInterval, self.iserver.fastest_publishing)
        result.RevisedMaxKeepAliveCount = self._clamp_keep_alive_count(params.RequestedMaxKeepAliveCount)
        lifetime = max(self._clamp_lifetime_count(params.RequestedLifetimeCount), 3 * result.RevisedMaxKeepAliveCount)
        result.RevisedLifetimeCount = min(lifetime, self.iserver.max_lifetime_count)

    def owned(self, number: int, session_id: Id) -> Subscription:
        """The subscription of this number, if it belongs to the session."""
        found: Subscription | None = self.subscriptions.get(number)
        if found is None or found.session_id != session_id:
            raise fault("BadSubscriptionIdInvalid")
        return found

    async def transfer_subscriptions(self, params: Any, session_id: Id, callback: Any) -> list[ua.TransferResult]:
        """Give subscriptions to another session of the same client."""
        channel = callback.__self__
        results = []
        for number in params.SubscriptionIds:
            found = self.subscriptions.get(int(number))
            result = ua.TransferResult()
            if found is None:
                result.StatusCode = ua.StatusCode(ua.StatusCodes.BadSubscriptionIdInvalid)
            elif found.owner != channel.session.user_key():
                result.StatusCode = ua.StatusCode(ua.StatusCodes.BadUserAccessDenied)
            else:
                await self._transfer(found, session_id, channel)
                result.AvailableSequenceNumbers = sorted(found._not_acknowledged_results)
                if params.SendInitialValues:
                    await found.monitored_item_srv.report_current()
            results.append(result)
        return results

    async def _transfer(self, found: Subscription, session_id: Id, channel: Any) -> None:
        old_request, old_result = found.pub_request_callback, found.pub_result_callback
        moved = found.session_id != session_id
        found.session_id = session_id
        found.pub_result_callback = channel.forward_publish_response
        found.pub_request_callback = channel.get_publish_request
        found._publish_cycles_count = 0
        request = old_request(found.data.SubscriptionId) if moved and old_request is not None else None
        if request is None:
            return
        note = ua.StatusChangeNotification()
        note.Status = ua.StatusCode(ua.StatusCodes.GoodSubscriptionTransferred)
        farewell = ua.PublishResult()
        farewell.SubscriptionId = found.data.SubscriptionId
        farewell.NotificationMessage.NotificationData = [note]
        await old_result(farewell, request)
