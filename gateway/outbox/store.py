"""The outbox as the event loop sees it: nothing in here waits for a disk, the writer's thread does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias, TypeVar

from gateway.contracts import Outgoing
from gateway.core.coalesce import Draft
from gateway.errors import ConfigurationError, StorageError
from gateway.model.times import TICKS_PER_SECOND, ticks_from_unix_ns
from gateway.outbox.facts import Committed, Depth, Limits, Positions, Stored
from gateway.outbox.tail import Tail
from gateway.outbox.writer import Writer

_T = TypeVar("_T")

FORGET_AFTER = 0.5
"""Seconds that an acknowledgement may wait for a commit to take it along; then it is stored on its own."""

AHEAD_FROM = 1000
"""Ids that a machine must be ahead of its sink's cursor for that to be stored: less is sent again after a crash."""

Listener: TypeAlias = Callable[[Sequence[Outgoing]], None]


def _now() -> int:
    return ticks_from_unix_ns(time.time_ns())


class Outbox:
    """The durable store between sources and sinks; made by `open`, used from one event loop.

    A cursor may be stored later than its broker acknowledged: with the next commit, or after half a second. What a
    crash in between forgets is sent again with the same numbers, which is harmless.
    """

    def __init__(self, writer: Writer, executor: ThreadPoolExecutor, limits: Limits, clock: Callable[[], int]) -> None:
        self._writer = writer
        self._executor = executor
        self._clock = clock
        self._tail = Tail(limits.tail)
        self._age = limits.age_ticks
        self._loop = asyncio.get_running_loop()
        self._cursors = dict(writer.positions.cursors)
        self._ahead = {sink: dict(writer.positions.ahead.get(sink, {})) for sink in self._cursors}
        self._ends = dict(writer.ends)
        self._stored = writer.stored
        self._next_id = writer.next_id
        self._timer: asyncio.TimerHandle | None = None
        self._listeners: list[Listener] = []
        self._closed = False
        self.trouble: StorageError | None = None
        """Why cursors cannot be stored at present; None while they can."""
        if self._behind():
            self._forget_later()

    @classmethod
    async def open(
        cls, path: Path, *, limits: Limits | None = None, sinks: Sequence[str], clock: Callable[[], int] = _now
    ) -> Outbox:
        """Open or create the file; a damaged one is set aside and told in the log and in the streams.

        Args:
            path: Of the database; its folder is made if need be.
            limits: How large it may become.
            sinks: Names of all sinks; a new one gets what is still stored, cursors of others are removed.
            clock: Present time in ticks.

        Raises:
            ConfigurationError: The place cannot be used, another process has it, a newer gateway wrote it.
            StorageError: The disk does not let us.
        """
        if not sinks:
            raise ConfigurationError(
                "The outbox has no sink: nothing would ever leave it.", advice="Configure at least one sink."
            )
        limits = limits or Limits()
        executor = ThreadPoolExecutor(1, "outbox")
        writer = Writer(path, limits, sinks, clock)
        try:
            await asyncio.get_running_loop().run_in_executor(executor, writer.open)
        except BaseException:
            executor.shutdown(wait=False)
            raise
        return cls(writer, executor, limits, clock)

    async def commit(self, drafts: Sequence[Draft], progress: Mapping[str, bytes]) -> Committed:
        """Number, encode and store these records and this progress as one; durable when it returns.

        It happens or fails as a whole even if the caller is cancelled meanwhile.

        Raises:
            StorageError: Nothing of it is stored; try again later.
        """
        positions = self._positions()
        return await self._submit(lambda: self._writer.commit(drafts, progress, positions), self._took)

    def recent(self, machine: str, after: int, messages: int, size: int) -> Sequence[Outgoing] | None:
        """As `read`, of one machine and from memory; None if they are not all there."""
        return self._tail.of(machine, after, messages, size)

    async def read(self, after: int, messages: int, size: int, machine: str | None = None) -> Sequence[Outgoing]:
        """The messages after this id, in order: at most so many, and of so many bytes unless the first is larger.

        Of one machine, or of all.

        Raises:
            StorageError: They cannot be read; try again later.
        """
        if after >= self.last_id:
            return ()
        found = self._tail.after(after, messages, size) if machine is None else None
        if found is not None:
            return found
        return await self._submit(lambda: self._writer.read(after, messages, size, machine), None)

    def subscribe(self, listener: Listener) -> None:
        """Call it, from the event loop, after each commit that brought messages, with them."""
        self._listeners.append(listener)

    def acknowledge(self, sink: str, cursor: int, machine: str = "", position: int = 0) -> None:
        """The sink's broker has everything up to `cursor`, and of this machine everything up to `position`.

        Never waits; stored a little later.
        """
        if position > cursor:
            self._ahead[sink][machine] = position
            if position - cursor >= AHEAD_FROM:
                self._forget_later()
        if cursor <= self._cursors[sink]:
            return
        self._cursors[sink] = cursor
        self._tail.drop(min(self._cursors.values()))
        self._forget_later()

    def position(self, sink: str, machine: str) -> int:
        """Up to which id the sink's broker has everything of this machine."""
        return max(self._cursors[sink], self._ahead[sink].get(machine, 0))

    def ends(self) -> Mapping[str, int]:
        """The highest id of each machine that may have messages."""
        return self._ends

    def cursor(self, sink: str) -> int:
        """Up to which id the sink's broker has everything."""
        return self._cursors[sink]

    def descriptions(self) -> list[Outgoing]:
        """The latest description of each machine, delivered or not, with the numbers that it had."""
        return sorted(self._writer.descriptions.values(), key=lambda message: message.id)

    def progress(self, source: str) -> bytes | None:
        """The source's stored progress."""
        return self._writer.progress.get(source)

    @property
    def last_id(self) -> int:
        """The highest id that is durable."""
        return self._next_id - 1

    @property
    def first_id(self) -> int:
        """The lowest id that is stored; the next one when nothing is."""
        return self._stored.first

    @property
    def tail_bytes(self) -> int:
        """Payload bytes that are held in memory."""
        return self._tail.bytes

    @property
    def overdue(self) -> bool:
        """Something stored is older than it may become; the next commit, an empty one too, lets it go."""
        oldest = self._stored.oldest
        return oldest is not None and self._clock() - oldest > self._age

    def depth(self) -> Depth:
        """What is stored and not yet known to be delivered everywhere."""
        stored = self._stored
        age = 0.0 if stored.oldest is None else max(0.0, (self._clock() - stored.oldest) / TICKS_PER_SECOND)
        return Depth(stored.messages, stored.bytes, age)

    async def close(self) -> None:
        """Store the cursors, close the file, end the thread; twice is harmless."""
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        try:
            positions = self._positions()
            await self._submit(lambda: self._writer.forget(positions), None)
        except StorageError as error:
            self.trouble = error
        finally:
            await self._submit(self._writer.close, None)
            self._executor.shutdown(wait=True)

    def _submit(self, work: Callable[[], _T], then: Callable[[_T], None] | None) -> asyncio.Future[_T]:
        """Run it in the writer's thread; what the loop knows of the outbox is brought up to date when it is done."""

        def run() -> tuple[_T, Stored, int]:
            result = work()
            return result, self._writer.stored, self._writer.next_id

        def settle(done: asyncio.Future[tuple[_T, Stored, int]]) -> None:
            error = done.exception()
            if error is not None:
                if not outcome.cancelled():
                    outcome.set_exception(error)
                return
            result, self._stored, self._next_id = done.result()
            if then is not None:
                then(result)
            if not outcome.cancelled():
                outcome.set_result(result)

        outcome: asyncio.Future[_T] = self._loop.create_future()
        self._loop.run_in_executor(self._executor, run).add_done_callback(settle)
        return outcome

    def _took(self, committed: Committed) -> None:
        if self._timer is not None and not self._behind():
            self._timer.cancel()
            self._timer = None
        self.trouble = None
        if committed.evicted:
            self._tail.drop(self._stored.first - 1)
        self._tail.extend(committed.messages)
        if committed.messages:
            self._ends.update((message.machine, message.id) for message in committed.messages)
            for listener in self._listeners:
                listener(committed.messages)

    def _positions(self) -> Positions:
        """How far the sinks are, as far as it is worth to be stored."""
        ahead: dict[str, dict[str, int]] = {}
        for sink, cursor in self._cursors.items():
            further = {machine: at for machine, at in self._ahead[sink].items() if at > cursor}
            self._ahead[sink] = further
            worth = {machine: at for machine, at in further.items() if at - cursor >= AHEAD_FROM}
            if worth:
                ahead[sink] = worth
        return Positions(dict(self._cursors), ahead)

    def _forget(self) -> None:
        self._timer = None
        positions = self._positions()
        self._submit(lambda: self._writer.forget(positions), None).add_done_callback(self._forgot)

    def _forgot(self, done: asyncio.Future[None]) -> None:
        error = None if done.cancelled() else done.exception()
        if error is None or isinstance(error, StorageError):
            self.trouble = error
        if error is not None or self._behind():
            self._forget_later()

    def _behind(self) -> bool:
        """Something acknowledged is not stored as such, or not deleted yet."""
        mine, stored = self._positions(), self._writer.positions
        if self._writer.leftover or stored != stored.onward(mine):
            return True
        return self._stored.messages > 0 and self._stored.first <= mine.delivered

    def _forget_later(self) -> None:
        if self._timer is None and not self._closed:
            self._timer = self._loop.call_later(FORGET_AFTER, self._forget)
