import asyncio
from dataclasses import replace

import pytest

from gateway.errors import RefusedError, UnreachableError
from gateway.model import Description, MachineDescription
from gateway.outbox import Limits, Outbox
from gateway.pipeline import Pipeline, PipelineSettings


def described(machine="M1", name="Mill"):
    return Description(machine, MachineDescription(id=machine, name=name, type="MachineToolType", source="floor"))


def keys(messages):
    return [(body["epoch"], body["seq"]) for body in messages]


async def test_after_an_outage_the_untold_is_sent_again_with_the_same_numbers(kit, source, sink, outbox, settings):
    sink.answering = False
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    for value in range(10):
        source.give_values(value)
        await kit.until(lambda value=value: len(sink.values()) == value + 1)
    sink.answer(4)
    first = sink.decoded()
    sink.lose()
    await kit.until(lambda: len(sink.messages) == 16)
    assert keys(sink.decoded()[10:]) == keys(first[4:])
    assert running.pipeline.counters.repeats["broker"] == 6
    sink.answer(100)
    assert outbox.cursor("broker") == 10
    assert sink.values() == list(range(10))
    await running.stop()


async def test_a_sink_that_is_down_does_not_stop_the_reading(kit, source, sink, outbox, settings):
    sink.connect_errors = [UnreachableError("Nobody there.")] * 10**6
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    for value in range(500):
        source.give_values(value)
    await kit.until(lambda: len(source.done) == 500 and all(source.done))
    assert sink.messages == []
    assert running.pipeline.links()["broker"].state == "offline"
    assert running.pipeline.links()["broker"].reason == "Nobody there."
    sink.connect_errors = []
    await kit.until(lambda: len(sink.values()) == 500)
    assert sink.values() == list(range(500))
    assert running.pipeline.links()["broker"].state == "online"
    await running.stop()


async def test_the_first_failure_is_a_warning_and_the_repeats_are_not(kit, source, sink, outbox, settings, caplog):
    caplog.set_level("DEBUG", "gateway.pipeline")
    sink.connect_errors = [RefusedError("The broker does not know our certificate.", advice="Have it signed.")] * 5
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    await kit.until(lambda: sink.connects == 6)
    told = [record.levelname for record in caplog.records if "does not know" in record.message]
    assert told == ["WARNING", "DEBUG", "DEBUG", "DEBUG", "DEBUG"]
    assert "sink broker is refused: The broker does not know our certificate. Have it signed." in caplog.text
    await running.stop()


async def test_the_recovery_is_told_once_with_its_attempts(kit, source, sink, outbox, settings, caplog):
    caplog.set_level("INFO", "gateway.pipeline")
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    await kit.until(lambda: sink.connects == 1)
    sink.connect_errors = [UnreachableError("Nobody there.")] * 3
    sink.lose()
    await kit.until(lambda: sink.connects == 5)
    source.give_values(1)
    await kit.until(lambda: sink.values() == [1])
    told = [record.message for record in caplog.records if record.message.startswith("sink broker is online")]
    assert told == ["sink broker is online", "sink broker is online, recovered after 4 attempts"]
    assert [record.message for record in caplog.records if "source" in record.message] == ["source floor is online"]
    await running.stop()


@pytest.mark.parametrize("outcome", [None, UnreachableError("The connection is lost.")], ids=["done", "failed"])
@pytest.mark.parametrize("verb", ["connect", "send"])
async def test_a_sink_that_keeps_a_cancellation_to_itself_does_not_keep_the_gateway(
    kit, source, sink, outbox, settings, verb, outcome
):
    """Asked once to end, a task must end, whatever a sink's library makes of it."""
    original, inside = sink.connect, asyncio.Event()

    async def stubborn(argument):
        if verb == "connect":
            await original(argument)
        inside.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if outcome is not None:
                raise outcome from None

    setattr(sink, verb, stubborn)
    running = kit.run(Pipeline([source], [sink], outbox, replace(settings, drain=0.1)))
    source.give_values(1)
    await inside.wait()
    await running.stop()
    assert sink.closes
    assert outbox.cursor("broker") == 0


