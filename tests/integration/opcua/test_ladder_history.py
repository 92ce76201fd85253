"""The third rung: what no subscription brings any more comes from the server's history, each value once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua

from adapters.opcua.config import HistoryConfig
from adapters.opcua.progress import decode_progress
from gateway.model import Samples
from security.pki.lab import LabPki
from simulators.opcua.server import SimulatorServer
from simulators.opcua.services import fault

from .ladder_rig import SPEED, Ladder, config_of, simulator, truth

TEMPERATURE = "Components/Coolant/Temperature"
RECORDED = (SPEED, TEMPERATURE)


async def record(server: SimulatorServer, nodes: list[ua.NodeId]) -> None:
    """Keep the history of these nodes; asyncua's own recorder keeps one of several values in one cycle."""
    core = server.server.iserver
    storage = core.history_manager.storage
    for node in nodes:
        await storage.new_historized_node(node, None, 10_000)
        shown = server.server.get_node(node)
        await shown.write_attribute(ua.AttributeIds.Historizing, ua.DataValue(True))
        await shown.set_attr_bit(ua.AttributeIds.AccessLevel, ua.AccessLevel.HistoryRead)
        await shown.set_attr_bit(ua.AttributeIds.UserAccessLevel, ua.AccessLevel.HistoryRead)
    write = core.aspace.write_attribute_value

    async def recorded(node: ua.NodeId, attribute: ua.AttributeIds, value: ua.DataValue) -> Any:
        if node in nodes and attribute == ua.AttributeIds.Value:
            await storage.save_node_value(node, value)
        return await write(node, attribute, value)

    core.aspace.write_attribute_value = recorded


@pytest.fixture
async def server(lab: LabPki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SimulatorServer]:
    made = simulator(lab, tmp_path / "ledger.jsonl")
    await made.start()
    assert made.runner is not None
    variables = made.runner.machines[0].instance.variables
    await record(made, [variables[path].node for path in RECORDED])

    async def refused(*_: Any) -> None:
        raise fault("BadServiceUnsupported")

    monkeypatch.setattr(made.server.iserver.subscription_service, "transfer_subscriptions", refused)
    yield made
    await made.stop()


@pytest.fixture
async def ladder(lab: LabPki, server: SimulatorServer) -> AsyncIterator[Ladder]:
    made = Ladder(config_of(lab, server.url))
    await made.connect()
    await made.more(20)
    yield made
    await made.source.close()


async def successor(ladder: Ladder, **history: float) -> None:
    """The gateway is killed, and its successor reads history so."""
    await ladder.kill()
    ladder.new_process(ladder.config.model_copy(update={"history": HistoryConfig.model_validate(history)}))


def backfilled(ladder: Ladder, path: str) -> list[tuple[Any, int]]:
    return [
        (sample.value, sample.time)
        for record in ladder.records
        if isinstance(record, Samples)
        for sample in record.samples
        if sample.signal.path == path and sample.signal.backfilled
    ]


def assert_whole(ladder: Ladder, server: SimulatorServer, path: str) -> None:
    """By source time, live and backfilled values together are a piece of the ledger, each once."""
    assert server.ledger is not None
    assert server.config.ledger is not None
    server.ledger.flush()
    expected = truth(server.config.ledger)[path]
    found = sorted(ladder.samples(path), key=lambda one: one["time"])
    start = expected.index(found[0])
    assert found == expected[start : start + len(found)]
    history = [time for _, time in backfilled(ladder, path)]
    assert history == sorted(history)
    assert len(history) >= 10


async def filled(ladder: Ladder) -> None:
    await ladder.read(lambda: ladder.source._backfill.span is None)
    await ladder.more(5)


async def test_history_closes_the_hole_and_the_gap_names_only_the_others(
    ladder: Ladder, server: SimulatorServer
) -> None:
    await successor(ladder, page=7)
    await asyncio.sleep(1.5)
    await ladder.connect()
    await filled(ladder)
    (gap,) = ladder.gaps()
    assert gap.cause == "connection"
    assert gap.signals is not None
    assert gap.events
    assert not set(RECORDED) & set(gap.signals)
    assert "Odd/Big" in gap.signals
    for path in RECORDED:
        assert_whole(ladder, server, path)
    stored = decode_progress(ladder.progress)
    assert stored is not None
    assert stored.hole is None


async def test_live_values_do_not_wait_for_history(ladder: Ladder) -> None:
    await successor(ladder, page=2, rate=10)
    await asyncio.sleep(1.5)
    await ladder.connect()
    before = len(ladder.records)
    await ladder.more(15)
    assert ladder.source._backfill.span is not None
    live = [one for one in ladder.records[before:] if isinstance(one, Samples) and not one.samples[0].signal.backfilled]
    assert live


async def test_a_cut_while_history_is_read_repeats_and_loses_nothing(ladder: Ladder, server: SimulatorServer) -> None:
    await successor(ladder, page=5, rate=20)
    await asyncio.sleep(1.5)
    await ladder.connect()
    await ladder.read(lambda: bool(backfilled(ladder, SPEED) or backfilled(ladder, TEMPERATURE)))
    server.drop()
    await ladder.lost()
    await ladder.connect()
    await filled(ladder)
    assert len(ladder.gaps()) == 1
    for path in RECORDED:
        assert_whole(ladder, server, path)


async def test_a_kill_while_history_is_read_is_a_gap_of_the_recorded_signals(
    ladder: Ladder,
) -> None:
    await successor(ladder, page=2, rate=5)
    await asyncio.sleep(1)
    await ladder.connect()
    await ladder.read(lambda: bool(backfilled(ladder, SPEED) or backfilled(ladder, TEMPERATURE)))
    await ladder.kill()
    await ladder.connect()
    await ladder.more(5)
    told = {path for gap in ladder.gaps() if "ended while" in gap.detail for path in gap.signals or ()}
    assert told == set(RECORDED)


async def test_history_that_cannot_be_read_is_a_gap_of_that_signal(
    ladder: Ladder, server: SimulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: Any) -> None:
        raise fault("BadHistoryOperationUnsupported")

    monkeypatch.setattr(server.server.iserver.history_manager, "read_history", refused)
    await ladder.kill()
    await asyncio.sleep(0.5)
    await ladder.connect()
    await filled(ladder)
    told = [gap.signals for gap in ladder.gaps() if "BadHistoryOperationUnsupported" in gap.detail]
    assert sorted(told) == sorted([[path] for path in RECORDED])
