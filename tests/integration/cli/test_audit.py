"""`area4 audit` as a process at a real broker: what it says of a whole stream, of a hole, and of an announced one."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from security.pki import LabPki, create_lab
from simulators.broker import Access, Broker, BrokerFiles, start_broker

from .conftest import Area4, assert_told

MACHINE = "urn:maker:mill:7"
TIME = "2026-11-22T15:30:00.1234567Z"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> LabPki:
    return create_lab(tmp_path_factory.mktemp("pki") / "pki", machines=[])


@pytest.fixture
async def broker(pki: LabPki, tmp_path: Path) -> AsyncIterator[Broker]:
    files = BrokerFiles(pki.broker.certificate, pki.broker.key, pki.mqtt_ca_file, pki.mqtt_crl_file)
    running = await start_broker(tmp_path / "broker", files, Access({"gateway": "hall"}, ["watcher"]))
    yield running
    await running.stop()


def message(kind: str, seq: int, **body: object) -> tuple[str, str]:
    stamp = {"machine": MACHINE, "epoch": "e1", "seq": seq, "taken": TIME}
    return f"area4/v1/hall/{MACHINE}/{kind}", json.dumps({**stamp, **body})


def data(seq: int) -> tuple[str, str]:
    return message("data", seq, samples=[{"path": "Monitoring/Count", "value": seq, "time": TIME}])


def gap(seq: int, first: int, last: int) -> tuple[str, str]:
    told = {"signals": None, "begin": TIME, "end": TIME, "cause": "evicted", "lost": 2, "missing": [first, last]}
    return message("gap", seq, **told)


@contextmanager
def publisher(pki: LabPki, broker: Broker):
    """A client with the gateway's certificate; it waits for the subscriber, then publishes everything twice."""
    context = ssl.create_default_context(cafile=str(pki.mqtt_ca_file))
    context.load_cert_chain(pki.gateway_mqtt.certificate, pki.gateway_mqtt.key)
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.tls_set_context(context)
    heard = threading.Event()

    def on_publish(_client, _data, _mid, reason, _properties) -> None:
        if reason.getName() != "No matching subscribers":
            heard.set()

    client.on_publish = on_publish
    client.connect("127.0.0.1", urlsplit(broker.url).port or 0)
    client.loop_start()

    def publish(messages: list[tuple[str, str]]) -> None:
        while messages and not heard.is_set():
            client.publish(*messages[0], qos=1).wait_for_publish(10)
            heard.wait(0.1)
        for topic, payload in messages * 2:
            client.publish(topic, payload, qos=1).wait_for_publish(10)

    try:
        yield publish
    finally:
        client.disconnect()
        client.loop_stop()


async def audited(area4: Area4, pki: LabPki, broker: Broker, messages: list[tuple[str, str]], *options: str):
    own = pki.watchers["watcher"]
    access = ("--url", broker.url, "--ca", pki.mqtt_ca_file, "--cert", own.certificate, "--key", own.key)
    with publisher(pki, broker) as publish:
        work = asyncio.to_thread(area4, "audit", *access, "--for", "4", "--settle", "0.5", *options)
        result, _ = await asyncio.gather(work, asyncio.to_thread(publish, messages))
    return result


async def test_a_whole_stream_is_lossless(area4: Area4, pki: LabPki, broker: Broker) -> None:
    result = await audited(area4, pki, broker, [data(1), data(2), data(3)], "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["lossless"] is True
    (machine,) = report["machines"]
    assert (machine["machine"], machine["messages"], machine["values"], machine["holes"]) == (MACHINE, 3, 3, [])
    assert machine["repeats"] > 0
    assert machine["takenToArrival"]["count"] == 3


async def test_a_hole_is_told_with_exit_code_5(area4: Area4, pki: LabPki, broker: Broker) -> None:
    result = await audited(area4, pki, broker, [data(1), data(2), data(5)])
    assert_told(result, 5, "missing, wrong or out of order, and no gap says so")
    assert f"hole: {MACHINE} seq 3 to 4" in result.stdout
    assert "lossless: no" in result.stdout


async def test_an_announced_hole_is_a_loss(area4: Area4, pki: LabPki, broker: Broker) -> None:
    result = await audited(area4, pki, broker, [data(1), data(2), data(5), gap(6, 3, 4)])
    assert_told(result, 5, "gap messages say which")
    assert f"missing as announced: {MACHINE} seq 3 to 4" in result.stdout


async def test_an_announced_hole_may_be_fine(area4: Area4, pki: LabPki, broker: Broker) -> None:
    result = await audited(area4, pki, broker, [data(1), data(2), data(5), gap(6, 3, 4)], "--announced-ok")
    assert result.returncode == 0, result.stderr
    assert "lossless: no, as announced" in result.stdout


async def test_silence_shows_nothing(area4: Area4, pki: LabPki, broker: Broker) -> None:
    result = await audited(area4, pki, broker, [])
    assert_told(result, 5, "no message came")


def test_a_ledger_that_is_none_is_told(area4: Area4, tmp_path: Path) -> None:
    result = area4("audit", "--for", "1")
    assert_told(result, 2, "missing: --url, --ca, --cert, --key")
