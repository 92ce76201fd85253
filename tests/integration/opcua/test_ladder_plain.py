"""The recovery ladder against a plain asyncua server, whose subscriptions end silently when they are transferred."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from adapters.opcua.source import OpcUaSource
from gateway.errors import UnreachableError
from gateway.model import Gap, Record

from .conftest import PlainServer, Rig, samples, saw
from .ladder_rig import NEW, TAKEN_OVER

Make = Callable[..., Rig]
KEEP_ALIVE = 0.3


async def kill(source: OpcUaSource) -> None:
    """What the server sees of SIGKILL."""
    assert source._connection is not None
    assert source._rediscovery is not None
    await source._rediscovery.stop()
    await source._connection.abandon()


async def test_a_transferred_subscription_that_never_publishes_is_left_for_a_new_one(
    rig: Make, plain: PlainServer
) -> None:
    first = rig(keep_alive=KEEP_ALIVE)
    await first.source.connect(None)
    await plain.write(1)
    batches = await first.read(saw(1))
    progress = batches[-1].progress
    await kill(first.source)

    second = rig(keep_alive=KEEP_ALIVE)
    await second.source.connect(progress)
    assert second.source._rung == TAKEN_OVER
    await plain.write(2)

    def published(records: list[Record]) -> bool:
        assert not saw(2)(records), (
            "asyncua publishes on a transferred subscription by now: this test and its row in the adapter's README end"
        )
        return False

    with pytest.raises(UnreachableError, match="silent"):
        await second.read(published)

    await second.source.connect(progress)
    assert second.source._rung == NEW
    await plain.write(3)
    batches = await second.read(saw(3))
    gaps = [record for batch in batches for record in batch.records if isinstance(record, Gap)]
    assert [(gap.cause, gap.signals) for gap in gaps] == [("connection", None)]
    assert [sample.value for sample in samples(batches)] == [2, 3]
