"""The history of one signal, page by page (OPC 10000-11, 6.4.3.2), with the server's continuation points or without."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from asyncua import ua

from adapters.opcua.connection import Connection, stage
from adapters.opcua.decode import ticks
from adapters.opcua.dispatch import status_text
from adapters.opcua.plan import SignalPlan
from adapters.opcua.progress import Span
from gateway.errors import Area4Error
from gateway.model import Gap, Record, Sample, Samples, SignalRef

_EPOCH = datetime(1601, 1, 1)  # noqa: DTZ001 - asyncua takes times without a zone as UTC
_BAD = 0x80000000
_MICROSECOND = 10


class Pages:
    """The history of one signal, page by page.

    Attributes:
        records: Of the page that was read last.
        count: Values in it.
        last: Source time up to which all was read.
        ended: There is no further page.

    Args:
        machine: Its identity.
        plan: The signal.
        span: Source times in ticks that enclose what is wanted, both excluded.
        size: Values of a page.
    """

    def __init__(self, machine: str, plan: SignalPlan, span: Span, size: int) -> None:
        self.records: list[Record] = []
        self.count = 0
        self._begin, self._end = span
        self.last = self._begin
        self.ended = False
        self._machine = machine
        self._ref = SignalRef(plan.ref.path, backfilled=True)
        self._plan = plan
        self._size = size
        self._from = self._begin
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
