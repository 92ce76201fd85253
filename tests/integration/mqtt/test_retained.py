from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from gateway.contracts import Outgoing
from gateway.model.messages import GatewayStatus
from simulators.broker import Broker

from .conftest import Deliveries, Lab, SinkMaker, Watcher, until

STATUS = "area4/v1/hall3/_gateway/gateway/status"
MACHINE = "area4/v1/hall3/urn:maker:mill:7/status"

CLIENT = """
import asyncio, sys
from adapters.mqtt.config import MqttConfig
from adapters.mqtt.sink import MqttSink

async def main():
    config = MqttConfig.model_validate_json(sys.argv[1])
    sink = MqttSink("hall", config, site="hall3", gateway="gateway", version="0.1.0")
    await sink.connect(lambda number, refusal: None)
    print("connected", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_description_and_states_are_there_for_a_late_subscriber(
    broker: Broker, sink_to: SinkMaker, lab: Lab
) -> None:
    sink = sink_to(broker.url)
    told = Deliveries()
    sink.announce("status", "urn:maker:mill:7", b'{"state":"offline"}')
    await sink.connect(told)
    await sink.send([Outgoing(1, "urn:maker:mill:7", "description", b'{"seq":1}')])
    sink.announce("status", "urn:maker:mill:7", b'{"state":"online"}')
    await until(lambda: told.ids == [1] and not sink.status.details["announcing"])
    await until(lambda: not sink.status.details["in_flight"])
    late = await Watcher(broker.url, lab.watcher).ready()
    await until(lambda: len(late.messages) == 3)
    late.close()
    assert all(retained for _, _, retained in late.messages)
    found = {topic: payload for topic, payload, _ in late.messages}
    assert found["area4/v1/hall3/urn:maker:mill:7/description"] == b'{"seq":1}'
    assert found[MACHINE] == b'{"state":"online"}'
    status = GatewayStatus.model_validate_json(found[STATUS])
    assert (status.state, status.version) == ("online", "0.1.0")


async def test_of_many_changes_the_last_one_stays(
    broker: Broker, watcher: Watcher, sink_to: SinkMaker, lab: Lab
) -> None:
    sink = sink_to(broker.url)
    await sink.connect(Deliveries())
    for number in range(2000):
        sink.announce("status", f"m{number % 50}", b'{"n":%d}' % number)
    await until(lambda: not sink.status.details["announcing"] and not sink.status.details["in_flight"])
    late = await Watcher(broker.url, lab.watcher).ready()
    await until(lambda: len(late.messages) == 51)
    late.close()
    found = {topic: json.loads(payload) for topic, payload, _ in late.messages}
    assert [found[f"area4/v1/hall3/m{number}/status"]["n"] for number in range(50)] == list(range(1950, 2000))


async def test_what_was_announced_is_published_again_after_a_reconnect(
    broker: Broker, sink_to: SinkMaker, lab: Lab
) -> None:
    sink = sink_to(broker.url)
    await sink.connect(Deliveries())
    sink.announce("gateway-status", "gateway", b'{"state":"online","own":true}')
    sink.announce("status", "urn:maker:mill:7", b'{"state":"online"}')
    await until(lambda: not sink.status.details["announcing"] and not sink.status.details["in_flight"])
    await broker.kill()
    (broker.folder / "data" / "mosquitto.db").unlink(missing_ok=True)
    await asyncio.wait_for(sink.wait_lost(), 20)
    sink.announce("status", "urn:maker:mill:7", b'{"state":"silent"}')
    await broker.start()
    late = await Watcher(broker.url, lab.watcher).ready()
    await sink.connect(Deliveries())
    await until(lambda: len(late.messages) == 2)
    late.close()
    assert late.of(MACHINE) == [b'{"state":"silent"}']
    assert late.of(STATUS) == [b'{"state":"online","own":true}']


async def test_a_polite_end_leaves_offline_behind(broker: Broker, watcher: Watcher, sink_to: SinkMaker) -> None:
    sink = sink_to(broker.url)
    await sink.connect(Deliveries())
    sink.announce("status", "urn:maker:mill:7", b'{"state":"offline"}')
    await sink.close()
    await sink.close()
    assert sink.status.state == "stopped"
    await until(lambda: len(watcher.of(STATUS)) == 2 and watcher.of(MACHINE))
    last = GatewayStatus.model_validate_json(watcher.of(STATUS)[-1])
    assert (last.state, last.reason) == ("offline", "stopped")
    await asyncio.sleep(0.3)
    assert len(watcher.of(STATUS)) == 2, "no last will after a polite end"


async def test_the_last_will_is_seen_when_the_gateway_is_killed(
    broker: Broker, watcher: Watcher, sink_to: SinkMaker, tmp_path: Path
) -> None:
    config = sink_to(broker.url)._config.model_dump_json()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", CLIENT, config, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 30) == b"connected\n"
    await until(lambda: len(watcher.of(STATUS)) == 1)
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    await until(lambda: len(watcher.of(STATUS)) == 2)
    will = GatewayStatus.model_validate_json(watcher.of(STATUS)[-1])
    assert (will.state, will.since, will.reason) == ("offline", None, "connection lost")
