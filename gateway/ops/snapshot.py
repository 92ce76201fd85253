"""How the gateway stands at one moment: what metrics, health and the status page are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.contracts import LinkStatus

LinkKind = Literal["source", "sink"]
UP = frozenset({"online", "degraded"})
"""Link states that let values pass."""


@dataclass(frozen=True, slots=True)
class LinkFigures:
    """A connection with what passed through it.

    Attributes:
        values: Samples and events read from a source; messages that a sink's broker has acknowledged.
        refused: Messages that a sink's broker refused.
        pending: Messages in the outbox that a sink's broker has not acknowledged.
    """

    name: str
    kind: LinkKind
    status: LinkStatus
    values: int = 0
    refused: int = 0
    pending: int = 0

    @property
    def up(self) -> bool:
        """Whether values pass."""
        return self.status.state in UP


@dataclass(frozen=True, slots=True)
class MachineFigures:
    """A machine that a source hears, or should hear."""

    id: str
    source: str
    state: str
    since: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class OutboxFigures:
    """The store: what is in it, what it may hold, whether it can store.

    Attributes:
        oldest: Age in seconds of the oldest message, 0 when empty.
        problem: Why it cannot store now; empty when it can.
    """

    messages: int = 0
    bytes: int = 0
    max_bytes: int = 0
    oldest: float = 0.0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The gateway at one moment.

    Attributes:
        started: Unix seconds of its start.
        gaps: Announced losses by cause.
        waivers: What is configured to be weaker than the default.
    """

    gateway: str
    site: str
    version: str
    started: float
    links: Sequence[LinkFigures] = ()
    machines: Sequence[MachineFigures] = ()
    outbox: OutboxFigures = field(default_factory=OutboxFigures)
    gaps: Mapping[str, int] = field(default_factory=dict)
    waivers: Sequence[str] = ()

    def not_ready(self) -> list[str]:
        """Why the gateway is not ready, one sentence each; empty when it is."""
        reasons = []
        if self.outbox.problem:
            reasons.append(f"outbox: cannot store: {self.outbox.problem}")
        for link in self.links:
            if not link.up:
                told = f"{link.status.reason} {link.status.advice}".strip() or "no reason known yet"
                reasons.append(f"{link.kind} {link.name}: {link.status.state}: {told}")
        return reasons
