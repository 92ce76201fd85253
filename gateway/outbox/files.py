"""The files of an outbox: its folder, its lock, its database with the right settings, its reserve, its damaged past.

Beside `outbox.sqlite` stand SQLite's own `-wal` and `-shm`, `.lock` (held by the one process that may use it; it also
shows that there once was an outbox, so that a removed file is noticed) and `.reserve` (disk space held back).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import sqlite3
import time
from pathlib import Path

from gateway.errors import ConfigurationError, StorageError
from gateway.model.times import iso_from_ticks, ticks_from_unix_ns
from gateway.outbox.facts import Loss
from gateway.outbox.migrate import migrate

logger = logging.getLogger(__name__)

PAGE_BYTES = 8192
"""Messages of about 2 kB waste half of a page of 4096; 7 instead of 18 us of CPU per message."""

CHECKPOINT_PAGES = 512
"""Size at which the write-ahead log is folded into the file: 4 MiB."""

CHECK_MESSAGES_UP_TO = 64 << 20
"""Files up to this size are checked as a whole at start; of larger ones the small tables: a start stays short."""

DAMAGED = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))

_SMALL_TABLES = ("streams", "progress", "cursors", "descriptions", "meta")


def beside(path: Path, suffix: str) -> Path:
    """The file beside the database: its name with `suffix` behind."""
    return path.with_name(path.name + suffix)


def prepare_folder(path: Path) -> None:
    """Make the folder of the database, for its owner alone, unless it is there.

    Raises:
        ConfigurationError: It cannot be made.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The folder {path.parent} of the outbox cannot be made: {error.strerror}.",
            advice="Give the gateway's user write permission there, or name another path.",
        ) from error


class Lock:
    """Holds off other processes; the operating system releases it with the process.

    Its text is our process id, and since when (ticks) the outbox holds something undelivered: should the database be
    damaged or removed, that is where the loss begins.

    Attributes:
        noted: What the former process noted last (ticks); None when there was none.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(beside(path, ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"The outbox {path} cannot be used: {error.strerror}.",
                advice="Give the gateway's user write permission there, or name another path.",
            ) from error
        text = os.read(self._file, 64).decode(errors="replace").split()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise ConfigurationError(
                f"The outbox {path} is in use by another process (process id {text[0] if text else 'unknown'}).",
                advice="Two gateways must not share an outbox: stop the other one, or name another path.",
            ) from error
        self.noted = int(text[1]) if len(text) > 1 and text[1].isdecimal() else None

    def note(self, undelivered_since: int) -> None:
        """Note it for the next process; a full disk is no reason to stop."""
        with contextlib.suppress(OSError):
            os.pwrite(self._file, f"{os.getpid():<10} {undelivered_since:<20}\n".encode(), 0)

    def release(self) -> None:
        """Let others in."""
        os.close(self._file)


class Reserve:
    """Disk space held back while all is well, and given up when the disk is full, so that deleting still works."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = beside(path, ".reserve")
        self._size = size

    @property
    def held(self) -> bool:
        """The space is held back."""
        try:
            return self._path.stat().st_size >= self._size
        except OSError:
            return self._size == 0

    def hold(self) -> bool:
        """Try to hold the space; True if it is held."""
        if self.held:
            return True
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            os.posix_fallocate(file, 0, self._size)
        except OSError:
            self.give_up()
            return False
        finally:
            os.close(file)
        return True

    def give_up(self) -> None:
        """Free the space."""
        self._path.unlink(missing_ok=True)


def connect(path: Path) -> sqlite3.Connection:
    """Open the database with our settings, read back, and our schema.

    Raises:
        StorageError: It cannot be opened, or the settings do not hold.
        sqlite3.DatabaseError: It is damaged (`DAMAGED`).
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        kind = StorageError if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO} else ConfigurationError
        raise kind(
            f"The outbox {path} cannot be opened: {error.strerror}.",
            advice="Give the gateway's user write permission there, or name another path.",
        ) from error
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0, cached_statements=64)
    try:
        _settle(connection, path)
        migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _settle(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA schema_version").fetchone()[0] == 0:  # both act on an empty file only
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    wanted = {"journal_mode": "wal", "synchronous": 2}
    for name, value in (
        *wanted.items(),
        ("wal_autocheckpoint", CHECKPOINT_PAGES),
        ("journal_size_limit", 2 * CHECKPOINT_PAGES * PAGE_BYTES),
        ("temp_store", 2),  # memory
    ):
        connection.execute(f"PRAGMA {name} = {value}")
    for name, value in wanted.items():
        found = connection.execute(f"PRAGMA {name}").fetchone()[0]
        if found != value:
            raise StorageError(
                f"The outbox {path} cannot be used safely: {name} is {found}, not {value}.",
                advice="Put it on a local file system that SQLite's write-ahead log can use.",
            )


def damage(connection: sqlite3.Connection, path: Path) -> str | None:
    """What is wrong inside of the database, as SQLite says; None if nothing was found."""
    whole = path.stat().st_size <= CHECK_MESSAGES_UP_TO
    checks = ["quick_check(1)"] if whole else [f"quick_check({table})" for table in _SMALL_TABLES]
    for check in checks:
        found = connection.execute(f"PRAGMA {check}").fetchone()[0]
        if found != "ok":
            return str(found)
    return None


def set_aside(path: Path, reason: str, since: int | None) -> Loss:
    """Rename the damaged database and its log to names with the time; what was undelivered since then is lost.

    Raises:
        StorageError: They cannot be renamed.
    """
    now = ticks_from_unix_ns(time.time_ns())
    aside = _free_name(path, time.strftime(".damaged-%Y%m%dT%H%M%SZ", time.gmtime()))
    try:
        for suffix in ("-wal", "-shm", ""):
            file = beside(path, suffix)
            if file.exists():
                file.rename(beside(aside, suffix))
    except OSError as error:
        raise StorageError(
            f"The outbox {path} is damaged ({reason}) and cannot be renamed: {error.strerror}.",
            advice="Move the file away; its content that was not delivered is lost.",
        ) from error
    begin = now if since is None else min(since, now)
    logger.error(
        "The outbox %s is damaged (%s): it was set aside as %s and started anew; what it held since %s and was not "
        "delivered is lost, and each machine's stream says so.",
        path, reason, aside.name, iso_from_ticks(begin),
    )  # fmt: skip
    return Loss(begin, now, f"the outbox file was damaged and set aside as {aside.name}")


def removed(path: Path, since: int) -> Loss:
    """The database is not where a former process had it; remains of its log are set aside."""
    now = ticks_from_unix_ns(time.time_ns())
    if beside(path, "-wal").exists():
        return set_aside(path, "its log stands without it", since)
    beside(path, "-shm").unlink(missing_ok=True)
    logger.error("The outbox %s was removed since its last use: what it held and was not delivered is lost.", path)
    return Loss(min(since, now), now, "the outbox file was removed")


def _free_name(path: Path, suffix: str) -> Path:
    candidate, count = beside(path, suffix), 1
    while candidate.exists():
        count += 1
        candidate = beside(path, f"{suffix}-{count}")
    return candidate
