"""The one writer of the outbox: numbers, encodes, stores, deletes, evicts, in its own thread, without asyncio.

One transaction holds everything that belongs together: new messages, the streams' numbers, the sources' progress, the
sinks' cursors, what leaves because all sinks have it, what leaves because a bound is met, and the gap messages that
tell of it. It is durable as a whole or did not happen.

When the disk is full, nothing is taken in any more, but deleting goes on: the reserve is given up for it. With what
becomes free the reserve is held again first, and only then new messages are taken.
"""

from __future__ import annotations

import logging
import secrets
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from gateway.contracts import Outgoing
from gateway.core.coalesce import Draft
from gateway.core.retention import Bounds, fits, judge
from gateway.core.sequence import Numbering
from gateway.errors import FullError, StorageError
from gateway.outbox import files
from gateway.outbox.database import Database, Evicted, Row
from gateway.outbox.facts import Committed, Limits, Loss, Positions, Stored
from gateway.outbox.rows import eviction_gap, rows_of, with_loss

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

NOTE_EVERY_TICKS = 10_000_000
"""How often the lock file notes since when something is undelivered: each second."""


DELETED_AT_ONCE = 10_000
"""Messages that one transaction deletes; what an outage left behind must not hold up what is live."""


def new_epoch() -> str:
    """A name for a new stream."""
    return secrets.token_hex(8)


