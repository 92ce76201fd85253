"""Everything fails now and then, in an order that a seed decides; at the end everything is there."""

import random

import pytest

from gateway.errors import StorageError, UnreachableError
from gateway.model import Event
from gateway.model.messages import EventBody
from gateway.outbox import Limits, Outbox
from gateway.pipeline import Pipeline, PipelineSettings

MACHINES = ("M1", "M2", "M3")
BATCHES = 150


def event(number, machine):
    return Event(machine, EventBody(id=str(number), type="AlertType", time=None, severity=number))


def fill(source, dice):
    """Batches of samples and events, the values of each machine counting up; a lost connection now and then."""
    counts = dict.fromkeys(MACHINES, 0)
    for batch in range(BATCHES):
        records = []
        for _ in range(dice.randint(1, 3)):
            machine = dice.choice(MACHINES)
            if dice.random() < 0.2:
                records.append(event(counts[machine], machine))
                counts[machine] += 1
            else:
                size = dice.randint(1, 8)
                values = range(counts[machine], counts[machine] + size)
                records.append(source.samples(*values, machine=machine))
                counts[machine] += size
        source.give(*records, progress=b"%d" % batch)
        if dice.random() < 0.05:
            source.batches.put_nowait(UnreachableError("Gone."))
    return counts


def seen_by_a_consumer(bodies, machine):
    """Values in the order of their numbers, each number once; a repeat must say the same."""
    by_seq, epochs = {}, set()
    for body in bodies:
        if body["machine"] == machine:
            epochs.add(body["epoch"])
            assert by_seq.setdefault(body["seq"], body) == body
    assert len(epochs) == 1
    assert sorted(by_seq) == list(range(1, len(by_seq) + 1))
    values = []
    for seq in sorted(by_seq):
        body = by_seq[seq]
        values += [sample["value"] for sample in body["samples"]] if "samples" in body else [body["event"]["severity"]]
    return values


@pytest.mark.parametrize("seed", range(8))
async def test_nothing_is_lost_doubled_or_out_of_order(kit, tmp_path, monkeypatch, seed):
    dice = random.Random(seed)
    outbox = await Outbox.open(tmp_path / "o.sqlite", limits=Limits(reserve=0, tail=3000), sinks=["broker", "other"])
    commit = outbox._writer.commit

    def unreliable(*arguments):
        if dice.random() < 0.15:
            raise StorageError("The disk has hiccups.")
        return commit(*arguments)

    monkeypatch.setattr(outbox._writer, "commit", unreliable)
    source, sinks = kit.Source(), [kit.Sink("broker"), kit.Sink("other")]
    source.samples = kit.samples
    counts = fill(source, dice)
    settings = PipelineSettings(
        linger=0.001, message_samples=5, intake_values=30, read_messages=7, retry_first=0.001, retry_longest=0.01,
        retry_refused=0.01, drain=20.0,
    )  # fmt: skip
    for sink in sinks:
        sink.window = dice.randint(1, 12)
        sink.refuse = lambda message: "quota exceeded" if dice.random() < 0.02 else None
    running = kit.run(Pipeline([source], sinks, outbox, settings))

    def delivered():
        for sink in sinks:
            if sink._lost is not None and not sink._lost.done() and dice.random() < 0.1:
                sink.lose()
        return (
            len(source.done) == BATCHES
            and all(source.done)
            and all(outbox.cursor(sink.name) == outbox.last_id for sink in sinks)
        )

    await kit.until(delivered, 60)
    await running.stop()
    for sink in sinks:
        for machine in MACHINES:
            assert seen_by_a_consumer(sink.decoded(), machine) == list(range(counts[machine]))
    counters = running.pipeline.counters
    assert counters.commit_failures > 0
    assert counters.failures["floor"] + counters.failures["broker"] + counters.failures["other"] > 3
    await outbox.close()
