"""The statements of the outbox; every one runs in the writer's thread.

Rows are written and read many at a time in ONE step of SQLite. Its Python binding hands the interpreter lock over at
each step, and gets it back only after the switch interval (5 ms) while the event loop is busy: a transaction of 100
single inserts took 275 ms beside a busy loop, one insert of 100 rows 9 ms.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from gateway.contracts import Outgoing
from gateway.core.sequence import Position
from gateway.outbox.facts import Loss, Stored

ROWS_PER_INSERT = 100
PAGES_GIVEN_BACK = 128
"""At a time: the log grows by as much meanwhile, on a disk that may be full."""


class Row(NamedTuple):
    """A message as it is stored."""

    id: int
    machine: str
    kind: str
    seq: int
    taken: int
    since: int
    lost: int
    size: int
    payload: bytes


class Evicted(NamedTuple):
    """What left of one machine; between which numbers messages are missing by that."""

    machine: str
    begin: int
    end: int
    messages: int
    lost: int
    first_seq: int
    last_seq: int


class Database:
    """One connection and its statements; transactions are the caller's."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute

    def begin(self) -> None:
        """Begin a writing transaction."""
        self._execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make it durable."""
        self._execute("COMMIT")

    def rollback(self) -> None:
        """Undo what is open, if something is."""
        if self._connection.in_transaction:
            self._execute("ROLLBACK")

    def close(self) -> None:
        """Fold the log into the file and close."""
        self._connection.close()

    def insert(self, rows: Sequence[Row]) -> None:
        """Store new messages."""
        for start in range(0, len(rows), ROWS_PER_INSERT):
            part = rows[start : start + ROWS_PER_INSERT]
            values = ",".join(["(?,?,?,?,?,?,?,?,?)"] * len(part))
            self._execute(f"INSERT INTO messages VALUES {values}", [field for row in part for field in row])  # noqa: S608 - question marks only

    def put_streams(self, streams: Mapping[str, Position]) -> None:
        """Store where the streams stand."""
        self._put("streams", 3, [(machine, *position) for machine, position in streams.items()])

    def put_progress(self, progress: Mapping[str, bytes]) -> None:
        """Store the sources' progress."""
        self._put("progress", 2, list(progress.items()))

    def put_cursors(self, cursors: Mapping[str, int]) -> None:
        """Store the sinks' cursors."""
        self._put("cursors", 2, list(cursors.items()))

    def put_ahead(self, ahead: Mapping[str, Mapping[str, int]]) -> None:
        """Store which machines are ahead of the sinks' cursors, in place of all that was stored of that."""
        self._execute("DELETE FROM ahead")
        rows = [(sink, machine, acked) for sink, further in ahead.items() for machine, acked in further.items()]
        self._put("ahead", 3, rows)

    def put_descriptions(self, descriptions: Iterable[Outgoing]) -> None:
        """Keep the latest description of each machine."""
        self._put("descriptions", 3, [(item.machine, item.id, item.payload) for item in descriptions])

    def put_meta(self, **texts: str) -> None:
        """Store facts about the file."""
        self._put("meta", 2, list(texts.items()))

    def _put(self, table: str, columns: int, rows: Sequence[tuple[object, ...]]) -> None:
        for start in range(0, len(rows), ROWS_PER_INSERT):
            part = rows[start : start + ROWS_PER_INSERT]
            values = ",".join([f"({','.join('?' * columns)})"] * len(part))
            self._execute(f"INSERT OR REPLACE INTO {table} VALUES {values}", [field for row in part for field in row])  # noqa: S608 - names of our tables

    def delete_through(self, message: int) -> None:
        """Remove the messages up to this id."""
        self._execute("DELETE FROM messages WHERE id <= ?", (message,))

    def delete_of(self, through: Mapping[str, int], limit: int) -> tuple[int, int]:
        """Remove messages of these machines up to these ids, at most so many: how many, and their bytes."""
        found = self._execute(
            "SELECT count(*), ifnull(sum(size), 0), json_group_array(id) FROM (SELECT m.id, m.size "
            "FROM json_each(?) AS j CROSS JOIN messages AS m ON m.machine = j.key AND m.id <= j.value LIMIT ?)",
            (msgspec.json.encode(through).decode(), limit),
        ).fetchone()
        if found[0]:
            self._execute("DELETE FROM messages WHERE id IN (SELECT value FROM json_each(?))", (found[2],))
        return found[0], found[1]

    def figures_through(self, message: int) -> tuple[int, int]:
        """Number and bytes of the messages up to this id."""
        row = self._execute("SELECT count(*), ifnull(sum(size), 0) FROM messages WHERE id <= ?", (message,)).fetchone()
        return row[0], row[1]

    def evictable(self, free: int, before: int) -> int:
        """The last id of the oldest messages that together make `free` bytes free, and of those taken before."""
        by_size = 0
        if free > 0:
            row = (
                self._execute(
                    "SELECT id FROM (SELECT id, sum(size) OVER (ORDER BY id) AS total FROM messages) "
                    "WHERE total >= ? LIMIT 1",
                    (free,),
                ).fetchone()
                or self._execute("SELECT ifnull(max(id), 0) FROM messages").fetchone()
            )
            by_size = row[0]
        if before <= 0:
            return int(by_size)
        row = self._execute("SELECT id - 1 FROM messages WHERE taken >= ? ORDER BY id LIMIT 1", (before,)).fetchone()
        row = row or self._execute("SELECT ifnull(max(id), 0) FROM messages").fetchone()
        return max(int(by_size), int(row[0]))

    def summary_between(self, delivered: int, message: int) -> list[Evicted]:
        """What would be lost with the messages up to this id, by machine; those up to `delivered` are no loss.

        A gap among them that told of missing numbers would be lost too: the first number is then that gap's.
        """
        rows = self._execute(
            "SELECT machine, min(since), max(taken), count(*), sum(lost), "
            "min(CASE kind WHEN 'gap' THEN ifnull(json_extract(CAST(payload AS TEXT), '$.missing[0]'), seq) "
            "ELSE seq END), max(seq) FROM messages WHERE id > ? AND id <= ? GROUP BY machine ORDER BY min(id)",
            (delivered, message),
        ).fetchall()
        return [Evicted(*row) for row in rows]

    def read(self, after: int, messages: int, size: int, machine: str | None = None) -> list[Outgoing]:
        """The next messages after an id: at most so many, and so many bytes unless the first alone is larger.

        Of one machine, or of all.
        """
        where, values = ("machine = ? AND ", [machine]) if machine is not None else ("", [])
        found = self._execute(
            "SELECT group_concat(id), group_concat(size), json_group_array(machine), group_concat(kind) FROM "  # noqa: S608 - ours
            f"(SELECT id, size, machine, kind FROM messages WHERE {where}id > ? ORDER BY id LIMIT ?)",
            [*values, after, messages],
        ).fetchone()
        if found[0] is None:
            return []
        ids = [int(text) for text in found[0].split(",")]
        sizes = [int(text) for text in found[1].split(",")]
        count, total = 1, sizes[0]
        while count < len(ids) and total + sizes[count] <= size:
            total += sizes[count]
            count += 1
        ids = ids[:count]
        joined: bytes = self._execute(
            "SELECT CAST(group_concat(CAST(payload AS TEXT), '') AS BLOB) FROM "  # noqa: S608 - ours
            f"(SELECT payload FROM messages WHERE {where}id BETWEEN ? AND ? ORDER BY id)",
            [*values, ids[0], ids[-1]],
        ).fetchone()[0]
        machines, kinds = msgspec.json.decode(found[2]), found[3].split(",")
        result, start = [], 0
        for index, message in enumerate(ids):
            end = start + sizes[index]
            result.append(Outgoing(message, machines[index], kinds[index], joined[start:end]))
            start = end
        return result

    def stored(self, next_id: int) -> Stored:
        """What is stored, counted anew."""
        count, size, first = self._execute(
            "SELECT count(*), ifnull(sum(size), 0), ifnull(min(id), ?) FROM messages", (next_id,)
        ).fetchone()
        return Stored(count, size, self.oldest()[1], first)

    def oldest(self) -> tuple[int | None, int | None]:
        """Id and time (ticks) of the oldest message."""
        row = self._execute("SELECT id, taken FROM messages ORDER BY id LIMIT 1").fetchone()
        return (row[0], row[1]) if row else (None, None)

    def last_id(self) -> int:
        """The highest id that was ever used: of a message, or of one that a sink had before it was deleted."""
        row = self._execute(
            "SELECT max(ifnull((SELECT max(id) FROM messages), 0), ifnull((SELECT max(acked) FROM cursors), 0), "
            "ifnull((SELECT max(acked) FROM ahead), 0))"
        ).fetchone()
        return int(row[0])

    def ends(self) -> dict[str, int]:
        """The highest id of each machine that has messages."""
        row = self._execute(
            "SELECT json_group_object(machine, last) FROM (SELECT machine, (SELECT max(id) FROM messages "
            "WHERE messages.machine = streams.machine) AS last FROM streams) WHERE last IS NOT NULL"
        ).fetchone()
        return msgspec.json.decode(row[0], type=dict[str, int])

    def streams(self) -> dict[str, Position]:
        """Where the streams stand."""
        rows = self._execute("SELECT machine, epoch, seq FROM streams")
        return {machine: Position(epoch, seq) for machine, epoch, seq in rows}

    def progress(self) -> dict[str, bytes]:
        """Progress of the sources."""
        return dict(self._execute("SELECT source, state FROM progress").fetchall())

    def cursors(self) -> dict[str, int]:
        """Cursors of the sinks."""
        return dict(self._execute("SELECT sink, acked FROM cursors").fetchall())

    def ahead(self) -> dict[str, dict[str, int]]:
        """Machines that are ahead of the sinks' cursors."""
        found: dict[str, dict[str, int]] = {}
        for sink, machine, acked in self._execute("SELECT sink, machine, acked FROM ahead"):
            found.setdefault(sink, {})[machine] = acked
        return found

    def forget_sinks(self, names: Iterable[str]) -> None:
        """Remove cursors."""
        for table in ("cursors", "ahead"):
            self._connection.executemany(f"DELETE FROM {table} WHERE sink = ?", [(name,) for name in names])  # noqa: S608 - ours

    def descriptions(self) -> list[Outgoing]:
        """The latest description of each machine, in the order of their ids."""
        rows = self._execute("SELECT id, machine, payload FROM descriptions ORDER BY id")
        return [Outgoing(message, machine, "description", payload) for message, machine, payload in rows]

    def loss(self) -> Loss | None:
        """What this file's predecessor took with it."""
        row = self._execute("SELECT value FROM meta WHERE key = 'loss'").fetchone()
        return msgspec.json.decode(row[0], type=Loss) if row else None

    def put_loss(self, loss: Loss) -> None:
        """Remember it for machines that are seen later."""
        self.put_meta(loss=msgspec.json.encode(loss).decode())

    def fold(self) -> None:
        """Fold the log into the file and give its space back."""
        self._execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def give_back(self) -> bool:
        """Return some free pages to the file system; False when there are none."""
        if not self._execute("PRAGMA freelist_count").fetchone()[0]:
            return False
        self._execute(f"PRAGMA incremental_vacuum({PAGES_GIVEN_BACK})").fetchall()
        self.fold()
        return True
