"""What a client finds again after it, or its connection, was lost; and what the server forgets in time."""

# ruff: noqa: ASYNC110 - what is waited for happens in a server that has no event to await
from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
import pytest_asyncio
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyAes256Sha256RsaPss

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def subscribe(
    client: Client, nodes: list[ua.NodeId], *, queue: int = 100, interval: float = 50, lifetime: int = 200
) -> tuple[int, list[Any]]:
    """A subscription whose messages are taken and never acknowledged."""
    results: list[Any] = []
    session = client.uaclient.session

    params = ua.CreateSubscriptionParameters(
        RequestedPublishingInterval=interval,
        RequestedLifetimeCount=lifetime,
        RequestedMaxKeepAliveCount=5,
        PublishingEnabled=True,
    )
    request = ua.CreateSubscriptionRequest(Parameters=params)
    answer = await session._send_request(request)
    number = ua.ua_binary.struct_from_binary(ua.CreateSubscriptionResponse, answer).Parameters.SubscriptionId
    items = [
        ua.MonitoredItemCreateRequest(
            ItemToMonitor=ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value),
            MonitoringMode=ua.MonitoringMode.Reporting,
            RequestedParameters=ua.MonitoringParameters(ClientHandle=handle, QueueSize=queue, DiscardOldest=True),
        )
        for handle, node in enumerate(nodes)
    ]
    wanted = ua.CreateMonitoredItemsParameters(
        SubscriptionId=number, TimestampsToReturn=ua.TimestampsToReturn.Both, ItemsToCreate=items
    )
    for result in await session.create_monitored_items(wanted):
        result.StatusCode.check()
    return number, results


async def publish(client: Client, acks: list[tuple[int, int]] | None = None, within: float = 10) -> ua.PublishResult:
    made = [ua.SubscriptionAcknowledgement(SubscriptionId=sub, SequenceNumber=number) for sub, number in acks or ()]
    request = ua.PublishRequest(Parameters=ua.PublishParameters(SubscriptionAcknowledgements=made))
    async with asyncio.timeout(within):
        data = await client.uaclient.session._send_request(request, timeout=within)
    return ua.ua_binary.struct_from_binary(ua.PublishResponse, data).Parameters


def values(message: ua.NotificationMessage) -> list[tuple[Any, int]]:
    return [
        (item.Value.Value.Value, item.Value.StatusCode.value)
        for data in message.NotificationData or ()
        for item in getattr(data, "MonitoredItems", None) or ()
    ]


async def data(client: Client, got: list[tuple[int, int]] | None = None) -> ua.PublishResult:
    """The next publish result that carries data."""
    while True:
        result = await publish(client, got)
        if values(result.NotificationMessage):
            return result
        got = None


async def republish(client: Client, sub: int, number: int) -> ua.NotificationMessage:
    request = ua.RepublishRequest(
        Parameters=ua.RepublishParameters(SubscriptionId=sub, RetransmitSequenceNumber=number)
    )
    answer = await client.uaclient.session._send_request(request)
    return ua.ua_binary.struct_from_binary(ua.RepublishResponse, answer).NotificationMessage


async def transfer(client: Client, sub: int, *, initial: bool = False) -> ua.TransferResult:
    params = ua.TransferSubscriptionsParameters(SubscriptionIds=[sub], SendInitialValues=initial)
    request = ua.TransferSubscriptionsRequest(Parameters=params)
    answer = await client.uaclient.session._send_request(request)
    return ua.ua_binary.struct_from_binary(ua.TransferSubscriptionsResponse, answer).Parameters.Results[0]


@pytest_asyncio.fixture(loop_scope="session")
async def scene(stage: Any, connect: Callable[..., Any]) -> Any:
    client = await connect(stage.url)
    return stage.server, client, stage.instance.variables["Monitoring/Spindle1/Speed"].node


async def test_a_killed_clients_values_come_to_its_successor_each_once(scene: Any, connect: Callable[..., Any]) -> None:
    server, client, speed = scene
    sub, _ = await subscribe(client, [speed])
    first = await data(client)
    stored = [value for value, _ in values(first.NotificationMessage)]
    second = await data(client, [(sub, first.NotificationMessage.SequenceNumber)])
    lost = second.NotificationMessage.SequenceNumber  # received, never stored
    client.uaclient.protocol.transport.abort()
    await asyncio.sleep(0.5)

    heir = await connect(server.url)
    found = await transfer(heir, sub)
    found.StatusCode.check()
    assert lost in found.AvailableSequenceNumbers
    again = await republish(heir, sub, lost)
    assert values(again) == values(second.NotificationMessage)
    assert values(await republish(heir, sub, lost)) == values(again)
    stored += [value for value, _ in values(again)]
    acks = [(sub, lost)]
    for number in sorted(set(found.AvailableSequenceNumbers) - {lost}):
        stored += [value for value, _ in values(await republish(heir, sub, number))]
        acks.append((sub, number))
    for _ in range(5):
        result = await data(heir, acks)
        stored += [value for value, _ in values(result.NotificationMessage)]
        acks = [(sub, result.NotificationMessage.SequenceNumber)]
    assert stored == [stored[0] + n for n in range(len(stored))]
    with pytest.raises(ua.uaerrors.BadMessageNotAvailable):
        await republish(heir, sub, lost)
    with pytest.raises(ua.uaerrors.BadSubscriptionIdInvalid):
        await republish(heir, 4711, 1)


