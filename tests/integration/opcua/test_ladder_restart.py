"""The recovery ladder against a simulated server that comes back as another one: renamed, renewed, restarted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from security.pki.authority import Authority
from security.pki.folder import PkiFolder
from security.pki.lab import LabPki
from simulators.opcua.server import SimulatorServer

from .ladder_rig import MACHINE, NEW, Ladder, assert_each_once, bench_machine, config_of, simulator


@pytest.fixture
async def server(lab: LabPki, tmp_path: Path) -> AsyncIterator[SimulatorServer]:
    made = simulator(lab, tmp_path / "ledger.jsonl")
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def ladder(lab: LabPki, server: SimulatorServer) -> AsyncIterator[Ladder]:
    made = Ladder(config_of(lab, server.url))
    await made.connect()
    await made.more(20)
    yield made
    await made.source.close()


def renew(lab: LabPki, folder: Path) -> PkiFolder:
    """Another certificate and key of the same authority and names for the server."""
    before = x509.load_pem_x509_certificate(lab.machines["m1"].certificate.read_bytes())
    return Authority.load(lab.opcua_authority).renew(before).install(PkiFolder(folder / "renewed"))


@pytest.mark.parametrize("renewed", [False, True], ids=["namespaces", "certificate"])
async def test_a_server_that_comes_back_as_another_process(
    ladder: Ladder, server: SimulatorServer, lab: LabPki, tmp_path: Path, *, renewed: bool
) -> None:
    port = int(server.url.rsplit(":", 1)[1].strip("/"))
    await server.stop()
    await ladder.lost()
    options: dict[str, Any] = {}
    machines = [bench_machine()]
    if renewed:
        renewed_own = renew(lab, tmp_path)
        options = {"certificate": renewed_own.certificate, "key": renewed_own.key}
    else:
        machines.insert(0, bench_machine(name="Other", serial="B-0"))  # its namespace comes first
    again = simulator(lab, tmp_path / "again.jsonl", *machines, port=port, **options)
    await again.start()
    try:
        await ladder.connect()
        assert ladder.source._rung == NEW
        await ladder.more(10)
        (gap,) = ladder.gaps()
        assert (gap.machine, gap.cause) == (MACHINE, "connection")
        since = ladder.records.index(gap)
        ladder.records = [one for one in ladder.records[since:] if one.machine == MACHINE]
        assert_each_once(ladder, again)
    finally:
        await ladder.source.close()
        await again.stop()
