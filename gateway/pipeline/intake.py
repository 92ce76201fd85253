"""What was read and is not yet durable: bounded, so that a store that cannot store stops the reading."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.contracts import Batch


@dataclass(slots=True)
class Taken:
    """A batch, whose it is, and when it was taken (ticks)."""

    source: str
    batch: Batch
    ticks: int


class Intake:
    """Between the sources' tasks and the committer, in one event loop.

    Each source has an equal share of the bound, so a fast one cannot use up the room of the others; a single batch
    always fits. Room is given back after the commit, not when the committer takes the batch.
    """

    def __init__(self, values: int, sources: Sequence[str]) -> None:
        self._share = max(1, values // max(1, len(sources)))
        self._held: Counter[str] = Counter()
        self._batches: Counter[str] = Counter()
        self._items: list[Taken] = []
        self._room: dict[str, asyncio.Event] = {source: asyncio.Event() for source in sources}
        self._some = asyncio.Event()
        self._hurry = asyncio.Event()
        self._first_at = 0.0
        self._given_at = -math.inf
        self._closed = False

    @property
    def values(self) -> int:
        """Values that wait for their commit, or are in it."""
        return self._held.total()

    async def put(self, taken: Taken) -> None:
        """Hand a batch over, once there is room."""
        source = taken.source
        while self._batches[source] and self._held[source] + taken.batch.values > self._share:
            self._room[source].clear()
            self._hurry.set()
            await self._room[source].wait()
        self._held[source] += taken.batch.values
        self._batches[source] += 1
        if not self._items:
            self._first_at = asyncio.get_running_loop().time()
            self._some.set()
        self._items.append(taken)

    async def settled(self, source: str) -> None:
        """Return once nothing of this source waits for its commit."""
        while self._batches[source]:
            self._room[source].clear()
            self._hurry.set()
            await self._room[source].wait()

    async def gather(self, linger: float, settle: float = 0.0) -> list[Taken]:
        """All that is there, not sooner than `linger` seconds after the last time; empty only when closed.

        So under load there is one transaction in that time, and what comes after a pause hardly waits: only `settle`
        seconds, at most `linger`, for the rest of its publication and for sources that publish at the same moment. All
        waiting ends early when a source waits for room.
        """
        await self._some.wait()
        ready = max(self._first_at + min(settle, linger), self._given_at + linger)
        left = ready - asyncio.get_running_loop().time()
        if left > 0 and not self._closed and not self._hurry.is_set():
            try:
                async with asyncio.timeout(left):
                    await self._hurry.wait()
            except TimeoutError:
                pass  # the usual end of lingering
        self._given_at = asyncio.get_running_loop().time()
        items, self._items = self._items, []
        self._hurry.clear()
        if not self._closed:
            self._some.clear()
        return items

    def give_back(self, items: Sequence[Taken]) -> None:
        """They are durable: their room is free again."""
        for item in items:
            self._held[item.source] -= item.batch.values
            self._batches[item.source] -= 1
            self._room[item.source].set()

    def close(self) -> None:
        """Nothing more will be put; `gather` gives the rest without lingering, then nothing."""
        self._closed = True
        self._hurry.set()
        self._some.set()
