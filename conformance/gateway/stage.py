"""What the suite needs around a gateway under test; `area4 conform gateway` builds it of simulators and a broker."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from conformance.consumer import Access

BrokerImpostor = Literal["unknown-authority", "expired", "wrong-host", "revoked", "plain"]
ServerImpostor = Literal["unknown-authority", "expired", "wrong-uri", "none"]


@dataclass(frozen=True, slots=True)
class Socket:
    """An address on which the gateway listens."""

    host: str
    port: int


class Witness(Protocol):
    """What an impostor saw: connections that came, and what it was told that only the true peer should hear."""

    attempts: int
    heard: list[str]


class Stage(Protocol):
    """Machines and a broker of which the suite knows everything, and which it can break.

    Attributes:
        machines: Identities of the machines that the gateway must publish.
        startable: The suite starts the gateway, so it can also kill it and look at its process and log.
    """

    machines: tuple[str, ...]
    startable: bool

    @property
    def access(self) -> Access:
        """How a consumer reaches the broker."""

    @property
    def ledgers(self) -> list[Path]:
        """Files with what the machines showed."""

    async def start(self) -> None:
        """Start machines, broker and, where it is startable, the gateway. Raises OSError with what did not start."""

    async def stop(self) -> None:
        """End all of it, in any state, also twice."""

    async def pause(self) -> None:
        """No machine changes any more, and the ledgers are on disk."""

    async def resume(self) -> None:
        """The machines go on."""

    async def status(self, path: str, name: str) -> None:
        """A signal of the first machine shows this OPC UA status; Good ends it."""

    async def broker_down(self) -> None:
        """The broker ends politely: it keeps what it promised to keep."""

    async def broker_up(self) -> None:
        """It is there again, at the same address."""

    async def broker_freeze(self, seconds: float) -> None:
        """For so long the broker answers nothing; its connections stand."""

    async def server_cut(self) -> None:
        """All connections to the machines' server are cut; its sessions live."""

    async def server_restart(self, seconds: float) -> None:
        """The machines' server is away for so long and has forgotten its clients afterwards."""

    async def gateway_kill(self) -> None:
        """SIGKILL, then it is started again. Only where it is startable."""

    async def broker_renew(self) -> None:
        """The broker comes back with a new certificate of its authority."""

    async def broker_refuse(self, seconds: float) -> None:
        """For so long the broker trusts nobody; with TLS 1.3 a client learns that only after its handshake."""

    async def altering(self) -> dict[str, int]:
        """Writes and method calls that the machines were asked for, but to tell their alarms again; by service."""

    def connections(self) -> list[Socket]:
        """Where the gateway's processes are connected, but for the stage itself; empty where it is not startable."""

    def broker_impostor(self, kind: BrokerImpostor) -> AbstractAsyncContextManager[Witness]:
        """Instead of the broker, at its address, somebody else."""

    def server_impostor(self, kind: ServerImpostor) -> AbstractAsyncContextManager[Witness]:
        """Instead of the machines' server, at its address, somebody else."""

    def log(self) -> str:
        """What the gateway has written to its standard output and error; empty where it is not startable."""

    def sockets(self) -> list[Socket]:
        """Where the gateway's processes listen; empty where it is not startable."""

    def secrets(self) -> list[str]:
        """Texts that must never appear in a log: the gateway's private keys."""
