"""What a reader is, and what those of foreign formats share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from conformance.consumer import Received


class ReaderError(Exception):
    """There is no such reader, or a message is not of its format; the text says what."""


class Reader(Protocol):
    """Translates messages."""

    @property
    def topics(self) -> tuple[str, ...]:
        """What to subscribe."""

    @property
    def carries(self) -> frozenset[str]:
        """What the format can tell at all: `time`, `quality`, `stream`, `events`, `gaps`, `description`."""

    def read(self, message: Received) -> list[Received]:
        """The same as messages of the common data model; one that cannot be read comes back as it is."""


class Foreign:
    """Base of readers for formats without a stream of their own: it numbers what comes.

    Args:
        machines: Identities of the machines that are expected; where there is one, whatever comes is of it.
    """

    def __init__(self, machines: Sequence[str]) -> None:
        self._machines = tuple(machines)
        self._numbers: dict[str, int] = {}

    def data(self, origin: Received, machine: str, taken: str, samples: list[dict[str, Any]]) -> Received:
        """A data message; `machine` may be a name that only contains the identity."""
        known = self._identity(machine)
        self._numbers[known] = self._numbers.get(known, 0) + 1
        body = {
            "machine": known,
            "epoch": "of the reader",
            "seq": self._numbers[known],
            "taken": taken,
            "samples": samples,
        }
        return origin._replace(topic=f"{origin.topic}/data", payload=json.dumps(body).encode())

    def _identity(self, name: str) -> str:
        for one in self._machines:
            if one == name or one in name:
                return one
        return self._machines[0] if len(self._machines) == 1 else name


def path_of(name: str) -> str:
    """A signal's path from a field's name: levels are joined by `/`, or by `.` where there is no `/`."""
    return name if "/" in name else name.replace(".", "/")
