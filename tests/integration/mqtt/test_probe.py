from __future__ import annotations

import re
from pathlib import Path

from adapters.mqtt.sink import MqttSink
from gateway.contracts import ProbeStep
from security.pki import Authority, PkiFolder, trust_authority
from simulators.broker import Broker

from .conftest import Deliveries, Lab, SinkMaker, Watcher, until


async def steps_of(sink: MqttSink) -> list[ProbeStep]:
    return [step async for step in sink.probe()]


async def test_each_step_is_told(broker: Broker, watcher: Watcher, sink_to: SinkMaker) -> None:
    steps = await steps_of(sink_to(broker.url))
    assert [(step.name, step.ok) for step in steps] == [
        (name, True) for name in ("files", "resolve", "tcp", "tls", "connect", "publish")
    ]
    found = {step.name: step.found for step in steps}
    assert re.search(
        r"TLSv1.3, TLS_\w+; broker commonName=broker, valid until \d{4}-\d\d-\d\d; "
        r"our certificate is valid until \d{4}-\d\d-\d\d",
        found["tls"],
    )
    assert found["connect"] == (
        "MQTT 5 accepted, Receive Maximum 100, Maximum Packet Size 4194304 bytes, retained messages kept"
    )
    assert found["publish"] == "area4/v1/hall3/_gateway/gateway/status: acknowledged"


async def test_a_probe_does_not_disturb_a_running_gateway(
    broker: Broker, watcher: Watcher, sink_to: SinkMaker, lab: Lab
) -> None:
    running = sink_to(broker.url)
    await running.connect(Deliveries())
    await until(lambda: len(watcher.messages) == 1)
    steps = await steps_of(sink_to(broker.url))
    assert all(step.ok for step in steps)
    assert running.status.state == "online"
    await until(lambda: len(watcher.messages) == 2)
    assert watcher.messages[1] == ("area4/v1/hall3/_gateway/gateway/status", b"", False)
    late = await Watcher(broker.url, lab.watcher).ready()
    await until(lambda: late.messages)
    late.close()
    assert b'"state":"online"' in late.messages[0][1]


async def test_a_denied_topic_shows_in_mqtt_5_and_cannot_in_3_1_1(broker: Broker, sink_to: SinkMaker) -> None:
    last = (await steps_of(sink_to(broker.url, site="hall4")))[-1]
    assert (last.name, last.ok) == ("publish", False)
    assert last.found == "area4/v1/hall4/_gateway/gateway/status: Not authorized"
    assert "access list" in last.advice
    last = (await steps_of(sink_to(broker.url, site="hall4", protocol="3.1.1")))[-1]
    assert (last.name, last.ok) == ("publish", True)
    assert "acknowledges what it denies too" in last.found


async def test_the_failing_step_is_the_last_one(broker: Broker, sink_to: SinkMaker, lab: Lab, tmp_path: Path) -> None:
    steps = await steps_of(sink_to("mqtts://no-such-host.invalid:8883"))
    assert [step.name for step in steps] == ["files", "resolve"]
    assert not steps[-1].ok
    steps = await steps_of(sink_to("mqtts://127.0.0.1:1"))
    assert [step.name for step in steps] == ["files", "resolve", "tcp"]
    assert "Nothing accepts a connection" in steps[-1].found
    steps = await steps_of(sink_to(broker.url, security={"key": tmp_path / "absent.pem"}))
    assert [(step.name, step.ok) for step in steps] == [("files", False)]
    rogue = Authority.create(tmp_path / "rogue", "Rogue authority")
    stranger = rogue.issue_client("gateway").install(PkiFolder(tmp_path / "stranger"))
    trust_authority(stranger, lab.authority, "mqtt-ca", pem=True)
    steps = await steps_of(sink_to(broker.url, stranger))
    assert (steps[-1].name, steps[-1].ok) == ("tls", False)
    assert "does not know the authority of our certificate" in steps[-1].found
