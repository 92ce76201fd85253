"""Runs of the broker checks against the small broker, its mutants and mosquitto: for tests and the matrix."""

from __future__ import annotations

import asyncio
import atexit
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from pathlib import Path

from conformance.broker.access import Access, Identity, context_of
from conformance.broker.target import BrokerTarget
from conformance.suite.catalogue import Catalogue
from conformance.suite.check import Check
from conformance.suite.outcome import State
from conformance.suite.report import Report
from conformance.suite.runner import Settings, run
from security.pki import PkiFolder
from simulators.broker import HOST, BrokerFiles, MosquittoBroker
from simulators.broker import Access as MosquittoAccess
from simulators.mutants.broker import FOREIGN_TOPIC, TOPIC, BrokerLab, BrokerMutant

SETTINGS = Settings(allow_writes=True, allow_stress=True, check_seconds=300, total_seconds=3000)


BRIEF = (1.5, 10.0, 40.0)
"""Seconds of patience with a mutant: a silent one will not answer later either. A check that did not fail is asked
again with more, for a computer under load may have been too slow for what comes before the fault."""


@cache
def closed_port() -> int:
    """A port on which nobody listens, and nobody else can while this process lives."""
    held = socket.socket()
    held.bind((HOST, 0))
    atexit.register(held.close)
    return int(held.getsockname()[1])


def identity(folder: PkiFolder) -> Identity:
    return Identity(folder.certificate, folder.key)


def access_to(
    lab: BrokerLab, broker: BrokerMutant, *, patience: float, host: str = "127.0.0.1", port: int = 0
) -> Access:
    """Everything that the suite may be given, for a broker of the lab."""
    return Access(
        host=host, port=port or broker.port, ca=lab.ca, client=identity(lab.of("client")),
        reader=identity(lab.of("reader")), other=identity(lab.of("other")), revoked=identity(lab.of("revoked")),
        ca_key=lab.ca_key, topic=TOPIC, foreign_topic=FOREIGN_TOPIC,
        plain_ports=(broker.plain_port or closed_port(),), restart=broker.restart, patience=patience,
    )  # fmt: skip


async def judged(
    lab: BrokerLab, catalogue: Catalogue, folder: Path, fault: str = "", *, only: Sequence[str] = (), patience: float
) -> Report:
    """One broker, judged by these checks or by all."""
    broker = BrokerMutant(lab, folder, fault)
    await broker.start()
    try:
        target = BrokerTarget(access_to(lab, broker, patience=patience))
        return await run(target, catalogue, settings=SETTINGS, only=only)
    finally:
        await broker.stop()


async def unnoticed(
    judge: Callable[[str, Sequence[str], float], Awaitable[Report]], checks: Sequence[Check], mutant: str
) -> dict[str, str]:
    """Which checks do not fail on a mutant that they name, and what they saw.

    Args:
        judge: Judges a target with a fault by some checks, with so much patience.
        checks: All that there are.
        mutant: Its id.
    """
    left = [one.id for one in checks if mutant in one.mutants]
    seen: dict[str, str] = {}
    for patience in BRIEF:
        report = await judge(mutant.split(".", 1)[1], left, patience)
        found = {one.check.id: one for one in report.results}
        left = [name for name in left if found[name].state not in {State.FAIL, State.NON_STRICT}]
        seen = {f"{mutant} at {name}": f"{found[name].state}: {found[name].seen}" for name in left}
        if not left:
            break
    return seen


class Mosquitto:
    """mosquitto as it is shipped, with the lab's certificates."""

    def __init__(self, lab: BrokerLab, folder: Path) -> None:
        files = BrokerFiles(lab.of("broker").certificate, lab.of("broker").key, lab.ca, lab.authority.crl_pem)
        rights = MosquittoAccess({"client": "own", "other": "other"}, ["reader"])
        self.lab = lab
        self.broker = MosquittoBroker(folder, files, rights)

    async def restart(self) -> None:
        """Kill and start. mosquitto writes once in each round of its loop, after it has acknowledged: with one more
        connection it has been through a round since."""
        context = context_of(identity(self.lab.of("reader")))
        _reader, writer = await asyncio.open_connection("127.0.0.1", self.broker.port, ssl=context)
        writer.transport.abort()
        await self.broker.kill()
        await self.broker.start()

    def access(self, *, patience: float) -> Access:
        lab = self.lab
        return Access(
            host="127.0.0.1", port=self.broker.port, ca=lab.ca, client=identity(lab.of("client")),
            reader=identity(lab.of("reader")), other=identity(lab.of("other")), revoked=identity(lab.of("revoked")),
            ca_key=lab.ca_key, topic=TOPIC, foreign_topic=FOREIGN_TOPIC, plain_ports=(closed_port(),),
            restart=self.restart, patience=patience,
        )  # fmt: skip


async def mosquitto(
    lab: BrokerLab, catalogue: Catalogue, folder: Path, *, only: Sequence[str] = (), patience: float
) -> Report:
    """mosquitto as it is shipped, judged by these checks or by all."""
    shipped = Mosquitto(lab, folder)
    await shipped.broker.start()
    try:
        target = BrokerTarget(shipped.access(patience=patience))
        return await run(target, catalogue, settings=SETTINGS, only=only)
    finally:
        await shipped.broker.stop()
