"""Sources, outbox and sinks put together: one task each, in one TaskGroup, from start to a graceful stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Mapping, Sequence

from gateway.contracts import LinkStatus, Sink, Source
from gateway.errors import ConfigurationError
from gateway.outbox import Outbox
from gateway.pipeline.committer import Committer
from gateway.pipeline.counters import Counters
from gateway.pipeline.delivery import Delivery
from gateway.pipeline.intake import Intake
from gateway.pipeline.machines import MachineStates
from gateway.pipeline.reading import Reading
from gateway.pipeline.settings import PipelineSettings

logger = logging.getLogger("gateway.pipeline")


class Pipeline:
    """Carries everything from the sources to the sinks.

    Args:
        sources: With `machines` as their listener.
        sinks: Their names are those that the outbox was opened with.
        outbox: Open; closing it is the caller's, after `run`.
        settings: Behaviour.
        machines: What the sources tell about their machines.
        backlog_rates: Messages a second that a sink is given at most of what waits on disk, by its name.

    Attributes:
        counters: Totals.

    Raises:
        ConfigurationError: Two sources or two sinks have the same name.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        sinks: Sequence[Sink],
        outbox: Outbox,
        settings: PipelineSettings | None = None,
        machines: MachineStates | None = None,
        backlog_rates: Mapping[str, float] | None = None,
    ) -> None:
        _unique("source", [source.name for source in sources])
        _unique("sink", [sink.name for sink in sinks])
        self._settings = settings or PipelineSettings()
        self._outbox = outbox
        self.counters = Counters()
        self.machines = machines or MachineStates()
        self._intake = Intake(self._settings.intake_values, [source.name for source in sources])
        self._readings = [Reading(source, self._intake, outbox, self._settings, self.counters) for source in sources]
        rates = backlog_rates or {}
        self._deliveries = [
            Delivery(sink, outbox, self._settings, self.counters, backlog_rate=rates.get(sink.name)) for sink in sinks
        ]
        sent = [item.sent for item in self._deliveries]
        self._committer = Committer(self._intake, outbox, self._settings, self.counters, sent)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Let `run` end gracefully."""
        self._stopping.set()

    async def run(self) -> None:
        """Carry until `stop` or cancellation; both end it gracefully, within `drain` and the `close_timeout`s.

        Reading ends, what was read is committed and acknowledged, the sources are closed, the sinks get some time to
        deliver what is stored, the sinks are closed. What they did not deliver stays in the outbox.
        """
        self.machines.attach([delivery.sink for delivery in self._deliveries])
        async with asyncio.TaskGroup() as group:
            committing = group.create_task(self._committer.run(), name="commit")
            aging = group.create_task(self._committer.age(), name="age")
            reading = [group.create_task(item.run(), name=f"read {item.source.name}") for item in self._readings]
            delivering = [group.create_task(item.run(), name=f"deliver {item.sink.name}") for item in self._deliveries]
            try:
                await self._stopping.wait()
            finally:
                aging.cancel()
                await self._wind_down(reading, committing, delivering)

    def links(self) -> Mapping[str, LinkStatus]:
        """How every source and sink stands, by name; a sink of the same name as a source has `sink:` before it."""
        result = {item.source.name: item.attempts.status for item in self._readings}
        for item in self._deliveries:
            name = item.sink.name if item.sink.name not in result else f"sink:{item.sink.name}"
            result[name] = item.attempts.status
        return result

    @property
    def waiting_values(self) -> int:
        """Values that were read and are not durable yet."""
        return self._intake.values

    @property
    def storage_trouble(self) -> str:
        """Why nothing can be stored at present; empty while all is well."""
        trouble = self._committer.trouble or self._outbox.trouble
        return "" if trouble is None else trouble.told

    async def _wind_down(
        self,
        reading: Sequence[asyncio.Task[None]],
        committing: asyncio.Task[None],
        delivering: Sequence[asyncio.Task[None]],
    ) -> None:
        await _end(reading)
        for item in self._deliveries:
            item.unpaced()
        self._intake.close()
        await asyncio.wait((committing,), timeout=self._settings.drain)
        if not committing.done():
            logger.error(
                "%d values that were read could not be stored before the end; they were not acknowledged.",
                self._intake.values,
            )
        await _end([committing])
        await _all(item.attempts.close() for item in self._readings)
        self.machines.stopped("The gateway was stopped.")
        if delivering:
            drained = [asyncio.ensure_future(item.drained()) for item in self._deliveries if item.connected]
            if drained:
                await asyncio.wait(drained, timeout=self._settings.drain)
            await _end(drained)
        await _end(delivering)
        await _all(item.attempts.close() for item in self._deliveries)


async def _end(tasks: Iterable[asyncio.Future[None]]) -> None:
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _all(goodbyes: Iterable[Awaitable[None]]) -> None:
    await asyncio.gather(*goodbyes)


def _unique(what: str, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(
            f"Two {what}s have the same name: {', '.join(twice)}.", advice=f"Give each {what} a name of its own."
        )
