"""What the pipeline asks of a source and of a sink; each verb with its meaning.

Connect is tried again and again by the pipeline, with back-off, and never retries itself. A source's `read` gives a
batch together with its acknowledgement. A sink reports each message exactly once. Link states and a step-by-step
connection test belong to the contract, so a status page comes for free.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, Self

from gateway.errors import Area4Error, UnreachableError
from gateway.model import MachineState, Record

LinkState = Literal["connecting", "online", "degraded", "silent", "refused", "offline", "stopped"]


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """How a connection stands.

    Attributes:
        peer: Whom it connects, for people: a URL without credentials.
        state: `degraded`: connected, but something is refused or quarantined; `refused`: the peer or its certificate
            was refused or refused us; `silent`: connected but nothing comes.
        since: Unix seconds of the last change of state.
        reason: One sentence, empty when online.
        advice: What to do, one sentence or empty.
        certificate_expiry: Unix seconds at which the first certificate of either side ends, where known.
        waivers: Configured weakenings in use, by name.
        details: Further facts by name, for status pages.
    """

    peer: str
    state: LinkState
    since: float
    reason: str = ""
    advice: str = ""
    certificate_expiry: float | None = None
    waivers: tuple[str, ...] = ()
    details: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProbeStep:
    """One step of a connection test: what was tried, whether it worked, what was found, what to do.

    Attributes:
        exit_code: Of the error that a failed step is (`gateway.errors`); 0 for a step that worked.
    """

    name: str
    ok: bool
    found: str
    advice: str = ""
    exit_code: int = 0

    @classmethod
    def failed(cls, name: str, error: Area4Error) -> Self:
        """The step that ended with this error."""
        return cls(name, ok=False, found=str(error), advice=error.advice, exit_code=error.exit_code)


@dataclass(slots=True)
class Batch:
    """What a source has read.

    Attributes:
        records: In order; the order of one machine's records is the order of its stream.
        progress: Opaque state of the source that is stored in the same transaction and given back by `Source.connect`
            after a restart; None leaves what is stored.
        values: Number of samples and events in it, for the counters.
        done: Called once, from the event loop, after the records and the progress are durable; never raises. What it
            acknowledges to the peer is only then safe to forget there.
    """

    records: Sequence[Record]
    progress: bytes | None
    values: int
    done: Callable[[], None]


MachineListener = Callable[[str, MachineState, str], None]
"""Told by a source: machine, state, reason."""


class Source(Protocol):
    """Where values come from, for example one OPC UA server."""

    @property
    def name(self) -> str:
        """Name in the configuration; unique among sources."""

    @property
    def status(self) -> LinkStatus:
        """How the connection stands now."""

    async def connect(self, resume: bytes | None) -> None:
        """One attempt to connect, find machines and subscribe, continuing at `resume` if that is possible.

        Raises:
            UnreachableError: Try again later.
            RefusedError: Try again, seldom; a person must act.
            ConfigurationError: A person must change the configuration.
        """

    async def read(self) -> Batch:
        """The next batch; waits for one.

        Raises:
            UnreachableError: The connection is lost; `close`, then `connect` again.
        """

    async def close(self) -> None:
        """Leave politely if possible, within seconds; may be called in any state, and twice."""

    def probe(self) -> AsyncIterator[ProbeStep]:
        """Try the connection step by step, without subscribing; ends after the first step that fails."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message of a machine's stream on its way out of the outbox.

    Attributes:
        id: Its number in the outbox, rising.
        machine: Identity of the machine.
        kind: data | event | gap | description.
        payload: The common JSON.
    """

    id: int
    machine: str
    kind: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """The broker acknowledged a message with an error: it is not delivered."""

    topic: str
    reason: str


DeliveryListener = Callable[[int, Refusal | None], None]
"""Told by a sink, from the event loop: message id, and None when its broker has it or why it refused it."""


class Sink(Protocol):
    """Where messages go, for example one MQTT broker."""

    @property
    def name(self) -> str:
        """Name in the configuration; unique among sinks, and the name of its cursor in the outbox."""

    @property
    def status(self) -> LinkStatus:
        """How the connection stands now."""

    async def connect(self, delivered: DeliveryListener) -> None:
        """One attempt to connect; raises like `Source.connect`."""

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Take the messages in order; returns when all of them are in the send window, waiting while it is full.

        Each is later told to the delivery listener exactly once, unless the connection is lost before.

        Raises:
            UnreachableError: Connection lost; what was not told is not delivered: `close`, `connect`, send again.
        """

    def announce(self, kind: str, name: str, payload: bytes) -> None:
        """Keep `payload` as the retained status of `name` (kind `status`: a machine; `gateway-status`: the gateway).

        The latest one of each is published now if connected, and after every connect. Never waits, never fails.
        """

    async def wait_lost(self) -> UnreachableError:
        """Returns when the connection is lost, with the reason."""

    async def close(self) -> None:
        """Publish what is announced, leave politely within seconds; may be called in any state, and twice."""

    def probe(self) -> AsyncIterator[ProbeStep]:
        """Try the connection step by step, without publishing; ends after the first step that fails."""
