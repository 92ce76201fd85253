"""Runs of the network checks through mutant ways: for tests and the matrix."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path

from conformance.network.path import Path as Way
from conformance.network.path import TcpCounters
from conformance.network.target import NetworkTarget
from conformance.suite.catalogue import Catalogue
from conformance.suite.report import Report
from conformance.suite.runner import run
from simulators.mutants.broker import BrokerLab, BrokerMutant
from simulators.mutants.network import TimeServer
from simulators.mutants.network import Way as Relay
from tests.tools.broker_runs import SETTINGS, access_to

HOUR = 3600.0


class Told(Way):
    """What the operating system tells: names of one address, or what a mutant makes of it."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    async def resolve(self, host: str, port: int) -> list[tuple[int, str]]:
        if self.fault == "slow-names":
            await asyncio.sleep(1.2)
        found = [(int(socket.AF_INET), "127.0.0.1")]
        if self.fault == "dead-address":
            found.append((int(socket.AF_INET), "127.0.0.99"))
        if self.fault == "dead-ipv6":
            found.append((int(socket.AF_INET6), "::1"))
        return found

    def counters(self, sock: socket.socket) -> TcpCounters | None:
        found = super().counters(sock)
        if found is None or self.fault != "lossy":
            return found
        return TcpCounters(found.segment, found.sent // 10, found.sent)


def relaxed(catalogue: Catalogue) -> Catalogue:
    """With limits that no computer under load breaks: what passes is then no matter of speed."""
    changed = dict(catalogue.checks)
    for check in catalogue.checks.values():
        if check.id.startswith("network."):
            parameters = dict(check.parameters)
            if check.id not in {"network.throughput", "network.idle"} and "seconds" in parameters:
                parameters["seconds"] *= 100
            if "megabits" in parameters:
                parameters["megabits"] = 0.01
            changed[check.id] = check.model_copy(update={"parameters": parameters})
    return Catalogue(changed, catalogue.requirements, catalogue.profiles)


def brief(catalogue: Catalogue) -> Catalogue:
    """With a short silence (the mutant forgets after a second) and few probes."""
    changed = dict(catalogue.checks)
    for name, parameters in (("idle", {"seconds": 2.5}), ("round-trip", {"probes": 10}), ("jitter", {"probes": 12})):
        one = changed[f"network.{name}"]
        changed[one.id] = one.model_copy(update={"parameters": {**one.parameters, **parameters}})
    return Catalogue(changed, catalogue.requirements, catalogue.profiles)


async def judged(
    lab: BrokerLab, catalogue: Catalogue, folder: Path, fault: str = "", *, only: Sequence[str] = (), patience: float
) -> Report:
    """The small broker behind a way with this fault."""
    broker, server = BrokerMutant(lab, folder), TimeServer(HOUR if fault == "wrong-clock" else 0.0)
    await broker.start()
    relay = Relay(broker.port, fault)
    await relay.start()
    await server.start()
    try:
        access = access_to(lab, broker, patience=patience, host="localhost", port=relay.port)
        target = NetworkTarget(access, path=Told(fault), time_server=("127.0.0.1", server.port))
        return await run(target, catalogue, settings=SETTINGS, only=only)
    finally:
        server.stop()
        await relay.stop()
        await broker.stop()
