"""Commands to a running server: what clients and the ledger see of them."""

# ruff: noqa: ASYNC110 - what is waited for happens in a server that has no event to await
from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from asyncua import ua

from simulators.mutants.registry import device_mutants
from simulators.opcua.control import CommandError, Control

pytestmark = pytest.mark.asyncio(loop_scope="session")
SPEED = "Monitoring/Spindle1/Speed"


async def until(condition: Callable[[], bool], within: float = 20) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.02)


def speeds(stage: Any) -> list[Any]:
    return [line["value"] for line in stage.lines() if line.get("path") == SPEED]


async def test_a_frozen_point_stands_still_until_it_is_thawed(stage: Any, connect: Callable[..., Any]) -> None:
    client = await connect(stage.url)
    speed = client.get_node(stage.instance.variables[SPEED].node)
    other = client.get_node(stage.instance.variables["Odd/Big"].node)
    await stage.do("freeze", path=SPEED)
    held, moving, step = await speed.read_value(), await other.read_value(), stage.machine.step
    await until(lambda: stage.machine.step >= step + 10)
    await stage.server.runner.settled()
    assert await speed.read_value() == held
    assert await other.read_value() >= moving + 9, "the machine's own count may be one step ahead of what is shown"
    assert speeds(stage)[-1:] in ([held], [])
    await stage.do("thaw", path=SPEED)
    thawed = stage.machine.step
    await until(lambda: stage.machine.step >= thawed + 2)
    await stage.do("pause")
    assert await speed.read_value() == float(stage.machine.step)
    written = speeds(stage)
    skipped = written.index(held) if held in written else -1
    assert written[skipped + 1] > step + 9
    with pytest.raises(CommandError, match="no variable at 'Monitoring/Nothing'"):
        await stage.do("freeze", path="Monitoring/Nothing")


async def test_tools_are_put_in_and_taken_out(stage: Any, connect: Callable[..., Any]) -> None:
    await stage.do("pause")
    client = await connect(stage.url)
    space = stage.shown.builder.space
    tools = stage.instance.entries["Equipment/Tools"].node
    version = client.get_node(space.child(tools, "NodeVersion"))
    before = int(await version.read_value())
    bench = stage.instance.uri
    await stage.do("add-tool", name="T9", machine=bench)
    tool = client.get_node(stage.instance.entries["Equipment/Tools/T9"].node)
    names = {(await node.read_browse_name()).Name for node in await client.get_node(tools).get_children()}
    assert {"T1", "T9"} <= names
    assert (await client.get_node(await tool.read_type_definition()).read_browse_name()).Name == "ToolType"
    assert await (await tool.get_child(ua.QualifiedName("Identifier", space.index(MT)))).read_value() == "T9"
    assert await version.read_value() == str(before + 1)
    with pytest.raises(CommandError, match="already a tool at Equipment/Tools/T9"):
        await stage.do("add-tool", name="T9", machine=bench)
    await stage.do("remove-tool", name="T9", machine=bench)
    assert await version.read_value() == str(before + 2)
    with pytest.raises(ua.uaerrors.BadNodeIdUnknown):
        await tool.read_browse_name()
    with pytest.raises(CommandError, match="no tool at Equipment/Tools/T9"):
        await stage.do("remove-tool", name="T9", machine=bench)
    with pytest.raises(CommandError, match="there is no machine 'Nobody'"):
        await stage.do("add-tool", name="T9", machine="Nobody")
    shown = [(one["value"], one.get("status")) for one in stage.lines() if "T9" in one.get("path", "")]
    assert ("T9", None) in shown
    assert shown[-1] == (None, "BadNodeIdUnknown")


MT = "http://opcfoundation.org/UA/MachineTool/"


async def test_forgotten_clients_have_neither_session_nor_subscription(stage: Any, connect: Callable[..., Any]) -> None:
    client = await connect(stage.url)
    made = await client.create_subscription(100, Ignore())
    await made.subscribe_data_change(client.get_node(stage.instance.variables[SPEED].node))
    assert len(stage.core._external_sessions) == 1
    assert made.subscription_id in stage.core.subscription_service.subscriptions
    await stage.do("forget")
    assert not stage.core._external_sessions
    assert not stage.core.subscription_service.subscriptions
    await until(lambda: not stage.core.asyncio_transports)
    again = await connect(stage.url)
    params = ua.TransferSubscriptionsParameters(SubscriptionIds=[made.subscription_id], SendInitialValues=False)
    answer = await again.uaclient.session._send_request(ua.TransferSubscriptionsRequest(Parameters=params))
    (result,) = ua.ua_binary.struct_from_binary(ua.TransferSubscriptionsResponse, answer).Parameters.Results
    assert result.StatusCode.name == "BadSubscriptionIdInvalid"


class Ignore:
    def datachange_notification(self, node: Any, val: Any, data: Any) -> None:
        """Values do not matter here."""


async def test_a_mutant_that_a_server_cannot_become_is_answered_with_an_error(stage: Any) -> None:
    """Whatever is asked for, the answer is a line, and the server is mended by the next one."""
    await stage.do("pause")
    control = Control(stage.server)
    refused = {}
    for name in device_mutants():
        answer = await control.line(json.dumps({"do": "mutant", "id": name}).encode())
        assert (answer.get("done") == "mutant") != ("error" in answer), (name, answer)
        assert control.switch.current == (None if "error" in answer else name)
        if "error" in answer:
            refused[name] = answer["error"]
    assert await control.line(b'{"do":"mutant"}') == {"done": "mutant", "touched": None}
    assert 0 < len(refused) < len(device_mutants()), "the bench is no reference machine, but it has something"
    assert all(len(reason) > 15 for reason in refused.values()), refused


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"nonsense", "no line of JSON"),
        (b'{"do":"\xff"}', "no line of JSON"),
        (b"[]", "a command is a JSON object"),
        (b'{"do":"explode"}', "unknown command 'explode'"),
        (b'{"do":"mutant","id":"device.nothing"}', "no mutant device 'device.nothing'"),
        (b'{"do":"mutant","id":["device"]}', "no mutant device"),
        (b'{"do":"lose","count":"all"}', "count is 'all'"),
        (b'{"do":"lose","count":0}', "count is 0"),
        (b'{"do":"restart","seconds":-1}', "seconds is -1"),
        (b'{"do":"restart","seconds":NaN}', "seconds is nan"),
    ],
)
async def test_a_wrong_line_is_answered_with_its_reason(stage: Any, line: bytes, reason: str) -> None:
    answer = await Control(stage.server).line(line)
    assert set(answer) == {"error"}
    assert reason in answer["error"]
