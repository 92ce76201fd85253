import asyncio

import pytest

from gateway.errors import ConfigurationError
from gateway.outbox import Depth, writer

ALL = 10**9


async def test_a_commit_is_in_the_file_with_numbers_progress_and_streams(kit):
    outbox = await kit.open()
    committed = await outbox.commit([kit.values(1, 2), kit.values(3, machine="M2"), kit.values(4)], {"floor": b"p"})
    assert committed.ids == range(1, 4)
    assert kit.outside("SELECT id, machine, kind, seq, lost FROM messages") == [
        (1, "M1", "data", 1, 2),
        (2, "M2", "data", 1, 1),
        (3, "M1", "data", 2, 1),
    ]
    assert kit.outside("SELECT source, state FROM progress") == [("floor", b"p")]
    assert kit.outside("SELECT machine, seq FROM streams") == [("M1", 2), ("M2", 1)]
    assert outbox.progress("floor") == b"p"
    assert outbox.progress("other") is None


async def test_progress_alone_is_stored_too(kit):
    outbox = await kit.open()
    assert (await outbox.commit([], {"floor": b"1"})).ids == range(0)
    assert kit.outside("SELECT state FROM progress") == [(b"1",)]


async def test_reading_is_the_same_from_memory_and_from_disk(kit):
    outbox = await kit.open()
    for start in range(0, 300, 7):
        machine = f'M"\u00fc,\n{start % 3}'
        await outbox.commit([kit.values(*range(start, start + 7), machine=machine), kit.gap(), kit.text(start)], {})
    from_memory = await outbox.read(0, 1000, ALL)
    await outbox.close()
    again = await kit.open()
    from_disk = await again.read(0, 1000, ALL)
    assert list(from_memory) == from_disk
    assert [message.id for message in from_disk] == list(range(1, again.last_id + 1))
    for after in (0, 1, 50, again.last_id - 1, again.last_id):
        assert list(await again.read(after, 9, ALL)) == from_disk[after : after + 9]


@pytest.mark.parametrize("tail", [0, 1 << 20])
async def test_reading_is_bounded_by_messages_and_bytes_but_gives_at_least_one(kit, tail):
    outbox = await kit.open(tail=tail)
    await outbox.commit([kit.text(1000) for _ in range(10)], {})
    size = len((await outbox.read(0, 1, ALL))[0].payload)
    assert len(await outbox.read(0, 3, ALL)) == 3
    assert len(await outbox.read(0, 100, 3 * size)) == 3
    assert len(await outbox.read(0, 100, 3 * size - 1)) == 2
    assert len(await outbox.read(0, 100, 1)) == 1


async def test_the_tail_is_bounded_and_lets_go_of_what_all_sinks_have(kit):
    outbox = await kit.open(sinks=("a", "b"), tail=20_000)
    for _ in range(100):
        await outbox.commit([kit.text(1000)], {})
    assert 15_000 < outbox.tail_bytes <= 20_000
    outbox.acknowledge("a", 100)
    assert outbox.tail_bytes > 15_000
    outbox.acknowledge("b", 95)
    assert 4_000 < outbox.tail_bytes < 6_500
    assert [message.id for message in await outbox.read(95, 10, ALL)] == [96, 97, 98, 99, 100]


async def test_what_all_sinks_have_is_deleted_with_the_next_commit(kit):
    outbox = await kit.open(sinks=("a", "b"))
    await outbox.commit([kit.values(value) for value in range(10)], {})
    outbox.acknowledge("a", 10)
    outbox.acknowledge("b", 4)
    await outbox.commit([kit.values(99)], {})
    assert kit.outside("SELECT min(id), count(*) FROM messages") == [(5, 7)]
    assert kit.outside("SELECT sink, acked FROM cursors") == [("a", 10), ("b", 4)]


async def test_an_acknowledgement_is_stored_soon_without_a_commit(kit):
    outbox = await kit.open()
    await outbox.commit([kit.values(1)], {})
    outbox.acknowledge("broker", 1)
    async with asyncio.timeout(20):
        while outbox.depth().messages:  # noqa: ASYNC110 - a test asks from outside
            await asyncio.sleep(0.05)
    assert kit.outside("SELECT acked FROM cursors") == [(1,)]
    assert kit.outside("SELECT count(*) FROM messages") == [(0,)]


