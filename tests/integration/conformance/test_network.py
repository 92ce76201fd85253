"""The network checks: a relay that does nothing passes, and every mutant fails what names it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from conformance.network import clock
from conformance.network.path import Path as Way
from conformance.suite.catalogue import Catalogue, shipped
from conformance.suite.check import TargetKind
from conformance.suite.outcome import State
from conformance.suite.report import Report
from conformance.suite.target import TargetError
from simulators.mutants.broker import BrokerLab
from simulators.mutants.network import TimeServer, network_mutants
from tests.tools.broker_runs import unnoticed
from tests.tools.network_runs import brief, judged, relaxed

PATIENT = 40.0


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return brief(shipped())


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> BrokerLab:
    return BrokerLab.create(tmp_path_factory.mktemp("lab") / "lab")


@pytest.mark.timeout(300)
async def test_a_way_without_a_fault_passes(lab: BrokerLab, catalogue: Catalogue, tmp_path: Path) -> None:
    report = await judged(lab, relaxed(catalogue), tmp_path / "broker", patience=PATIENT)
    others = {one.check.id: one.seen for one in report.results if one.state not in {State.PASS, State.MANUAL}}
    assert others == {"network.ipv6": "the broker has no IPv6 address"}
    assert report.conforms


@pytest.mark.timeout(600)
async def test_every_mutant_fails_the_checks_that_name_it(lab: BrokerLab, catalogue: Catalogue, tmp_path: Path) -> None:
    checks = [one for one in catalogue.of(TargetKind.NETWORK) if not one.manual]
    assert {name for one in checks for name in one.mutants} == set(network_mutants())

    async def judge(fault: str, only: Sequence[str], patience: float) -> Report:
        return await judged(lab, catalogue, tmp_path / f"{fault}-{patience}", fault, only=only, patience=patience)

    survivors = await asyncio.gather(*(unnoticed(judge, checks, one) for one in network_mutants()))
    assert {key: seen for some in survivors for key, seen in some.items()} == {}


async def test_the_clock_of_another_is_read() -> None:
    for error in (0.0, -7200.0, 3600.0):
        server = TimeServer(error)
        await server.start()
        try:
            ahead, took = await clock.offset("127.0.0.1", server.port, 20)
        finally:
            server.stop()
        assert abs(ahead - error) <= took / 2 + 0.001


async def test_a_silent_time_server_is_told() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        with pytest.raises(TargetError, match="did not answer within"):
            await clock.offset("127.0.0.1", silent.getsockname()[1], 1)


async def test_the_operating_system_knows_this_computer() -> None:
    found = await Way().resolve("localhost", 1)
    assert {address for _, address in found} <= {"127.0.0.1", "::1"}
    assert found
