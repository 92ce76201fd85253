"""What an outbox holds, read from outside: it changes nothing, and a gateway may be using the file meanwhile."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.errors import ConfigurationError, StorageError
from gateway.model.times import iso_from_ticks
from gateway.outbox import files
from gateway.outbox.database import Database
from gateway.outbox.migrate import scripts

_BUSY_SECONDS = 5.0
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class MachineContent:
    """What is stored of one machine; `first` and `last` are numbers of its stream, None when nothing waits."""

    machine: str
    epoch: str
    seq: int
    messages: int
    first: int | None
    last: int | None


@dataclass(frozen=True, slots=True)
class Overview:
    """The content in figures.

    Attributes:
        holder: Process that uses it now; empty when none does.
        oldest: When the oldest message was taken; None when nothing waits.
        sinks: By name: its cursor, and how many messages it has not delivered.
        ahead: By sink: machines of which it has more than its cursor says, and up to which id.
        descriptions: Machines whose latest description is kept.
    """

    path: str
    holder: str
    version: int
    file_bytes: int
    messages: int
    bytes: int
    oldest: str | None
    newest: str | None
    machines: list[MachineContent]
    sinks: dict[str, dict[str, int]]
    ahead: dict[str, dict[str, int]] = field(default_factory=dict)
    descriptions: list[str] = field(default_factory=list)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write, within one consistent view of the content.

    Raises:
        ConfigurationError: There is no such file, or another version of the gateway wrote it.
        StorageError: It is damaged, locked, or cannot be read.
    """
    if not path.is_file():
        raise ConfigurationError(f"There is no outbox {path}.", advice="Name the file that the gateway uses.")
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None,
                                     timeout=_BUSY_SECONDS)  # fmt: skip
    except sqlite3.Error as error:
        raise _told(path, error) from error
    try:
        connection.execute("BEGIN")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version != len(scripts()):
            raise ConfigurationError(
                f"The outbox {path} has version {version}, this program reads version {len(scripts())}.",
                advice="Use the `area4` that belongs to the gateway; a newer gateway brings an older file up to date "
                "when it starts.",
            )
        yield connection
    except sqlite3.Error as error:
        raise _told(path, error) from error
    finally:
        connection.close()


def overview(path: Path) -> Overview:
    """The content in figures; raises like `reading`."""
    with reading(path) as connection:
        database = Database(connection)
        stored = database.stored(0)
        newest = connection.execute("SELECT max(taken) FROM messages").fetchone()[0]
        rows = connection.execute(
            "SELECT streams.machine, epoch, streams.seq, count(messages.id), min(messages.seq), max(messages.seq) "
            "FROM streams LEFT JOIN messages ON messages.machine = streams.machine GROUP BY streams.machine"
        ).fetchall()
        sinks = {
            sink: {"cursor": cursor, "pending": _pending(connection, sink, cursor)}
            for sink, cursor in database.cursors().items()
        }
        return Overview(
            str(path),
            holder(path),
            len(scripts()),
            sum(_size(files.beside(path, suffix)) for suffix in ("", "-wal")),
            stored.messages,
            stored.bytes,
            None if stored.oldest is None else iso_from_ticks(stored.oldest),
            None if newest is None else iso_from_ticks(newest),
            [MachineContent(*row) for row in rows],
            sinks,
            database.ahead(),
            [message.machine for message in database.descriptions()],
        )


def verify(path: Path) -> list[str]:
    """Everything that is wrong with the content, one sentence each; raises like `reading`."""
    with reading(path) as connection:
        found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
        problems = [f"SQLite: {text}" for text in found if text != "ok"]
        last: dict[str, int] = {}
        streams = Database(connection).streams()
        for message, machine, kind, seq, size, payload in connection.execute(
            "SELECT id, machine, kind, seq, size, payload FROM messages ORDER BY id"
        ):
            where = f"message {message} ({machine}, seq {seq})"
            before = last.get(machine)
            if before is not None and seq != before + 1:
                problems.append(f"{where}: follows seq {before}")
            last[machine] = seq
            if size != len(payload):
                problems.append(f"{where}: {len(payload)} bytes, {size} noted")
            problems += _wrong_body(where, machine, kind, seq, payload)
        for machine, seq in last.items():
            if machine not in streams or streams[machine].seq < seq:
                problems.append(f"{machine}: the stream stands at {streams.get(machine)}, message {seq} is stored")
        return problems


def export(path: Path, machine: str | None = None) -> Iterator[str]:
    """Each stored message as a JSON line: id, kind, and the message as consumers get it; raises like `reading`."""
    where, values = ("WHERE machine = ?", (machine,)) if machine is not None else ("", ())
    with reading(path) as connection:
        for message, kind, payload in connection.execute(
            f"SELECT id, kind, payload FROM messages {where} ORDER BY id",  # noqa: S608 - ours
            values,
        ):
            yield f'{{"id":{message},"kind":"{kind}","message":{bytes(payload).decode("utf-8", "replace")}}}'


def forget(path: Path, machine: str) -> bool:
    """Remove the kept description of a machine that is gone; False when there was none. Only without a gateway.

    Raises:
        ConfigurationError: There is no such outbox, or a gateway is using it.
        StorageError: It cannot be written.
    """
    with reading(path):
        pass
    lock = files.Lock(path)
    try:
        connection = files.connect(path)
        try:
            removed = connection.execute("DELETE FROM descriptions WHERE machine = ?", (machine,)).rowcount
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise _told(path, error) from error
    finally:
        lock.release()
    return removed > 0


def holder(path: Path) -> str:
    """Process id of the gateway that uses the outbox; empty when none does."""
    try:
        handle = os.open(files.beside(path, ".lock"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return (os.read(handle, 64).decode(errors="replace").split() or ["unknown"])[0]
    finally:
        os.close(handle)
    return ""


def _pending(connection: sqlite3.Connection, sink: str, cursor: int) -> int:
    row = connection.execute(
        "SELECT count(*) FROM messages WHERE id > ? AND id > ifnull("
        "(SELECT acked FROM ahead WHERE sink = ? AND ahead.machine = messages.machine), 0)",
        (cursor, sink),
    ).fetchone()
    return int(row[0])


def _wrong_body(where: str, machine: str, kind: str, seq: int, payload: bytes) -> list[str]:
    try:
        body: dict[str, Any] = json.loads(payload)
    except ValueError as error:
        return [f"{where}: no JSON: {error}"]
    told = (body.get("machine"), body.get("seq"))
    if told != (machine, seq):
        return [f"{where}: the message says {told[0]}, seq {told[1]}"]
    named = {"data": "samples", "event": "event", "gap": "cause", "description": "description"}
    return [] if named.get(kind) in body else [f"{where}: is no message of the kind {kind}"]


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _told(path: Path, error: sqlite3.Error) -> StorageError:
    code = int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
    if code in files.DAMAGED:
        return StorageError(
            f"The outbox {path} is damaged: {error}.",
            advice="A gateway that starts with it sets it aside, begins a new one, and tells the loss in the streams.",
        )
    if code == sqlite3.SQLITE_BUSY:
        return StorageError(
            f"The outbox {path} is locked by another program.", advice="Close it, or try again in a moment."
        )
    return StorageError(f"The outbox {path} cannot be read: {error}.", advice="Look at its owner and permissions.")
