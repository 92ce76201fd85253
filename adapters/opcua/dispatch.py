"""From the values of notifications to records of the common model, machine by machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from asyncua import ua

from adapters.opcua.changes import Encoded, Value
from adapters.opcua.decode import PublishResult
from adapters.opcua.plan import Converter, SignalPlan
from adapters.opcua.publish import Missing
from gateway.model import Gap, Record, Sample, Samples, SignalRef
from gateway.model.values import JsonValue

EventReaderHook = Callable[[int, Sequence[ua.Variant], int], Sequence[Record]]
"""Client handle, selected fields, server time in ticks: the records of one event."""

_BAD = 0x80000000
_OVERFLOW = 0x480
"""InfoType DataValue with the bit Overflow (OPC 10000-4, 7.39.1)."""

_SUB_CODE = 0xFFFF0000


@lru_cache(maxsize=1024)
def status_text(code: int) -> str | None:
    """None for Good, else the name; an unknown code by its severity and number."""
    code &= _SUB_CODE
    if code == 0:
        return None
    name: str = ua.StatusCode(code).name
    return f"{name}0x{code:08X}" if name in {"Good", "Bad", "Uncertain"} else name


@dataclass(slots=True)
class Bucket:
    """What one read brings for one machine."""

    machine: str
    samples: list[Sample] = field(default_factory=list)
    overflows: list[tuple[str, int, int]] = field(default_factory=list)
    unreadable: list[tuple[str, int, int, str]] = field(default_factory=list)


class Item:
    """A monitored item by its client handle."""

    __slots__ = ("bucket", "convert", "number", "plan", "ref", "take", "time")

    def __init__(self, plan: SignalPlan, bucket: Bucket) -> None:
        self.plan = plan
        self.ref: SignalRef = plan.ref
        self.convert: Converter = plan.convert
        self.bucket = bucket
        self.take = bucket.samples.append
        self.time = 0  # source time of its last value
        self.number = 0  # the server's id of the monitored item


class Dispatcher:
    """Items by client handle, and the way from notifications to records.

    Attributes:
        unknown: Values for handles that nobody asked for.
        since: Server time in ticks up to which all was known before the messages that are being read.
    """

    def __init__(self) -> None:
        self.items: list[Item | None] = []
        self.buckets: dict[str, Bucket] = {}
        self.events: EventReaderHook | None = None
        self.unknown = 0
        self.since = 0

    def bucket(self, machine: str) -> Bucket:
        """The machine's bucket."""
        return self.buckets.setdefault(machine, Bucket(machine))

    def records(self, messages: Sequence[PublishResult | Missing], complete: int) -> tuple[list[Record], int]:
        """Records in order, and how many values and events they hold.

        Args:
            messages: As the publish engine gives them.
            complete: Server time in ticks up to which all was known before them.
        """
        records: list[Record] = []
        count = 0
        self.since = complete
        for message in messages:
            if isinstance(message, Missing):
                self._flush(records)
                records += [
                    Gap(machine, None, min(message.begin, message.end), message.end, message.cause, message.detail)
                    for machine in self.buckets
                ]
                continue
            self._values(message.values, message.time)
            count += len(message.values) + len(message.events)
            if message.events and self.events is not None:
                self._flush(records)
                for handle, fields in message.events:
                    records += self.events(handle, fields, message.time)
        self._flush(records)
        return records, count

    def _values(self, values: list[Value], sent: int) -> None:
        items = self.items
        last = len(items)
        for handle, value, time, status in values:
            item = items[handle] if handle < last else None
            if item is None:
                self.unknown += 1
                continue
            if status or isinstance(value, Encoded):
                self._unusual(item, value, time, status, sent)
                continue
            item.take(Sample(item.ref, value, time))
            item.time = time

    def _unusual(self, item: Item, value: JsonValue | Encoded, time: int, status: int, sent: int) -> None:
        """A value with a status that is not plainly Good, or one that the tables of the server are needed for."""
        if status & _OVERFLOW == _OVERFLOW:
            item.bucket.overflows.append((item.ref.path, item.time or self.since, time or sent))
        json: JsonValue = None
        if not status & _BAD:
            try:
                json = item.convert(value) if isinstance(value, Encoded) else value
            except Exception as problem:  # noqa: BLE001 - whatever a converter fails with, the loss is told
                self._unconvertible(item, time or sent, problem)
                return
        item.take(Sample(item.ref, json, time, status_text(status)))
        item.time = time

    def _unconvertible(self, item: Item, time: int, problem: Exception) -> None:
        item.bucket.unreadable.append((item.ref.path, item.time or self.since, time, f"{problem}"))
        item.time = time

    def _flush(self, records: list[Record]) -> None:
        """Gaps first, then the samples after them."""
        for bucket in self.buckets.values():
            machine = bucket.machine
            spans: dict[tuple[int, int], list[str]] = {}
            for path, begin, end in bucket.overflows:
                spans.setdefault((min(begin, end), end), []).append(path)
            for (begin, end), paths in spans.items():
                records.append(Gap(machine, paths, begin, end, "queue-overflow", "the server's queue was full"))
            bucket.overflows = []
            for path, begin, end, why in bucket.unreadable:
                records.append(Gap(machine, [path], min(begin, end), end, "undecodable", why, 1))
            bucket.unreadable = []
            if bucket.samples:
                records.append(Samples(machine, bucket.samples.copy()))
                bucket.samples.clear()  # the list stays: its items append to it
