"""What flows through the gateway in memory: samples, events, gaps, descriptions, each of one machine.

These are plain slotted classes, not pydantic models: thousands of them pass every second. Their form on the wire is
defined by `gateway.model.messages` and written by `gateway.model.encode`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from gateway.model.messages import EventBody, GapCause, MachineDescription
from gateway.model.values import JsonValue, json_text


class SignalRef:
    """A signal as samples name it: made once per signal and connection, with its part of the JSON prepared.

    Args:
        path: Of the signal.
        backfilled: Its samples come from the server's history, later than they happened.
    """

    __slots__ = ("backfilled", "path", "prefix")

    def __init__(self, path: str, *, backfilled: bool = False) -> None:
        self.path = path
        self.backfilled = backfilled
        mark = b',"backfilled":true' if backfilled else b""
        self.prefix: bytes = b'{"path":' + msgspec.json.encode(json_text(path)) + mark + b',"value":'

    def __repr__(self) -> str:
        return f"SignalRef({self.path!r})"


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One value of one signal.

    Attributes:
        signal: Which signal of the machine.
        value: JSON value by the rules of `gateway.model.values`.
        time: Source time in OPC UA ticks; 0 where the source gave none.
        status: None for Good, else the OPC UA status name; it begins with Good, Uncertain or Bad.
    """

    # cheaper than a named tuple to make, and none of the garbage collector's business: nothing in it points back

    signal: SignalRef
    value: JsonValue
    time: int
    status: str | None = None


@dataclass(slots=True)
class Samples:
    """Samples of one machine in the order in which the source gave them."""

    machine: str
    samples: list[Sample]


@dataclass(slots=True)
class Event:
    """An event or a new state of a condition."""

    machine: str
    event: EventBody


@dataclass(slots=True)
class Gap:
    """A loss, told: which signals (None: all of the machine), between which moments (ticks), and why.

    Attributes:
        events: Events may be missing too; with `signals` None they always may.
        lost: How many values were lost, where that is known.
        missing: First and last seq between which messages of the stream itself were lost.
    """

    machine: str
    signals: Sequence[str] | None
    begin: int
    end: int
    cause: GapCause
    detail: str = ""
    lost: int | None = None
    missing: tuple[int, int] | None = None
    events: bool = False


@dataclass(slots=True)
class Description:
    """What a machine is and offers, new or changed."""

    machine: str
    description: MachineDescription


Record: TypeAlias = Samples | Event | Gap | Description
