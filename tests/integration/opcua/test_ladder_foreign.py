"""The recovery ladder against a server of another stack (node-opcua)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.model import Samples
from security.pki import LabPki, create_lab

from ..foreign.conftest import MILL, NAME, SITE, ForeignServer  # noqa: TID252 - the test folders are no packages
from .ladder_rig import Ladder, config_of

COUNT = "Besonderes/温度"


@pytest.fixture(scope="module")
def foreign_lab(tmp_path_factory: pytest.TempPathFactory) -> LabPki:
    return create_lab(tmp_path_factory.mktemp("foreign") / "pki", machines=[NAME], site=SITE)


@pytest.fixture
async def server(foreign_lab: LabPki, tmp_path: Path) -> AsyncIterator[ForeignServer]:
    made = ForeignServer(foreign_lab, tmp_path)
    try:
        await asyncio.to_thread(made.start)
        yield made
    finally:
        made.kill()


@pytest.fixture
async def ladder(foreign_lab: LabPki, server: ForeignServer) -> AsyncIterator[Ladder]:
    made = Ladder(config_of(foreign_lab, server.url))
    await made.connect()
    await made.read(lambda: bool(made.samples(COUNT)))
    yield made
    await made.source.close()


async def burst(server: ForeignServer, first: int, count: int = 60, interval: int = 10) -> None:
    await asyncio.to_thread(server.tell, "burst", name="温度", **{"from": first}, count=count, interval=interval)


def values(ladder: Ladder) -> list[Any]:
    """Without the first, and without what this server tells again: a session's new channel gets all current values."""
    told = [(one["value"], one["time"]) for one in ladder.samples(COUNT)][1:]
    return [one[0] for before, one in zip([None, *told], told, strict=False) if one != before]


async def until(ladder: Ladder, last: int) -> None:
    await ladder.read(lambda: values(ladder)[-1:] == [last])


async def test_a_cut_connection_takes_its_session_up_again(ladder: Ladder, server: ForeignServer) -> None:
    for turn in range(3):
        writing = asyncio.create_task(burst(server, 100 * turn))
        await asyncio.sleep(0.2)
        connection = ladder.source._connection
        assert connection is not None
        connection.client.uaclient.protocol.transport.abort()
        await ladder.lost()
        await ladder.connect()
        await writing
        await until(ladder, 100 * turn + 59)
        assert ladder.source._rung == "the session was taken up again"
    assert values(ladder) == [100 * turn + number for turn in range(3) for number in range(60)]
    assert {gap.cause for gap in ladder.gaps()} == {"quarantined"}  # of the one node that this server does not monitor


@pytest.mark.parametrize("stopped", [False, True], ids=["killed", "stopped"])
async def test_a_successor_takes_the_subscription_over(ladder: Ladder, server: ForeignServer, *, stopped: bool) -> None:
    for turn in range(3):
        writing = asyncio.create_task(burst(server, 100 * turn))
        await ladder.read(lambda: False, commit=False)  # read, not stored
        if stopped:
            await ladder.source.close()
            ladder.new_process()
        else:
            await ladder.kill()
        await ladder.connect()
        await writing
        await until(ladder, 100 * turn + 59)
        assert ladder.source._rung == "the subscription was taken over"
    assert values(ladder) == [100 * turn + number for turn in range(3) for number in range(60)]
    assert {gap.cause for gap in ladder.gaps()} == {"quarantined"}  # of the one node that this server does not monitor


@pytest.fixture
async def recording(foreign_lab: LabPki, tmp_path: Path) -> AsyncIterator[ForeignServer]:
    """It keeps history of the counted variable and of one that never changes, and refuses TransferSubscriptions."""
    made = ForeignServer(foreign_lab, tmp_path)
    try:
        options = ("--history", "温度", "--history", "V003", "--refuse-transfer")
        await asyncio.to_thread(made.start, *options)
        yield made
    finally:
        made.kill()


def told(ladder: Ladder, *, backfilled: bool) -> list[Any]:
    return [
        sample.value
        for record in ladder.records
        if isinstance(record, Samples)
        for sample in record.samples
        if sample.signal.path == COUNT and sample.signal.backfilled == backfilled
    ]


async def test_history_is_read_page_by_page_with_the_servers_continuation_points(
    foreign_lab: LabPki, recording: ForeignServer
) -> None:
    ladder = Ladder(config_of(foreign_lab, recording.url, history={"page": 7, "rate": 500}))
    await ladder.connect()
    await ladder.read(lambda: bool(ladder.samples(COUNT)))
    await burst(recording, 0, 10, interval=2)
    await until(ladder, 9)
    await ladder.kill()
    await burst(recording, 10, 40, interval=2)
    await ladder.connect()
    assert ladder.source._rung == "by a new subscription"
    await burst(recording, 50, 10, interval=2)
    await until_live(ladder, 59)
    await ladder.read(lambda: ladder.source._backfill.span is None)
    (gap,) = [one for one in ladder.gaps() if (one.machine, one.cause) == (MILL, "connection")]
    assert gap.signals is not None
    assert not {COUNT, "Many/V003"} & set(gap.signals)
    assert told(ladder, backfilled=True) == list(range(10, 49))  # 49 was current
    assert told(ladder, backfilled=False)[1:] == [*range(10), *range(49, 60)]
    pages = [one for one in ladder.records if isinstance(one, Samples) and one.samples[0].signal.backfilled]
    assert max(len(one.samples) for one in pages) <= 7
    await ladder.source.close()


async def until_live(ladder: Ladder, last: int) -> None:
    await ladder.read(lambda: told(ladder, backfilled=False)[-1:] == [last])
