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
from datetime import datetime, timedelta

from asyncua import ua

from adapters.opcua.connection import Connection, stage
from adapters.opcua.decode import ticks
from adapters.opcua.dispatch import status_text
from adapters.opcua.plan import SignalPlan
from adapters.opcua.progress import Span
from gateway.errors import Area4Error
from gateway.model import Gap, Record, Sample, Samples, SignalRef

logger = logging.getLogger("adapters.opcua")

FIRST_WITHIN = 10.0
"""Seconds in which the new subscription tells its first values; a signal without one ends its hole at the start."""

SETTLE = 2.0
"""Seconds that a server gets to write into its history what it has already shown."""

_EPOCH = datetime(1601, 1, 1)  # noqa: DTZ001 - asyncua takes times without a zone as UTC
_BAD = 0x80000000
_MICROSECOND = 10

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
        pages = _Pages(hole, plan, wanted.page)
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


class _Pages:
    """The history of one signal, page by page.

    Attributes:
        records: Of the page that was read last.
        count: Values in it.
        last: Source time up to which all was read.
        ended: There is no further page.
    """

    def __init__(self, hole: Hole, plan: SignalPlan, size: int) -> None:
        self.records: list[Record] = []
        self.count = 0
        self.last = hole.begin
        self.ended = False
        self._machine = hole.machine
        self._ref = SignalRef(hole.path, backfilled=True)
        self._plan = plan
        self._size = size
        self._begin, self._end = hole.begin, hole.end
        self._from = hole.begin
        self._point: bytes | None = None
        self._at_last = 0
        self._known = 0

    async def read(self, connection: Connection) -> str | None:
        """The next page; the name of the status where the server refuses it."""
        details = ua.ReadRawModifiedDetails(
            IsReadModified=False,
            StartTime=_moment(self._from),
            EndTime=_moment(self._end + _MICROSECOND),
            NumValuesPerNode=self._size,
            ReturnBounds=False,
        )
        node = ua.HistoryReadValueId(NodeId=self._plan.node, ContinuationPoint=self._point)
        wanted = ua.HistoryReadParameters(details, ua.TimestampsToReturn.Source, False, [node])
        try:
            with stage(connection.config.url, "read"):
                (result,) = await connection.client.uaclient.session.history_read(wanted)
        except Area4Error as problem:
            if isinstance(problem.__cause__, ua.UaStatusCodeError):
                return str(ua.StatusCode(problem.__cause__.code).name)
            raise
        if not result.StatusCode.is_good():
            if result.StatusCode.value == ua.StatusCodes.BadContinuationPointInvalid and self._point:
                self._go_on_from(self.last)  # the server forgot where we were
                return await self.read(connection)
            return str(result.StatusCode.name)
        values = getattr(result.HistoryData, "DataValues", None) or ()
        self._take(values)
        self._point = result.ContinuationPoint
        self.ended = not self._point and not self._cut_off(values)
        return None

    def _go_on_from(self, time: int) -> None:
        """Read on without a continuation point; what was told of this very time comes again and is passed over."""
        self._point = None
        self._from = time
        self._known = self._at_last if time == self.last else 0

    def _cut_off(self, values: Sequence[ua.DataValue]) -> bool:
        """A full page without a continuation point: some servers give none, so the next begins where this one ends."""
        if len(values) < self._size:
            return False
        latest = max(ticks(one.SourceTimestamp) for one in values)
        if latest > self._from:
            self._go_on_from(latest)
        else:
            detail = "the server recorded more values with one source time than a page holds"
            self.records.append(Gap(self._machine, [self._ref.path], latest, latest, "connection", detail))
            self._go_on_from(latest + _MICROSECOND)
        return True

    def _take(self, values: Sequence[ua.DataValue]) -> None:
        samples: list[Sample] = []
        self.records = []
        for value in values:
            time = ticks(value.SourceTimestamp)
            if not self._between(time):
                continue
            if self._known and time == self.last:
                self._known -= 1
                continue
            self._at_last = self._at_last + 1 if time == self.last else 1
            self.last = time
            code = value.StatusCode.value if value.StatusCode is not None else 0
            content = value.Value.Value if value.Value is not None and not code & _BAD else None
            try:
                json = self._plan.convert(content)
            except Exception as problem:  # noqa: BLE001 - whatever a converter fails with, the loss is told
                self.records.append(Gap(self._machine, [self._ref.path], time, time, "undecodable", f"{problem}", 1))
                continue
            samples.append(Sample(self._ref, json, time, status_text(code)))
        self.count = len(samples)
        if samples:
            self.records.append(Samples(self._machine, samples))

    def _between(self, time: int) -> bool:
        """Strictly between begin and end; asyncua's times have microseconds, so the ends are rounded to these."""
        return self._begin // _MICROSECOND < time // _MICROSECOND < self._end // _MICROSECOND


def _moment(time: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time // _MICROSECOND)


def _gap(hole: Hole, detail: str) -> Gap:
    return Gap(hole.machine, [hole.path], hole.begin, hole.end, "connection", detail)


def _nobody() -> None:
    """No connection, so nobody waits for a page."""
