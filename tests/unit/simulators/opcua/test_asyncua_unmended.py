"""What asyncua's own server does. When one of these fails, asyncua was mended and our mend can go."""

from __future__ import annotations

import logging
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.address_space import AddressSpace, AttributeService, AttributeValue, MethodService, NodeData
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import SessionState
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.monitored_item_service import WhereClauseEvaluator
from asyncua.server.subscription_service import SubscriptionService
from asyncua.server.uaprocessor import UaProcessor

from simulators.opcua.mended import Writes
from simulators.opcua.subscriptions import Subscription, Where


def subscription(kind: type[InternalSubscription], limit: int = 3) -> Any:
    data = ua.CreateSubscriptionResult(
        SubscriptionId=1, RevisedPublishingInterval=100, RevisedLifetimeCount=100, RevisedMaxKeepAliveCount=10
    )

    async def send(*_: Any) -> None:
        """Nobody listens."""

    return kind(data, AddressSpace(), send, ua.NodeId(1), request_callback=lambda _: None, no_acks_limit=limit)


def note(number: int) -> ua.MonitoredItemNotification:
    return ua.MonitoredItemNotification(7, ua.DataValue(ua.Variant(number), ua.StatusCode()))


async def filled(kind: type[InternalSubscription]) -> list[tuple[int, int]]:
    made = subscription(kind)
    for number in range(5):
        await made.enqueue_datachange_event(1, note(number), 3)
    return [(item.Value.Value.Value, item.Value.StatusCode.value) for item in made._triggered_datachanges[1]]


async def test_overflow_is_silent_there_and_marked_here() -> None:
    assert await filled(InternalSubscription) == [(2, 0), (3, 0), (4, 0)]
    assert await filled(Subscription) == [(2, 0x480), (3, 0), (4, 0)]


async def test_the_oldest_is_kept_where_the_client_wants_it() -> None:
    made = subscription(Subscription)
    made.monitored_item_srv._monitored_items[1] = type("Item", (), {"discard_oldest": False})()
    for number in range(5):
        await made.enqueue_datachange_event(1, note(number), 3)
    found = [(item.Value.Value.Value, item.Value.StatusCode.value) for item in made._triggered_datachanges[1]]
    assert found == [(0, 0), (1, 0), (4, 0x480)]


def requested(**parameters: Any) -> ua.MonitoredItemCreateRequest:
    made = ua.MonitoringParameters(ClientHandle=7, **parameters)
    target = ua.ReadValueId(NodeId=ua.NodeId(1), AttributeId=ua.AttributeIds.Value)
    return ua.MonitoredItemCreateRequest(ItemToMonitor=target, RequestedParameters=made)


async def test_the_clients_wish_to_keep_the_oldest_is_not_even_kept_there() -> None:
    wanted = requested(QueueSize=3, DiscardOldest=False)
    _, theirs = subscription(InternalSubscription).monitored_item_srv._make_monitored_item_common(wanted)
    assert not hasattr(theirs, "discard_oldest")
    _, ours = subscription(Subscription).monitored_item_srv._make_monitored_item_common(wanted)
    assert ours.discard_oldest is False


async def test_a_queue_of_nothing_is_the_longest_there_and_one_here() -> None:
    wanted = requested(QueueSize=0, SamplingInterval=25)
    found = []
    for kind in (InternalSubscription, Subscription):
        result, data = subscription(kind).monitored_item_srv._make_monitored_item_common(wanted)
        assert data.queue_size == result.RevisedQueueSize
        found.append((result.RevisedQueueSize, result.RevisedSamplingInterval))
    longest = subscription(InternalSubscription).max_queue_size
    assert found == [(longest, 100), (1, 25)]
    assert longest > 1


async def test_an_unknown_item_is_an_internal_error_there_and_has_a_status_here() -> None:
    wanted = ua.MonitoredItemModifyRequest(MonitoredItemId=5)
    params = ua.ModifyMonitoredItemsParameters(SubscriptionId=1, ItemsToModify=[wanted])
    with pytest.raises(TypeError):
        subscription(InternalSubscription).monitored_item_srv.modify_monitored_items(params)
    (result,) = subscription(Subscription).monitored_item_srv.modify_monitored_items(params)
    assert result.StatusCode.name == "BadMonitoredItemIdInvalid"


async def test_of_type_knows_no_subtypes_there() -> None:
    space = AddressSpace()
    above, below = ua.NodeId(ua.ObjectIds.TransitionEventType), ua.NodeId(4711, 1)
    space[above], space[below] = NodeData(above), NodeData(below)
    up = ua.ReferenceDescription(ReferenceTypeId=ua.NodeId(ua.ObjectIds.HasSubtype), NodeId=above)
    up.IsForward = False
    space[below].references.append(up)
    element = ua.ContentFilterElement(FilterOperator=ua.FilterOperator.OfType)
    element.FilterOperands = [ua.LiteralOperand(ua.Variant(above))]
    clause = ua.ContentFilter(Elements=[element])
    event = SimpleNamespace(EventType=below)
    log = logging.getLogger(__name__)
    assert WhereClauseEvaluator(log, space, clause).eval(event) is False
    assert Where(log, space, clause).eval(event) is True
    assert Where(log, space, clause).eval(SimpleNamespace(EventType=ua.NodeId(4712, 1))) is False


async def published(kind: type[InternalSubscription], count: int) -> Any:
    made = subscription(kind)
    for number in range(count):
        await made.enqueue_datachange_event(1, note(number), 3)
        made._pop_publish_result()
    return made


