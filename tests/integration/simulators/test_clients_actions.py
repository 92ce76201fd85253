"""Events, conditions, writes, methods: what a client does with a machine, and what the ledger says of it."""

# ruff: noqa: ASYNC110 - what is waited for happens in a server that has no event to await
from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import pytest
from asyncua import ua

from simulators.ledger import encode_variant

pytestmark = pytest.mark.asyncio(loop_scope="session")

FIELDS = [
    "EventId", "EventType", "SourceNode", "SourceName", "Time", "Message", "Severity", "ConditionName", "Retain",
    "ActiveState", "ActiveState/Id", "AckedState/Id", "EnabledState/Id", "Comment", "BranchId", "ErrorCode",
    "Identifier", "ToState", "ToState/Id", "ToState/Number", "Name", "JobIdentifier",
]  # fmt: skip


def event_filter() -> ua.EventFilter:
    made = ua.EventFilter()
    for name in FIELDS:
        operand = ua.SimpleAttributeOperand()
        operand.TypeDefinitionId = ua.NodeId(ua.ObjectIds.BaseEventType)
        operand.AttributeId = ua.AttributeIds.Value
        operand.BrowsePath = [ua.QualifiedName(step, 0) for step in name.split("/")]
        made.SelectClauses.append(operand)
    condition = ua.SimpleAttributeOperand()
    condition.TypeDefinitionId = ua.NodeId(ua.ObjectIds.ConditionType)
    condition.AttributeId = ua.AttributeIds.NodeId
    made.SelectClauses.append(condition)
    return made


class Listener:
    """The events of a subscription made on the session's own services."""

    def __init__(self) -> None:
        self.events: list[tuple[int, dict[str, ua.Variant]]] = []

    async def __call__(self, result: ua.PublishResult) -> None:
        for data in result.NotificationMessage.NotificationData or ():
            for event in getattr(data, "Events", None) or ():
                self.events.append(
                    (event.ClientHandle, dict(zip([*FIELDS, "ConditionId"], event.EventFields, strict=True)))
                )

    async def wait(
        self, wanted: Callable[[dict[str, ua.Variant]], bool], handle: int | None = None, within: float = 20
    ) -> dict[str, ua.Variant]:
        async with asyncio.timeout(within):
            while True:
                for found, event in self.events:
                    if handle in (None, found) and wanted(event):
                        return event
                await asyncio.sleep(0.05)


async def listen(client: Any, nodes: list[ua.NodeId], where: ua.ContentFilter | None = None) -> tuple[Listener, int]:
    listener = Listener()
    params = ua.CreateSubscriptionParameters(
        RequestedPublishingInterval=100,
        RequestedLifetimeCount=1000,
        RequestedMaxKeepAliveCount=10,
        PublishingEnabled=True,
    )
    made = await client.uaclient.session.create_subscription(params, listener)
    items = []
    for handle, node in enumerate(nodes):
        item = ua.MonitoredItemCreateRequest()
        item.ItemToMonitor = ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.EventNotifier)
        item.MonitoringMode = ua.MonitoringMode.Reporting
        chosen = event_filter()
        if where is not None:
            chosen.WhereClause = where
        item.RequestedParameters = ua.MonitoringParameters(ClientHandle=handle, QueueSize=1000, Filter=chosen)
        items.append(item)
    wanted = ua.CreateMonitoredItemsParameters(
        SubscriptionId=made.SubscriptionId, TimestampsToReturn=ua.TimestampsToReturn.Both, ItemsToCreate=items
    )
    for result in await client.uaclient.session.create_monitored_items(wanted):
        result.StatusCode.check()
    return listener, made.SubscriptionId


def of_type(event: dict[str, ua.Variant], name: str) -> bool:
    return name in str(event["EventType"].Value.Identifier)


