"""The third rung: what no subscription brings any more is read from the server's history, beside the live values.

Which values are told: of each signal those with a source time between the last one that is known to be stored and the
first one that the new subscription brought, both excluded. So no value is told twice, and nothing between is left out
that the server recorded. The source times of the last values are stored with every batch (of at most `MOST_RECORDED`
signals; of a further one, and of one that had no value yet, all after the committed server time is taken).

Reading is throttled twice: a page is read when the one before is stored, and never more than the configured rate.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from adapters.opcua.connection import Connection
from adapters.opcua.pages import Pages
from adapters.opcua.plan import SignalPlan
from adapters.opcua.progress import Span
from gateway.errors import Area4Error
from gateway.model import Gap, Record, Samples

logger = logging.getLogger("adapters.opcua")

FIRST_WITHIN = 10.0
"""Seconds in which the new subscription tells its first values; a signal without one ends its hole at the start."""

SETTLE = 2.0
"""Seconds that a server gets to write into its history what it has already shown."""

SignalKey = tuple[str, str]
"""Machine and path."""


@dataclass(slots=True)
class Hole:
    """What of one signal is to be read from history.

    Attributes:
        begin: Source time of the last value that is known to be stored.
        end: Source time of the first value that the subscription brought; 0: not known yet.
        latest: What to take as the end if none comes.
    """

    machine: str
    path: str
    begin: int
    latest: int
    end: int = 0


class Backfill:
    """The holes of a source; lives as long as the process, its task as long as one connection."""

    def __init__(self) -> None:
        self._holes: deque[Hole] = deque()
        self._unended: dict[SignalKey, Hole] = {}
        self._page: tuple[Hole, list[Record], int, int] | None = None
        self._stored = asyncio.Event()
        self._wake: Callable[[], None] = _nobody
        self._task: asyncio.Task[None] | None = None
        self._known = asyncio.Event()

    def add(self, holes: Iterable[Hole]) -> None:
        """Further holes; a signal whose earlier hole has no end yet goes on with that one."""
        for hole in holes:
            key = (hole.machine, hole.path)
            if key in self._unended:
                self._unended[key].latest = hole.latest
            else:
                self._unended[key] = hole
                self._holes.append(hole)
                self._known.clear()

    @property
    def span(self) -> Span | None:
        """From the earliest begin to the latest end of what is not filled; None when all is."""
        if not self._holes:
            return None
        return min(one.begin for one in self._holes), max(one.end or one.latest for one in self._holes)

    def start(self, connection: Connection, plans: Mapping[SignalKey, SignalPlan], wake: Callable[[], None]) -> None:
        """Fill the holes by this connection."""
        if self._holes:
            self._wake = wake
            self._page = None
            self._stored.set()
            self._task = asyncio.create_task(self._run(connection, plans), name="opcua history")

    async def stop(self) -> None:
        """End the task; what is not filled remains."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def live(self, records: Sequence[Record]) -> None:
        """What the subscription brought: the first value of a signal ends its hole."""
        if not self._unended:
            return
        for record in records:
            if isinstance(record, Samples):
                for sample in record.samples:
                    key = (record.machine, sample.signal.path)
                    if sample.time and key in self._unended:
                        self._unended.pop(key).end = sample.time
        if not self._unended:
            self._known.set()

    def take(self) -> tuple[list[Record], int, Callable[[], None]] | None:
        """A page that was read: records, how many values, and what to call when they are stored."""
        page, self._page = self._page, None
        if page is None:
            return None
        hole, records, count, last = page
        hole.begin = max(hole.begin, last)
        if last >= (hole.end or hole.latest):
            self._holes.remove(hole)
        return records, count, self._stored.set

    async def _run(self, connection: Connection, plans: Mapping[SignalKey, SignalPlan]) -> None:
        try:
            async with asyncio.timeout(FIRST_WITHIN):
                if self._unended:
                    await self._known.wait()
        except TimeoutError:
            pass  # some signals have no value, or none with a source time
        for hole in self._unended.values():
            hole.end = hole.latest
        self._unended.clear()
        await asyncio.sleep(SETTLE)
        try:
            for hole in list(self._holes):
                await self._fill(connection, hole, plans.get((hole.machine, hole.path)))
        except Area4Error as problem:  # the reader notices a lost connection by itself
            logger.info("%s: reading history was interrupted: %s", connection.config.url, problem)

    async def _fill(self, connection: Connection, hole: Hole, plan: SignalPlan | None) -> None:
        if hole.end == hole.begin:  # the current value is the last stored one
            self._holes.remove(hole)
            return
        if hole.end < hole.begin:
            told = replace(hole, begin=hole.end, end=hole.begin)
            await self._hand_over(hole, [_gap(told, "its source times went back, so history cannot tell")], 0, hole.end)
            return
        if plan is None:
            await self._hand_over(hole, [_gap(hole, "the signal is no longer there")], 0, hole.end)
            return
        wanted = connection.config.history
        pages = Pages(hole.machine, plan, (hole.begin, hole.end), wanted.page)
        while not pages.ended:
            why = await pages.read(connection)
            if why is not None:
                await self._hand_over(hole, [_gap(hole, f"its history could not be read: {why}")], 0, hole.end)
                return
            await self._hand_over(hole, pages.records, pages.count, hole.end if pages.ended else pages.last)
            await asyncio.sleep(pages.count / wanted.rate)

    async def _hand_over(self, hole: Hole, records: list[Record], count: int, last: int) -> None:
        """Give a page to the reader, when the one before is stored."""
        await self._stored.wait()
        if not records and last >= hole.end:
            self._holes.remove(hole)
            return
        self._stored.clear()
        self._page = (hole, records, count, last)
        self._wake()


def _gap(hole: Hole, detail: str) -> Gap:
    return Gap(hole.machine, [hole.path], hole.begin, hole.end, "connection", detail)


def _nobody() -> None:
    """No connection, so nobody waits for a page."""
