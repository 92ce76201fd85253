"""Both brokers of the lab: who may come in, who may write where, and that they end when they should."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from cryptography import x509

from security.pki import Authority, LabPki, PkiFolder, create_lab, trust_authority
from security.tls import client_context
from simulators import broker as module
from simulators.broker import (
    Access,
    Broker,
    BrokerError,
    BrokerFiles,
    EmbeddedBroker,
    MosquittoBroker,
    free_port,
    start_broker,
)

KINDS = (MosquittoBroker, EmbeddedBroker)
DATA = "area4/v1/hall3/mill/data"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> LabPki:
    root = tmp_path_factory.mktemp("pki")
    return create_lab(root / "lab", machines=[], gateway="gateway", watchers=["watcher", "nobody"])


def files_of(pki: LabPki) -> BrokerFiles:
    return BrokerFiles(pki.broker.certificate, pki.broker.key, pki.mqtt_ca_file, pki.mqtt_crl_file)


@pytest.fixture(params=KINDS, ids=[kind.kind for kind in KINDS])
async def broker(request: pytest.FixtureRequest, pki: LabPki, tmp_path: Path) -> AsyncIterator[Broker]:
    made: Broker = request.param(tmp_path / "broker", files_of(pki), Access({"gateway": "hall3"}, ["watcher"]))
    await made.start()
    yield made
    await made.stop()


class Client:
    """A plain MQTT 3.1.1 client on a thread of its own."""

    def __init__(self, broker: Broker, context: ssl.SSLContext) -> None:
        self.connected = False
        self.acknowledged = 0
        self.granted: list[int] = []
        self.messages: list[tuple[str, bytes]] = []
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311, reconnect_on_failure=False)
        self.client.tls_set_context(context)
        self.client.on_connect = self._on_connect
        self.client.on_publish = self._on_publish
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = lambda _c, _d, one: self.messages.append((one.topic, one.payload))
        self.client.connect(module.HOST, broker.port, keepalive=20)
        self.client.loop_start()

    def _on_connect(self, *arguments: object) -> None:
        self.connected = not arguments[3].is_failure  # type: ignore[attr-defined]

    def _on_publish(self, *_: object) -> None:
        self.acknowledged += 1

    def _on_subscribe(self, *arguments: object) -> None:
        self.granted += [code.value for code in arguments[3]]  # type: ignore[attr-defined]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def attempt(port: int, context: ssl.SSLContext) -> bytes:
    """CONNECT on a plain TLS socket; the broker's answer, empty where it ended the connection."""
    with socket.create_connection((module.HOST, port), timeout=10) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=module.HOST) as tls:
                tls.sendall(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x14\x00\x01x")
                return tls.recv(100)
        except (ssl.SSLError, ConnectionError):
            return b""


async def until(condition: object, within: float = 20.0) -> None:
    deadline = time.monotonic() + within
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_only_certificates_of_the_right_authority_come_in(
    broker: Broker, pki: LabPki, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    def context_of(folder: PkiFolder) -> ssl.SSLContext:
        context = client_context(folder)
        context.maximum_version = version
        return context

    rogue = Authority.create(tmp_path / "rogue", "Rogue authority")
    stranger = rogue.issue_client("gateway").install(PkiFolder(tmp_path / "stranger"))
    trust_authority(stranger, Authority.load(pki.mqtt_authority), "mqtt-ca", pem=True)
    bare = ssl.create_default_context(cafile=str(pki.mqtt_ca_file))
    bare.maximum_version = version

    assert await asyncio.to_thread(attempt, broker.port, context_of(pki.gateway_mqtt)) == b"\x20\x02\x00\x00"
    assert await asyncio.to_thread(attempt, broker.port, bare) == b""
    assert await asyncio.to_thread(attempt, broker.port, context_of(stranger)) == b""
    assert await asyncio.to_thread(attempt, broker.port, context_of(pki.gateway_mqtt)) == b"\x20\x02\x00\x00"


async def test_a_revoked_certificate_does_not_come_in(broker: Broker, tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "ca", "Own authority")
    server = authority.issue_server("broker", [module.HOST]).install(PkiFolder(tmp_path / "server"))
    issued = authority.issue_client("gateway")
    client = issued.install(PkiFolder(tmp_path / "client"))
    trust_authority(client, authority, "ca", pem=True)
    authority.revoke(issued.certificate.serial_number)
    files = BrokerFiles(server.certificate, server.key, tmp_path / "ca" / "ca.pem", authority.crl_pem)
    other = type(broker)(tmp_path / "other", files, Access({"gateway": "hall3"}))
    await other.start()
    try:
        assert await asyncio.to_thread(attempt, other.port, client_context(client)) == b""
    finally:
        await other.stop()


async def test_plaintext_gets_no_answer(broker: Broker) -> None:
    reader, writer = await asyncio.open_connection(module.HOST, broker.port)
    writer.write(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x14\x00\x01x")
    answer = b""
    with suppress(ConnectionError):
        answer = await asyncio.wait_for(reader.read(100), 20)
    writer.close()
    assert not answer.startswith(b"\x20")


async def test_the_identity_in_the_certificate_decides_what_one_may(broker: Broker, pki: LabPki) -> None:
    gateway = Client(broker, client_context(pki.gateway_mqtt))
    watcher = Client(broker, client_context(pki.watchers["watcher"]))
    nobody = Client(broker, client_context(pki.watchers["nobody"]))
    try:
        await until(lambda: gateway.connected and watcher.connected and nobody.connected)
        watcher.client.subscribe("area4/v1/#", 1)
        nobody.client.subscribe("area4/v1/#", 1)
        await until(lambda: watcher.granted and nobody.granted)
        gateway.client.publish("area4/v1/hall4/mill/data", b"wrong site", 1)
        gateway.client.publish("area4/v1/hall3/_gateway/other/status", b"wrong name", 1)
        gateway.client.publish("area4/v1/hall3/mill/secret", b"wrong kind", 1)
        watcher.client.publish(DATA, b"a watcher writes", 1)
        nobody.client.publish(DATA, b"nobody writes", 1)
        await until(lambda: gateway.acknowledged == 3 and watcher.acknowledged == nobody.acknowledged == 1)
        gateway.client.publish(DATA, b"right", 1, retain=True)
        gateway.client.publish("area4/v1/hall3/_gateway/gateway/status", b"right too", 1)
        await until(lambda: len(watcher.messages) == 2)
        assert watcher.messages == [(DATA, b"right"), ("area4/v1/hall3/_gateway/gateway/status", b"right too")]
        await asyncio.sleep(0.2)
        assert nobody.messages == []
        late = Client(broker, client_context(pki.watchers["watcher"]))
        await until(lambda: late.connected)
        late.client.subscribe("area4/v1/+/+/data", 1)
        await until(lambda: late.messages)
        assert set(late.messages) == {(DATA, b"right")}, "QoS 1 may tell it twice"
        late.close()
    finally:
        for client in (gateway, watcher, nobody):
            client.close()


async def test_a_broker_can_be_stopped_killed_and_started_again_on_its_port(broker: Broker, pki: LabPki) -> None:
    port = broker.port
    await broker.stop()
    assert not broker.running
    await broker.start()
    assert broker.port == port
    await broker.kill()
    assert broker.pid is None
    await broker.start()
    assert await asyncio.to_thread(attempt, port, client_context(pki.gateway_mqtt)) == b"\x20\x02\x00\x00"


async def test_mosquitto_keeps_over_a_kill_what_it_acknowledged(pki: LabPki, tmp_path: Path) -> None:
    broker = MosquittoBroker(tmp_path / "b", files_of(pki), Access({"gateway": "hall3"}, ["watcher"]))
    await broker.start()
    gateway = Client(broker, client_context(pki.gateway_mqtt))
    await until(lambda: gateway.connected)
    gateway.client.publish(DATA, b"kept", 1, retain=True)
    await until(lambda: gateway.acknowledged == 1)
    await until(lambda: b"kept" in _saved(broker))
    await broker.kill()
    gateway.close()
    await broker.start()
    watcher = Client(broker, client_context(pki.watchers["watcher"]))
    try:
        await until(lambda: watcher.connected)
        watcher.client.subscribe(DATA, 1)
        await until(lambda: watcher.messages == [(DATA, b"kept")])
    finally:
        watcher.close()
        await broker.stop()


async def test_mosquitto_reads_a_new_revocation_list_and_certificate_at_sighup(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "ca", "Own authority")
    server = authority.issue_server("broker", [module.HOST]).install(PkiFolder(tmp_path / "server"))
    issued = authority.issue_client("gateway")
    client = issued.install(PkiFolder(tmp_path / "client"))
    trust_authority(client, authority, "ca", pem=True)
    files = BrokerFiles(server.certificate, server.key, tmp_path / "ca" / "ca.pem", authority.crl_pem)
    broker = MosquittoBroker(tmp_path / "b", files, Access({"gateway": "hall3"}))
    await broker.start()
    try:
        assert await asyncio.to_thread(attempt, broker.port, client_context(client))
        authority.revoke(issued.certificate.serial_number)
        renewed = authority.issue_server("broker", [module.HOST, "renewed.example"])
        renewed.install(server, replace=True)
        broker.signal(signal.SIGHUP)
        deadline = time.monotonic() + 20
        while await asyncio.to_thread(attempt, broker.port, client_context(client)):
            assert time.monotonic() < deadline, "the revoked certificate still comes in"
            await asyncio.sleep(0.1)
        shown = await asyncio.to_thread(ssl.get_server_certificate, (module.HOST, broker.port))
        assert x509.load_pem_x509_certificate(shown.encode()).serial_number == renewed.certificate.serial_number
    finally:
        await broker.stop()


def _saved(broker: Broker) -> bytes:
    try:
        return (broker.folder / "data" / "mosquitto.db").read_bytes()
    except FileNotFoundError:
        return b""


STARTER = """
import asyncio, sys
from pathlib import Path
from simulators.broker import *

async def main():
    broker = globals()[sys.argv[1]](Path(sys.argv[2]), BrokerFiles(*map(Path, sys.argv[3:7])), Access({}))
    await broker.start()
    print(broker.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_a_broker_dies_with_the_process_that_started_it(broker: Broker, pki: LabPki, tmp_path: Path) -> None:
    files = files_of(pki)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STARTER, type(broker).__name__, tmp_path / "child"),
        *(files.certificate, files.key, files.ca_file, files.crl_file),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    number = int(await asyncio.wait_for(process.stdout.readline(), 30))
    assert _alive(number)
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    await until(lambda: not _alive(number))


def _alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_broker_that_cannot_start_says_why(broker: Broker, pki: LabPki, tmp_path: Path) -> None:
    second = type(broker)(tmp_path / "second", files_of(pki), Access({}), port=broker.port)
    with pytest.raises(BrokerError, match="in use"):
        await second.start()


@pytest.mark.parametrize(("installed", "kind"), [(True, "mosquitto"), (False, "embedded")])
async def test_mosquitto_is_taken_where_it_is_installed(
    pki: LabPki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool, kind: str
) -> None:
    if not installed:
        monkeypatch.setattr(MosquittoBroker, "binary", staticmethod(lambda: None))
        with pytest.raises(BrokerError, match="not installed"):
            await MosquittoBroker(tmp_path / "none", files_of(pki), Access({})).start()
    broker = await start_broker(tmp_path / "b", files_of(pki), Access({"gateway": "hall3"}), port=free_port())
    try:
        assert broker.kind == kind
        assert await asyncio.to_thread(attempt, broker.port, client_context(pki.gateway_mqtt)) == b"\x20\x02\x00\x00"
    finally:
        await broker.stop()
