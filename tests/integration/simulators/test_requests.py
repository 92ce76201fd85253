"""How many operations a request may hold, and changes to what a client subscribed to."""

# ruff: noqa: ASYNC110 - what is waited for happens in a server that has no event to await
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from asyncua import Client, Server, ua

pytestmark = pytest.mark.asyncio(loop_scope="session")
SPEED = "Monitoring/Spindle1/Speed"
LIMIT = 40
TIME = ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plain(pki: Any) -> AsyncIterator[str]:
    """asyncua's own server."""
    server = Server()
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0/")
    await server.load_certificate(str(pki.server.certificate))
    await server.load_private_key(str(pki.server.key))
    server.set_security_policy(
        [ua.SecurityPolicyType.NoSecurity, ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt]
    )
    limit = ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead
    await server.get_node(ua.NodeId(limit)).write_value(ua.Variant(LIMIT, ua.VariantType.UInt32))
    await server.start()
    port = server.bserver._server.sockets[0].getsockname()[1]
    yield f"opc.tcp://127.0.0.1:{port}/"
    await server.stop()


async def test_asyncuas_server_lets_strangers_in_without_security_and_obeys_no_limit(
    plain: str, connect: Callable[..., Any], pki: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Client(plain) as client:
        assert len(await client.read_values([client.get_node(TIME)] * (LIMIT + 1))) == LIMIT + 1
    stranger = await connect(plain, pki.stranger, user=None)
    assert await stranger.get_namespace_array()

    from asyncua.client.ua_session import UaSession

    original = UaSession.create_session

    async def tampered(self: Any, parameters: Any) -> Any:
        parameters.ClientCertificate = pki.client.certificate.read_bytes()
        return await original(self, parameters)

    monkeypatch.setattr(UaSession, "create_session", tampered)
    assert await (await connect(plain, pki.stranger, user=None)).get_namespace_array()


async def test_a_request_holds_no_more_operations_than_operation_limits_say(
    stage: Any, connect: Callable[..., Any]
) -> None:
    await stage.server.set_limit(LIMIT)
    client = await connect(stage.url)
    session = client.uaclient.session
    speed = stage.instance.variables[SPEED].node
    limits = client.get_node(ua.NodeId(ua.ObjectIds.Server_ServerCapabilities_OperationLimits))
    advertised = {(await node.read_browse_name()).Name: await node.read_value() for node in await limits.get_children()}
    for name in ("MaxNodesPerRead", "MaxNodesPerWrite", "MaxNodesPerMethodCall", "MaxNodesPerBrowse",
                 "MaxNodesPerTranslateBrowsePathsToNodeIds", "MaxMonitoredItemsPerCall"):  # fmt: skip
        assert advertised[name] == LIMIT, name

    path = ua.BrowsePath(StartingNode=ua.NodeId(ua.ObjectIds.ObjectsFolder))
    path.RelativePath.Elements = [ua.RelativePathElement(TargetName=ua.QualifiedName("Server", 0))]
    subscription = await client.create_subscription(1000, Ignore())
    number = subscription.subscription_id
    wanted = ua.MonitoringParameters(ClientHandle=1, QueueSize=1, SamplingInterval=0)
    item = ua.MonitoredItemCreateRequest(
        ItemToMonitor=ua.ReadValueId(NodeId=speed, AttributeId=ua.AttributeIds.Value), RequestedParameters=wanted
    )
    made: list[int] = []

    async def create(count: int) -> Any:
        params = ua.CreateMonitoredItemsParameters(SubscriptionId=number, ItemsToCreate=[item] * count)
        results = await session.create_monitored_items(params)
        made.extend(result.MonitoredItemId for result in results)
        return results

    def ids(count: int) -> list[int]:
        return (made * 2)[:count]

    operations: dict[str, Callable[[int], Any]] = {
        "read": lambda n: session.read(
            ua.ReadParameters(NodesToRead=[ua.ReadValueId(NodeId=speed, AttributeId=ua.AttributeIds.Value)] * n)
        ),
        "write": lambda n: session.write(
            ua.WriteParameters(NodesToWrite=[ua.WriteValue(NodeId=speed, AttributeId=ua.AttributeIds.Value)] * n)
        ),
        "browse": lambda n: session.browse(
            ua.BrowseParameters(NodesToBrowse=[ua.BrowseDescription(NodeId=stage.instance.node)] * n)
        ),
        "translate": lambda n: session.translate_browsepaths_to_nodeids([path] * n),
        "call": lambda n: session.call([ua.CallMethodRequest(ObjectId=speed, MethodId=speed)] * n),
        "create": create,
        "modify": lambda n: session.modify_monitored_items(
            ua.ModifyMonitoredItemsParameters(
                SubscriptionId=number,
                ItemsToModify=[
                    ua.MonitoredItemModifyRequest(MonitoredItemId=one, RequestedParameters=wanted) for one in ids(n)
                ],
            )
        ),
        "mode": lambda n: session.set_monitoring_mode(
            ua.SetMonitoringModeParameters(
                SubscriptionId=number, MonitoringMode=ua.MonitoringMode.Reporting, MonitoredItemIds=ids(n)
            )
        ),
        "delete": lambda n: session.delete_monitored_items(
            ua.DeleteMonitoredItemsParameters(SubscriptionId=number, MonitoredItemIds=ids(n))
        ),
    }
    for name, ask in operations.items():
        with pytest.raises(ua.uaerrors.BadTooManyOperations):
            await ask(LIMIT + 1)
        assert len(await ask(LIMIT)) == LIMIT, name


async def test_intervals_and_items_change(stage: Any, connect: Callable[..., Any], pki: Any) -> None:
    client = await connect(stage.url)
    session = client.uaclient.session
    heard: list[int] = []

    async def listen(result: ua.PublishResult) -> None:
        for data in result.NotificationMessage.NotificationData or ():
            heard.extend(one.ClientHandle for one in getattr(data, "MonitoredItems", None) or ())

    params = ua.CreateSubscriptionParameters(
        RequestedPublishingInterval=60_000, RequestedLifetimeCount=30, RequestedMaxKeepAliveCount=10,
        PublishingEnabled=True,
    )  # fmt: skip
    number = (await session.create_subscription(params, listen)).SubscriptionId
    wanted = ua.MonitoringParameters(ClientHandle=1, QueueSize=5, SamplingInterval=0)
    target = ua.ReadValueId(NodeId=stage.instance.variables[SPEED].node, AttributeId=ua.AttributeIds.Value)
    item = ua.MonitoredItemCreateRequest(
        ItemToMonitor=target, RequestedParameters=wanted, MonitoringMode=ua.MonitoringMode.Reporting
    )
    (made,) = await session.create_monitored_items(
        ua.CreateMonitoredItemsParameters(SubscriptionId=number, ItemsToCreate=[item])
    )

    async def modify(item_id: int, **changes: Any) -> Any:
        changed = ua.MonitoringParameters(SamplingInterval=0, **changes)
        request = ua.MonitoredItemModifyRequest(MonitoredItemId=item_id, RequestedParameters=changed)
        (result,) = await session.modify_monitored_items(
            ua.ModifyMonitoredItemsParameters(SubscriptionId=number, ItemsToModify=[request])
        )
        return result

    assert (await modify(made.MonitoredItemId, ClientHandle=2, QueueSize=0)).RevisedQueueSize == 1
    assert (await modify(4711, ClientHandle=2, QueueSize=1)).StatusCode.name == "BadMonitoredItemIdInvalid"
    request = ua.ModifySubscriptionParameters(
        SubscriptionId=number, RequestedPublishingInterval=50, RequestedLifetimeCount=1, RequestedMaxKeepAliveCount=10
    )
    revised = await session.modify_subscription(request)
    assert (revised.RevisedPublishingInterval, revised.RevisedLifetimeCount, revised.RevisedMaxKeepAliveCount) == (
        50, 30, 10,
    )  # fmt: skip
    async with asyncio.timeout(20):
        while heard.count(2) < 3:
            await asyncio.sleep(0.02)
    assert 1 not in heard[heard.index(2) :]

    (pki.trust / "stranger.der").write_bytes(pki.stranger.certificate.read_bytes())
    try:
        other = await connect(stage.url, pki.stranger)
    finally:
        (pki.trust / "stranger.der").unlink()
    with pytest.raises(ua.uaerrors.BadSubscriptionIdInvalid):
        await other.uaclient.session.modify_subscription(request)


class Ignore:
    def datachange_notification(self, node: Any, val: Any, data: Any) -> None:
        """Values do not matter here."""
