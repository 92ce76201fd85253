"""What the small broker remembers: sessions, subscriptions, retained messages, and its journal on disk."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TextIO

from simulators.mutants.mqtt.codec import Properties, Publication, Will

FOR_EVER = 0xFFFFFFFF
"""Session Expiry Interval that never passes (MQTT 5.0, 3.1.2.11.2)."""


@dataclass(slots=True)
class Subscription:
    """One filter of a session, without the prefix of a shared one."""

    pattern: str
    group: str = ""
    qos: int = 0
    no_local: bool = False
    as_published: bool = False
    identifier: int = 0


@dataclass(slots=True)
class Waiting:
    """A message for a session, with the monotonic time at which it expires."""

    message: Publication
    until: float = float("inf")


class Outlet(Protocol):
    """A session's connection: takes messages."""

    def pump(self) -> None:
        """Send what the window lets out."""

    def transmit(self, waiting: Waiting) -> None:
        """Send one."""


@dataclass(slots=True)
class Session:
    """Of a client identifier."""

    client_id: str
    identity: str = ""
    expiry: int = 0
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    queue: deque[Waiting] = field(default_factory=deque)
    in_flight: dict[int, Waiting] = field(default_factory=dict)
    received: set[int] = field(default_factory=set)
    outlet: Outlet | None = None
    left: float = 0.0
    will: Will | None = None
    next_id: int = 0

    def gone(self) -> bool:
        """Its time has passed since its connection ended."""
        if self.outlet is not None or self.expiry == FOR_EVER:
            return False
        return time.monotonic() - self.left >= self.expiry

    def packet_id(self) -> int:
        """A packet identifier that is not in flight."""
        while True:
            self.next_id = self.next_id % 65_535 + 1
            if self.next_id not in self.in_flight:
                return self.next_id


def matches(pattern: str, topic: str) -> bool:
    """A filter matches a topic name (MQTT 5.0, 4.7)."""
    if topic.startswith("$") and pattern[:1] in {"#", "+"}:
        return False
    parts, levels = pattern.split("/"), topic.split("/")
    for place, part in enumerate(parts):
        if part == "#":
            return True
        if place >= len(levels) or part not in {"+", levels[place]}:
            return False
    return len(parts) == len(levels)


def valid_filter(pattern: str) -> bool:
    """`#` stands last and alone in its level, `+` alone in its level (MQTT 5.0, 4.7.1)."""
    parts = pattern.split("/")
    return bool(pattern) and all(
        (part == "+" or "+" not in part) and ("#" not in part or (part == "#" and place == len(parts) - 1))
        for place, part in enumerate(parts)
    )


class Journal:
    """Appends what must survive a killed process to a file, and reads it again.

    Without a path nothing is written. A line is handed to the operating system before anything is acknowledged.
    """

    def __init__(self, path: Path | None, forgets: Iterable[str] = ()) -> None:
        self.path = path
        self.forgets = frozenset(forgets)
        self._file: TextIO | None = None

    def write(self, kind: str, **entry: Any) -> None:
        """One event."""
        if self.path is None or kind in self.forgets:
            return
        if self._file is None:
            self._file = self.path.open("a", encoding="utf-8", buffering=1)
        self._file.write(json.dumps({"kind": kind, **entry}) + "\n")

    def close(self) -> None:
        """No more is written."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def read(self) -> tuple[dict[str, Session], dict[str, Publication]]:
        """Sessions and retained messages as they stood."""
        sessions: dict[str, Session] = {}
        retained: dict[str, Publication] = {}
        if self.path is None or not self.path.exists():
            return sessions, retained
        for line in self.path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            kind, who = entry["kind"], entry.get("client", "")
            if kind == "retained":
                message = unpack(entry["message"])
                retained.pop(message.topic, None)
                if message.payload:
                    retained[message.topic] = message
            elif kind == "session":
                sessions[who] = Session(who, entry["identity"], entry["expiry"], left=time.monotonic())
            elif kind == "ended":
                sessions.pop(who, None)
            elif who in sessions:
                _apply(sessions[who], kind, entry)
        return sessions, retained


def _apply(session: Session, kind: str, entry: dict[str, Any]) -> None:
    if kind == "subscribed":
        session.subscriptions[entry["filter"]] = Subscription(**entry["subscription"])
    elif kind == "unsubscribed":
        session.subscriptions.pop(entry["filter"], None)
    elif kind == "queued":
        session.queue.append(Waiting(unpack(entry["message"])))
    elif kind == "delivered" and session.queue:
        session.queue.popleft()


def pack(message: Publication) -> dict[str, Any]:
    """As JSON."""
    entries = [[key, value.hex() if isinstance(value, bytes) else value] for key, value in message.properties]
    return {"topic": message.topic, "payload": message.payload.hex(), "qos": message.qos, "properties": entries}


def unpack(entry: dict[str, Any]) -> Publication:
    """From JSON."""
    properties: Properties = []
    for key, value in entry["properties"]:
        if key == 9:  # Correlation Data, the only binary one of a PUBLISH
            properties.append((key, bytes.fromhex(value)))
        else:
            properties.append((key, tuple(value) if isinstance(value, list) else value))
    return Publication(entry["topic"], bytes.fromhex(entry["payload"]), entry["qos"], properties=properties)