async def test_a_long_past_is_deleted_in_parts_even_after_a_restart(kit, monkeypatch):
    monkeypatch.setattr(writer, "DELETED_AT_ONCE", 40)
    outbox = await kit.open()
    await outbox.commit([kit.values(value) for value in range(100)], {})
    outbox.acknowledge("broker", 100)
    await outbox.close()
    assert kit.outside("SELECT count(*) FROM messages") == [(60,)]
    again = await kit.open()
    async with asyncio.timeout(20):
        while again.depth().messages:  # noqa: ASYNC110 - a test asks from outside
            await asyncio.sleep(0.05)
    assert kit.outside("SELECT count(*) FROM messages") == [(0,)]
    assert again.last_id == 100


async def test_closing_stores_the_cursors(kit):
    outbox = await kit.open()
    await outbox.commit([kit.values(1), kit.values(2)], {})
    outbox.acknowledge("broker", 1)
    await outbox.close()
    await outbox.close()
    assert kit.outside("SELECT acked FROM cursors") == [(1,)]
    assert kit.outside("SELECT id FROM messages") == [(2,)]


async def test_ids_rise_through_an_emptied_outbox_and_a_restart(kit):
    outbox = await kit.open()
    await outbox.commit([kit.values(1), kit.values(2)], {})
    outbox.acknowledge("broker", 2)
    await outbox.close()
    again = await kit.open()
    assert again.last_id == again.cursor("broker") == 2
    assert (await again.commit([kit.values(3)], {})).ids == range(3, 4)


async def test_a_new_sink_gets_what_is_still_stored_and_a_removed_one_holds_nothing_up(kit):
    outbox = await kit.open(sinks=("old",))
    await outbox.commit([kit.values(value) for value in range(5)], {})
    outbox.acknowledge("old", 2)
    await outbox.close()
    again = await kit.open(sinks=("new",))
    assert again.cursor("new") == 2
    again.acknowledge("new", 5)
    await again.close()
    assert kit.outside("SELECT sink, acked FROM cursors") == [("new", 5)]
    assert kit.outside("SELECT count(*) FROM messages") == [(0,)]


async def test_depth_counts_what_is_there_and_how_old_it_is(kit):
    outbox = await kit.open()
    assert outbox.depth() == Depth(0, 0, 0.0)
    committed = await outbox.commit([kit.values(1)], {})
    kit.clock.advance(30)
    more = await outbox.commit([kit.values(2), kit.values(3)], {})
    sizes = [len(message.payload) for message in (*committed.messages, *more.messages)]
    kit.clock.advance(10)
    assert outbox.depth() == Depth(3, sum(sizes), 40.0)
    outbox.acknowledge("broker", 1)
    await outbox.commit([], {})
    assert outbox.depth() == Depth(2, sum(sizes[1:]), 10.0)
    await outbox.close()
    again = await kit.open()
    assert again.depth() == Depth(2, sum(sizes[1:]), 10.0)


async def test_the_latest_description_stays_after_delivery_with_its_numbers(kit):
    outbox = await kit.open()
    await outbox.commit([kit.description(), kit.description("M2"), kit.values(1), kit.description(name="Mill 2")], {})
    outbox.acknowledge("broker", outbox.last_id)
    await outbox.close()
    again = await kit.open()
    found = again.descriptions()
    assert [(message.id, message.machine, message.kind) for message in found] == [
        (2, "M2", "description"),
        (4, "M1", "description"),
    ]
    assert [(body["seq"], body["description"]["name"]) for body in kit.decode(found)] == [(1, "Mill"), (3, "Mill 2")]


async def test_a_message_beyond_the_limit_is_divided_and_numbered_on(kit):
    outbox = await kit.open(message=2000)
    committed = await outbox.commit([kit.values(*("y" * 100 for _ in range(200)), "z" * 5000), kit.values("end")], {})
    bodies = kit.decode(committed.messages)
    assert [body["seq"] for body in bodies] == list(range(1, len(bodies) + 1))
    values = [sample["value"] for body in bodies for sample in body["samples"]]
    assert values == ["y" * 100] * 200 + ["z" * 5000, "end"]
    for message, body in zip(committed.messages, bodies, strict=True):
        assert len(message.payload) <= 2000 or len(body["samples"]) == 1
    assert len(bodies) < 45


async def test_a_cancelled_commit_happens_all_the_same(kit):
    outbox = await kit.open()
    task = asyncio.create_task(outbox.commit([kit.values(1)], {}))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    committed = await outbox.commit([kit.values(2)], {})
    assert [body["seq"] for body in kit.decode(await outbox.read(0, 10, ALL))] == [1, 2]
    assert committed.ids == range(2, 3)


async def test_an_outbox_without_sinks_is_refused(kit):
    with pytest.raises(ConfigurationError, match="no sink"):
        await kit.open(sinks=())
