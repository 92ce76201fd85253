from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asyncua import ua

from adapters.opcua.progress import decode_progress
from gateway.errors import UnreachableError
from gateway.model import Description, Gap, Record, Samples

from .conftest import MACHINE, PlainServer, Rig, eventually, samples, saw

Make = Callable[..., Rig]


def gaps(batches: list[Any]) -> list[Gap]:
    return [record for batch in batches for record in batch.records if isinstance(record, Gap)]


async def test_describes_machines_first_and_reads_initial_values(rig: Make) -> None:
    one = rig()
    await one.source.connect(None)
    batches = await one.read(saw(0, "v4"))
    first = batches[0].records
    assert isinstance(first[0], Description)
    assert first[0].machine == MACHINE
    assert one.source.status.state == "online"
    assert one.states == [(MACHINE, "online", "")]
    for path in ("v0", "v1", "v2", "v3", "v4"):
        assert [sample.value for sample in samples(batches, path)] == [0]


async def test_acknowledges_only_what_is_committed(rig: Make, plain: PlainServer) -> None:
    one = rig()
    await one.source.connect(None)
    batches = await one.read(saw(0, "v4"), done=False)
    await plain.write(1)
    batches += await one.read(saw(1), done=False)
    kept = plain.subscription._not_acknowledged_results
    await asyncio.sleep(0.5)  # several publishing intervals, in which a premature acknowledgement would arrive
    assert list(kept) == list(range(1, len(kept) + 1))
    assert len(kept) >= 2
    for batch in batches:
        batch.done()
    await plain.write(2)  # frees a request, which carries the acknowledgements
    await one.read(saw(2))
    await eventually(lambda: 1 not in kept and 2 not in kept)


async def test_keeps_several_requests_in_flight(rig: Make) -> None:
    one = rig(requests_in_flight=4)
    await one.source.connect(None)
    await one.read(saw(0, "v4"))
    assert one.source._engine is not None
    await eventually(lambda: one.source._engine is not None and one.source._engine.in_flight == 4)


def swallow(plain: PlainServer, count: int, *, forget: bool) -> None:
    """The server loses answers on their way; `forget`: it cannot send them again either."""
    subscription = plain.subscription
    deliver = subscription.pub_result_callback
    left = [count]

    async def lose(result: Any, request: Any) -> None:
        if left[0] and result.NotificationMessage.NotificationData:
            left[0] -= 1
            if forget:
                subscription._not_acknowledged_results.pop(result.NotificationMessage.SequenceNumber)
            return
        await deliver(result, request)

    subscription.pub_result_callback = lose


async def test_asks_again_for_a_hole_in_order(rig: Make, plain: PlainServer) -> None:
    one = rig(requests_in_flight=5)
    await one.source.connect(None)
    batches = await one.read(saw(0, "v4"))
    swallow(plain, 2, forget=False)
    for value in range(1, 6):
        await plain.write(value)
        await asyncio.sleep(0.12)
    batches += await one.read(saw(5))
    assert [sample.value for sample in samples(batches)] == [0, 1, 2, 3, 4, 5]
    assert gaps(batches) == []
    assert one.source._engine is not None
    assert one.source._engine.republished == 2


async def test_tells_what_the_server_no_longer_has(rig: Make, plain: PlainServer) -> None:
    one = rig(requests_in_flight=5)
    await one.source.connect(None)
    batches = await one.read(saw(0, "v4"))
    swallow(plain, 1, forget=True)
    await plain.write(1)
    await asyncio.sleep(0.2)
    await plain.write(2)
    batches += await one.read(saw(2))
    assert [sample.value for sample in samples(batches)] == [0, 2]
    (gap,) = gaps(batches)
    assert (gap.machine, gap.cause, gap.signals) == (MACHINE, "missing-sequence", None)
    assert 0 < gap.begin <= gap.end


