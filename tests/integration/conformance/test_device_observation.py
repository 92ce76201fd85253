"""The device checks over an observation window: all pass on a machine at work, each fails on its mutant."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from conformance.device.access import Access, Limits
from conformance.device.behaviour import JUDGES
from conformance.device.behaviour.recorder import observe
from conformance.device.target import DeviceTarget, Observing
from conformance.suite.catalogue import load
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome, Verdict
from simulators.machine import Change, Condition, Happening, Localized, State
from simulators.opcua.control import Control
from simulators.opcua.server import ServerConfig, SimulatorServer
from simulators.process import load_machines

CHECKS = {
    key: check
    for key, check in load(Path(str(files("conformance") / "catalogue"))).checks.items()
    if check.rule in JUDGES
}
PAIRS = [(check, mutant) for check in CHECKS.values() for mutant in check.mutants]
PATIENT = 60.0
USER, PASSWORD = "operator", "a long one"

pytestmark = pytest.mark.asyncio(loop_scope="module")


def self_signed(folder: Path, name: str) -> tuple[Path, Path]:
    key = rsa.generate_private_key(65_537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    names = [x509.UniformResourceIdentifier(f"urn:example:{name}"), x509.DNSName("localhost"),
             x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]  # fmt: skip
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.KeyUsage(True, True, True, True, False, True, False, False, False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / f"{name}.pem", folder / f"{name}.key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, secret


@dataclass
class Rig:
    """A machine at work; `busy` lets it raise alarms and step through programs as often as a test needs them."""

    server: SimulatorServer
    control: Control
    target: DeviceTarget
    turns: Iterator[int] = field(default_factory=itertools.count)

    @property
    def shown(self) -> Any:
        assert self.server.runner is not None
        return self.server.runner.machines[0]

    def happenings(self, program: str, time: int) -> list[Happening]:
        turn = next(self.turns)
        active = turn % 2 == 0
        alarm = Condition(
            "AlertType", "Conformance", "Monitoring/MachineTool", Localized("Something is wrong"), 500,
            active=active, acked=True, retain=active, time=time, fields={"ErrorCode": "42"},
        )  # fmt: skip
        name, number = (("Initializing", 0), ("Running", 1), ("Ended", 2))[turn % 3]
        return [alarm, Change(program, State(name, number), time)]

    async def busy(self) -> None:
        assert self.server.runner is not None
        variables = self.shown.instance.variables
        program = next(
            path for path, one in variables.items()
            if path.startswith("Production/ActiveProgram/") and path.endswith("/CurrentState") and one.state_machine
        )  # fmt: skip
        while True:
            await self.server.runner.now(self.shown, lambda time: self.happenings(program, time))
            await asyncio.sleep(0.2)

    async def watch(self, check: Check, seconds: float) -> Outcome:
        seen = await observe(self.target.prober, self.target.snapshot, seconds)
        assert not seen.missed
        return JUDGES[check.rule](seen, check.parameters)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("observation")
    (certificate, key), client = self_signed(folder, "server"), self_signed(folder, "client")
    config = ServerConfig(certificate, key, (client[0],), users={USER: PASSWORD})
    server = SimulatorServer(load_machines(("machining-centre",), (), 1, eventful=True), config)
    await server.start()
    limits = Limits(requests_per_second=1_000, request_seconds=30)
    access = Access(server.url, *client, user=USER, password=PASSWORD, limits=limits)
    target = DeviceTarget(access, Observing(2.0))
    await target.open()
    yield Rig(server, Control(server), target)
    await target.close()
    await server.stop()


async def test_a_machine_at_work_passes_all(rig: Rig) -> None:
    seen = await rig.target.observed()
    assert len(seen.values) > 300
    outcomes = {check.id: JUDGES[check.rule](seen, check.parameters) for check in CHECKS.values()}
    wrong = {key: one.seen for key, one in outcomes.items() if one.verdict not in {Verdict.PASS, Verdict.ABSENT}}
    assert not wrong
    absent = {key for key, one in outcomes.items() if one.verdict is Verdict.ABSENT}
    assert all("events" in key or "steps" in key for key in absent), absent


async def test_a_busy_machine_passes_what_its_alarms_and_programs_show(rig: Rig) -> None:
    rig.shown.paused = True
    try:
        async with asyncio.TaskGroup() as group:
            busy = group.create_task(rig.busy())
            seen = await observe(rig.target.prober, rig.target.snapshot, 3.0)
            busy.cancel()
    finally:
        rig.shown.paused = False
    for check in CHECKS.values():
        if "events" in check.id or "steps" in check.id:
            outcome = JUDGES[check.rule](seen, check.parameters)
            assert outcome.verdict is Verdict.PASS, (check.id, outcome.seen)


@pytest.mark.parametrize(("check", "mutant"), PAIRS, ids=[f"{check.id}-{mutant}" for check, mutant in PAIRS])
async def test_the_check_fails_on_its_mutant(rig: Rig, check: Check, mutant: str) -> None:
    answer = await rig.control.do({"do": "mutant", "id": mutant})
    assert answer["done"] == "mutant"
    rig.shown.paused = "steps" in check.id
    busy = asyncio.create_task(rig.busy())
    try:
        async with asyncio.timeout(PATIENT):
            while (outcome := await rig.watch(check, 0.5)).verdict is not Verdict.FAIL:
                assert outcome.verdict in {Verdict.PASS, Verdict.ABSENT}
    finally:
        busy.cancel()
        await asyncio.gather(busy, return_exceptions=True)
        rig.shown.paused = False
        await rig.control.do({"do": "mutant", "id": None})
    assert outcome.evidence
