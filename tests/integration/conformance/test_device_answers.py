"""The device checks that ask with sessions of their own: each passes on the reference and fails on its mutant."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from asyncua import ua
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from conformance.device.access import Access, Limits
from conformance.device.authority import TestAuthority
from conformance.device.behaviour import RULES as BEHAVIOUR
from conformance.device.prober import Prober, identity_of
from conformance.device.security import RULES as SECURITY
from conformance.device.target import DeviceTarget, Observing
from conformance.device.wire.session import Login
from conformance.suite.catalogue import load, shipped
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome, State, Verdict
from conformance.suite.runner import Settings, run
from conformance.suite.target import TargetError
from simulators.mutants.registry import device_mutants
from simulators.opcua.control import Control
from simulators.opcua.mended import Processor
from simulators.opcua.server import ServerConfig, SimulatorServer

RULES = {**SECURITY, **BEHAVIOUR}
CHECKS = {
    key: check
    for key, check in load(Path(str(files("conformance") / "catalogue"))).checks.items()
    if check.rule in RULES
}
PAIRS = [(check, mutant) for check in CHECKS.values() for mutant in check.mutants]
LOGIN = Login("operator", "a long one")
PATIENT = 30.0
QUICK = 3.0
"""A mutant that says nothing has said nothing after this; what answers slowly fails no check of it by that."""
SILENT = ("D-01.", "D-03.", "D-04.", "D-11.", "D-12.half-open", "initial", "subscription.first")
"""Whose mutants say nothing; all others answer, and get the time of the reference."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


