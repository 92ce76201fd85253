"""What the pipeline counts: plain numbers, updated per batch or message, never per value; metrics read them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """Totals since the start.

    Attributes:
        values_in: Values read, by source.
        batches_in: Batches read, by source.
        commits: Transactions that brought messages.
        commit_failures: Transactions that failed and were tried again.
        messages: Messages made durable.
        values: Values made durable.
        gaps: Gap messages made durable, by cause.
        lost: Values that gap messages told to be lost, where known, by cause.
        evicted: Messages that left a full outbox undelivered.
        sent: Messages handed to a sink, by sink.
        repeats: Of them, those that it had been handed before, by sink.
        delivered: Acknowledgements without an error, by sink.
        refused: Messages that the broker acknowledged with an error, by sink.
        failures: Failed attempts and lost connections, by source or sink.
    """

    values_in: Counter[str] = field(default_factory=Counter)
    batches_in: Counter[str] = field(default_factory=Counter)
    commits: int = 0
    commit_failures: int = 0
    messages: int = 0
    values: int = 0
    gaps: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    evicted: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    repeats: Counter[str] = field(default_factory=Counter)
    delivered: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
