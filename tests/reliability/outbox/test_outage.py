"""A broker that is away for an hour at 2,000 values a second: memory stays flat, everything is delivered, in order."""

import asyncio
import gc
import os
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from gateway.contracts import Batch, LinkStatus
from gateway.errors import UnreachableError
from gateway.model import Sample, Samples, SignalRef
from gateway.outbox import Limits, Outbox
from gateway.pipeline import Pipeline, PipelineSettings

MACHINES = 20
RATE = 2000
PERIOD = 0.1
SIGNALS = [SignalRef(f"Monitoring/Signal{number}") for number in range(RATE // MACHINES // 10)]
FLAT = 20 << 20
TICKS = 134_000_000_000_000_000


class Floor:
    """Twenty machines, each with one message's worth of values every 100 ms; paced, or as fast as they are taken."""

    name = "floor"
    status = LinkStatus("floor", "online", 0.0)

    def __init__(self, periods, *, paced):
        self.periods = periods
        self.paced = paced
        self.done = 0
        self.read_batches = 0

    async def connect(self, resume):
        return None

    async def read(self):
        at = self.read_batches
        if at >= self.periods:
            await asyncio.Event().wait()
        await asyncio.sleep(PERIOD if self.paced else 0)
        self.read_batches += 1
        records = [
            Samples(f"M{machine}", [Sample(signal, at, TICKS + at) for signal in SIGNALS])
            for machine in range(MACHINES)
        ]
        return Batch(records, b"%d" % at, len(SIGNALS) * MACHINES, self._done)

    def _done(self):
        self.done += 1

    async def close(self):
        return None


class Broker:
    """Takes nothing while it is away; then looks at what comes and keeps only counts."""

    name = "broker"
    status = LinkStatus("broker", "online", 0.0)

    def __init__(self):
        self.away = True
        self.seqs = Counter()
        self.values = Counter()
        self.wrong = []
        self.window = asyncio.Semaphore(100)
        self._decode = msgspec.json.Decoder().decode

    async def connect(self, delivered):
        if self.away:
            raise UnreachableError("Nobody there.")
        self._delivered = delivered

    async def send(self, messages):
        for message in messages:
            await self.window.acquire()
            asyncio.get_running_loop().call_soon(self._take, message)
        await asyncio.sleep(0)

    def _take(self, message):
        body = self._decode(message.payload)
        machine = body["machine"]
        self.seqs[machine] += 1
        if body["seq"] != self.seqs[machine]:
            self.wrong.append((machine, body["seq"], self.seqs[machine]))
        for sample in body["samples"]:
            signal = (machine, sample["path"])
            if sample["value"] != self.values[signal]:
                self.wrong.append((*signal, sample["value"], self.values[signal]))
            self.values[signal] += 1
        self.window.release()
        self._delivered(message.id, None)

    def announce(self, kind, name, payload):
        pass

    async def wait_lost(self):
        await asyncio.Event().wait()

    async def close(self):
        return None


def resident():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def until(condition, seconds):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - a test asks from outside
            await asyncio.sleep(0.02)


async def outage(tmp_path, seconds, *, paced, patience):
    """An outage of so many seconds of data; memory is compared with that after a tenth: all that is bounded is full."""
    periods = int(seconds / PERIOD)
    outbox = await Outbox.open(tmp_path / "o.sqlite", limits=Limits(bytes=8 << 30), sinks=["broker"])
    source, sink = Floor(periods, paced=paced), Broker()
    pipeline = Pipeline([source], [sink], outbox, PipelineSettings(retry_longest=0.2, drain=0.5))
    running = asyncio.create_task(pipeline.run())
    try:
        await outlasted(source, sink, outbox, periods, patience)
        assert pipeline.counters.gaps == {}
    finally:
        pipeline.stop()
        await asyncio.wait_for(running, 60)
        await outbox.close()


async def outlasted(source, sink, outbox, periods, patience):
    await until(lambda: source.done >= periods // 10, patience)
    before, highest = resident(), 0
    while source.done < periods:
        await asyncio.sleep(0.2)
        highest = max(highest, resident())
    assert highest - before < FLAT, f"memory grew by {(highest - before) >> 20} MB during the outage"
    assert outbox.depth().messages > 0
    sink.away = False
    signals = MACHINES * len(SIGNALS)
    while sink.values.total() < periods * signals:
        await asyncio.sleep(0.2)
        highest = max(highest, resident())
    assert highest - before < FLAT, f"memory grew by {(highest - before) >> 20} MB while the backlog drained"
    assert sink.wrong == []
    assert set(sink.values.values()) == {periods}
    await until(lambda: outbox.cursor("broker") == outbox.last_id, patience)


@pytest.mark.timeout(600)
async def test_an_hour_of_values_waits_for_its_broker(tmp_path):
    """The values of an hour, as fast as the outbox takes them."""
    await outage(tmp_path, 3600, paced=False, patience=120)


@pytest.mark.soak
@pytest.mark.timeout(3 * 3600)
async def test_an_hour_without_a_broker_in_real_time(tmp_path):
    await outage(tmp_path, 3600, paced=True, patience=600)
