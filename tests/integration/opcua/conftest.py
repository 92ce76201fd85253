"""A plain asyncua server with certificates, in the test's own process so that a test can look inside and break it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asyncua import Server, ua

from adapters.opcua import source as source_module
from adapters.opcua.config import OpcUaConfig
from adapters.opcua.plan import Discovery, MachinePlan, SignalPlan
from adapters.opcua.source import OpcUaSource
from gateway.contracts import Batch
from gateway.model import MachineDescription, Record, Sample, Samples, Signal, SignalRef
from security.pki.lab import LabPki, create_lab

MACHINE = "urn:test:machine:1"
SECURE = [
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> LabPki:
    return create_lab(tmp_path_factory.mktemp("lab") / "pki", machines=["m1"])


@dataclass
class PlainServer:
    """Variables below one object; `sessions` and `tokens` record what clients told it."""

    lab: LabPki
    count: int = 5
    certificate: Path | None = None
    key: Path | None = None
    policies: list[Any] = field(default_factory=lambda: list(SECURE))
    port: int = 0
    server: Any = None
    variables: list[Any] = field(default_factory=list)
    sessions: int = 0
    tokens: list[Any] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}"

    async def start(self) -> None:
        folder = self.lab.machines["m1"]
        self.server = server = Server()
        await server.init()
        server.set_endpoint(f"opc.tcp://127.0.0.1:{self.port}/")
        await server.set_application_uri(self.lab.uris["m1"])
        await server.load_certificate(str(self.certificate or folder.certificate))
        await server.load_private_key(str(self.key or folder.key))
        server.set_security_policy(self.policies)
        index = await server.register_namespace("urn:test")
        self.variables = [
            await server.nodes.objects.add_variable(ua.NodeId(f"v{number}", index), f"v{number}", 0)
            for number in range(self.count)
        ]
        self._watch()
        await server.start()
        self.port = server.bserver._server.sockets[0].getsockname()[1]

    def _watch(self) -> None:
        inner = self.server.iserver
        plain = inner.create_session

        def create_session(*args: Any, **named: Any) -> Any:
            session = plain(*args, **named)
            create, activate = session.create_session, session.activate_session

            async def created(*args: Any, **named: Any) -> Any:
                self.sessions += 1
                return await create(*args, **named)

            def activated(params: Any, *args: Any, **named: Any) -> Any:
                self.tokens.append(params.UserIdentityToken)
                return activate(params, *args, **named)

            session.create_session, session.activate_session = created, activated
            return session

        inner.create_session = create_session

    async def stop(self) -> None:
        if self.server is not None:
            server, self.server = self.server, None
            await server.stop()

    @property
    def subscription(self) -> Any:
        (found,) = self.server.iserver.subscription_service.subscriptions.values()
        return found

    async def write(self, value: int, variable: int = 0, *, status: int = 0) -> None:
        data = ua.DataValue(
            ua.Variant(value, ua.VariantType.Int64), ua.StatusCode(status), SourceTimestamp=datetime.now(UTC)
        )
        await self.server.write_attribute_value(self.variables[variable].nodeid, data)

    def plan(self, *, extra: int = 0, machines: int = 1) -> Discovery:
        """All variables, and `extra` ones that the server does not have, dealt out to machines."""
        nodes = [one.nodeid for one in self.variables]
        nodes += [ua.NodeId(f"missing{number}", nodes[0].NamespaceIndex) for number in range(extra)]
        plans = []
        for number in range(machines):
            own = nodes[number::machines]
            signals = [SignalPlan(node, SignalRef(str(node.Identifier)), _same, "Int64", "TestType") for node in own]
            described = [Signal(path=one.ref.path, data_type="Int64") for one in signals]
            identity = MACHINE if number == 0 else f"urn:test:machine:{number + 1}"
            description = MachineDescription(
                id=identity, name=f"M{number}", type="TestType", source="test", signals=described
            )
            plans.append(MachinePlan(ua.NodeId(ua.ObjectIds.ObjectsFolder), description, signals))
        return Discovery(plans)


def _same(value: Any) -> Any:
    return value


@pytest.fixture
async def plain(lab: LabPki) -> AsyncIterator[PlainServer]:
    server = PlainServer(lab)
    await server.start()
    yield server
    await server.stop()


def config_of(server: PlainServer, **subscription: Any) -> OpcUaConfig:
    own = server.lab.gateway_opcua
    return OpcUaConfig.model_validate(
        {
            "url": server.url,
            "security": {
                "application_uri": server.lab.uris["gateway"],
                "certificate": own.certificate,
                "key": own.key,
                "trust": own.root,
            },
            "user": {"anonymous": True},
            "waivers": ["anonymous-user"],
            "subscription": {"publishing_interval": 0.05, "keep_alive": 1.0, "queue_size": 1000} | subscription,
            "transport": {"timeout": 5.0},
        }
    )


@dataclass
class Rig:
    """A source that reads a plain server with a plan of the test."""

    server: PlainServer
    source: OpcUaSource
    states: list[tuple[str, str, str]]
    plans: list[Discovery]

    async def read(self, enough: Callable[[list[Record]], bool], *, done: bool = True) -> list[Batch]:
        """Batches until their records are enough."""
        batches: list[Batch] = []
        async with asyncio.timeout(30):
            while not enough([one for batch in batches for one in batch.records]):
                batch = await self.source.read()
                batches.append(batch)
                if done:
                    batch.done()
        return batches


@pytest.fixture
async def rig(plain: PlainServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Rig]]:
    made: list[Rig] = []

    def make(plan: Discovery | None = None, config: OpcUaConfig | None = None, **subscription: Any) -> Rig:
        states: list[tuple[str, str, str]] = []
        plans = [plan or plain.plan()]

        async def discover(_client: Any, **_named: Any) -> Discovery:
            return plans[-1]

        monkeypatch.setattr(source_module, "discover", discover)
        source = OpcUaSource(
            "test",
            config or config_of(plain, **subscription),
            on_machine=lambda machine, state, reason: states.append((machine, state, reason)),
        )
        made.append(Rig(plain, source, states, plans))
        return made[-1]

    yield make
    for one in made:
        await one.source.close()


def samples(batches: list[Batch], path: str = "v0") -> list[Sample]:
    return [
        sample
        for batch in batches
        for record in batch.records
        if isinstance(record, Samples)
        for sample in record.samples
        if sample.signal.path == path
    ]


def saw(value: int, path: str = "v0") -> Callable[[list[Record]], bool]:
    """Whether a value of a signal is among the records."""

    def enough(records: list[Record]) -> bool:
        return any(
            sample.value == value and sample.signal.path == path
            for record in records
            if isinstance(record, Samples)
            for sample in record.samples
        )

    return enough


async def eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for happens within asyncua, without an event
            await asyncio.sleep(0.02)
