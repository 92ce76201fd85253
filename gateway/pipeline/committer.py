"""From the intake to the outbox: gathered, joined, in one transaction, and only then acknowledged to the sources."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Sequence

from gateway.core.backoff import Backoff
from gateway.core.coalesce import Draft, coalesce
from gateway.errors import FullError, StorageError
from gateway.model import Gap
from gateway.outbox import Committed, Outbox
from gateway.pipeline.counters import Counters
from gateway.pipeline.intake import Intake, Taken
from gateway.pipeline.settings import PipelineSettings

logger = logging.getLogger("gateway.pipeline")


class Committer:
    """One for all sources: few, large transactions cost less than many small ones.

    Attributes:
        trouble: Why nothing can be stored at present; None while all is well.
        sent: Each is set while a connected sink has been given all that is stored.
    """

    def __init__(
        self,
        intake: Intake,
        outbox: Outbox,
        settings: PipelineSettings,
        counters: Counters,
        sent: Sequence[asyncio.Event] = (),
    ) -> None:
        self._intake = intake
        self._outbox = outbox
        self._settings = settings
        self._counters = counters
        self.sent = sent
        self.trouble: StorageError | None = None

    async def run(self) -> None:
        """Until the intake is closed and empty."""
        while items := await self._intake.gather(self._settings.linger, self._settings.settle):
            await self._store(items)
            await self._keep_pace()

    async def _keep_pace(self) -> None:
        """A moment for sinks that are behind; one that stays behind holds nothing up beyond it."""
        if all(event.is_set() for event in self.sent):
            return
        try:
            async with asyncio.timeout(self._settings.longest_linger):
                for event in self.sent:
                    await event.wait()
        except TimeoutError:
            pass  # what it has not taken waits on disk

    async def age(self) -> None:
        """Until cancelled: let go of what is too old also while nothing new comes."""
        while True:
            await asyncio.sleep(self._settings.age_check)
            if self._outbox.overdue:
                self._count((), (), await self._commit((), {}))

    async def _store(self, items: Sequence[Taken]) -> None:
        drafts = coalesce(
            [Draft(item.ticks, record) for item in items for record in item.batch.records],
            self._settings.message_samples,
        )
        progress = {item.source: item.batch.progress for item in items if item.batch.progress is not None}
        try:
            committed = await self._commit(drafts, progress, patiently=len(items) == 1)
        except FullError:  # in parts: each needs less room
            for part in (items[: len(items) // 2], items[len(items) // 2 :]):
                await self._store(part)
            return
        except Exception:
            if len(items) > 1:  # a broken batch must not take those of other sources with it
                for item in items:
                    await self._store([item])
                return
            logger.exception("%s: a batch cannot be written as messages; a gap takes its place", items[0].source)
            drafts = _in_place_of(items[0])
            committed = await self._commit(drafts, progress)
        self._intake.give_back(items)
        self._count(items, drafts, committed)
        for item in items:
            try:
                item.batch.done()
            except Exception:
                logger.exception("%s: acknowledging a stored batch failed", item.source)

    async def _commit(
        self, drafts: Sequence[Draft], progress: dict[str, bytes], *, patiently: bool = True
    ) -> Committed:
        """Try until it is durable; meanwhile the intake fills and reading stops.

        Raises:
            FullError: At once, unless it is to be waited for `patiently`.
        """
        backoff: Backoff | None = None
        while True:
            try:
                committed = await self._outbox.commit(drafts, progress)
            except StorageError as error:
                if isinstance(error, FullError) and not patiently:
                    raise
                self._counters.commit_failures += 1
                level = logging.WARNING if isinstance(error, FullError) else logging.ERROR
                level = level if self.trouble is None else logging.DEBUG
                logger.log(level, "%s Reading waits meanwhile.", error.told)
                self.trouble = error
                backoff = backoff or self._backoff()
                await asyncio.sleep(backoff.failed(time.monotonic()))
                continue
            if self.trouble is not None:
                logger.info("The outbox stores again.")
                self.trouble = None
            return committed

    def _backoff(self) -> Backoff:
        return Backoff(
            random.Random(),  # noqa: S311 - jitter is no secret
            first=self._settings.retry_first,
            longest=self._settings.retry_longest,
        )

    def _count(self, items: Sequence[Taken], drafts: Sequence[Draft], committed: Committed) -> None:
        counters = self._counters
        counters.commits += bool(committed.messages)
        counters.messages += len(committed.messages)
        counters.values += sum(item.batch.values for item in items)
        counters.evicted += committed.evicted
        counters.gaps.update(committed.gaps)
        counters.lost.update(committed.lost)
        for draft in drafts:
            if isinstance(draft.record, Gap):
                counters.gaps[draft.record.cause] += 1
                counters.lost[draft.record.cause] += draft.record.lost or 0


def _in_place_of(item: Taken) -> list[Draft]:
    """A gap per machine of a batch that cannot be written."""
    machines = dict.fromkeys(record.machine for record in item.batch.records)
    alone = item.batch.values if len(machines) == 1 else None
    return [
        Draft(item.ticks, Gap(machine, None, item.ticks, item.ticks, "undecodable", "not a common JSON value", alone))
        for machine in machines
    ]