def self_signed(folder: Path, name: str) -> tuple[Path, Path]:
    key = rsa.generate_private_key(65_537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    names = [
        x509.UniformResourceIdentifier(f"urn:example:{name}"),
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
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
    """A server without machines: what is asked here has nothing to do with them."""

    server: SimulatorServer
    control: Control
    prober: Prober

    async def ask(self, check: Check, seconds: float) -> Outcome:
        own = self.prober
        prober = Prober(own.url, own.identity, own.login, authority=own.authority, seconds=seconds)
        prober._key = own.key
        self.prober = prober
        try:
            return await RULES[check.rule](self, check)
        except TargetError as error:
            return Outcome(verdict=Verdict.FAIL, seen=str(error))

    async def become(self, mutant: str | None) -> None:
        answer = await self.control.do({"do": "mutant", "id": mutant})
        assert answer["done"] == "mutant"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def the_rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("security")
    (certificate, key), client = self_signed(folder, "server"), self_signed(folder, "client")
    authority = TestAuthority.make(folder / "ca")
    trust = (client[0], folder / "ca" / "install")
    config = ServerConfig(certificate, key, trust, users={LOGIN.name: LOGIN.password}, strict=True)
    server = SimulatorServer([], config)
    await server.start()
    prober = Prober(server.url, identity_of(*client), LOGIN, authority=authority)
    yield Rig(server, Control(server), prober)
    await server.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def rig(the_rig: Rig) -> AsyncIterator[Rig]:
    await the_rig.become(None)
    yield the_rig
    await the_rig.become(None)


LONG = ("D-12.half-open", "D-12.limit", "subscription.overflow", "A-03.throttle")
"""Checks that wait for long by their nature."""


def marked(check: Check, *more: str) -> Any:
    marks = pytest.mark.soak if any(name in check.id for name in LONG) else ()
    return pytest.param(check, *more, marks=marks, id="-".join((check.id, *more)))


@pytest.mark.parametrize("check", [marked(check) for check in CHECKS.values()])
async def test_the_reference_passes(rig: Rig, check: Check) -> None:
    core = rig.server.server.iserver
    core._external_sessions.clear()
    outcome = await rig.ask(check, PATIENT)
    assert outcome.verdict is Verdict.PASS, outcome.seen
    async with asyncio.timeout(PATIENT):
        while core._external_sessions:  # noqa: ASYNC110 - the server tells nobody when it has forgotten a session
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("check", "mutant"), [marked(check, mutant) for check, mutant in PAIRS])
async def test_the_check_fails_on_its_mutant(rig: Rig, check: Check, mutant: str) -> None:
    await rig.become(mutant)
    if check.id.endswith("half-open"):
        check = check.model_copy(update={"parameters": {"seconds": 3}})
    silent = any(name in check.id for name in SILENT)
    outcome = await rig.ask(check, QUICK if silent else PATIENT)
    assert outcome.verdict is Verdict.FAIL, outcome.seen
    assert len(outcome.seen) > 15


async def test_every_security_mutant_is_one_of_a_check() -> None:
    named = {mutant for _, mutant in PAIRS}
    made = {key for key in device_mutants() if key.startswith("device.security.")}
    assert made == {one for one in named if one.startswith("device.security.")}


async def test_every_rule_is_used() -> None:
    assert {check.rule for check in CHECKS.values()} == set(RULES)


async def test_half_of_the_checks_provoke_a_refusal() -> None:
    assert len(CHECKS) >= 115
    assert len({check.id for check in CHECKS.values() if "refused" in check.expected or "refused" in check.title}) > 25


SEVERAL = ("device.behaviour.subscription", "device.behaviour.service", "device.security.S-05", "device.security.A-05")
WRITING = {"Write", "Call", "AddNodes", "AddReferences", "DeleteNodes", "DeleteReferences", "HistoryUpdate"}


def target_of(rig: Rig, folder: Path) -> DeviceTarget:
    limits = Limits(requests_per_second=1_000, request_seconds=PATIENT)
    certificate, key = folder / "client.pem", folder / "client.key.pem"
    access = Access(rig.server.url, certificate, key, user=LOGIN.name, password=LOGIN.password, limits=limits)
    return DeviceTarget(access, Observing(0.5))


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of the services that clients ask the server for."""
    names = {
        ua.NodeId(value): name.removesuffix("Request_Encoding_DefaultBinary")
        for name, value in vars(ua.ObjectIds).items()
        if name.endswith("Request_Encoding_DefaultBinary")
    }
    asked: set[str] = set()
    usual = Processor._process_message

    async def recorded(self, typeid, requesthdr, seqhdr, body):
        asked.add(names[typeid])
        return await usual(self, typeid, requesthdr, seqhdr, body)

    monkeypatch.setattr(Processor, "_process_message", recorded)
    return asked


async def swept(rig: Rig) -> None:
    """Take away what the mutants of other tests have kept."""
    await rig.server.forget()
    core = rig.server.server.iserver
    core._external_sessions.clear()
    core.subscription_service.subscriptions.clear()


async def gone(rig: Rig) -> None:
    core = rig.server.server.iserver
    async with asyncio.timeout(PATIENT):
        while core._external_sessions or core.subscription_service.subscriptions:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)


async def test_a_run_writes_and_calls_nothing_and_leaves_nothing(rig: Rig, services: set[str]) -> None:
    await swept(rig)
    target = target_of(rig, rig.server.config.certificate.parent)
    report = await run(target, shipped(), settings=Settings(), only=SEVERAL)
    assert {"Read", "Browse", "Publish", "CreateMonitoredItems"} <= services
    assert services.isdisjoint(WRITING)
    blocked = {one.check.id for one in report.results if one.state == "blocked" and "--allow-writes" in one.blocked_by}
    assert {"device.behaviour.service.write-refused", "device.behaviour.service.call-arguments"} <= blocked
    assert report.count(State.PASS) > 25
    assert not [one.check.id for one in report.results if one.state == "error"]
    await gone(rig)


async def test_a_run_that_is_stopped_leaves_nothing(rig: Rig) -> None:
    await swept(rig)
    target = target_of(rig, rig.server.config.certificate.parent)
    seen: list[str] = []
    task = asyncio.create_task(
        run(target, shipped(), settings=Settings(), only=SEVERAL, progress=lambda one, *_: seen.append(one.check.id))
    )
    core = rig.server.server.iserver
    async with asyncio.timeout(PATIENT):
        while len(seen) < 4 or not core.subscription_service.subscriptions:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await gone(rig)
