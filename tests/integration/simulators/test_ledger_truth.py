# ruff: noqa: ASYNC110 - what is waited for happens in a server that has no event to await
from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asyncua import ua

from simulators.ledger import encode_variant, iso, quality_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Collector:
    def __init__(self) -> None:
        self.values: list[tuple[str, ua.DataValue]] = []
        self.paths: dict[str, str] = {}

    def datachange_notification(self, node: Any, _val: Any, data: Any) -> None:
        self.values.append((node.nodeid.to_string(), data.monitored_item.Value))


async def test_a_subscriber_receives_exactly_the_ledger(stage: Any, connect: Callable[..., Any]) -> None:
    client = await connect(stage.url)
    instance = stage.instance
    paths = {v.node.to_string(): v.shown for v in instance.variables.values() if not v.describing}
    collector = Collector()
    subscription = await client.create_subscription(100, collector)
    nodes = [client.get_node(node) for node in paths]
    await subscription.subscribe_data_change(nodes, queuesize=200)
    async with asyncio.timeout(60):
        while stage.machine.step < 70:
            await asyncio.sleep(0.05)
        await stage.do("pause")
        lines = [line for line in stage.whole_ledger() if line["kind"] == "value" and line["machine"] == instance.uri]
        by_path: dict[str, list[Any]] = {}
        for line in lines:
            by_path.setdefault(line["path"], []).append(
                (line["value"], line["time"], line["quality"], line.get("status", "Good"))
            )
        wanted = {path: by_path[path][-1] for path in paths.values()}
        while {path: received[-1] for path, received in seen(collector, paths, stage.uris).items()} != wanted:
            await asyncio.sleep(0.05)
    received = seen(collector, paths, stage.uris)
    for path, got in received.items():
        written = by_path[path]
        assert got == written[written.index(got[0]) :], path
    assert len(received["Monitoring/Spindle1/Speed"]) > 60
    assert [line["n"] for line in stage.whole_ledger()] == list(range(1, stage.server.ledger.count + 1))


def seen(collector: Collector, paths: dict[str, str], uris: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for node, value in collector.values:
        status = value.StatusCode
        entry = (encode_variant(value.Value, uris), iso(value.SourceTimestamp), quality_of(status), status.name)
        found.setdefault(paths[node], []).append(entry)
    return found
