from __future__ import annotations

import datetime as dt
import gc
import importlib.util
import ipaddress
import json
import logging
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import pytest_asyncio
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyAes256Sha256RsaPss
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from simulators.machine import Vanished
from simulators.opcua.control import Control
from simulators.opcua.runner import Shown
from simulators.opcua.server import ServerConfig, SimulatorServer


@dataclass(frozen=True)
class Identity:
    certificate: Path
    key: Path
    uri: str


def make_identity(folder: Path, name: str, *, expired: bool = False) -> Identity:
    """A self-signed certificate with its ApplicationUri in SubjectAltName."""
    folder.mkdir(parents=True, exist_ok=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    end = now - dt.timedelta(minutes=1) if expired else now + dt.timedelta(days=1)
    uri = f"urn:example:{name}"
    names = [
        x509.UniformResourceIdentifier(uri),
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    usage = x509.KeyUsage(True, True, True, True, False, True, False, False, False)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    identity = Identity(folder / f"{name}.der", folder / f"{name}.key.pem", uri)
    identity.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.DER))
    identity.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return identity


@dataclass(frozen=True)
class Pki:
    folder: Path
    server: Identity
    client: Identity
    stranger: Identity
    trust: Path


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    folder = tmp_path_factory.mktemp("pki")
    trust = folder / "trusted"
    trust.mkdir()
    server, client, stranger = (make_identity(folder / name, name) for name in ("server", "client", "stranger"))
    (trust / "client.der").write_bytes(client.certificate.read_bytes())
    return Pki(folder, server, client, stranger, trust)


def load_bench() -> ModuleType:
    """The module of the bench machine, whose folder is no package."""
    if "bench_machine" not in sys.modules:
        spec = importlib.util.spec_from_file_location("bench_machine", Path(__file__).with_name("bench_machine.py"))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["bench_machine"] = module
        spec.loader.exec_module(module)
    return sys.modules["bench_machine"]


@pytest.fixture
def bench() -> ModuleType:
    return load_bench()


@dataclass
class Stage:
    """The server that the tests of this folder share; its first machine is the bench, the others always stand still.

    Attributes:
        built: What the log said while it was built.
        mark: Lines in the ledger when the test began.
    """

    server: SimulatorServer
    ledger: Path
    built: str
    mark: int = 0

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def core(self) -> Any:
        return self.server.server.iserver

    @property
    def shown(self) -> Shown:
        assert self.server.runner is not None
        return self.server.runner.machines[0]

    @property
    def instance(self) -> Any:
        return self.shown.instance

    @property
    def machine(self) -> Any:
        return self.instance.machine

    @property
    def uris(self) -> Any:
        assert self.server.ledger is not None
        return self.server.ledger.uris

    def whole_ledger(self) -> list[dict[str, Any]]:
        assert self.server.ledger is not None
        self.server.ledger.flush()
        return [json.loads(line) for line in self.ledger.read_text("utf-8").splitlines()]

    def lines(self) -> list[dict[str, Any]]:
        """The ledger since the test began."""
        return self.whole_ledger()[self.mark :]

    async def do(self, name: str, /, **given: Any) -> dict[str, Any]:
        """A command to the server."""
        return await Control(self.server).do({"do": name, **given})

    async def reset(self) -> None:
        """As after its start: no client, no fault, every value the initial one, the machine at its first step."""
        runner = self.server.runner
        assert runner is not None
        assert self.server.ledger is not None
        await self.server.forget()
        runner.overrides.clear()
        runner.frozen.clear()
        runner._own.clear()
        gone = [path for path in self.instance.entries if path.rpartition("/")[0] == "Equipment/Tools"]
        vanished = [path for path in gone if path != "Equipment/Tools/T1"]
        await runner.now(
            self.shown, lambda now: [*(Vanished(path, now) for path in vanished), *self.machine.rewind(now)]
        )
        await self.server.set_limit(self.server.config.limit)
        self.server.ledger.flush()
        self.mark = self.server.ledger.count
        self.shown.paused = False


class _Told(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def the_stage(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    ledger = tmp_path_factory.mktemp("stage") / "ledger.jsonl"
    bench = load_bench()
    config = ServerConfig(
        pki.server.certificate, pki.server.key, (pki.trust,), users={"operator": "secret"}, ledger=ledger
    )
    machines = [bench.BenchMachine(), bench.BenchMachine("One", "1"), bench.BenchMachine("Two", "2")]
    server = SimulatorServer(machines, config)
    told, logger = _Told(), logging.getLogger("simulators")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(told)
    gc.disable()
    try:
        await server.start()
    finally:
        gc.enable()
        logger.removeHandler(told)
        logger.setLevel(level)
    assert server.runner is not None
    for shown in server.runner.machines:
        shown.paused = True
    yield Stage(server, ledger, "\n".join(told.texts))
    await server.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def stage(the_stage: Stage) -> AsyncIterator[Stage]:
    """The shared server as after its start; the bench runs."""
    await the_stage.reset()
    yield the_stage
    the_stage.shown.paused = True


@pytest_asyncio.fixture(loop_scope="session")
async def connect(pki: Pki) -> AsyncIterator[Callable[..., Any]]:
    """Connect clients over SignAndEncrypt; they disconnect with the test."""
    clients: list[Client] = []

    async def open_(
        url: str,
        identity: Identity | None = None,
        *,
        user: str | None = "operator",
        password: str = "secret",
        user_identity: Identity | None = None,
        server_certificate: Path | None = None,
        policy: Any = SecurityPolicyAes256Sha256RsaPss,
    ) -> Client:
        who = identity or pki.client
        client = Client(url, timeout=20)
        client.application_uri = who.uri
        if user_identity is not None:
            await client.load_client_certificate(str(user_identity.certificate))
            await client.load_private_key(str(user_identity.key))
        elif user is not None:
            client.set_user(user)
            client.set_password(password)
        await client.set_security(
            policy,
            str(who.certificate),
            str(who.key),
            server_certificate=str(server_certificate or pki.server.certificate),
            mode=ua.MessageSecurityMode.SignAndEncrypt,
        )
        await client.connect()
        clients.append(client)
        return client

    yield open_
    for client in clients:
        try:
            await client.disconnect()
        except (ua.UaError, ConnectionError, TimeoutError):
            client.disconnect_socket()


@pytest.fixture
def identities(tmp_path: Path) -> Callable[..., Identity]:
    return lambda name, **options: make_identity(tmp_path / "identities" / name, name, **options)


@pytest.fixture
def identity() -> Callable[..., Identity]:
    """The own identity of a folder of `security.pki`."""
    return lambda folder, uri: Identity(folder.certificate_der, folder.key, uri)
