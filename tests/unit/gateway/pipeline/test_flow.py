import asyncio
import sqlite3
from dataclasses import replace

import pytest

from gateway.errors import ConfigurationError, UnreachableError
from gateway.model import Gap
from gateway.outbox import Limits, Outbox
from gateway.pipeline import Pipeline, PipelineSettings


async def test_values_arrive_once_and_in_order(kit, source, sink, outbox, settings):
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    for value in range(100):
        source.give_values(value)
    await kit.until(lambda: len(sink.values()) == 100)
    assert sink.values() == list(range(100))
    assert [message["seq"] for message in sink.decoded()] == list(range(1, len(sink.messages) + 1))
    assert len({message["epoch"] for message in sink.decoded()}) == 1
    await running.stop()
    assert all(source.done)
    assert outbox.cursor("broker") == outbox.last_id
    counters = running.pipeline.counters
    assert counters.values_in["floor"] == counters.values == 100
    assert counters.delivered["broker"] == counters.messages == len(sink.messages)


async def test_done_is_called_only_when_another_process_could_read_it(kit, source, sink, outbox, settings, tmp_path):
    found = []

    def look(number):
        with sqlite3.connect(f"file:{tmp_path}/outbox/outbox.sqlite?mode=ro", uri=True) as outside:
            payloads = [row[0] for row in outside.execute("SELECT payload FROM messages")]
            progress = outside.execute("SELECT state FROM progress WHERE source = 'floor'").fetchone()
        outside.close()
        found.append((any(b'"value":%d,' % (1000 + number) in payload for payload in payloads), progress))

    source.on_done = look
    sink.answering = False  # nothing leaves the outbox
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    for number in range(10):
        source.give_values(1000 + number, progress=b"after %d" % number)
        await kit.until(lambda number=number: source.done[number])
    assert [there for there, _ in found] == [True] * 10
    assert [progress for _, progress in found] == [(b"after %d" % number,) for number in range(10)]
    sink.answering = True
    sink.answer(100)
    await running.stop()


async def test_lingering_joins_batches_of_a_machine(kit, source, sink, outbox):
    settings = PipelineSettings(linger=0.5, settle=0.5, drain=3.0)
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    for value in range(20):
        source.give_values(value, machine=f"M{value % 2}")
    await kit.until(lambda: len(sink.values("M1")) == 10)
    assert len(sink.messages) == 2
    assert running.pipeline.counters.commits == 1
    await running.stop()


async def test_a_restart_goes_on_with_progress_epoch_and_numbers(kit, sink, settings, tmp_path):
    epochs, seqs = set(), []
    for part in range(2):
        outbox = await Outbox.open(tmp_path / "o.sqlite", limits=Limits(reserve=0), sinks=["broker"])
        source, sink = kit.Source(), kit.Sink()
        running = kit.run(Pipeline([source], [sink], outbox, settings))
        source.give_values(part, progress=b"part %d" % part)
        await kit.until(lambda sink=sink: sink.messages)
        await running.stop()
        await outbox.close()
        assert source.resumed == [None if part == 0 else b"part 0"]
        epochs.add(sink.decoded()[0]["epoch"])
        seqs += [message["seq"] for message in sink.decoded()]
    assert seqs == [1, 2]
    assert len(epochs) == 1


async def test_stop_stores_and_delivers_what_was_read(kit, source, sink, outbox):
    running = kit.run(Pipeline([source], [sink], outbox, PipelineSettings(linger=30.0, settle=30.0, drain=5.0)))
    for value in range(50):
        source.give_values(value)
    await kit.until(lambda: source.reads == 50)
    assert not any(source.done)
    await running.stop()
    assert all(source.done)
    assert sink.values() == list(range(50))
    assert source.closes == sink.closes == 1


async def test_cancelling_ends_as_gracefully(kit, source, sink, outbox):
    running = kit.run(Pipeline([source], [sink], outbox, PipelineSettings(linger=30.0, settle=30.0, drain=5.0)))
    source.give_values(1, 2, 3)
    await kit.until(lambda: source.reads == 1)
    running.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running.task
    assert source.done == [True]
    assert sink.values() == [1, 2, 3]


async def test_a_lost_source_is_connected_again_with_its_stored_progress(kit, source, sink, outbox, settings):
    source.connect_errors = [UnreachableError("Nobody there."), UnreachableError("Nobody there.")]
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    source.give_values(1, progress=b"one")
    source.batches.put_nowait(UnreachableError("Gone."))
    source.give_values(2, progress=b"two")
    await kit.until(lambda: sink.values() == [1, 2])
    assert source.connects == 4
    assert source.resumed == [None, b"one"]
    assert running.pipeline.counters.failures["floor"] == 3
    await running.stop()


