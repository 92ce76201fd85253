import pytest

from gateway.errors import FullError
from gateway.model.times import iso_from_ticks
from gateway.outbox import writer

ALL = 10**9


async def test_the_oldest_leave_and_the_stream_says_so(kit):
    outbox = await kit.open(bytes=100_000)
    takes = []
    for _ in range(300):
        takes.append(kit.clock.ticks)
        await outbox.commit([kit.text(1000)], {})
        kit.clock.advance(1)
    assert outbox.depth().bytes <= 100_000
    stored = kit.decode(await outbox.read(0, 1000, ALL))
    gaps = [body for body in stored if "cause" in body]
    assert gaps
    present = {body["seq"] for body in stored}
    seqs = [body["seq"] for body in stored]
    assert seqs == sorted(seqs)
    gone = set(range(1, max(seqs) + 1)) - present
    # The oldest gap still stored tells of everything that left up to then: the gaps before it left too, and count on.
    assert sum(gap["lost"] for gap in gaps) == 300 - len([body for body in stored if "samples" in body])
    assert gaps[0]["cause"] == "evicted"
    assert min(gap["begin"] for gap in gaps) == iso_from_ticks(takes[0])
    assert max(gone) < min(present)
    assert outbox.first_id == (await outbox.read(0, 1, ALL))[0].id


async def test_each_machine_gets_its_own_gap_with_its_own_figures(kit):
    outbox = await kit.open(bytes=20_000)
    begin = kit.clock.ticks
    await outbox.commit([kit.values(1, 2, 3, machine="A"), kit.values(1, machine="B"), kit.values(4, machine="A")], {})
    kit.clock.advance(5)
    end = kit.clock.ticks
    await outbox.commit([kit.text(100, machine="A")], {})
    committed = await outbox.commit([kit.text(19_500, machine="C")], {})
    gaps = {body["machine"]: body for body in kit.decode(committed.messages) if "cause" in body}
    assert set(gaps) == {"A", "B"}
    assert (gaps["A"]["lost"], gaps["A"]["begin"], gaps["A"]["end"]) == (5, iso_from_ticks(begin), iso_from_ticks(end))
    assert (gaps["B"]["lost"], gaps["B"]["end"]) == (1, iso_from_ticks(begin))
    assert gaps["A"]["detail"] == "3 messages (1 to 3) left the full outbox"
    assert gaps["A"]["seq"] == 4
    assert (gaps["A"]["missing"], gaps["B"]["missing"]) == ([1, 3], [1, 1])
    assert gaps["A"]["signals"] is None
    assert committed.evicted == 4
    assert committed.gaps == {"evicted": 2}
    assert committed.lost == {"evicted": 6}


async def test_what_is_too_old_leaves(kit):
    outbox = await kit.open(age=100.0)
    await outbox.commit([kit.values(1)], {})
    kit.clock.advance(60)
    await outbox.commit([kit.values(2)], {})
    kit.clock.advance(60)
    committed = await outbox.commit([kit.values(3)], {})
    assert committed.evicted == 1
    assert kit.outside("SELECT id, kind FROM messages") == [(2, "data"), (3, "data"), (4, "gap")]


async def test_what_was_delivered_is_no_loss(kit):
    outbox = await kit.open(bytes=20_000)
    for _ in range(100):
        committed = await outbox.commit([kit.text(1000)], {})
        assert not committed.evicted
        outbox.acknowledge("broker", outbox.last_id)


async def test_what_was_delivered_but_not_deleted_yet_is_no_loss(kit, monkeypatch):
    monkeypatch.setattr(writer, "DELETED_AT_ONCE", 2)
    outbox = await kit.open(bytes=20_000)
    for _ in range(15):
        await outbox.commit([kit.text(1000)], {})
    outbox.acknowledge("broker", 10)
    committed = await outbox.commit([kit.text(9000)], {})
    assert outbox.first_id > 3
    assert not committed.gaps
    committed = await outbox.commit([kit.text(15_000)], {})
    gap = kit.decode(committed.messages)[-1]
    assert gap["detail"] == "6 messages (11 to 16) left the full outbox"


