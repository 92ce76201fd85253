"""Servers for the device's security and behaviour checks, and what a check says of one while it is a mutant."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import itertools
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from conformance.device.access import Access, Limits
from conformance.device.authority import TestAuthority
from conformance.device.behaviour import JUDGES
from conformance.device.behaviour import RULES as BEHAVIOUR
from conformance.device.behaviour.observation import Observation
from conformance.device.behaviour.recorder import observe
from conformance.device.prober import Prober, identity_of
from conformance.device.security import RULES as SECURITY
from conformance.device.target import DeviceTarget, Observing
from conformance.device.wire.session import Login
from conformance.suite.catalogue import shipped
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome, Verdict
from conformance.suite.target import TargetError
from simulators.machine import Change, Condition, Happening, Localized, State
from simulators.opcua.control import Control
from simulators.opcua.server import ServerConfig, SimulatorServer
from simulators.process import load_machines

RULES = {**SECURITY, **BEHAVIOUR}
"""Of the checks that ask with sessions of their own."""
LOGIN = Login("operator", "a long one")
PATIENT = 60.0
QUICK = 3.0
"""A mutant that says nothing has said nothing after this; what answers slowly fails no check of it by that."""
SILENT = ("D-01.", "D-03.", "D-04.", "D-11.", "D-12.half-open", "initial", "subscription.first")
"""Whose mutants say nothing; all others answer, and get the time of the reference."""
LANES = 3
"""Servers that are mutants side by side: checks wait for most of their time, starting a server takes seconds."""
_RHYTHM = 0.2

Pair = tuple[Check, str]
"""A check, and a mutant that it names."""


@cache
def asking() -> list[Check]:
    """Checks that ask with sessions of their own."""
    return [one for one in shipped().checks.values() if one.rule in RULES]


@cache
def watching() -> list[Check]:
    """Checks over the observation window."""
    return [one for one in shipped().checks.values() if one.rule in JUDGES]


def pairs(checks: Iterable[Check]) -> list[Pair]:
    """Each check with each mutant that it names."""
    return [(check, mutant) for check in checks for mutant in check.mutants]


def self_signed(folder: Path, name: str) -> tuple[Path, Path]:
    """Certificate and key of an application on this computer."""
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
class Lane:
    """A server without machines: what is asked here has nothing to do with them."""

    server: SimulatorServer
    control: Control
    prober: Prober

    async def ask(self, check: Check, seconds: float) -> Outcome:
        """What a check says, with this longest wait for one answer."""
        own = self.prober
        prober = Prober(own.url, own.identity, own.login, authority=own.authority, seconds=seconds)
        prober._key = own.key
        self.prober = prober
        try:
            return await RULES[check.rule](self, check)
        except TargetError as error:
            return Outcome(verdict=Verdict.FAIL, seen=str(error))

    async def become(self, mutant: str | None) -> None:
        """Be this mutant, or the reference."""
        answer = await self.control.do({"do": "mutant", "id": mutant})
        assert answer["done"] == "mutant"

    async def reference(self, check: Check) -> Outcome:
        """What a check says of the reference, which has forgotten all sessions when this returns."""
        core = self.server.server.iserver
        core._external_sessions.clear()
        outcome = await self.ask(check, PATIENT)
        async with asyncio.timeout(PATIENT):
            while core._external_sessions:  # noqa: ASYNC110 - the server tells nobody when it has forgotten a session
                await asyncio.sleep(0.01)
        return outcome

    async def broken(self, check: Check, mutant: str) -> Outcome:
        """What a check says of a mutant."""
        await self.become(mutant)
        if check.id.endswith("half-open"):
            check = check.model_copy(update={"parameters": {"seconds": 3}})
        silent = any(name in check.id for name in SILENT)
        try:
            return await self.ask(check, QUICK if silent else PATIENT)
        finally:
            await self.become(None)


class Site:
    """What all servers have in common: certificates and a test authority."""

    def __init__(self, folder: Path) -> None:
        self.server, self.client = self_signed(folder, "server"), self_signed(folder, "client")
        self.authority = TestAuthority.make(folder / "ca")
        self.trust = (self.client[0], folder / "ca" / "install")

    @asynccontextmanager
    async def lane(self) -> AsyncIterator[Lane]:
        """One server, until the end."""
        config = ServerConfig(*self.server, self.trust, users={LOGIN.name: LOGIN.password}, strict=True)
        server = SimulatorServer([], config)
        await server.start()
        try:
            prober = Prober(server.url, identity_of(*self.client), LOGIN, authority=self.authority)
            yield Lane(server, Control(server), prober)
        finally:
            await server.stop()


async def broken_by_all(site: Site, first: Lane, wanted: Sequence[Pair]) -> dict[tuple[str, str], Outcome | Exception]:
    """What each check says of its mutant, or how it broke; a server that runs and new ones share the work."""
    found: dict[tuple[str, str], Outcome | Exception] = {}
    waiting = iter(wanted)

    async def work(lane: Lane) -> None:
        for check, mutant in waiting:
            try:
                found[check.id, mutant] = await lane.broken(check, mutant)
            except Exception as error:  # noqa: BLE001 - raised by who asks for this pair; the others go on
                found[check.id, mutant] = error

    async with AsyncExitStack() as stack:
        more = min(LANES, len(wanted)) - 1
        lanes = [first, *[await stack.enter_async_context(site.lane()) for _ in range(more)]]
        async with asyncio.TaskGroup() as group:
            for lane in lanes:
                group.create_task(work(lane))
    return found


@dataclass
class Workshop:
    """A machine at work; `busy` lets it raise alarms and step through programs as often as a test needs them."""

    server: SimulatorServer
    control: Control
    target: DeviceTarget
    turns: Iterator[int] = field(default_factory=itertools.count)

    @property
    def shown(self) -> Any:
        """Its machine."""
        assert self.server.runner is not None
        return self.server.runner.machines[0]

    def happenings(self, program: str, time: int) -> list[Happening]:
        """An alarm that comes or goes, and a program's next state."""
        turn = next(self.turns)
        active = turn % 2 == 0
        alarm = Condition(
            "AlertType", "Conformance", "Monitoring/MachineTool", Localized("Something is wrong"), 500,
            active=active, acked=True, retain=active, time=time, fields={"ErrorCode": "42"},
        )  # fmt: skip
        name, number = (("Initializing", 0), ("Running", 1), ("Ended", 2))[turn % 3]
        return [alarm, Change(program, State(name, number), time)]

    async def busy(self) -> None:
        """Alarms and programs, for ever."""
        assert self.server.runner is not None
        program = next(
            path for path, one in self.shown.instance.variables.items()
            if path.startswith("Production/ActiveProgram/") and path.endswith("/CurrentState") and one.state_machine
        )  # fmt: skip
        while True:
            await self.server.runner.now(self.shown, lambda time: self.happenings(program, time))
            await asyncio.sleep(_RHYTHM)

    @asynccontextmanager
    async def hurried(self, *, alone: bool) -> AsyncIterator[None]:
        """`busy` meanwhile, and where `alone`, nothing else of the machine."""
        self.shown.paused = alone
        busy = asyncio.create_task(self.busy())
        try:
            yield
        finally:
            busy.cancel()
            await asyncio.gather(busy, return_exceptions=True)
            self.shown.paused = False

    async def watch(self, seconds: float) -> Observation:
        """What is seen of it."""
        seen = await observe(self.target.prober, self.target.snapshot, seconds)
        assert not seen.missed
        return seen

    async def reference(self) -> dict[str, Outcome]:
        """What each check says: of the machine at work, or of alarms and programs that hurry."""
        outcomes = judged(await self.target.observed(), watching())
        rare = [one for one in watching() if happens(one)]
        async with self.hurried(alone=True), asyncio.timeout(PATIENT):
            while True:
                seen = judged(await self.watch(1.5), rare)
                if not any(one.verdict is Verdict.ABSENT for one in seen.values()):
                    return {**outcomes, **seen}

    async def broken(self, check: Check, mutant: str) -> Outcome:
        """What a check says of a mutant, once it was shown what it needs to say anything bad."""
        answer = await self.control.do({"do": "mutant", "id": mutant})
        assert answer["done"] == "mutant"
        try:
            async with self.hurried(alone="steps" in check.id), asyncio.timeout(PATIENT):
                while (outcome := judged(await self.watch(0.25), [check])[check.id]).verdict is not Verdict.FAIL:
                    assert outcome.verdict in {Verdict.PASS, Verdict.ABSENT}
        finally:
            await self.control.do({"do": "mutant", "id": None})
        return outcome


def happens(check: Check) -> bool:
    """It judges what a machine that nobody hurries does not show for a long time."""
    return "events" in check.id or "steps" in check.id


def judged(seen: Observation, checks: Iterable[Check]) -> dict[str, Outcome]:
    """What checks say of an observation."""
    return {check.id: JUDGES[check.rule](seen, check.parameters) for check in checks}


@asynccontextmanager
async def workshop(site: Site) -> AsyncIterator[Workshop]:
    """A machining centre at work, and the suite connected to it."""
    config = ServerConfig(*site.server, site.trust, users={LOGIN.name: LOGIN.password})
    server = SimulatorServer(load_machines(("machining-centre",), (), 1, eventful=True), config)
    await server.start()
    limits = Limits(requests_per_second=1_000, request_seconds=30)
    access = Access(server.url, *site.client, user=LOGIN.name, password=LOGIN.password, limits=limits)
    target = DeviceTarget(access, Observing(2.0))
    try:
        await target.open()
        yield Workshop(server, Control(server), target)
    finally:
        await target.close()
        await server.stop()
