"""The MQTT sink alone: QoS 1 over mutual TLS to mosquitto on loopback. CPU time of this process, not wall time."""

import asyncio

import pytest

from adapters.mqtt.config import MqttConfig
from adapters.mqtt.sink import MqttSink
from gateway.contracts import Outgoing, Refusal
from security.pki import create_lab
from simulators.broker import Access, BrokerFiles, MosquittoBroker

pytestmark = pytest.mark.benchmark
SIZE, BATCH, COUNT = 2000, 100, 5000


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_publications(benchmark, tmp_path, protocol) -> None:
    pki = create_lab(tmp_path / "pki", machines=[])
    benchmark.extra_info.update(label=f"MQTT {protocol} publication of 2 kB, CPU", count=COUNT, per="message")
    runner = asyncio.Runner()

    async def prepare():
        files = BrokerFiles(pki.broker.certificate, pki.broker.key, pki.mqtt_ca_file, pki.mqtt_crl_file)
        broker = MosquittoBroker(tmp_path / "broker", files, Access({"gateway": "hall3"}))
        await broker.start()
        own = pki.gateway_mqtt
        security = {"certificate": own.certificate, "key": own.key, "trust": own.root}
        config = MqttConfig.model_validate({"url": broker.url, "protocol": protocol, "security": security})
        sink = MqttSink("hall", config, site="hall3", gateway="gateway", version="0")
        state = {"told": 0, "done": asyncio.Event()}

        def delivered(_number: int, refusal: Refusal | None) -> None:
            assert refusal is None
            state["told"] += 1
            if state["told"] == COUNT:
                state["done"].set()

        await sink.connect(delivered)
        return broker, sink, state

    async def publish(sink, state) -> None:
        state["told"] = 0
        state["done"].clear()
        for first in range(0, COUNT, BATCH):
            await sink.send(
                [Outgoing(number, "urn:maker:mill:7", "data", b"x" * SIZE) for number in range(first, first + BATCH)]
            )
        await asyncio.wait_for(state["done"].wait(), 60)

    broker, sink, state = runner.run(prepare())
    try:
        benchmark.pedantic(lambda: runner.run(publish(sink, state)), rounds=5, warmup_rounds=1)
    finally:
        runner.run(sink.close())
        runner.run(broker.stop())
        runner.close()
