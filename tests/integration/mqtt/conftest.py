"""A lab PKI with two gateways and a watcher, a mosquitto, and sinks towards it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from adapters.mqtt.config import MqttConfig
from adapters.mqtt.sink import MqttSink
from gateway.contracts import Outgoing, Refusal
from security.pki import Authority, LabPki, PkiFolder, create_lab, trust_authority
from security.tls import client_context
from simulators.broker import Access, Broker, BrokerFiles, Limits, MosquittoBroker

SITE = "hall3"
GATEWAY = "gateway"
OTHER = "other-gateway"
WATCHER = "watcher"
FAST = 10_000  # changes between two writes of mosquitto: its disk is not what is tested here


@dataclass
class Lab:
    """The PKI of these tests."""

    pki: LabPki
    other: PkiFolder

    @property
    def files(self) -> BrokerFiles:
        broker = self.pki.broker
        return BrokerFiles(broker.certificate, broker.key, self.pki.mqtt_ca_file, self.pki.mqtt_crl_file)

    @property
    def authority(self) -> Authority:
        return Authority.load(self.pki.mqtt_authority)

    @property
    def watcher(self) -> PkiFolder:
        return self.pki.watchers[WATCHER]


@dataclass
class Deliveries:
    """What a sink told its delivery listener."""

    told: list[tuple[int, Refusal | None]] = field(default_factory=list)

    def __call__(self, ticket: int, refusal: Refusal | None) -> None:
        self.told.append((ticket, refusal))

    @property
    def ids(self) -> list[int]:
        return [ticket for ticket, refusal in self.told if refusal is None]


class Watcher:
    """A plain subscriber on paho's own thread: no code of ours but the TLS context."""

    def __init__(self, url: str, folder: PkiFolder, topic: str = "area4/#") -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self._subscribed = False
        host, port = url.removeprefix("mqtts://").rsplit(":", 1)
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
        self.client.tls_set_context(client_context(folder))
        self.client.on_connect = lambda client, *_: client.subscribe(topic, 1)
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = lambda _c, _d, one: self.messages.append((one.topic, one.payload, bool(one.retain)))
        self.client.connect(host, int(port), keepalive=20)
        self.client.loop_start()

    def _on_subscribe(self, *_: Any) -> None:
        self._subscribed = True

    async def ready(self) -> Watcher:
        await until(lambda: self._subscribed)
        return self

    def of(self, topic: str) -> list[bytes]:
        return [payload for where, payload, _ in self.messages if where == topic]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


async def until(condition: Callable[[], Any], within: float = 30.0) -> None:
    """Wait for a condition with a generous deadline."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.01)


def outgoing(count: int, *, first: int = 1, size: int = 200, machine: str = "urn:maker:mill:7") -> list[Outgoing]:
    return [
        Outgoing(number, machine, "data", b'{"seq":%d,"fill":"%b"}' % (number, b"x" * size))
        for number in range(first, first + count)
    ]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    root = tmp_path_factory.mktemp("lab")
    pki = create_lab(root / "pki", machines=[], gateway=GATEWAY, watchers=[WATCHER])
    authority = Authority.load(pki.mqtt_authority)
    other = authority.issue_client(OTHER).install(PkiFolder(root / "other"))
    trust_authority(other, authority, "mqtt-ca", pem=True)
    return Lab(pki, other)


def access() -> Access:
    return Access({GATEWAY: SITE, OTHER: "hall4"}, [WATCHER])


@pytest.fixture
async def broker(lab: Lab, tmp_path: Path) -> AsyncIterator[Broker]:
    async with mosquitto(lab, tmp_path / "broker") as made:
        yield made


@asynccontextmanager
async def mosquitto(
    lab: Lab, folder: Path, *, limits: Limits | None = None, files: BrokerFiles | None = None
) -> AsyncIterator[Broker]:
    made = MosquittoBroker(folder, files or lab.files, access(), limits or Limits(autosave_changes=FAST))
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@pytest.fixture
async def watcher(lab: Lab, broker: Broker) -> AsyncIterator[Watcher]:
    made = await Watcher(broker.url, lab.watcher).ready()
    try:
        yield made
    finally:
        made.close()


def config_of(url: str, folder: PkiFolder, **changes: Any) -> MqttConfig:
    values: dict[str, Any] = {
        "url": url,
        "security": {
            "certificate": folder.certificate,
            "key": folder.key,
            "trust": folder.root,
            **changes.pop("security", {}),
        },
    }
    return MqttConfig.model_validate(values | changes)


SinkMaker = Callable[..., MqttSink]


@pytest.fixture
async def sink_to(lab: Lab) -> AsyncIterator[SinkMaker]:
    made: list[MqttSink] = []

    def make(
        url: str, folder: PkiFolder | None = None, *, site: str = SITE, gateway: str = GATEWAY, **changes: Any
    ) -> MqttSink:
        config = config_of(url, folder or lab.pki.gateway_mqtt, **changes)
        sink = MqttSink("hall", config, site=site, gateway=gateway, version="0.1.0")
        made.append(sink)
        return sink

    yield make
    for sink in made:
        await sink.close()