class Writer:
    """Everything in here is called from one thread at a time; `open` first, `close` last."""

    def __init__(self, path: Path, limits: Limits, sinks: Sequence[str], clock: Callable[[], int]) -> None:
        self._path = path
        self._limits = limits
        self._bounds = Bounds(limits.bytes, limits.age_ticks)
        self._sinks = tuple(sinks)
        self._clock = clock
        self._reserve = files.Reserve(path, limits.reserve)
        self._noted = 0
        self._tight = False
        self._waited = False
        self._loss: Loss | None = None
        self._unfinished: Loss | None = None

    def open(self) -> None:
        """Lock, check, migrate and load; a damaged file is set aside.

        Raises:
            ConfigurationError: Another process has it, or the place cannot be used.
            StorageError: The disk does not let us.
        """
        files.prepare_folder(self._path)
        self._lock = files.Lock(self._path)
        try:
            try:
                self._start()
            except StorageError:
                if not self._reserve.held:
                    raise
                self._reserve.give_up()  # if it was a full disk, there is room now
                self._start()
        except BaseException:
            self._lock.release()
            raise
        self._tight = not self._reserve.hold()

    def _start(self) -> None:
        loss: Loss | None = None
        if self._lock.noted is not None and not self._path.exists():
            loss = files.removed(self._path, self._lock.noted)
        try:
            try:
                connection = files.connect(self._path)
                reason = files.damage(connection, self._path)
            except sqlite3.DatabaseError as error:
                if _code(error) not in files.DAMAGED:
                    raise
                connection, reason = None, str(error)
            if reason is not None:
                if connection is not None:
                    connection.close()
                loss = files.set_aside(self._path, reason, self._lock.noted)
                connection = files.connect(self._path)
            assert connection is not None
            self._load(connection, loss, next_id=1)
        except sqlite3.Error as error:
            raise self._told(error) from error

    def _load(self, connection: sqlite3.Connection, loss: Loss | None, next_id: int) -> None:
        database = Database(connection)
        self.database = database
        database.begin()
        self.next_id = max(next_id, database.last_id() + 1)
        stored = database.stored(self.next_id)
        known = database.cursors()
        database.forget_sinks(set(known) - set(self._sinks))
        cursors = {sink: known.get(sink, stored.first - 1) for sink in self._sinks}
        if cursors != known:
            database.put_cursors(cursors)
        self.positions = Positions(cursors).onward(Positions(cursors, database.ahead()))
        if loss is not None:
            database.put_loss(loss)
        database.commit()
        self._loss = database.loss()
        self._numbering = Numbering(database.streams(), new_epoch)
        self.stored = stored
        self.progress = database.progress()
        self.descriptions = {item.machine: item for item in database.descriptions()}
        self.ends = database.ends()
        self.leftover = bool(self.positions.through())
        self._note(force=True)

    def commit(self, drafts: Sequence[Draft], progress: Mapping[str, bytes], positions: Positions) -> Committed:
        """Number, encode and store the drafts with everything that belongs to them, in one transaction.

        Raises:
            FullError: It waits for the sinks, where `full` says so.
            StorageError: It did not happen; the numbers will be used by the next one.
        """
        if self._tight and not self._relieve():
            raise StorageError(
                f"The outbox {self._path} cannot store: the disk is full or refuses to write; nothing new is taken "
                "until its messages are delivered or space is free again.",
                advice="Make space there.",
            )
        if drafts and self._waited:
            self._need_room(self.stored, 0)  # before anything is encoded in vain
        return self._within(lambda: self._commit(drafts, progress, positions))

    def forget(self, positions: Positions) -> None:
        """Store how far the sinks are, and delete what all of them have.

        Raises:
            StorageError: It did not happen; nothing is lost by that, it may be sent again after a restart.
        """
        try:
            self._within(lambda: self._forget(positions))
        except StorageError:
            if not (self._tight and self._reserve.held):
                raise
            self._reserve.give_up()
            self._within(self.database.fold)
            self._within(lambda: self._forget(positions))
        if self._tight:
            self._relieve()

    def read(self, after: int, messages: int, size: int, machine: str | None = None) -> list[Outgoing]:
        """Messages after an id, of one machine or of all.

        Raises:
            StorageError: They cannot be read.
        """
        return self._within(lambda: self.database.read(after, messages, size, machine))

    def close(self) -> None:
        """Close and let others in."""
        self._note(force=True)
        try:
            self.database.close()
        finally:
            self._lock.release()

    # -- within a transaction

    def _commit(self, drafts: Sequence[Draft], progress: Mapping[str, bytes], positions: Positions) -> Committed:
        database, numbering = self.database, self._numbering
        database.begin()
        stored, settled, leftover = self._without_delivered(self.stored, positions)
        told = list(with_loss(drafts, self._loss, numbering, self._bounds.age))
        rows = list(rows_of(told, numbering, self.next_id, self._limits.message))
        adding = sum(row.size for row in rows)
        if drafts:
            self._need_room(stored, adding)
        stored, leaving = self._evict(stored, settled, adding)
        now = self._clock()
        gaps = [Draft(now, eviction_gap(item)) for item in leaving]
        added = list(rows_of(gaps, numbering, self.next_id + len(rows), self._limits.message))
        rows += added
        database.insert(rows)
        database.put_streams(numbering.reserved())
        database.put_progress(progress)
        messages = tuple(Outgoing(row.id, row.machine, row.kind, row.payload) for row in rows)
        described = {item.machine: item for item in messages if item.kind == "description"}
        database.put_descriptions(described.values())
        database.commit()
        numbering.commit()
        self.positions, self.leftover = settled, leftover
        self.next_id += len(rows)
        self.stored = _grown(stored, rows, self.next_id)
        self.progress = {**self.progress, **progress}
        self.descriptions = {**self.descriptions, **described}
        self._note()
        own = +Counter({"outbox-lost": len(told) - len(drafts), "evicted": len(added)})
        lost = +Counter({"evicted": sum(item.lost for item in leaving)})
        return Committed(messages, lost, own, sum(item.messages for item in leaving))

    def _need_room(self, stored: Stored, adding: int) -> None:
        """Refuse what would have to wait, where nothing may leave for it."""
        if self._limits.full != "wait":
            return
        self._waited = not fits(self._bounds, stored.bytes, adding, waited=self._waited)
        if self._waited:
            raise FullError(
                f"The outbox {self._path} is full: {stored.messages} messages ({stored.bytes} bytes) wait in it.",
                advice="See why the broker does not take them.",
            )

    def _evict(self, stored: Stored, settled: Positions, adding: int) -> tuple[Stored, list[Evicted]]:
        """Make room if a bound is met: what is stored then, and what left undelivered."""
        verdict = judge(self._bounds, stored.bytes, adding, stored.oldest, self._clock())
        if self._limits.full == "wait":
            verdict = replace(verdict, free=0)
        if not verdict:
            return stored, []
        stored, _ = self._without_ahead(stored, settled, limit=-1)
        cut = self.database.evictable(verdict.free, verdict.before)
        leaving = self.database.summary_between(settled.delivered, cut)
        return self._without(stored, cut), leaving

    def _forget(self, positions: Positions) -> None:
        self.database.begin()
        stored, settled, leftover = self._without_delivered(self.stored, positions)
        self.database.commit()
        self.stored, self.positions, self.leftover = stored, settled, leftover
        self._note()

    def _without_delivered(self, stored: Stored, positions: Positions) -> tuple[Stored, Positions, bool]:
        """Store how far the sinks are and delete what all have: what is left, and whether some of that is for later."""
        settled = self.positions.onward(positions)
        moved = {sink: cursor for sink, cursor in settled.cursors.items() if cursor > self.positions.cursors[sink]}
        if moved:
            self.database.put_cursors(moved)
        through = min(settled.delivered, stored.first + DELETED_AT_ONCE - 1)
        if stored.messages and through >= stored.first:
            stored = self._without(stored, through)
        leftover = False
        if settled.ahead != self.positions.ahead:
            self.database.put_ahead(settled.ahead)
        if self.leftover or settled.ahead != self.positions.ahead:
            stored, leftover = self._without_ahead(stored, settled, limit=DELETED_AT_ONCE)
        return stored, settled, leftover

    def _without_ahead(self, stored: Stored, settled: Positions, *, limit: int) -> tuple[Stored, bool]:
        """Delete what all sinks have beyond their cursors: what is left, and whether the limit (-1: none) was met."""
        through = settled.through()
        if not stored.messages or not through:
            return stored, False
        messages, size = self.database.delete_of(through, limit)
        return self._left(stored, messages, size), messages == limit

    def _without(self, stored: Stored, through: int) -> Stored:
        messages, size = self.database.figures_through(through)
        self.database.delete_through(through)
        return self._left(stored, messages, size)

    def _left(self, stored: Stored, messages: int, size: int) -> Stored:
        first, oldest = self.database.oldest()
        return Stored(stored.messages - messages, stored.bytes - size, oldest, self.next_id if first is None else first)

    # -- trouble

    def _within(self, work: Callable[[], _T]) -> _T:
        if self._unfinished is not None:
            self._renew(self._unfinished)
        try:
            return work()
        except sqlite3.Error as error:
            self._undo()
            code = _code(error)
            if code in files.DAMAGED:
                raise self._renewed(error) from error
            if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
                self._tight = True
            raise self._told(error) from error
        except BaseException:
            self._undo()
            raise

    def _undo(self) -> None:
        self._numbering.rollback()
        try:
            self.database.rollback()
        except sqlite3.Error:
            logger.debug("rolling back failed: SQLite had rolled back by itself", exc_info=True)

    def _relieve(self) -> bool:
        """Give free pages back and hold the reserve again; True when all is well."""
        try:
            self.database.fold()
            while not self._reserve.hold():
                if not self.database.give_back():
                    return False
        except sqlite3.Error:
            logger.debug("the full disk leaves no room to give pages back", exc_info=True)
            return False
        self._tight = False
        return True

    def _renewed(self, error: sqlite3.Error) -> StorageError:
        """Set the damaged file aside and start anew; the work that found it must be tried again."""
        try:
            self.database.close()
        except sqlite3.Error:
            logger.debug("closing the damaged file failed", exc_info=True)
        loss = self._unfinished = files.set_aside(self._path, str(error), self.stored.oldest)
        self._renew(loss)
        return StorageError(f"The outbox {self._path} could not store: {loss.detail}; a new one was started.")

    def _renew(self, loss: Loss) -> None:
        """Open a new file in place of the one that was set aside; tried again with the next work if it fails."""
        try:
            self._load(files.connect(self._path), loss, self.next_id)
        except sqlite3.Error as error:
            raise self._told(error) from error
        self._unfinished = None

    def _told(self, error: sqlite3.Error) -> StorageError:
        reason, advice = _REASONS.get(_code(error), (str(error), "Look at the disk and its file system."))
        return StorageError(f"The outbox {self._path} cannot store: {reason}.", advice=advice)

    def _note(self, *, force: bool = False) -> None:
        now = self._clock()
        if force or now - self._noted >= NOTE_EVERY_TICKS:
            self._noted = now
            self._lock.note(now if self.stored.oldest is None else self.stored.oldest)


_REASONS = {
    sqlite3.SQLITE_FULL: ("the disk is full", "Make space there."),
    sqlite3.SQLITE_READONLY: ("it is not writable", "Give the gateway's user write permission."),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", "Give the gateway's user write permission for file and folder."),
    sqlite3.SQLITE_IOERR: ("the disk refused to read or write", "Look for space, quota and health of the disk."),
    sqlite3.SQLITE_BUSY: ("another program holds it locked", "Close the program that has it open for writing."),
}


def _code(error: sqlite3.Error) -> int:
    """The primary result code; 0 for an error of the Python side."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _grown(stored: Stored, rows: Sequence[Row], next_id: int) -> Stored:
    """What is stored once the rows are there too."""
    size = sum(row.size for row in rows)
    if stored.oldest is not None:
        return Stored(stored.messages + len(rows), stored.bytes + size, stored.oldest, stored.first)
    return Stored(len(rows), size, rows[0].taken if rows else None, rows[0].id if rows else next_id)