async def test_republish_forgets_there_and_keeps_here() -> None:
    theirs = await published(InternalSubscription, 2)
    assert theirs.republish(1).SequenceNumber == 1
    assert theirs.republish(1).SequenceNumber == 0  # an empty message instead of BadMessageNotAvailable
    ours = await published(Subscription, 2)
    assert ours.republish(1).SequenceNumber == 1
    assert ours.republish(1).SequenceNumber == 1
    assert ours.acknowledge(1).is_good()
    assert ours.acknowledge(1).name == "BadSequenceNumberUnknown"
    assert _status_of(ours, 1) == "BadMessageNotAvailable"


async def test_what_was_dropped_beyond_the_limit_is_a_hole_with_a_name() -> None:
    theirs = await published(InternalSubscription, 5)
    assert theirs.republish(1).SequenceNumber == 0
    ours = await published(Subscription, 5)
    assert [_status_of(ours, number) for number in range(1, 6)] == ["BadMessageNotAvailable"] * 2 + ["Good"] * 3


def _status_of(made: Any, number: int) -> str:
    try:
        made.republish(number)
    except ServiceError as found:
        return str(ua.StatusCode(found.code).name)
    return "Good"


async def test_any_acknowledgement_is_good_there() -> None:
    service = SubscriptionService(AddressSpace())
    service.subscriptions[1] = await published(InternalSubscription, 1)
    wrong = ua.SubscriptionAcknowledgement(SubscriptionId=1, SequenceNumber=99)
    assert [status.name for status in service.publish([wrong])[1]] == ["Good"]
    assert (await published(Subscription, 1)).acknowledge(99).name == "BadSequenceNumberUnknown"


async def test_intervals_do_not_change_there() -> None:
    service = SubscriptionService(AddressSpace())
    service.subscriptions[1] = subscription(InternalSubscription)
    wanted = ua.ModifySubscriptionParameters(SubscriptionId=1, RequestedPublishingInterval=50)
    assert service.modify_subscription(wanted).RevisedPublishingInterval == 100


async def test_a_session_that_times_out_takes_its_subscriptions_with_it_there() -> None:
    server = InternalServer()
    session = server.create_session("a", external=True)
    made = subscription(InternalSubscription)
    made.session_id = session.session_id
    server.subscription_service.subscriptions[1] = made
    session.session_timeout = 0.01
    await session._timeout_loop()
    assert not server.subscription_service.subscriptions
    server.method_service.stop()


async def test_a_closed_channel_keeps_its_requests_and_ends_a_session_that_moved_on_there() -> None:
    server = InternalServer()
    transport = SimpleNamespace(get_extra_info=lambda name: ("127.0.0.1", 1))
    channel = UaProcessor(server, transport, TransportLimits())
    channel._publish_requests.append("waiting")
    session = channel.session = server.create_session("a", external=True)
    session.state = SessionState.Activated  # by another channel meanwhile
    await channel.close()
    assert channel._publish_requests == deque(["waiting"])
    assert session.state is SessionState.Closed
    server.method_service.stop()


async def test_the_status_of_a_method_that_refuses_is_lost_there() -> None:
    space = AddressSpace()
    owner, method = ua.NodeId(1), ua.NodeId(2)
    space[owner], space[method] = NodeData(owner), NodeData(method)
    service = MethodService(space)

    async def refuse(*_: Any) -> None:
        raise ServiceError(ua.StatusCodes.BadInvalidState)

    space[method].call = refuse
    (result,) = await service.call([ua.CallMethodRequest(ObjectId=owner, MethodId=method)])
    assert result.StatusCode.name == "BadUnexpectedError"
    service.stop()


async def test_a_variable_is_written_without_asking_its_owner_there() -> None:
    space = AddressSpace()
    node = ua.NodeId(1)
    space[node] = NodeData(node)
    both = ua.Variant(3, ua.VariantType.Byte)
    for attribute, value in (
        (ua.AttributeIds.Value, ua.Variant(1.0)),
        (ua.AttributeIds.AccessLevel, both),
        (ua.AttributeIds.UserAccessLevel, both),
    ):
        space[node].attributes[attribute] = AttributeValue(ua.DataValue(value))
    wanted = ua.WriteValue(NodeId=node, AttributeId=ua.AttributeIds.Value, Value=ua.DataValue(ua.Variant(200.0)))
    params = ua.WriteParameters(NodesToWrite=[wanted])
    (status,) = await AttributeService(space).write(params, User(UserRole.User))
    assert status.is_good()

    async def nobodys(*_: Any) -> None:
        """No machine knows the node."""

    ours = Writes(space)
    ours.hook = nobodys
    assert [one.name for one in await ours.write(params, User(UserRole.User))] == ["BadNotWritable"]


async def test_a_transferred_subscription_keeps_the_old_sessions_requests_there() -> None:
    service = SubscriptionService(AddressSpace())
    made = subscription(InternalSubscription)
    service.subscriptions[1] = made
    before = made.pub_request_callback
    asked: list[int] = []
    made.pub_request_callback = before = asked.append

    async def new(*_: Any) -> None:
        """The new session's channel."""

    await service.transfer_subscriptions(
        ua.TransferSubscriptionsParameters(SubscriptionIds=[1], SendInitialValues=True), ua.NodeId(2), new
    )
    assert made.pub_result_callback is new
    assert made.pub_request_callback is before
    assert not asked  # no farewell to the old session
    assert not made._triggered_datachanges  # no initial values to the new one


async def test_tokens_count_up_there() -> None:
    server = InternalServer()
    first, second = (server.create_session("a", external=True) for _ in range(2))
    assert second.auth_token.Identifier == first.auth_token.Identifier + 1
    server.method_service.stop()