async def test_events_arrive_on_messages_machine_and_server_as_the_ledger_says(
    stage: Any, connect: Callable[..., Any]
) -> None:
    client = await connect(stage.url)
    instance = stage.instance
    stage.machine.step = 0
    messages = instance.entries["Notification/Messages"].node
    listener, subscription = await listen(client, [messages, instance.node, ua.NodeId(ua.ObjectIds.Server)])
    message = await listener.wait(lambda event: event["Identifier"].Value is not None)
    number = message["EventId"].Value
    for handle in range(3):
        copy = await listener.wait(lambda event: event["EventId"].Value == number, handle)
        assert copy == message
    turned = await listener.wait(lambda event: event["ToState/Number"].Value == 1, 1)
    assert turned["ToState"].Value.Text == "Running"
    assert (
        turned["ToState/Id"].Value
        == instance.variables["Production/ActiveProgram/State/CurrentState"].parts["Id"].value.Value.Value
    )
    assert turned["SourceName"].Value == "State"

    alarm = await listener.wait(lambda event: event["ActiveState/Id"].Value is True, 1)
    stage.shown.paused = True  # the alarm stays as it is until it is acknowledged
    assert alarm["ConditionName"].Value == "DoorOpen"
    assert alarm["ErrorCode"].Value == "E42"
    assert alarm["EventType"].Value.Identifier == 39
    assert alarm["SourceNode"].Value == messages
    assert (alarm["Severity"].Value, alarm["Retain"].Value, alarm["ActiveState/Id"].Value) == (700, True, True)
    assert (alarm["AckedState/Id"].Value, alarm["EnabledState/Id"].Value) == (False, True)
    assert alarm["BranchId"].Value == ua.NodeId()

    # refresh: a client that comes later learns of it, in between the two markers
    late, other = await listen(client, [instance.node])
    await client.get_node(ua.NodeId(ua.ObjectIds.ConditionType)).call_method(
        ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh), ua.Variant(other, ua.VariantType.UInt32)
    )
    await late.wait(lambda event: event["EventType"].Value.Identifier == ua.ObjectIds.RefreshEndEventType)
    kinds = [event["EventType"].Value.Identifier for _, event in late.events]
    begin, end = kinds.index(ua.ObjectIds.RefreshStartEventType), kinds.index(ua.ObjectIds.RefreshEndEventType)
    assert 39 in kinds[begin:end]
    kept = late.events[begin:end][kinds[begin:end].index(39)][1]
    assert kept["ConditionId"] == alarm["ConditionId"]
    with pytest.raises(ua.uaerrors.BadSubscriptionIdInvalid):
        await client.get_node(ua.NodeId(ua.ObjectIds.ConditionType)).call_method(
            ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh), ua.Variant(4711, ua.VariantType.UInt32)
        )

    # acknowledge: with an old event id, then right, then again
    condition = client.get_node(kept["ConditionId"].Value)
    acknowledge = ua.NodeId(ua.ObjectIds.AcknowledgeableConditionType_Acknowledge)
    comment = ua.Variant(ua.LocalizedText("closed it", "en"), ua.VariantType.LocalizedText)
    with pytest.raises(ua.uaerrors.BadEventIdUnknown):
        await condition.call_method(acknowledge, ua.Variant(b"old", ua.VariantType.ByteString), comment)
    current = stage.shown.emitter.conditions["DoorOpen"].event.fields["EventId"]
    await condition.call_method(acknowledge, current, comment)
    acked = await listener.wait(lambda event: event["AckedState/Id"].Value is True, 1)
    assert acked["Comment"].Value.Text == "closed it"
    current = stage.shown.emitter.conditions["DoorOpen"].event.fields["EventId"]
    with pytest.raises(ua.uaerrors.BadConditionBranchAlreadyAcked):
        await condition.call_method(acknowledge, current, comment)

    assert subscription != other
    lines = stage.lines()
    written = {line["id"]: line for line in lines if line["kind"] == "event"}
    heard = {
        base64.b64encode(event["EventId"].Value).decode(): event for handle, event in listener.events if handle == 1
    }
    assert heard.keys() <= written.keys()
    for key, event in heard.items():
        line = written[key]
        assert line["message"] == encode_variant(event["Message"], stage.uris)
        assert line["severity"] == event["Severity"].Value
        for name in (
            "ErrorCode",
            "ActiveState/Id",
            "AckedState/Id",
            "Identifier",
            "ToState/Id",
            "Comment",
            "ConditionId",
        ):
            assert line["fields"].get(name) == encode_variant(event[name], stage.uris), name
    assert written[base64.b64encode(alarm["EventId"].Value).decode()]["source"] == "Notification/Messages"


async def test_where_clauses_know_subtypes(stage: Any, connect: Callable[..., Any]) -> None:
    client = await connect(stage.url)
    element = ua.ContentFilterElement()
    element.FilterOperator = ua.FilterOperator.OfType
    element.FilterOperands = [ua.LiteralOperand(ua.Variant(ua.NodeId(ua.ObjectIds.TransitionEventType)))]
    where = ua.ContentFilter()
    where.Elements = [element]
    listener, _ = await listen(client, [stage.instance.node], where)
    everything, _ = await listen(client, [stage.instance.node])
    await everything.wait(lambda event: event["ConditionName"].Value == "DoorOpen")
    await everything.wait(lambda event: event["Identifier"].Value is not None)
    await listener.wait(lambda event: event["ToState/Number"].Value == 3)
    await listener.wait(lambda event: event["ToState/Number"].Value == 1)
    assert all(of_type(event, "ProductionProgramTransitionEventType") for _, event in listener.events)


