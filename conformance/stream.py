"""Whether a consumer sees every message once, and a hole where one is missing (`epoch`, `seq`; docs/topics.md).

Pure: messages go in as they come from the broker, findings come out. It knows nothing of the gateway's code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

Hole: TypeAlias = tuple[str, int, int]
"""Epoch, first and last missing seq."""


@dataclass(slots=True)
class StreamReport:
    """What was seen of one machine's stream.

    Attributes:
        messages: Different messages.
        repeats: Messages that came again with the same epoch, seq and content.
        altered: Pairs (epoch, seq) that came again with another content.
        holes: What is missing without a word, each with its epoch, first and last seq.
        announced: What is missing and named by a gap message, likewise.
        late: Messages that came after one with a higher seq that never came again.
        displaced: Messages that came late, where all that had come too early came again: `seq` tells the right place.
        epochs: Epochs in the order in which they appeared.
        gaps: Announced gaps by cause.
    """

    messages: int = 0
    repeats: int = 0
    altered: int = 0
    late: int = 0
    displaced: int = 0
    holes: list[Hole] = field(default_factory=list)
    announced: list[Hole] = field(default_factory=list)
    epochs: list[str] = field(default_factory=list)
    gaps: Counter[str] = field(default_factory=Counter)

    @property
    def complete(self) -> bool:
        """No message is altered, out of order, or missing without a word."""
        return not (self.holes or self.altered or self.late)


class StreamChecker:
    """Follows one machine's stream.

    `take` says whether a message is new: only new ones count for the values. Memory grows with the number of
    messages by one integer each, because a repeat can come however late.
    """

    def __init__(self) -> None:
        self._seen: dict[str, dict[int, int]] = {}
        self._highest: dict[str, int] = {}
        self._first: dict[str, int] = {}
        self._told: dict[str, list[tuple[int, int]]] = {}
        self._behind: dict[str, list[set[int]]] = {}
        self._report = StreamReport()

    def take(self, epoch: str, seq: int, payload: bytes, *, retained: bool = False) -> bool:
        """A message came; True when it is seen for the first time.

        Args:
            epoch: Of the message.
            seq: Of the message.
            payload: Its bytes, to compare a repeat with.
            retained: The broker sent it on subscribing; it may be of long ago and starts no stream.
        """
        seen = self._seen.setdefault(epoch, {})
        digest = hash(payload)
        if seq in seen:
            self._report.repeats += 1
            self._report.altered += seen[seq] != digest
            for early in self._behind.get(epoch, ()):
                early.discard(seq)
            return False
        if epoch not in self._highest and not retained:
            self._report.epochs.append(epoch)
        seen[seq] = digest
        if retained:
            return True
        self._report.messages += 1
        self._first.setdefault(epoch, seq)
        if seq < self._highest.get(epoch, 0):
            early = {one for one in range(seq + 1, self._highest[epoch] + 1) if one in seen}
            self._behind.setdefault(epoch, []).append(early)
        self._highest[epoch] = max(seq, self._highest.get(epoch, 0))
        return True

    def age(self, epoch: str) -> int:
        """How many epochs appeared before this one; 0 as long as only retained messages came of it."""
        epochs = self._report.epochs
        return epochs.index(epoch) if epoch in epochs else 0

    def gap(self, cause: str, epoch: str = "", missing: Sequence[int] | None = None) -> None:
        """A new gap message said so; `missing` are the first and the last seq of `epoch` that it names."""
        self._report.gaps[cause] += 1
        if missing is not None:
            first, last = missing
            self._told.setdefault(epoch, []).append((first, last))

    def report(self) -> StreamReport:
        """What was seen so far; holes are looked for between the first live message and the last of each epoch."""
        self._report.holes, self._report.announced = [], []
        behind = [early for found in self._behind.values() for early in found]
        self._report.late = sum(bool(early) for early in behind)
        self._report.displaced = len(behind) - self._report.late
        for epoch in self._report.epochs:
            told = self._told.get(epoch, ())
            for hole in self._holes(epoch):
                for first, last, named in divided(hole, told):
                    (self._report.announced if named else self._report.holes).append((epoch, first, last))
        return self._report

    def _holes(self, epoch: str) -> list[tuple[int, int]]:
        numbers = sorted(seq for seq in self._seen[epoch] if seq >= self._first[epoch])
        return [(before + 1, after - 1) for before, after in pairwise(numbers) if after > before + 1]


def divided(hole: tuple[int, int], told: Iterable[tuple[int, int]]) -> list[tuple[int, int, bool]]:
    """The hole in parts: first and last number, and whether one of the ranges `told` names them."""
    begin, end = hole
    parts: list[tuple[int, int, bool]] = []
    for first, last in sorted(told):
        if last < begin or first > end:
            continue
        if first > begin:
            parts.append((begin, first - 1, False))
        parts.append((max(first, begin), min(last, end), True))
        begin = last + 1
        if begin > end:
            return parts
    return [*parts, (begin, end, False)]