async def test_a_keep_alive_shows_a_hole_at_the_end(rig: Make, plain: PlainServer) -> None:
    one = rig(requests_in_flight=5, keep_alive=0.2)
    await one.source.connect(None)
    batches = await one.read(saw(0, "v4"))
    swallow(plain, 1, forget=False)
    await plain.write(7)
    batches += await one.read(saw(7))
    assert gaps(batches) == []


async def test_the_overflow_bit_becomes_a_gap_with_its_signal(rig: Make, plain: PlainServer) -> None:
    one = rig()
    await one.source.connect(None)
    await plain.write(1)
    batches = await one.read(saw(1))
    await plain.write(2, status=0x480)
    more = await one.read(saw(2))
    before, after = samples(batches)[-1], samples(more)[-1]
    (gap,) = gaps(more)
    assert (gap.signals, gap.cause, gap.begin, gap.end) == (["v0"], "queue-overflow", before.time, after.time)
    assert after.status is None


async def test_a_bad_value_is_null_and_names_its_status(rig: Make, plain: PlainServer) -> None:
    one = rig()
    await one.source.connect(None)
    await one.read(saw(0, "v4"))
    await plain.write(5, status=ua.StatusCodes.BadSensorFailure)
    batches = await one.read(lambda records: any(isinstance(record, Samples) for record in records))
    (sample,) = samples(batches)
    assert (sample.value, sample.status) == (None, "BadSensorFailure")
    assert sample.time > 0


async def test_memory_is_bounded_and_nothing_lost_while_commits_wait(rig: Make, plain: PlainServer) -> None:
    one = rig(requests_in_flight=2, unacknowledged=4)
    await one.source.connect(None)
    batches = await one.read(saw(0, "v4"), done=False)
    engine = one.source._engine
    assert engine is not None
    reader = asyncio.create_task(one.read(saw(60), done=False))
    for value in range(1, 61):
        await plain.write(value)
        await asyncio.sleep(0.02)
    assert not reader.done()
    assert engine.in_flight == 0
    assert engine.most_waiting <= 4
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    engine.committed([])  # wakes nothing: the bound holds until commits come
    assert engine.in_flight == 0
    for batch in batches:
        batch.done()


async def test_goes_on_without_loss_when_commits_come(rig: Make, plain: PlainServer) -> None:
    one = rig(requests_in_flight=2, unacknowledged=2)
    await one.source.connect(None)
    batches = await one.read(saw(0, "v4"))
    held: list[Any] = []

    async def slow() -> None:
        while not samples([*batches, *held]) or samples([*batches, *held])[-1].value != 60:
            batch = await one.source.read()
            held.append(batch)
            await asyncio.sleep(0.15)  # a commit takes longer than a publishing interval
            batch.done()

    reader = asyncio.create_task(slow())
    for value in range(1, 61):
        await plain.write(value)
        await asyncio.sleep(0.01)
    await asyncio.wait_for(reader, 30)
    assert [sample.value for sample in samples([*batches, *held])] == list(range(61))
    assert gaps(held) == []


async def test_limits_of_a_call_and_refused_nodes(rig: Make, plain: PlainServer, monkeypatch: Any) -> None:
    await plain.stop()
    plain.count = 198
    await plain.start()
    service = plain.server.iserver.subscription_service
    create = service.create_monitored_items
    sizes: list[int] = []

    async def limited(params: Any, *args: Any) -> Any:
        sizes.append(len(params.ItemsToCreate))
        if len(params.ItemsToCreate) > 40:
            raise ua.uaerrors.BadTooManyOperations
        return await create(params, *args)

    monkeypatch.setattr(service, "create_monitored_items", limited)
    one = rig(plain.plan(extra=2))
    await one.source.connect(None)
    batches = await one.read(saw(0, "v197"))
    assert max(sizes[3:]) <= 40
    description = batches[0].records[0]
    assert isinstance(description, Description)
    quarantined = {signal.path for signal in description.description.signals if signal.quarantined}
    assert quarantined == {"missing0", "missing1"}
    (gap,) = gaps(batches)
    assert (gap.cause, gap.signals) == ("quarantined", ["missing0", "missing1"])
    assert all(samples(batches, f"v{number}") for number in range(198))
    assert one.source.status.state == "degraded"
    assert "missing0" in one.source.status.reason


