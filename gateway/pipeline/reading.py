"""One source: connected with back-off, read, handed to the intake."""

from __future__ import annotations

import time
from typing import Never

from gateway.contracts import Source
from gateway.model.times import ticks_from_unix_ns
from gateway.outbox import Outbox
from gateway.pipeline.attempts import Attempts, end_if_cancelled
from gateway.pipeline.counters import Counters
from gateway.pipeline.intake import Intake, Taken
from gateway.pipeline.settings import PipelineSettings


class Reading:
    """The task of one source; whatever happens to it stays in it."""

    def __init__(
        self, source: Source, intake: Intake, outbox: Outbox, settings: PipelineSettings, counters: Counters
    ) -> None:
        self.source = source
        self.attempts = Attempts("source", source, settings, counters.failures)
        self._intake = intake
        self._outbox = outbox
        self._counters = counters

    async def run(self) -> Never:
        """Until cancelled; the source is then left open, so that what is being committed can still be acknowledged."""
        await self.attempts.forever(self._once)

    async def _once(self) -> Never:
        """Connect and read until something fails."""
        name = self.source.name
        # What an earlier connection brought must be durable first, else it would be read twice.
        await self._intake.settled(name)
        await self.attempts.connect(self.source.connect(self._outbox.progress(name)))
        while True:
            batch = await self.source.read()
            end_if_cancelled()
            self._counters.batches_in[name] += 1
            self._counters.values_in[name] += batch.values
            await self._intake.put(Taken(name, batch, ticks_from_unix_ns(time.time_ns())))
