"""CPU of the MQTT sink: microseconds a message of 2 kB, QoS 1, mutual TLS, mosquitto on loopback.

Run: python tests/benchmarks/bench_mqtt_sink.py [messages] [5|3.1.1]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from adapters.mqtt.config import MqttConfig
from adapters.mqtt.sink import MqttSink
from gateway.contracts import Outgoing, Refusal
from security.pki import create_lab
from simulators.broker import Access, BrokerFiles, MosquittoBroker

SIZE = 2000
BATCH = 100


async def measure(folder: Path, count: int, protocol: str) -> tuple[float, float]:
    """CPU and wall seconds for `count` messages."""
    pki = create_lab(folder / "pki", machines=[])
    files = BrokerFiles(pki.broker.certificate, pki.broker.key, pki.mqtt_ca_file, pki.mqtt_crl_file)
    broker = MosquittoBroker(folder / "broker", files, Access({"gateway": "hall3"}))
    await broker.start()
    own = pki.gateway_mqtt
    security = {"certificate": own.certificate, "key": own.key, "trust": own.root}
    config = MqttConfig.model_validate({"url": broker.url, "protocol": protocol, "security": security})
    sink = MqttSink("hall", config, site="hall3", gateway="gateway", version="0")
    told = 0
    done = asyncio.Event()

    def delivered(_number: int, refusal: Refusal | None) -> None:
        nonlocal told
        assert refusal is None
        told += 1
        if told == count:
            done.set()

    await sink.connect(delivered)
    payload = b"x" * SIZE
    cpu, wall = time.process_time(), time.perf_counter()
    for first in range(0, count, BATCH):
        batch = [Outgoing(number, "urn:maker:mill:7", "data", payload) for number in range(first, first + BATCH)]
        await sink.send(batch)
    await done.wait()
    spent = time.process_time() - cpu, time.perf_counter() - wall
    await sink.close()
    await broker.stop()
    return spent


def main() -> None:
    """Three runs, the median told."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    protocol = sys.argv[2] if len(sys.argv) > 2 else "5"
    runs = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(asyncio.run(measure(Path(folder), count - count % BATCH, protocol)))
    cpu, wall = sorted(runs)[1]
    print(f"MQTT {protocol}: {cpu / count * 1e6:.1f} us CPU a message, {count / wall:.0f} messages/s")


if __name__ == "__main__":
    main()