async def test_a_broken_source_does_not_disturb_another(kit, sink, outbox, settings, caplog):
    broken, good = kit.Source("broken"), kit.Source("good")
    running = kit.run(Pipeline([broken, good], [sink], outbox, settings))
    for value in range(20):
        broken.batches.put_nowait(ZeroDivisionError("a bug"))
        good.give_values(value)
    await kit.until(lambda: len(sink.values()) == 20 and broken.connects > 3)
    assert good.connects == 1
    assert "Unexpected error: ZeroDivisionError" in caplog.text
    assert running.pipeline.links()["broken"].state in {"offline", "online"}
    await running.stop()
    assert running.pipeline.links()["good"].state == "stopped"


async def test_a_cancellation_from_within_a_source_or_sink_ends_nothing(kit, source, sink, outbox, settings):
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    source.give_values(1)
    await kit.until(lambda: sink.values() == [1])
    sink._lost.cancel()
    stray = asyncio.get_running_loop().create_future()
    stray.cancel()
    original, source.read = source.read, lambda: stray
    source.batches.put_nowait(UnreachableError("Gone."))
    await kit.until(lambda: source.connects > 3 and sink.connects > 1)
    source.read = original
    source.give_values(2)
    await kit.until(lambda: sink.values() == [1, 2])
    await running.stop()


@pytest.mark.parametrize("outcome", [None, UnreachableError("The connection is lost.")], ids=["connected", "failed"])
async def test_a_source_that_keeps_a_cancellation_to_itself_does_not_keep_the_gateway(
    kit, source, sink, outbox, settings, outcome
):
    inside = asyncio.Event()

    async def connect(_resume):
        inside.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if outcome is not None:
                raise outcome from None

    source.connect = connect
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    await inside.wait()
    await running.stop()
    assert source.closes


async def test_a_read_that_keeps_a_cancellation_to_itself_does_not_keep_the_gateway(
    kit, source, sink, outbox, settings
):
    """What it gives then is not taken, and so not acknowledged: the server has it still."""
    source.give_values(1)
    read, inside = source.read, asyncio.Event()

    async def stubborn():
        inside.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return await read()

    source.read = stubborn
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    await inside.wait()
    await running.stop()
    assert source.done == [False]
    assert sink.messages == []


async def test_a_record_that_cannot_be_written_becomes_a_gap_and_spares_the_others(kit, sink, outbox, caplog):
    bad, good = kit.Source("bad"), kit.Source("good")
    running = kit.run(Pipeline([bad, good], [sink], outbox, PipelineSettings(linger=0.1, settle=0.1, drain=3.0)))
    bad.give_values(object(), machine="M2", progress=b"x")
    good.give_values(1)
    await kit.until(lambda: len(sink.messages) == 2)
    assert sink.values() == [1]
    gaps = [message for message in sink.decoded() if "cause" in message]
    assert [(gap["machine"], gap["cause"], gap["lost"], gap["seq"]) for gap in gaps] == [("M2", "undecodable", 1, 1)]
    assert bad.done == good.done == [True]
    await running.stop()


async def test_gaps_are_counted_by_cause(kit, source, sink, outbox, settings):
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    source.give(Gap("M1", ["a"], 1, 2, "queue-overflow", lost=7), Gap("M1", None, 1, 2, "connection"))
    await kit.until(lambda: len(sink.messages) == 2)
    assert running.pipeline.counters.gaps == {"queue-overflow": 1, "connection": 1}
    assert running.pipeline.counters.lost["queue-overflow"] == 7
    await running.stop()


async def test_machine_states_are_announced_when_they_change(kit, source, sink, outbox, settings):
    pipeline = Pipeline([source], [sink], outbox, settings)
    pipeline.machines("M1", "online", "")
    running = kit.run(pipeline)
    await kit.until(lambda: sink.announced)
    pipeline.machines("M1", "online", "")
    pipeline.machines("M1", "silent", "Nothing for 10 s.")
    await running.stop()
    assert [(kind, name, body["state"]) for kind, name, body in sink.announced] == [
        ("status", "M1", "online"),
        ("status", "M1", "silent"),
        ("status", "M1", "offline"),
    ]
    assert sink.announced[1][2]["reason"] == "Nothing for 10 s."


async def test_two_sources_of_one_name_are_refused(kit, sink, outbox):
    with pytest.raises(ConfigurationError, match="Two sources have the same name: floor"):
        Pipeline([kit.Source(), kit.Source()], [sink], outbox)


async def test_what_is_too_old_leaves_while_nothing_new_comes(kit, source, sink, settings, tmp_path):
    settings = replace(settings, age_check=0.02, drain=0.1)
    outbox = await Outbox.open(tmp_path / "o.sqlite", limits=Limits(reserve=0, age=0.5), sinks=["broker"])
    sink.connect_errors = [UnreachableError("Nobody there.")] * 10**6
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    source.give_values(1, 2, 3)
    await kit.until(lambda: running.pipeline.counters.evicted == 1)
    assert running.pipeline.counters.gaps == {"evicted": 1}
    assert running.pipeline.counters.lost == {"evicted": 3}
    sink.connect_errors = []
    await kit.until(lambda: sink.messages)
    gap = sink.decoded()[0]
    assert (gap["cause"], gap["seq"], gap["missing"], gap["lost"]) == ("evicted", 2, [1, 1], 3)
    await running.stop()
    await outbox.close()
