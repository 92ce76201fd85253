"""Numbers of the machines' streams: +1 with each message, no hole, whatever fails.

A number is used up only by a message that became durable. So numbers are reserved for a transaction; if it commits they
are kept, if it fails they are given back and the next transaction hands out the same ones. Between reservation and
outcome there is one transaction only, because there is one writer.

::

    settled --reserve()--> reserved --commit()----> settled, further on
                              |
                              +------rollback()--> settled, as before
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple


class Position(NamedTuple):
    """Where a stream stands: its epoch, and the number of its last message (0: none yet)."""

    epoch: str
    seq: int


class Numbering:
    """Streams of all machines.

    Args:
        streams: Where each known stream stands.
        new_epoch: Names a new stream; every call gives a name never used before.
    """

    __slots__ = ("_new_epoch", "_reserved", "_settled")

    def __init__(self, streams: Mapping[str, Position], new_epoch: Callable[[], str]) -> None:
        self._settled = dict(streams)
        self._reserved: dict[str, Position] = {}
        self._new_epoch = new_epoch

    def knows(self, machine: str) -> bool:
        """The machine has a stream, if only a reserved one."""
        return machine in self._settled or machine in self._reserved

    def reserve(self, machine: str) -> Position:
        """Epoch and number of the machine's next message; a new machine gets a new epoch and number 1."""
        last = self._reserved.get(machine) or self._settled.get(machine) or Position(self._new_epoch(), 0)
        position = Position(last.epoch, last.seq + 1)
        self._reserved[machine] = position
        return position

    def reserved(self) -> Mapping[str, Position]:
        """What must be stored in the same transaction as the messages."""
        return self._reserved

    def commit(self) -> None:
        """The transaction is durable."""
        self._settled.update(self._reserved)
        self._reserved = {}

    def rollback(self) -> None:
        """The transaction failed: the numbers are handed out again."""
        self._reserved = {}

    def settled(self, machine: str) -> Position | None:
        """Where the stored stream stands."""
        return self._settled.get(machine)
