from __future__ import annotations

import asyncio
import sqlite3

import msgspec
import pytest

from gateway.core.coalesce import Draft
from gateway.errors import FullError
from gateway.model import Description, Gap, MachineDescription, Sample, Samples, SignalRef
from gateway.model.times import TICKS_PER_SECOND
from gateway.outbox import Limits, Outbox

SIGNAL = SignalRef("Monitoring/Spindle1/Override")
START = 134_000_000_000_000_000


class Clock:
    """Present time in ticks, moved by the test."""

    def __init__(self):
        self.ticks = START

    def __call__(self):
        return self.ticks

    def advance(self, seconds):
        self.ticks += int(seconds * TICKS_PER_SECOND)


class Kit:
    START = START

    def __init__(self, path, clock):
        self.path = path
        self.clock = clock
        self.opened = []

    async def open(self, sinks=("broker",), **limits):
        outbox = await Outbox.open(
            self.path, limits=Limits(**{"reserve": 0, **limits}), sinks=list(sinks), clock=self.clock
        )
        self.opened.append(outbox)
        return outbox

    def values(self, *values, machine="M1"):
        return Draft(self.clock.ticks, Samples(machine, [Sample(SIGNAL, value, 0) for value in values]))

    def text(self, size, machine="M1"):
        """A sample of so many bytes."""
        return self.values("x" * size, machine=machine)

    def gap(self, machine="M1", lost=None):
        return Draft(self.clock.ticks, Gap(machine, None, START - 1000, self.clock.ticks, "connection", lost=lost))

    def description(self, machine="M1", name="Mill"):
        body = MachineDescription(id=machine, name=name, type="MachineToolType", source="floor")
        return Draft(self.clock.ticks, Description(machine, body))

    @staticmethod
    async def until(condition):
        """Wait for what the outbox does by itself."""
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110 - a test asks from outside
                await asyncio.sleep(0.01)

    async def fill(self, outbox, size=1000):
        """Commit messages of so many bytes until the outbox is full: how many it took, and what it said."""
        for taken in range(1000):
            try:
                await outbox.commit([self.text(size)], {"s": b"%d" % taken})
            except FullError as error:
                return taken, error
        raise AssertionError("it is never full")

    async def taken(self, outbox, drafts):
        """Commit as the pipeline does: again and again while the outbox is full."""
        async with asyncio.timeout(30):
            while True:
                try:
                    return await outbox.commit(drafts, {})
                except FullError:
                    await asyncio.sleep(0.01)

    @staticmethod
    def decode(messages):
        return [msgspec.json.decode(message.payload) for message in messages]

    def outside(self, statement):
        """What another connection sees in the file."""
        connection = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()


@pytest.fixture
async def kit(tmp_path):
    kit = Kit(tmp_path / "store" / "outbox.sqlite", Clock())
    yield kit
    for outbox in kit.opened:
        await outbox.close()
