"""A subscription on a raw session, whose messages are seen as they come (OPC 10000-4, 5.13 and 5.14)."""

# ruff: noqa: ANN401 - asyncua's structures come without usable annotations
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asyncua import ua

from conformance.device.wire.errors import Refused, Silent
from conformance.device.wire.session import Session

VALUE = ua.AttributeIds.Value


@dataclass(frozen=True, slots=True)
class Message:
    """One answer to Publish.

    Attributes:
        number: Its sequence number.
        values: Client handle and DataValue, in order.
        events: Client handle and event fields, in order.
        status: Of a StatusChangeNotification; None without.
        empty: There is no notification in it: a keep-alive.
        available: Sequence numbers that can be asked for again.
        results: Status of each acknowledgement.
    """

    number: int
    values: tuple[tuple[int, Any], ...] = ()
    events: tuple[tuple[int, Any], ...] = ()
    status: int | None = None
    empty: bool = False
    available: tuple[int, ...] = ()
    results: tuple[int, ...] = ()


def item(
    node: ua.NodeId, handle: int, *, queue: int = 10, sampling: float = 0.0, attribute: int = VALUE,
    mode: ua.MonitoringMode = ua.MonitoringMode.Reporting, events: Any = None,
) -> Any:  # fmt: skip
    """A request for a monitored item."""
    made = ua.MonitoredItemCreateRequest()
    made.ItemToMonitor.NodeId, made.ItemToMonitor.AttributeId = node, attribute
    made.MonitoringMode = mode
    wanted = made.RequestedParameters
    wanted.ClientHandle, wanted.SamplingInterval, wanted.QueueSize, wanted.DiscardOldest = handle, sampling, queue, True
    wanted.Filter = events
    return made


class Feed:
    """A subscription.

    Attributes:
        session: On which it was created, or to which it was transferred.
        created: The server's answer to CreateSubscription.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.created = ua.CreateSubscriptionResult()

    @property
    def id(self) -> int:
        """SubscriptionId."""
        return int(self.created.SubscriptionId)

    async def create(
        self, *, interval: float = 100.0, alive: int = 10, lifetime: int = 1_000, enabled: bool = True
    ) -> Feed:
        """Create it.

        Raises:
            TargetError: It is not created.
        """
        request = ua.CreateSubscriptionRequest()
        given = request.Parameters
        given.RequestedPublishingInterval, given.RequestedMaxKeepAliveCount = interval, alive
        given.RequestedLifetimeCount, given.PublishingEnabled = lifetime, enabled
        self.created = (await self.session.channel.request(request)).Parameters
        return self

    async def monitor(self, items: Sequence[Any], times: Any = ua.TimestampsToReturn.Both) -> list[Any]:
        """Results of creating monitored items.

        Raises:
            TargetError: The service failed.
        """
        request = ua.CreateMonitoredItemsRequest()
        given = request.Parameters
        given.SubscriptionId, given.TimestampsToReturn, given.ItemsToCreate = self.id, times, list(items)
        return list((await self.session.channel.request(request)).Results or ())

    async def publish(self, *acknowledged: int) -> Message:
        """Ask for the next message and wait for it.

        Raises:
            Silent: None came.
            TargetError: The service failed.
        """
        request = ua.PublishRequest()
        acks = [ua.SubscriptionAcknowledgement(self.id, number) for number in acknowledged]
        request.Parameters.SubscriptionAcknowledgements = acks
        return as_message((await self.session.channel.request(request)).Parameters)

    async def quiet(self, seconds: float, *acknowledged: int) -> Message | None:
        """The next message, or None where none comes within this time; then the session has one request waiting.

        Raises:
            TargetError: The service failed.
        """
        wire = self.session.channel.wire
        usual, wire.seconds = wire.seconds, seconds
        try:
            return await self.publish(*acknowledged)
        except Silent:
            return None
        finally:
            wire.seconds = usual

    async def data(self, *acknowledged: int, within: int = 20) -> Message:
        """The next message with values; keep-alives are passed over.

        Raises:
            Silent: Only keep-alives come.
            TargetError: The service failed.
        """
        found = await self.publish(*acknowledged)
        for _ in range(within):
            if found.values or found.status is not None:
                return found
            found = await self.publish()
        raise Silent("notifications with values", self.session.channel.wire.seconds)

    async def republish(self, number: int) -> Message:
        """A message again.

        Raises:
            Refused: It is gone.
            TargetError: The service failed.
        """
        request = ua.RepublishRequest()
        request.Parameters.SubscriptionId, request.Parameters.RetransmitSequenceNumber = self.id, number
        answer = await self.session.channel.request(request)
        return as_message(ua.PublishResult(SubscriptionId=self.id, NotificationMessage=answer.NotificationMessage))

    async def modify(self, *, enabled: bool) -> list[Any]:
        """Switch publishing on or off.

        Raises:
            TargetError: The service failed.
        """
        request = ua.SetPublishingModeRequest()
        given = request.Parameters
        given.PublishingEnabled, given.SubscriptionIds = enabled, [self.id]
        answer = await self.session.channel.request(request)
        return list(getattr(answer, "Parameters", answer).Results or ())

    async def delete(self) -> list[Any]:
        """Delete it.

        Raises:
            TargetError: The service failed.
        """
        request = ua.DeleteSubscriptionsRequest()
        request.Parameters.SubscriptionIds = [self.id]
        return list((await self.session.channel.request(request)).Results or ())

    async def transfer(self, session: Session, *, initial: bool = False) -> tuple[Feed, Any]:
        """It on another session, and the service's result.

        Raises:
            TargetError: The service failed.
        """
        request = ua.TransferSubscriptionsRequest()
        given = request.Parameters
        given.SubscriptionIds, given.SendInitialValues = [self.id], initial
        answer = await session.channel.request(request)
        (result,) = list(getattr(answer, "Parameters", answer).Results or ()) or [None]
        moved = Feed(session)
        moved.created = self.created
        return moved, result


def as_message(found: Any) -> Message:
    """A PublishResult as plain data."""
    message = found.NotificationMessage
    values: list[tuple[int, Any]] = []
    events: list[tuple[int, Any]] = []
    status: int | None = None
    parts = list(message.NotificationData or ())
    for part in parts:
        if isinstance(part, ua.DataChangeNotification):
            values += [(one.ClientHandle, one.Value) for one in part.MonitoredItems or ()]
        elif isinstance(part, ua.EventNotificationList):
            events += [(one.ClientHandle, one.EventFields) for one in part.Events or ()]
        elif isinstance(part, ua.StatusChangeNotification):
            status = int(part.Status.value)
    return Message(
        number=int(message.SequenceNumber),
        values=tuple(values),
        events=tuple(events),
        status=status,
        empty=not parts,
        available=tuple(found.AvailableSequenceNumbers or ()),
        results=tuple(int(one.value) for one in found.Results or ()),
    )


async def ended(feed: Feed) -> str:
    """Publish until the subscription says that it is gone; how it said so, empty if it goes on."""
    try:
        for _ in range(3):
            found = await feed.publish()
            if found.status is not None and found.status >> 30:
                return ua.StatusCode(found.status).name or "a status"
    except Refused as refusal:
        return refusal.status or "closed"
    except Silent:
        return "silence"
    return ""