async def test_reconnects_after_the_server_was_away_and_tells_the_gap(rig: Make, plain: PlainServer) -> None:
    one = rig()
    await one.source.connect(None)
    await plain.write(1)
    batches = await one.read(saw(1))
    progress = next(batch.progress for batch in reversed(batches) if batch.progress is not None)
    await plain.stop()
    with pytest.raises(UnreachableError):
        await asyncio.wait_for(one.read(saw(99)), 20)
    assert one.source.status.state == "offline"
    assert one.states[-1][1] == "offline"
    with pytest.raises(UnreachableError, match="nothing listens"):
        await one.source.connect(progress)
    await plain.start()
    one.plans.append(plain.plan())
    await one.source.connect(progress)
    await plain.write(2)
    more = await one.read(saw(2))
    stored = decode_progress(progress)
    assert stored is not None
    (gap,) = gaps(more)
    assert (gap.cause, gap.machine, gap.begin) == (
        "connection",
        MACHINE,
        stored.skew.begin(stored.complete),
    )
    assert gap.end > gap.begin
    assert not [record for batch in more for record in batch.records if isinstance(record, Description)]
    assert one.states[-1] == (MACHINE, "online", "")


async def test_a_silent_server_is_told_then_lost(rig: Make, plain: PlainServer) -> None:
    one = rig(keep_alive=0.2)
    await one.source.connect(None)
    await one.read(saw(0, "v4"))

    async def nothing(_result: Any, _request: Any) -> None:
        await asyncio.sleep(0)

    plain.subscription.pub_result_callback = nothing
    with pytest.raises(UnreachableError, match="silent"):
        await asyncio.wait_for(one.read(saw(99)), 20)
    assert [state for _, state, _ in one.states] == ["online", "silent", "offline"]


async def test_a_subscription_that_the_server_deleted_is_lost(rig: Make, plain: PlainServer) -> None:
    one = rig()
    await one.source.connect(None)
    await one.read(saw(0, "v4"))
    await plain.subscription.monitored_item_srv.trigger_statuschange(ua.StatusCode(ua.StatusCodes.BadTimeout))
    with pytest.raises(UnreachableError, match="BadTimeout"):
        await asyncio.wait_for(one.read(saw(99)), 20)


async def test_follows_machines_that_come_and_go(rig: Make, plain: PlainServer) -> None:
    one = rig(plain.plan())
    await one.source.connect(None)
    batches = await one.read(saw(0, "v4"))
    one.plans.append(plain.plan(machines=2))
    one.source.request_rediscovery()

    def described(records: list[Record]) -> bool:
        return len([record for record in records if isinstance(record, Description)]) == 2

    await one.read(described)
    await plain.write(3, 1)
    batches = await one.read(saw(3, "v1"))
    owners = {record.machine for batch in batches for record in batch.records if isinstance(record, Samples)}
    assert owners == {"urn:test:machine:2"}
    assert len(plain.subscription.monitored_item_srv._monitored_items) == 5
    one.plans.append(plain.plan())
    one.source.request_rediscovery()
    await one.read(lambda records: any(isinstance(record, Description) for record in records))
    assert one.states[-1][:2] == ("urn:test:machine:2", "offline")


async def test_leaves_no_session_and_keeps_the_subscription_for_a_successor(rig: Make, plain: PlainServer) -> None:
    one = rig()
    await one.source.connect(None)
    await one.read(saw(0, "v4"))
    await one.source.close()
    await one.source.close()
    assert len(plain.server.iserver.subscription_service.subscriptions) == 1
    assert not plain.server.iserver._external_sessions
    with pytest.raises(UnreachableError):
        await one.source.read()