async def test_a_refusal_holds_the_cursor_and_is_sent_again_until_it_is_taken(kit, source, sink, outbox, settings):
    refusing = True
    sink.refuse = lambda message: "not authorized" if refusing and message.machine == "M2" else None
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    source.give_values(1, 2)
    source.give_values(3, machine="M2")
    source.give_values(4)
    await kit.until(lambda: running.pipeline.counters.refused["broker"] >= 3)
    status = running.pipeline.links()["broker"]
    assert status.state == "degraded"
    assert status.reason == "The broker refuses the topic area4/M2/data: not authorized."
    assert "access rules" in status.advice
    held = next(message.id for message in sink.messages if message.machine == "M2")
    assert outbox.cursor("broker") == held - 1
    assert sink.connects == 1
    refusing = False
    await kit.until(lambda: outbox.cursor("broker") == outbox.last_id and sink.values() == [1, 2, 4])
    assert sink.values("M2") == [3]
    await kit.until(lambda: running.pipeline.links()["broker"].state == "online")
    source.give_values(5)
    await kit.until(lambda: sink.values() == [1, 2, 4, 5])
    await running.stop()


async def test_while_one_is_refused_it_alone_is_tried(kit, source, sink, outbox, settings):
    settings = replace(settings, drain=0.1)
    sink.refuse = lambda message: "quota exceeded" if message.id == 1 else None
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    for value in range(30):
        source.give_values(value)
    await kit.until(lambda: running.pipeline.counters.refused["broker"] >= 6)
    tried = [message.id for message in sink.messages]
    assert tried[-4:] == [1, 1, 1, 1]
    running.task.cancel()
    await asyncio.wait([running.task])
    assert outbox.cursor("broker") == 0


async def test_descriptions_are_sent_again_to_a_broker_that_was_emptied(kit, source, sink, outbox, settings):
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    source.give(described(), described(name="Mill 2"), described("M2", "Lathe"))
    source.give_values(1)
    await kit.until(lambda: outbox.cursor("broker") == outbox.last_id == 4)
    before = [body for body in sink.decoded() if "description" in body]
    sink.lose()
    await kit.until(lambda: len(sink.messages) == 6)
    assert sink.decoded()[4:] == before[1:]
    source.give_values(2)
    await kit.until(lambda: sink.values() == [1, 2])
    assert running.pipeline.counters.repeats["broker"] == 2
    await running.stop()


async def test_a_refused_description_is_tried_again_too(kit, source, sink, outbox, settings):
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    source.give(described())
    await kit.until(lambda: outbox.cursor("broker") == 1)
    sink.refuse = lambda message: "not authorized"
    sink.lose()
    await kit.until(lambda: running.pipeline.counters.refused["broker"] >= 3)
    assert running.pipeline.links()["broker"].state == "degraded"
    sink.refuse = lambda message: None
    await kit.until(lambda: running.pipeline.links()["broker"].state == "online")
    source.give_values(1)
    await kit.until(lambda: sink.values() == [1])
    await running.stop()


async def test_two_sinks_go_their_own_ways(kit, source, settings, tmp_path):
    outbox = await Outbox.open(tmp_path / "o.sqlite", limits=Limits(reserve=0), sinks=["fast", "slow"])
    fast, slow = kit.Sink("fast"), kit.Sink("slow")
    slow.answering, slow.window = False, 5
    running = kit.run(Pipeline([source], [fast, slow], outbox, settings))
    for value in range(50):
        source.give_values(value)
        if value % 10 == 0:
            await kit.until(lambda value=value: source.done[value])
    await kit.until(lambda: outbox.cursor("fast") == outbox.last_id and all(source.done))
    assert outbox.cursor("slow") == 0
    assert outbox.depth().messages == outbox.last_id
    slow.answering = True
    slow.answer(5)
    await kit.until(lambda: outbox.cursor("slow") == outbox.last_id)
    assert fast.values() == slow.values() == list(range(50))
    await running.stop()
    await outbox.close()


