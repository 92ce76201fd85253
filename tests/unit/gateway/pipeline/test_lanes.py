"""A refused topic, or a long backlog, of one machine does not hold up the others."""

import asyncio
import time
from dataclasses import replace

import pytest

from gateway.errors import UnreachableError
from gateway.outbox import Limits, Outbox, store
from gateway.pipeline import Pipeline


@pytest.fixture
def settings(settings):
    return replace(settings, message_samples=1)


async def filled(kit, tmp_path, settings, backlog, *, machine="M1", **limits):
    """An outbox with a backlog of one machine, nothing of it in memory."""
    outbox = await Outbox.open(
        tmp_path / "o.sqlite", limits=Limits(**{"reserve": 0, "tail": 2000, **limits}), sinks=["broker"]
    )
    source, away = kit.Source("past"), kit.Sink()
    away.connect_errors = [UnreachableError("Nobody there.")] * 10**6
    running = kit.run(Pipeline([source], [away], outbox, replace(settings, drain=0.0)))
    for value in range(backlog):
        source.give_values(value, machine=machine)
        if value % 50 == 0:
            await kit.until(lambda value=value: source.done[value])
    await kit.until(lambda: all(source.done))
    await running.stop()
    return outbox


async def test_a_topic_that_is_refused_for_ever_holds_up_its_machine_alone(kit, sink, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "AHEAD_FROM", 10)
    outbox = await Outbox.open(tmp_path / "o.sqlite", limits=Limits(reserve=0, tail=3000), sinks=["broker"])
    source = kit.Source()
    sink.refuse = lambda message: "not authorized" if message.machine == "M2" else None
    running = kit.run(Pipeline([source], [sink], outbox, replace(settings, retry_first=0.05, drain=3.0)))
    for value in range(600):
        source.give_values(value, machine=f"M{1 + value % 3}")
        if value % 30 == 0:
            await kit.until(lambda value=value: source.done[value])
    others = {"M1": list(range(0, 600, 3)), "M3": list(range(2, 600, 3))}
    await kit.until(lambda: all(sink.values(machine) == others[machine] for machine in others))
    status = running.pipeline.links()["broker"]
    assert status.state == "degraded"
    assert status.reason == "The broker refuses the topic area4/M2/data: not authorized."
    assert "others go on" in status.advice
    await kit.until(lambda: outbox.depth().messages <= 200)  # what the others delivered is deleted already
    assert outbox.cursor("broker") < 3
    assert outbox.position("broker", "M1") > 500
    began = time.monotonic()
    await running.stop()
    assert time.monotonic() - began < 2.5, "what is refused does not hold up the end"
    await outbox.close()

    again = await Outbox.open(tmp_path / "o.sqlite", limits=Limits(reserve=0, tail=3000), sinks=["broker"])
    assert again.last_id == outbox.last_id
    later, source = kit.Sink(), kit.Source()
    running = kit.run(Pipeline([source], [later], again, settings))
    source.give_values("live", machine="M1")
    await kit.until(lambda: later.values("M2") == list(range(1, 600, 3)))
    await kit.until(lambda: again.cursor("broker") == again.last_id)
    assert later.values("M1")[-1] == "live"
    assert len(later.values("M1")) <= 10, "what was delivered before the restart is not sent again"
    await running.stop()
    await again.close()


async def test_live_data_goes_on_while_another_machine_has_a_backlog(kit, sink, settings, tmp_path):
    outbox = await filled(kit, tmp_path, settings, 3000)
    sink.window = 20
    source = kit.Source()
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    await kit.until(lambda: len(sink.messages) > 100)
    stored = []
    source.on_done = lambda _: stored.append(len(sink.messages))
    for value in range(20):
        source.give_values(value, machine="M2")
        await kit.until(lambda value=value: len(sink.values("M2")) > value)
    live = [place for place, message in enumerate(sink.messages) if message.machine == "M2"]
    assert stored[0] < 2500, "there was a backlog still"
    for place, moment in zip(live, stored, strict=True):
        assert place - moment <= 256 + 20, "a turn and the window are all that was before it"
    await kit.until(lambda: outbox.cursor("broker") == outbox.last_id)
    assert sink.values("M1") == list(range(3000))
    assert sink.values("M2") == list(range(20))
    await running.stop()
    await outbox.close()


async def test_a_ceiling_slows_the_backlog_and_nothing_else(kit, sink, settings, tmp_path):
    outbox = await filled(kit, tmp_path, settings, 400)
    source = kit.Source()
    began = time.monotonic()
    settings = replace(settings, drain=0.1)
    running = kit.run(Pipeline([source], [sink], outbox, settings, backlog_rates={"broker": 50.0}))
    for value in range(5):
        source.give_values(value, machine="M2")
        await kit.until(lambda value=value: len(sink.values("M2")) > value)
    assert len(sink.values("M1")) < 400, "live data came before the backlog was through"
    await kit.until(lambda: len(sink.values("M1")) >= 100)
    sent = len(sink.values("M1"))
    assert time.monotonic() - began > (sent - 13 - 20) / 50 - 0.1  # without the burst, and what was still in memory
    await running.stop()
    assert sink.values("M1") == list(range(len(sink.values("M1"))))
    await outbox.close()


async def test_a_refusal_within_a_backlog_keeps_the_order_on_disk_too(kit, sink, settings, tmp_path):
    outbox = await filled(kit, tmp_path, settings, 600)
    refusals = iter([*["quota exceeded"] * 3, *[None] * 10**6])
    sink.refuse = lambda message: next(refusals) if message.id % 100 == 50 else None
    sink.window = 30
    running = kit.run(Pipeline([kit.Source()], [sink], outbox, settings))
    await kit.until(lambda: outbox.cursor("broker") == outbox.last_id)
    last = {message["seq"]: place for place, message in enumerate(sink.decoded())}
    assert sorted(last) == list(range(1, outbox.last_id + 1))
    assert [seq for seq, _ in sorted(last.items(), key=lambda item: item[1])] == sorted(last)
    await running.stop()
    await outbox.close()


async def test_what_left_the_outbox_while_it_waited_holds_nothing_up(kit, sink, settings, tmp_path):
    outbox = await filled(kit, tmp_path, settings, 400, bytes=20_000)
    sink.answering, sink.window = False, 10
    source = kit.Source()
    running = kit.run(Pipeline([source], [sink], outbox, settings))
    await kit.until(lambda: len(sink.messages) == 10)
    for value in range(400):
        source.give_values(value, machine="M2")
    await kit.until(lambda: all(source.done))
    sink.answering = True
    sink.answer(10)
    await kit.until(lambda: outbox.cursor("broker") == outbox.last_id)
    gaps = [body for body in sink.decoded() if body.get("cause") == "evicted"]
    for machine in ("M1", "M2"):
        here = {body["seq"] for body in sink.decoded() if body["machine"] == machine}
        told = [gap["missing"] for gap in gaps if gap["machine"] == machine]
        named = {number for first, last in told for number in range(first, last + 1)}
        assert set(range(1, max(here) + 1)) <= here | named
    await running.stop()
    await outbox.close()
    await asyncio.sleep(0)
