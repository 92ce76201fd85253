"""A disk whose power can be cut: what was not synced is lost, torn or reordered; and the outbox' writer upon it.

`Disk` keeps each file twice: what a reader sees now, and what would be there after a power cut for certain. Writes
since the last sync are the difference. At a cut each sector of 512 bytes of each unsynced write, in any order, reached
the disk or not. A file's size is as far as the last surviving write; truncation is a write too.

The files live in a VFS of apsw, which brings a SQLite of its own: the statements, settings and transactions are those
of the real writer, run through `Through`, which gives apsw's connection the face of sqlite3's.
"""

from __future__ import annotations

import random
import sqlite3

import apsw

SECTOR = 512


class PowerCutError(Exception):
    """The power is off: nothing is written any more."""


class Content:
    """One file: what is seen, what is certain, and the writes in between."""

    def __init__(self):
        self.seen = bytearray()
        self.certain = bytearray()
        self.pending = []

    def write(self, data, offset):
        place(self.seen, data, offset)
        for start in range(0, len(data), SECTOR):
            self.pending.append((offset + start, bytes(data[start : start + SECTOR])))

    def truncate(self, size):
        resize(self.seen, size)
        self.pending.append((size, None))

    def sync(self):
        for offset, data in self.pending:
            if data is None:
                resize(self.certain, offset)
            else:
                place(self.certain, data, offset)
        self.pending = []

    def fail_to_sync(self, dice):
        """As Linux does it: what could not be written is forgotten, though still seen; no later sync helps."""
        seen = self.seen
        self.cut(dice)
        self.seen = seen

    def cut(self, dice):
        """Some of what was not synced is there, in some order."""
        survivors = [write for write in self.pending if dice.random() < dice.choice((0.1, 0.5, 0.9))]
        if dice.random() < 0.5:
            dice.shuffle(survivors)
        for offset, data in survivors:
            if data is None:
                resize(self.certain, offset)
            elif dice.random() < 0.1:
                place(self.certain, data[: dice.randrange(1, len(data) + 1)], offset)  # torn within the sector
            else:
                place(self.certain, data, offset)
        self.seen = bytearray(self.certain)
        self.pending = []


def place(content, data, offset):
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def resize(content, size):
    if len(content) > size:
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))


class Disk:
    """All files, and the moment of the cut: after so many writes and syncs."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.files = {}
        self.steps_left = None
        self.failing_syncs = 0
        self.syncs = 0

    def step(self):
        if self.steps_left is not None:
            if self.steps_left <= 0:
                raise PowerCutError
            self.steps_left -= 1

    def cut(self):
        for content in self.files.values():
            content.cut(self.dice)
        self.steps_left = None


class File:
    """What SQLite asks of a file; one process, so locks are granted, and shared memory is the heap (exclusive mode)."""

    def __init__(self, disk, name):
        self.disk = disk
        self.content = disk.files.setdefault(name, Content())

    def excepthook(self, *_):
        """A power cut is no news."""

    def xRead(self, amount, offset):  # noqa: N802 - SQLite's names
        return bytes(self.content.seen[offset : offset + amount])

    def xWrite(self, data, offset):  # noqa: N802
        self.disk.step()
        self.content.write(bytes(data), offset)

    def xTruncate(self, size):  # noqa: N802
        self.disk.step()
        self.content.truncate(size)

    def xSync(self, flags):  # noqa: N802
        self.disk.step()
        self.disk.syncs += 1
        if self.disk.failing_syncs:
            self.disk.failing_syncs -= 1
            self.content.fail_to_sync(self.disk.dice)
            failure = apsw.IOError("the disk did not sync")
            failure.extendedresult = apsw.SQLITE_IOERR_FSYNC
            raise failure
        self.content.sync()

    def xFileSize(self):  # noqa: N802
        return len(self.content.seen)

    def xLock(self, level):  # noqa: N802
        return None

    xUnlock = xLock  # noqa: N815

    def xCheckReservedLock(self):  # noqa: N802
        return False

    def xFileControl(self, operation, pointer):  # noqa: N802
        return False

    def xSectorSize(self):  # noqa: N802
        return SECTOR

    def xDeviceCharacteristics(self):  # noqa: N802
        return 0  # promises nothing: neither atomic sectors, nor safe appends, nor writes in order

    def xClose(self):  # noqa: N802
        return None


class Vfs(apsw.VFS):
    """The disk as SQLite sees it; a directory entry is there as soon as a file is made."""

    def __init__(self, disk, name="area4-power"):
        self.disk = disk
        super().__init__(name, "")

    def xOpen(self, name, flags):  # noqa: N802
        flags[1] = flags[0]
        return File(self.disk, name.filename() if hasattr(name, "filename") else str(name))

    def excepthook(self, *_):
        """A power cut is no news."""

    def xDelete(self, name, sync):  # noqa: N802
        self.disk.step()
        self.disk.files.pop(name, None)

    def xAccess(self, name, flags):  # noqa: N802
        return name in self.disk.files

    def xFullPathname(self, name):  # noqa: N802
        return name


class Cursor:
    """sqlite3's cursor, over apsw's."""

    def __init__(self, cursor):
        self._cursor = cursor

    def fetchone(self):
        return translated(lambda: next(self._cursor, None))

    def fetchall(self):
        return translated(lambda: list(self._cursor))

    def __iter__(self):
        return iter(self.fetchall())


class Through:
    """sqlite3's connection as the outbox uses it, over apsw's on our disk."""

    def __init__(self, disk, path, synchronous="FULL"):
        self._disk = disk
        self._synchronous = synchronous
        self._connection = apsw.Connection(str(path), vfs="area4-power")
        self._connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()  # the heap instead of shared memory

    @property
    def in_transaction(self):
        return self._connection.in_transaction

    def execute(self, statement, bindings=()):
        if statement == "PRAGMA synchronous = 2":
            statement = f"PRAGMA synchronous = {self._synchronous}"
        if statement == "PRAGMA synchronous":
            return Cursor(iter([(2,)]))
        return Cursor(translated(lambda: self._connection.execute(statement, tuple(bindings))))

    def executemany(self, statement, rows):
        for row in rows:
            self.execute(statement, row)

    def executescript(self, script):
        translated(lambda: list(self._connection.execute(script)))

    def close(self):
        translated(self._connection.close)


def translated(work):
    """What apsw raises, as sqlite3 does."""
    try:
        return work()
    except PowerCutError:
        raise
    except apsw.Error as error:
        made = sqlite3.OperationalError(str(error))
        made.sqlite_errorcode = getattr(error, "extendedresult", 0) or getattr(error, "result", 0)
        raise made from error