async def test_a_gap_that_leaves_is_told_again_by_the_next(kit):
    outbox = await kit.open(bytes=10_000)
    await outbox.commit([kit.gap(lost=500)], {})
    committed = await outbox.commit([kit.text(9_950)], {})
    gap = kit.decode(committed.messages)[-1]
    assert (gap["cause"], gap["lost"], gap["begin"]) == ("evicted", 500, iso_from_ticks(kit.START - 1000))
    assert gap["missing"] == [1, 1]


async def test_every_number_that_is_missing_is_named_by_a_gap_that_is_still_there(kit):
    outbox = await kit.open(bytes=30_000)
    for number in range(400):
        await outbox.commit([kit.text(1000), kit.text(500, machine="M2")][: 1 + number % 2], {})
    stored = kit.decode(await outbox.read(0, 1000, ALL))
    for machine in ("M1", "M2"):
        bodies = [body for body in stored if body["machine"] == machine]
        named = set()
        for body in bodies:
            if "missing" in body:
                first, last = body["missing"]
                named |= set(range(first, last + 1))
        assert set(range(1, bodies[-1]["seq"])) - {body["seq"] for body in bodies} <= named
        assert 1 in named


@pytest.mark.parametrize("tail", [0, 1 << 20])
async def test_a_sink_that_was_behind_goes_on_with_what_is_left(kit, tail):
    outbox = await kit.open(bytes=20_000, tail=tail)
    for _ in range(100):
        await outbox.commit([kit.text(1000)], {})
    found = await outbox.read(3, 1000, ALL)
    assert found[0].id == outbox.first_id > 4
    assert found[-1].id == outbox.last_id


async def test_a_description_that_left_undelivered_is_kept(kit):
    outbox = await kit.open(bytes=20_000)
    await outbox.commit([kit.description()], {})
    await outbox.commit([kit.text(19_990)], {})
    assert outbox.first_id > 1
    assert [message.id for message in outbox.descriptions()] == [1]


async def test_evictions_are_seldom(kit):
    outbox = await kit.open(bytes=500_000)
    evictions = 0
    for _ in range(1500):
        evictions += bool((await outbox.commit([kit.text(1000)], {})).evicted)
    assert 10 < evictions < 150


async def test_full_may_mean_wait_and_then_nothing_leaves(kit):
    outbox = await kit.open(bytes=20_000, full="wait")
    taken, error = await kit.fill(outbox)
    assert f"is full: {taken} messages (" in str(error)
    assert 10 < taken == outbox.depth().messages
    assert outbox.depth().bytes <= 20_000
    assert outbox.progress("s") == b"%d" % (taken - 1)
    outbox.acknowledge("broker", 2)
    committed = await kit.taken(outbox, [kit.text(1000)])
    assert committed.ids == range(taken + 1, taken + 2)
    assert kit.decode(committed.messages)[0]["seq"] == taken + 1
    assert not committed.gaps


async def test_once_full_it_waits_for_a_little_more_than_one_message(kit):
    outbox = await kit.open(bytes=100_000, full="wait")
    await kit.fill(outbox, 100)
    outbox.acknowledge("broker", 1)
    await kit.until(lambda: outbox.first_id == 2)
    with pytest.raises(FullError):
        await outbox.commit([kit.text(1)], {})
    outbox.acknowledge("broker", 20)
    await kit.taken(outbox, [kit.text(100)])
    await outbox.commit([kit.text(100)], {})


async def test_what_is_larger_than_the_bound_waits_for_an_empty_outbox(kit):
    outbox = await kit.open(bytes=20_000, full="wait")
    await outbox.commit([kit.text(100)], {})
    with pytest.raises(FullError):
        await outbox.commit([kit.text(30_000)], {})
    outbox.acknowledge("broker", 1)
    committed = await kit.taken(outbox, [kit.text(30_000)])
    assert committed.ids == range(2, 3)


async def test_what_is_too_old_leaves_a_full_outbox_that_waits(kit):
    outbox = await kit.open(bytes=20_000, age=100.0, full="wait")
    await kit.fill(outbox)
    kit.clock.advance(101)
    assert outbox.overdue
    committed = await outbox.commit([], {})
    assert committed.gaps == {"evicted": 1}
    assert outbox.depth().messages == 1
    await outbox.commit([kit.text(1000)], {})