async def test_a_dropped_connection_finds_its_session_again(scene: Any, pki: Any) -> None:
    server, client, speed = scene
    sub, _ = await subscribe(client, [speed])
    first = await data(client)
    server.drop()
    await asyncio.sleep(0.2)
    assert len(server.server.iserver._external_sessions) == 1

    again = Client(server.url, timeout=10)
    again.application_uri = pki.client.uri
    again.set_user("operator")
    again.set_password("secret")
    await again.set_security(
        SecurityPolicyAes256Sha256RsaPss,
        str(pki.client.certificate),
        str(pki.client.key),
        server_certificate=str(pki.server.certificate),
        mode=ua.MessageSecurityMode.SignAndEncrypt,
    )
    await again.connect_socket()
    try:
        await again.send_hello()
        await again.open_secure_channel()
        again.uaclient.protocol.authentication_token = client.uaclient.protocol.authentication_token
        again._server_nonce, again._policy_ids = client._server_nonce, client._policy_ids
        await again.activate_session(username="operator", password="secret")
        number = first.NotificationMessage.SequenceNumber
        assert values(await republish(again, sub, number)) == values(first.NotificationMessage)
        following = await data(again, [(sub, number)])
        assert following.NotificationMessage.SequenceNumber == number + 1
    finally:
        again.disconnect_socket()


async def test_initial_values_on_transfer_and_farewell_to_the_old_session(
    scene: Any, connect: Callable[..., Any]
) -> None:
    server, client, speed = scene
    name = server.runner.machines[0].instance.variables["Identification/SerialNumber"].node
    sub, _ = await subscribe(client, [name])
    assert values((await data(client)).NotificationMessage) == [("B-1", 0)]
    farewell = asyncio.create_task(publish(client))
    await asyncio.sleep(0.1)
    heir = await connect(server.url)
    (await transfer(heir, sub, initial=True)).StatusCode.check()
    note = (await farewell).NotificationMessage.NotificationData[0]
    assert note.Status.name == "GoodSubscriptionTransferred"
    assert values((await data(heir)).NotificationMessage) == [("B-1", 0)]
    assert speed is not None


async def test_a_subscription_is_not_given_to_somebody_else(scene: Any, connect: Callable[..., Any], pki: Any) -> None:
    server, client, speed = scene
    sub, _ = await subscribe(client, [speed])
    (pki.trust / "stranger.der").write_bytes(pki.stranger.certificate.read_bytes())
    try:
        other = await connect(server.url, pki.stranger)
    finally:
        (pki.trust / "stranger.der").unlink()
    assert (await transfer(other, sub)).StatusCode.name == "BadUserAccessDenied"
    with pytest.raises(ua.uaerrors.BadSubscriptionIdInvalid):
        await republish(other, sub, 1)


async def test_a_full_queue_says_so_on_the_wire(scene: Any) -> None:
    server, client, speed = scene
    await subscribe(client, [speed], queue=3, interval=1000)
    await data(client)
    found = values((await data(client)).NotificationMessage)
    assert [code for _, code in found] == [0x480, 0, 0]
    assert found[2][0] - found[0][0] == 2
    assert server is not None


async def test_what_the_server_dropped_is_a_missing_number(scene: Any) -> None:
    server, client, speed = scene
    sub, _ = await subscribe(client, [speed])
    numbers = [(await data(client)).NotificationMessage.SequenceNumber for _ in range(4)]
    assert server.lose(2) == 2
    assert values(await republish(client, sub, numbers[0]))
    with pytest.raises(ua.uaerrors.BadMessageNotAvailable):
        await republish(client, sub, numbers[-1])
    result = await publish(client, [(sub, numbers[0]), (sub, numbers[-1]), (4711, 1)])
    assert [status.name for status in result.Results] == [
        "Good",
        "BadSequenceNumberUnknown",
        "BadSubscriptionIdInvalid",
    ]


async def test_a_killed_clients_leftovers_end_and_cost_nothing(scene: Any) -> None:
    server, client, _ = scene
    instance = server.runner.machines[0].instance
    await subscribe(client, [v.node for v in instance.variables.values()], lifetime=15)
    client.uaclient.protocol.transport.abort()
    service = server.server.iserver.subscription_service
    async with asyncio.timeout(20):
        while service.subscriptions:
            await asyncio.sleep(0.1)
    callbacks = [
        handle
        for node in server.server.iserver.aspace._nodes.values()
        for attribute in node.attributes.values()
        for handle in attribute.datachange_callbacks
    ]
    assert callbacks == []
    before = time.process_time()
    await asyncio.sleep(2)
    after = time.process_time()
    spent = after - before
    assert spent < 1, f"{spent} s of CPU in 2 s"


async def test_a_silent_session_ends_and_leaves_its_subscription_to_its_own_lifetime(scene: Any) -> None:
    server, client, speed = scene
    core = server.server.iserver
    sub, _ = await subscribe(client, [speed], lifetime=10_000)
    (session,) = core._external_sessions.values()
    session.session_timeout = 0.5
    client.uaclient.protocol.transport.abort()
    session._timeout_task.cancel()
    session._timeout_task = None
    session._start_timeout_watchdog()
    async with asyncio.timeout(20):
        while core._external_sessions:
            await asyncio.sleep(0.1)
    assert sub in core.subscription_service.subscriptions