async def test_writes_and_methods_ask_the_machine(stage: Any, connect: Callable[..., Any]) -> None:
    client = await connect(stage.url)
    instance = stage.instance
    override = client.get_node(instance.variables["Monitoring/MachineTool/FeedOverride"].node)
    assert ua.AccessLevel.CurrentWrite in await override.get_access_level()
    note = client.get_node(instance.variables["Odd/Note"].node)
    assert (await override.read_value(), await note.read_value()) == (100.0, "")
    await override.write_value(80.0)
    assert await override.read_value() == 80.0
    with pytest.raises(ua.uaerrors.BadOutOfRange):
        await override.write_value(151.0)
    with pytest.raises(ua.uaerrors.BadTypeMismatch):
        await override.write_value(ua.Variant(80, ua.VariantType.Int32))
    for path in ("Identification/SerialNumber", "Monitoring/Spindle1/Speed", "Odd/Big"):
        node = client.get_node(instance.variables[path].node)
        assert ua.AccessLevel.CurrentWrite not in await node.get_access_level()
        with pytest.raises(ua.uaerrors.BadNotWritable):
            await node.write_value(await node.read_data_value())
    with pytest.raises(ua.uaerrors.BadNotWritable):
        await override.write_attribute(ua.AttributeIds.DisplayName, ua.DataValue(ua.LocalizedText("x")))

    control = client.get_node(instance.entries["Control"].node)
    add = await control.get_child(ua.QualifiedName("Add", instance.namespace))
    described = await (await add.get_child("0:InputArguments")).read_value()
    assert [argument.Name for argument in described] == ["a", "b"]
    assert await control.call_method(add, 1.5, 2.0) == 3.5
    with pytest.raises(ua.uaerrors.BadArgumentsMissing):
        await control.call_method(add, 1.5)
    with pytest.raises(ua.uaerrors.BadInvalidArgument):
        await control.call_method(add, 1.5, "x")
    with pytest.raises(ua.uaerrors.BadInvalidState):
        await control.call_method(await control.get_child(ua.QualifiedName("Refuse", instance.namespace)))
    lines = stage.lines()
    assert [line["value"] for line in lines if line.get("path") == "Monitoring/MachineTool/FeedOverride"] == [80.0]
    assert [line["value"] for line in lines if line.get("path") == "Odd/Note"] == ["sum 3.5"]


async def test_tools_come_and_go_with_a_model_change_event(stage: Any, connect: Callable[..., Any]) -> None:
    client = await connect(stage.url)
    instance = stage.instance
    version = client.get_node(stage.shown.builder.space.child(instance.entries["Equipment/Tools"].node, "NodeVersion"))
    before = int(await version.read_value())
    listener, _ = await listen(client, [ua.NodeId(ua.ObjectIds.Server)])

    def changed(event: dict[str, ua.Variant]) -> bool:
        return bool(event["EventType"].Value.Identifier == ua.ObjectIds.GeneralModelChangeEventType)

    await listener.wait(changed)
    tool = instance.entries["Equipment/Tools/T2"].node
    assert await version.read_value() == str(before + 1)
    subscription = await client.create_subscription(100, Ignore())
    await subscription.subscribe_data_change(client.get_node(instance.variables["Equipment/Tools/T2/Identifier"].node))
    async with asyncio.timeout(20):
        while sum(changed(event) for _, event in listener.events) < 2:
            await asyncio.sleep(0.05)
    with pytest.raises(ua.uaerrors.BadNodeIdUnknown):
        await client.get_node(tool).read_browse_name()
    assert await version.read_value() == str(before + 2)
    await subscription.delete()
    assert "Equipment/Tools/T2/Identifier" not in instance.variables
    lines = stage.lines()
    shown = [
        (line["value"], line.get("status")) for line in lines if line.get("path") == "Equipment/Tools/T2/Identifier"
    ]
    assert shown == [("T2", None), (None, "BadNodeIdUnknown")]


class Ignore:
    def datachange_notification(self, node: Any, val: Any, data: Any) -> None:
        """Values do not matter here."""
