"""A source and a sink that keep the contracts, without a network: what a test tells them to do, they do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from gateway.contracts import Batch, LinkStatus, Outgoing, ProbeStep, Refusal
from gateway.errors import UnreachableError
from gateway.model import Sample, Samples, SignalRef
from gateway.outbox import Limits, Outbox
from gateway.pipeline import PipelineSettings

OVERRIDE = SignalRef("Monitoring/Spindle1/Override")


class ScriptedSource:
    """Gives the batches that a test puts into it; keeps count of what it was asked."""

    def __init__(self, name="floor"):
        self.name = name
        self.batches: asyncio.Queue = asyncio.Queue()
        self.connects = 0
        self.resumed = []
        self.reads = 0
        self.done = []
        self.closes = 0
        self.connect_errors = []
        self.on_done = None

    @property
    def status(self):
        return LinkStatus(f"opc.tcp://{self.name}", "online", 0.0)

    async def connect(self, resume):
        self.connects += 1
        if self.connect_errors:
            raise self.connect_errors.pop(0)
        self.resumed.append(resume)

    async def read(self):
        item = await self.batches.get()
        if isinstance(item, Exception):
            raise item
        self.reads += 1
        return item

    async def close(self):
        self.closes += 1

    async def probe(self) -> AsyncIterator[ProbeStep]:
        yield ProbeStep("connect", ok=True, found="a script")

    def give(self, *records, progress=None):
        number = len(self.done)
        self.done.append(False)

        def done():
            assert not self.done[number], "told twice"
            self.done[number] = True
            if self.on_done is not None:
                self.on_done(number)

        values = sum(len(record.samples) if isinstance(record, Samples) else 1 for record in records)
        self.batches.put_nowait(Batch(records, progress, values, done))
        return number

    def give_values(self, *values, machine="M1", progress=None):
        return self.give(samples(*values, machine=machine), progress=progress)


class RecordingSink:
    """A broker's place: keeps what it is sent, answers as it is told."""

    def __init__(self, name="broker"):
        self.name = name
        self.messages: list[Outgoing] = []
        self.announced = []
        self.connects = 0
        self.closes = 0
        self.connect_errors = []
        self.refuse = lambda message: None  # a reason
        self.window = 1000
        self.answering = True
        self._lost = None
        self._untold = []
        self._free = asyncio.Event()
        self._delivered = None
        self.highest_untold = 0

    @property
    def status(self):
        return LinkStatus(f"mqtts://{self.name}", "online", 0.0)

    async def connect(self, delivered):
        self.connects += 1
        if self.connect_errors:
            raise self.connect_errors.pop(0)
        self._delivered = delivered
        self._lost = asyncio.get_running_loop().create_future()
        self._untold = []

    async def send(self, messages):
        for message in messages:
            while len(self._untold) >= self.window:
                self._free.clear()
                await self._free.wait()
            if self._lost is None or self._lost.done():
                raise UnreachableError("The connection is lost.")
            self.messages.append(message)
            self._untold.append(message)
            self.highest_untold = max(self.highest_untold, len(self._untold))
            if self.answering:
                asyncio.get_running_loop().call_soon(self.answer, 1)

    def answer(self, count):
        """Answer for the oldest messages that were not answered."""
        for message in self._untold[:count]:
            reason = self.refuse(message)
            refusal = None if reason is None else Refusal(f"area4/{message.machine}/{message.kind}", reason)
            self._delivered(message.id, refusal)
        del self._untold[:count]
        self._free.set()

    def lose(self):
        self._untold = []
        self._lost.set_result(UnreachableError("The connection is lost."))

    def announce(self, kind, name, payload):
        self.announced.append((kind, name, msgspec.json.decode(payload)))

    async def wait_lost(self):
        return await asyncio.shield(self._lost)

    async def close(self):
        self.closes += 1
        if self._lost is not None and not self._lost.done():
            self._lost.cancel()

    async def probe(self) -> AsyncIterator[ProbeStep]:
        yield ProbeStep("connect", ok=True, found="a list")

    def decoded(self):
        return [msgspec.json.decode(message.payload) for message in self.messages]

    def values(self, machine="M1"):
        """Values of one machine, each (epoch, seq) taken once, as a consumer does."""
        seen, result = set(), []
        for message in self.decoded():
            key = (message["machine"], message["epoch"], message["seq"])
            if message["machine"] == machine and key not in seen and "samples" in message:
                result += [sample["value"] for sample in message["samples"]]
            seen.add(key)
        return result


def samples(*values, machine="M1"):
    return Samples(machine, [Sample(OVERRIDE, value, 0) for value in values])


async def until(condition, seconds=20.0):
    """Wait for a condition with a generous deadline."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - a test asks from outside
            await asyncio.sleep(0.005)


class Running:
    """A pipeline in its task."""

    def __init__(self, pipeline):
        self.pipeline = pipeline
        self.task = asyncio.create_task(pipeline.run())

    async def stop(self):
        self.pipeline.stop()
        async with asyncio.timeout(20):
            await self.task


@pytest.fixture
def settings():
    return PipelineSettings(
        linger=0.0, retry_first=0.01, retry_longest=0.05, retry_refused=0.05, close_timeout=1.0, drain=3.0
    )


@pytest.fixture
def source():
    return ScriptedSource()


@pytest.fixture
def sink():
    return RecordingSink()


@pytest.fixture
async def outbox(tmp_path):
    outbox = await Outbox.open(tmp_path / "outbox" / "outbox.sqlite", limits=Limits(reserve=0), sinks=["broker"])
    yield outbox
    await outbox.close()


@pytest.fixture
def kit():
    """The helpers, since test folders are no packages."""

    class Kit:
        Source = ScriptedSource
        Sink = RecordingSink
        run = Running

    Kit.samples = staticmethod(samples)
    Kit.until = staticmethod(until)
    return Kit
