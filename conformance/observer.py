"""What a consumer knows from the messages alone: streams, machines, current values, alarms, everything delivered."""

from __future__ import annotations

import json
from bisect import insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from conformance.consumer import Received
from conformance.delivery import Entry, Signal
from conformance.stream import StreamChecker


@dataclass(slots=True)
class MachineView:
    """One machine as a consumer sees it.

    Attributes:
        id: Identity.
        status: Latest status message, or None.
        description: Latest description, or None.
        signals: Description by path.
        values: Latest sample by path, by its place in the stream; backfilled ones are of before.
        conditions: Conditions of interest (Retain) by their id, as their latest events.
        count: Values and events delivered, repeats not counted.
        backfilled: Of these, values that the gateway read from the machine's history.
        first: `taken` of the first live data message.
        gaps: New gap messages.
        stream: Follows epoch and seq.
    """

    id: str
    status: dict[str, Any] | None = None
    description: dict[str, Any] | None = None
    signals: dict[str, dict[str, Any]] = field(default_factory=dict)
    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    conditions: dict[str, dict[str, Any]] = field(default_factory=dict)
    count: int = 0
    backfilled: int = 0
    events: int = 0
    first: str | None = None
    gaps: list[dict[str, Any]] = field(default_factory=list)
    stream: StreamChecker = field(default_factory=StreamChecker)
    places: dict[str, Place] = field(default_factory=dict)


class Place(NamedTuple):
    """Where a message stands in a machine's stream, whenever it came: how many epochs were before its own, and seq."""

    epoch: int
    seq: int


class Kept(NamedTuple):
    """A delivered value with its place: the message's, and its own within the message."""

    place: Place
    position: int
    entry: Entry


Listener: TypeAlias = Callable[[MachineView, dict[str, Any], Received], None]


class Observer:
    """Follows all machines below the topics of one site or of many.

    Args:
        keep: Keep every delivered value and event, to compare them with a ledger; memory grows with them.
        listener: Told of each new message of a stream: its machine, its body, and how it came.
    """

    def __init__(self, *, keep: bool = False, listener: Listener | None = None) -> None:
        self.machines: dict[str, MachineView] = {}
        self.gateways: dict[str, dict[str, Any]] = {}
        self.unreadable: list[str] = []
        self._live: dict[Signal, list[Kept]] = {}
        self._old: dict[Signal, list[Kept]] = {}
        self.events: list[dict[str, Any]] = []
        self._keep = keep
        self._listener = listener

    @property
    def delivered(self) -> dict[Signal, list[Entry]]:
        """Live values per signal in the order of the stream, which is that of arrival unless something came too early.

        What comes before its place (behind a message that the broker refused for a while) a consumer puts into its
        place by `epoch` and `seq`; so do we.
        """
        return _entries(self._live)

    @property
    def backfilled(self) -> dict[Signal, list[Entry]]:
        """Values that the gateway read from the machines' history, likewise."""
        return _entries(self._old)

    def take(self, messages: Iterable[Received]) -> int:
        """Take what came; the number of new values and events in it."""
        return sum(self._take(message) for message in messages)

    def _take(self, message: Received) -> int:
        if not message.payload:
            return 0  # the connection test of a gateway (docs/topics.md), or a retained message that was cleared
        try:
            body = json.loads(message.payload)
            return self._place(message, message.topic.rsplit("/", 1)[-1], body)
        except (ValueError, KeyError, TypeError) as error:
            self.unreadable.append(f"{message.topic}: {type(error).__name__}: {error}")
            return 0

    def _place(self, message: Received, kind: str, body: dict[str, Any]) -> int:
        if kind == "status":
            if "gateway" in body:
                self.gateways[body["gateway"]] = body
            else:
                self._machine(body["machine"]).status = body
            return 0
        machine = self._machine(body["machine"])
        if not machine.stream.take(body["epoch"], body["seq"], message.payload, retained=message.retained):
            return 0
        if self._listener is not None:
            self._listener(machine, body, message)
        match kind:
            case "data":
                return self._data(machine, body)
            case "event":
                return self._event(machine, body["event"])
            case "description":
                machine.description = body["description"]
                machine.signals = {signal["path"]: signal for signal in body["description"].get("signals", [])}
            case "gap":
                machine.gaps.append(body)
                machine.stream.gap(body["cause"], body["epoch"], body.get("missing"))
            case _:
                self.unreadable.append(f"{message.topic}: unheard kind of message")
        return 0

    def _machine(self, identity: str) -> MachineView:
        return self.machines.setdefault(identity, MachineView(identity))

    def _data(self, machine: MachineView, body: dict[str, Any]) -> int:
        machine.first = machine.first or body["taken"]
        place = Place(machine.stream.age(body["epoch"]), body["seq"])
        samples = body["samples"]
        for index, sample in enumerate(samples):
            path, old = sample["path"], bool(sample.get("backfilled"))
            machine.backfilled += old
            if not old and place >= machine.places.get(path, place):
                machine.values[path], machine.places[path] = sample, place
            if self._keep:
                kept = (self._old if old else self._live).setdefault((machine.id, path), [])
                insort(kept, Kept(place, index, Entry.of(sample)), key=_where)
        machine.count += len(samples)
        return len(samples)

    def _event(self, machine: MachineView, event: dict[str, Any]) -> int:
        condition = event.get("condition")
        if condition:
            if condition["retain"]:
                machine.conditions[condition["id"]] = event
            else:
                machine.conditions.pop(condition["id"], None)
        if self._keep:
            self.events.append({"machine": machine.id, **event})
        machine.events += 1
        return 1


def _where(kept: Kept) -> tuple[Place, int]:
    return kept.place, kept.position


def _entries(kept: dict[Signal, list[Kept]]) -> dict[Signal, list[Entry]]:
    return {signal: [one.entry for one in found] for signal, found in kept.items()}
