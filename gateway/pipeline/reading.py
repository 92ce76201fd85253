"""One source: connected with back-off, read, handed to the intake."""

from __future__ import annotations

import asyncio
import time

from gateway.contracts import Source
from gateway.errors import UnreachableError
from gateway.model.times import ticks_from_unix_ns
from gateway.outbox import Outbox
from gateway.pipeline.attempts import Attempts, being_cancelled, end_if_cancelled, quietly
from gateway.pipeline.counters import Counters
from gateway.pipeline.intake import Intake, Taken
from gateway.pipeline.settings import PipelineSettings


class Reading:
    """The task of one source; whatever happens to it stays in it."""

    def __init__(
        self, source: Source, intake: Intake, outbox: Outbox, settings: PipelineSettings, counters: Counters
    ) -> None:
        self.source = source
        self.attempts = Attempts(source.name, settings, counters.failures)
        self._intake = intake
        self._outbox = outbox
        self._settings = settings
        self._counters = counters

    async def run(self) -> None:
        """Until cancelled; the source is then left open, so that what is being committed can still be acknowledged."""
        name = self.source.name
        while True:
            try:
                await self._once()
            except Exception as error:  # noqa: BLE001 - a broken source must not disturb the others; it is told and tried again
                delay = self.attempts.failed(error)
            except asyncio.CancelledError:
                if being_cancelled():
                    raise
                delay = self.attempts.failed(UnreachableError("The connection was given up from within."))
            await quietly(name, self.source.close(), self._settings.close_timeout)
            end_if_cancelled()
            await asyncio.sleep(delay)

    async def _once(self) -> None:
        """Connect and read until something fails."""
        name = self.source.name
        self.attempts.attempt()
        # What an earlier connection brought must be durable first, else it would be read twice.
        await self._intake.settled(name)
        async with asyncio.timeout(self._settings.connect_timeout):
            await self.source.connect(self._outbox.progress(name))
        end_if_cancelled()
        self.attempts.succeeded()
        while True:
            batch = await self.source.read()
            self._counters.batches_in[name] += 1
            self._counters.values_in[name] += batch.values
            await self._intake.put(Taken(name, batch, ticks_from_unix_ns(time.time_ns())))

    async def close(self) -> None:
        """Leave, for good."""
        await quietly(self.source.name, self.source.close(), self._settings.close_timeout)
        self.attempts.stopped()
