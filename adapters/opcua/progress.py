"""How far a source has come: stored with each batch in one transaction, and given back after a restart."""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from adapters.opcua.clocks import Skew
from adapters.opcua.layout import Layout
from gateway.model import MachineDescription

Span = tuple[int, int]
"""Begin and end, server times in ticks."""


class Progress(msgspec.Struct, array_like=True, frozen=True):
    """Where to continue.

    The session is not in it: its authentication token is a secret, and the successor of a process makes a new one.

    Attributes:
        subscription: Id at the server.
        sequence: Number of the last data notification that is committed.
        complete: Server time in ticks up to which everything is committed.
        descriptions: Digest of the description that was published last, by machine.
        server: Which run of which server it was (`resume.Facts.run`); subscriptions of another run are others.
        layout: What the items of the subscription mean.
        hole: A hole that is being filled from the server's history, as long as it is not filled.
        recorded: Signals that the server keeps history of, each by `short_name`.
        times: Source time of the last committed value of each of these, 0 where there was none.
        skew: How far source times lie from the server's.
    """

    version: int
    subscription: int
    sequence: int
    complete: int
    descriptions: dict[str, str]
    server: str = ""
    layout: Layout | None = None
    hole: Span | None = None
    recorded: list[int] = []
    times: list[int] = []
    skew: Skew = Skew()

    def last_times(self) -> dict[int, int]:
        """Source times by short name, without names that two signals share."""
        twice = {name for name, count in Counter(self.recorded).items() if count > 1}
        found = zip(self.recorded, self.times, strict=False)
        return {name: time for name, time in found if time and name not in twice}


MOST_RECORDED = 1000
"""Signals whose times are stored with every batch; of further ones only the server's time is known."""

VERSION = 2
_READABLE = frozenset({1, VERSION})
"""The first version had no layout: it is known what is missing, and the subscription is made anew."""

_decoder = msgspec.msgpack.Decoder(Progress)
_encoder = msgspec.msgpack.Encoder()


class ProgressWriter:
    """Encodes progress; what seldom changes is encoded once."""

    def __init__(
        self,
        subscription: int,
        descriptions: Mapping[str, str],
        server: str = "",
        layout: Layout | None = None,
        recorded: Sequence[int] = (),
    ) -> None:
        self._subscription = subscription
        self._descriptions = msgspec.Raw(_encoder.encode(dict(descriptions)))
        self._server = server
        self._layout = msgspec.Raw(_encoder.encode(layout))
        self._recorded = msgspec.Raw(_encoder.encode(list(recorded)))

    def encode(
        self,
        sequence: int,
        complete: int,
        hole: Span | None = None,
        times: Sequence[int] = (),
        skew: Skew = Skew(),  # noqa: B008 - frozen
    ) -> bytes:
        """The progress after a notification."""
        return _encoder.encode(
            (
                VERSION,
                self._subscription,
                sequence,
                complete,
                self._descriptions,
                self._server,
                self._layout,
                hole,
                self._recorded,
                times,
                skew,
            )
        )


def decode_progress(stored: bytes | None) -> Progress | None:
    """What was stored; None for nothing, or for what another version or a fault left."""
    if stored is None:
        return None
    try:
        progress = _decoder.decode(stored)
    except msgspec.DecodeError:
        return None
    return progress if progress.version in _READABLE else None


def short_name(machine: str, path: str) -> int:
    """A signal in 32 bits."""
    return zlib.crc32(f"{machine}\n{path}".encode("utf-8", "surrogatepass"))


def digest(description: MachineDescription) -> str:
    """Changes when the description does."""
    return hashlib.sha256(description.model_dump_json().encode("utf-8", "surrogatepass")).hexdigest()[:16]
