"""From drafts to rows: numbered, encoded, divided where too long, with the gaps that the outbox itself has to tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gateway.core.coalesce import Draft
from gateway.core.sequence import Numbering
from gateway.model import Event, Gap, Record, Samples
from gateway.model.encode import Stamp, encode_record
from gateway.outbox.database import Evicted, Row
from gateway.outbox.facts import Loss


def rows_of(drafts: Iterable[Draft], numbering: Numbering, first: int, limit: int) -> Iterator[Row]:
    """The rows of these drafts, with ids from `first` on; data messages of at most `limit` bytes, or one sample."""
    for draft in drafts:
        for part, seq, kind, payload in _encoded(draft, numbering, limit):
            since = min(part.begin, draft.taken) if isinstance(part, Gap) else draft.taken
            yield Row(first, part.machine, kind, seq, draft.taken, since, _values(part), len(payload), payload)
            first += 1


def with_loss(drafts: Sequence[Draft], loss: Loss | None, numbering: Numbering, age: int) -> Iterator[Draft]:
    """The drafts; before the first one of a machine without a stream, the gap that tells of the lost file.

    A machine that is seen later than `age` ticks after the loss is a new one to us: whatever the file held of it would
    have left for its age.
    """
    told: set[str] = set()
    for draft in drafts:
        machine = draft.record.machine
        if loss is not None and draft.taken - loss.end <= age and machine not in told and not numbering.knows(machine):
            told.add(machine)
            yield Draft(draft.taken, Gap(machine, None, loss.begin, loss.end, "outbox-lost", loss.detail))
        yield draft


def eviction_gap(left: Evicted) -> Gap:
    """What left of one machine, told."""
    numbers = f"{left.first_seq}" if left.first_seq == left.last_seq else f"{left.first_seq} to {left.last_seq}"
    detail = f"{left.messages} messages ({numbers}) left the full outbox"
    missing = (left.first_seq, left.last_seq)
    return Gap(left.machine, None, left.begin, left.end, "evicted", detail, left.lost, missing)


def _encoded(draft: Draft, numbering: Numbering, limit: int) -> Iterator[tuple[Record, int, str, bytes]]:
    """The record as one message, or as several where samples make it too long."""
    taken, record = draft
    while True:
        epoch, seq = numbering.reserve(record.machine)
        stamp = Stamp(record.machine, epoch, seq, taken)
        kind, payload = encode_record(stamp, record)
        if not isinstance(record, Samples) or len(payload) <= limit or len(record.samples) == 1:
            yield record, seq, kind, payload
            return
        samples = record.samples
        count = max(1, len(samples) * limit // len(payload))
        while True:
            part = Samples(record.machine, samples[:count])
            kind, payload = encode_record(stamp, part)
            if len(payload) <= limit or count == 1:
                break
            count = max(1, min(count - 1, count * limit // len(payload)))
        yield part, seq, kind, payload
        record = Samples(record.machine, samples[count:])


def _values(record: Record) -> int:
    """Values that are lost with a message of this record."""
    match record:
        case Samples():
            return len(record.samples)
        case Event():
            return 1
        case Gap():
            return record.lost or 0
        case _:
            return 0
