import asyncio
import resource

import pytest

from gateway.errors import UnreachableError
from gateway.outbox import Limits, Outbox
from gateway.pipeline import Pipeline, PipelineSettings
from gateway.pipeline.intake import Intake, Taken


@pytest.fixture
async def stuck(outbox):
    """Makes the disk refuse to take more, as a quota does, until told otherwise."""
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)

    class Stuck:
        def begin(self):
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, unlimited[1]))  # less than a page

        def end(self):
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)

    yield Stuck()
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)


async def test_a_disk_that_takes_nothing_stops_the_reading_and_loses_nothing(kit, source, sink, outbox, stuck, caplog):
    settings = PipelineSettings(
        linger=0.0, intake_values=50, retry_first=0.01, retry_longest=0.05, drain=5.0, close_timeout=1.0
    )
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    source.give_values(0)
    await kit.until(lambda: source.done[0])
    stuck.begin()
    for value in range(1, 301):
        source.give_values(value)
    pipeline = running.pipeline
    await kit.until(lambda: pipeline.counters.commit_failures >= 3 and pipeline.waiting_values == 50)
    reads = source.reads
    await asyncio.sleep(0.2)
    assert source.reads == reads <= 55
    assert not any(source.done[reads:])
    assert "cannot store" in pipeline.storage_trouble
    assert len([record for record in caplog.records if "Reading waits" in record.message]) == 1
    stuck.end()
    await kit.until(lambda: all(source.done))
    await kit.until(lambda: len(sink.values()) == 301)
    assert sink.values() == list(range(301))
    assert [message["seq"] for message in sink.decoded()] == list(range(1, len(sink.messages) + 1))
    assert pipeline.storage_trouble == ""
    await running.stop()


async def test_a_full_outbox_that_waits_stops_the_reading_and_goes_on_with_the_broker(
    kit, source, sink, tmp_path, caplog
):
    limits = Limits(reserve=0, bytes=10_000, full="wait")
    outbox = await Outbox.open(tmp_path / "o.sqlite", limits=limits, sinks=["broker"])
    settings = PipelineSettings(linger=0.0, intake_values=20, retry_first=0.01, retry_longest=0.05, drain=5.0)
    sink.answering, sink.window = False, 5
    pipeline = Pipeline([source], [sink], outbox, settings)
    running = kit.run(pipeline)
    for value in range(300):
        source.give_values(value)
    await kit.until(lambda: pipeline.counters.commit_failures >= 3 and pipeline.waiting_values == 20)
    reads = source.reads
    await asyncio.sleep(0.2)
    assert source.reads == reads < 300
    assert not any(source.done[reads:])
    assert outbox.depth().bytes <= 10_000
    assert "is full" in pipeline.storage_trouble
    told = [record for record in caplog.records if "Reading waits" in record.message]
    assert [record.levelname for record in told] == ["WARNING"]
    sink.answering = True
    sink.answer(5)
    await kit.until(lambda: len(sink.values()) == 300)
    assert sink.values() == list(range(300))
    assert [message["seq"] for message in sink.decoded()] == list(range(1, len(sink.messages) + 1))
    assert pipeline.counters.gaps == {}
    await running.stop()
    await outbox.close()


async def test_what_waits_for_room_is_stored_in_parts(kit, source, sink, tmp_path):
    """Together they are larger than the outbox: one transaction of all would wait until it is empty."""
    limits = Limits(reserve=0, bytes=20_000, full="wait")
    outbox = await Outbox.open(tmp_path / "o.sqlite", limits=limits, sinks=["broker"])
    settings = PipelineSettings(linger=0.3, message_samples=1, retry_first=0.01, retry_longest=0.02, drain=5.0)
    sink.answering, sink.window = False, 1000
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    source.give_values("00" * 300)
    await kit.until(lambda: source.done == [True])
    for value in range(1, 40):
        source.give_values(f"{value:02}" * 300)
    await kit.until(lambda: running.pipeline.counters.commit_failures)
    assert source.reads == 40
    assert 15_000 < outbox.depth().bytes <= 20_000
    assert sum(source.done) == outbox.last_id
    sink.answer(5)
    await kit.until(lambda: sum(source.done) > 20)
    assert outbox.depth().bytes <= 20_000
    sink.answering = True
    sink.answer(1000)
    await kit.until(lambda: len(sink.values()) == 40)
    assert sink.values() == [f"{value:02}" * 300 for value in range(40)]
    await running.stop()
    await outbox.close()


async def test_a_source_is_connected_again_only_when_what_it_brought_is_stored(kit, source, sink, outbox, stuck):
    settings = PipelineSettings(linger=0.0, retry_first=0.01, retry_longest=0.05, drain=3.0)
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    await kit.until(lambda: source.connects == 1)
    stuck.begin()
    source.give_values(1, progress=b"one")
    source.batches.put_nowait(UnreachableError("Gone."))
    await kit.until(lambda: source.closes == 1 and running.pipeline.counters.commit_failures > 2)
    await asyncio.sleep(0.3)
    assert source.connects == 1
    stuck.end()
    await kit.until(lambda: source.connects == 2)
    assert source.resumed == [None, b"one"]
    await running.stop()


async def test_what_could_not_be_stored_before_the_end_is_not_acknowledged(kit, source, sink, outbox, stuck, caplog):
    settings = PipelineSettings(linger=0.0, retry_first=0.01, retry_longest=0.05, drain=0.3)
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    stuck.begin()
    source.give_values(1, 2, progress=b"p")
    await kit.until(lambda: running.pipeline.counters.commit_failures)
    await running.stop()
    stuck.end()
    assert source.done == [False]
    assert outbox.progress("floor") is None
    assert "2 values that were read could not be stored" in caplog.text


async def test_each_source_has_its_share_of_the_room(kit, source):
    intake = Intake(100, ["a", "b"])
    source.give_values(*range(40))
    batch = await source.read()
    await intake.put(Taken("a", batch, 0))
    blocked = asyncio.create_task(intake.put(Taken("a", batch, 0)))
    await asyncio.wait_for(intake.put(Taken("b", batch, 0)), 5)
    await asyncio.sleep(0.01)
    assert not blocked.done()
    first = await intake.gather(0.0)
    assert [item.source for item in first] == ["a", "b"]
    await asyncio.sleep(0.01)
    assert not blocked.done()  # room is free after the commit, not before
    intake.give_back(first)
    await asyncio.wait_for(blocked, 5)
    assert intake.values == 40


async def test_a_batch_larger_than_the_share_still_fits_alone(kit, source):
    intake = Intake(10, ["a"])
    source.give_values(*range(500))
    await asyncio.wait_for(intake.put(Taken("a", await source.read(), 0)), 5)
    assert intake.values == 500


async def test_a_source_that_waits_for_room_ends_the_lingering(kit, source, sink, tmp_path):
    outbox = await Outbox.open(tmp_path / "o.sqlite", limits=Limits(reserve=0), sinks=["broker"])
    settings = PipelineSettings(linger=600.0, intake_values=10, drain=3.0)
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    for value in range(35):
        source.give_values(value)
    await kit.until(lambda: len(sink.values()) >= 30)
    await running.stop()
    assert sink.values() == list(range(35))
    await outbox.close()
