"""Many small batches become few messages: a message costs what it costs, a sample more in it costs little.

Samples of one machine are joined up to a number per message. Everything else keeps its place in its machine's stream:
an event, a gap or a description closes the machine's open message, and what comes after it starts a new one. Between
machines there is no order to keep.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gateway.model import Record, Sample, Samples


class Draft(NamedTuple):
    """A message before it has its number: when the gateway took it (ticks), and what it says."""

    taken: int
    record: Record


def coalesce(drafts: Iterable[Draft], limit: int) -> list[Draft]:
    """The same records in as few as possible, at most `limit` samples each; a joined one was taken when its first was.

    The records passed in are not changed.
    """
    result: list[Draft] = []
    unfilled: dict[str, list[Sample]] = {}
    for draft in drafts:
        record = draft.record
        if not isinstance(record, Samples):
            unfilled.pop(record.machine, None)
            result.append(draft)
            continue
        start, count = 0, len(record.samples)
        target = unfilled.get(record.machine)
        if target is not None:
            start = min(limit - len(target), count)
            target.extend(record.samples[:start])
        while start < count:
            part = record.samples[start : start + limit]
            start += len(part)
            unfilled[record.machine] = part
            result.append(Draft(draft.taken, Samples(record.machine, part)))
    return result