async def test_a_slow_sink_costs_no_memory(kit, source, sink, settings, tmp_path):
    outbox = await Outbox.open(tmp_path / "o.sqlite", limits=Limits(reserve=0, tail=50_000), sinks=["broker"])
    sink.answering, sink.window = False, 10
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    for value in range(1000):
        source.give_values(f"{value}" * 200)
        if value % 50 == 0:
            await kit.until(lambda value=value: source.done[value])
    await kit.until(lambda: all(source.done))
    assert len(sink.messages) == sink.highest_untold == 10
    assert outbox.tail_bytes <= 50_000
    assert running.pipeline.waiting_values == 0
    sink.answering = True
    sink.answer(10)
    await kit.until(lambda: len(sink.values()) == 1000)
    assert [message["seq"] for message in sink.decoded()] == list(range(1, outbox.last_id + 1))
    await running.stop()
    await outbox.close()


async def test_stopping_gives_up_a_sink_that_does_not_answer(kit, source, sink, outbox):
    sink.answering = False
    settings = PipelineSettings(linger=0.0, drain=0.2)
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    source.give_values(1)
    await kit.until(lambda: sink.messages)
    await running.stop()
    assert outbox.cursor("broker") == 0
    assert outbox.depth().messages == 1


async def test_answers_out_of_order_move_the_cursor_as_far_as_all_are_answered(kit, source, sink, outbox, settings):
    sink.answering = False
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    for value in range(5):
        source.give_values(value)
        await kit.until(lambda value=value: len(sink.values()) == value + 1)
    for message, cursor in ((3, 0), (1, 1), (5, 1), (2, 3), (4, 5)):
        sink._delivered(message, None)
        assert outbox.cursor("broker") == cursor
    await running.stop()


async def test_storing_gives_a_sink_that_is_behind_a_moment(kit, source, sink, outbox):
    sink.window, sink.answering = 1, False
    settings = PipelineSettings(linger=0.0, longest_linger=600.0, drain=3.0)
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    source.give_values(1)
    await kit.until(lambda: len(sink.messages) == 1)
    source.give_values(2)  # stored, since the first was sent; it waits for the window
    await kit.until(lambda: running.pipeline.counters.commits == 2)
    for value in range(3, 13):
        source.give_values(value)
    await kit.until(lambda: source.reads == 12)
    assert running.pipeline.counters.commits == 2
    sink.answering = True
    sink.answer(1)
    await kit.until(lambda: len(sink.values()) == 12)
    assert running.pipeline.counters.commits == 3  # what gathered meanwhile is one message
    assert len(sink.messages) == 3
    await running.stop()


async def test_a_sink_that_stays_behind_holds_nothing_up(kit, source, sink, outbox):
    sink.window, sink.answering = 1, False
    settings = PipelineSettings(linger=0.0, longest_linger=0.01, drain=0.1)
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    for value in range(5):
        commits = running.pipeline.counters.commits
        source.give_values(value)
        await kit.until(lambda commits=commits: running.pipeline.counters.commits > commits)
    assert len(sink.messages) == 1
    await running.stop()


async def test_neither_a_sink_without_connection_nor_the_end_is_waited_for(kit, source, sink, outbox, caplog):
    sink.connect_errors = [UnreachableError("Nobody there.")] * 1000
    settings = PipelineSettings(linger=0.0, longest_linger=600.0, retry_first=0.01, retry_longest=0.01, drain=3.0)
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    for value in range(3):
        commits = running.pipeline.counters.commits
        source.give_values(value)
        await kit.until(lambda commits=commits: running.pipeline.counters.commits > commits)
    sink.window, sink.answering, sink.connect_errors = 1, False, []
    await kit.until(lambda: len(sink.messages) == 1)
    source.give_values(3)
    await kit.until(lambda: source.done[3])
    source.give_values(4)
    await kit.until(lambda: source.reads == 5)
    await running.stop()
    assert all(source.done)
    assert "could not be stored" not in caplog.text
