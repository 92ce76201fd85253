from __future__ import annotations

import asyncio
import json
import signal

import pytest

from gateway.contracts import Outgoing
from gateway.errors import UnreachableError
from simulators.broker import Broker

from .conftest import OTHER, WATCHER, Deliveries, Lab, SinkMaker, Watcher, outgoing, until

DATA = "area4/v1/hall3/urn:maker:mill:7/data"


async def test_2000_messages_arrive_in_order_and_each_is_told_once(
    broker: Broker, watcher: Watcher, sink_to: SinkMaker
) -> None:
    sink = sink_to(broker.url)
    told = Deliveries()
    await sink.connect(told)
    assert sink.status.state == "online"
    await sink.send(outgoing(2000))
    await until(lambda: len(told.told) == 2000)
    assert told.ids == list(range(1, 2001))
    await until(lambda: len(watcher.of(DATA)) == 2000)
    assert [json.loads(payload)["seq"] for payload in watcher.of(DATA)] == list(range(1, 2001))
    assert sink.status.details["delivered"] == 2000
    assert sink.status.details["in_flight"] == 0


async def test_the_same_over_mqtt_3_1_1(broker: Broker, watcher: Watcher, sink_to: SinkMaker) -> None:
    sink = sink_to(broker.url, protocol="3.1.1")
    told = Deliveries()
    await sink.connect(told)
    await sink.send(outgoing(300))
    await until(lambda: len(told.told) == 300)
    assert told.ids == list(range(1, 301))
    await until(lambda: len(watcher.of(DATA)) == 300)
    assert sink.status.details["protocol"] == "MQTT 3.1.1"


async def test_messages_larger_than_a_tls_record_and_than_the_socket_buffer(
    broker: Broker, watcher: Watcher, sink_to: SinkMaker
) -> None:
    sink = sink_to(broker.url)
    told = Deliveries()
    await sink.connect(told)
    sizes = [0, 126, 127, 128, 16_300, 16_384, 100_000, 3_000_000]
    messages = [Outgoing(number, "m", "data", bytes([65 + number]) * size) for number, size in enumerate(sizes, 1)]
    await sink.send(messages)
    await until(lambda: len(told.told) == len(sizes))
    topic = "area4/v1/hall3/m/data"
    await until(lambda: len(watcher.of(topic)) == len(sizes))
    assert watcher.of(topic) == [one.payload for one in messages]


async def test_a_broker_killed_in_the_middle_is_noticed_and_the_rest_goes_to_the_next_one(
    broker: Broker, sink_to: SinkMaker, lab: Lab
) -> None:
    sink = sink_to(broker.url)
    first = Deliveries()
    await sink.connect(first)
    messages = outgoing(5000)
    sending = asyncio.create_task(sink.send(messages))
    await until(lambda: len(first.told) > 300)
    await broker.kill()
    with pytest.raises(UnreachableError):
        await sending
    reason = await asyncio.wait_for(sink.wait_lost(), 20)
    assert broker.url in str(reason)
    assert sink.status.state == "offline"
    with pytest.raises(UnreachableError, match="Nothing accepts a connection"):
        await sink.connect(first)
    told_before = len(first.told)

    await broker.start()
    watcher = await Watcher(broker.url, lab.watcher).ready()
    second = Deliveries()
    await sink.connect(second)
    rest = messages[told_before:]
    await sink.send(rest)
    await until(lambda: len(second.told) == len(rest))
    assert len(first.told) == told_before
    assert first.ids + second.ids == [one.id for one in messages]
    await until(lambda: len(watcher.of(DATA)) == len(rest))
    watcher.close()


async def test_a_broker_that_hangs_is_noticed_by_keep_alive(broker: Broker, sink_to: SinkMaker) -> None:
    sink = sink_to(broker.url, keep_alive=1.0)
    await sink.connect(Deliveries())
    broker.signal(signal.SIGSTOP)
    try:
        reason = await asyncio.wait_for(sink.wait_lost(), 30)
    finally:
        broker.signal(signal.SIGCONT)
    assert "does not answer any more" in str(reason)


async def test_what_the_access_list_denies_is_a_refusal(broker: Broker, watcher: Watcher, sink_to: SinkMaker) -> None:
    sink = sink_to(broker.url, site="hall4")
    told = Deliveries()
    await sink.connect(told)
    await sink.send(outgoing(3))
    await until(lambda: len(told.told) == 3)
    refused = [refusal for _, refusal in told.told]
    assert all(one is not None and one.reason == "Not authorized" for one in refused)
    assert {one.topic for one in refused if one} == {"area4/v1/hall4/urn:maker:mill:7/data"}
    status = sink.status
    assert status.state == "degraded"
    assert "area4/v1/hall4" in status.reason
    assert "access list" in status.advice
    assert watcher.messages == []


async def test_one_gateway_cannot_speak_as_another(
    broker: Broker, watcher: Watcher, sink_to: SinkMaker, lab: Lab
) -> None:
    liar = sink_to(broker.url, lab.other, gateway="gateway", client_id="liar")
    told = Deliveries()
    await liar.connect(told)
    await liar.send(outgoing(1))
    await until(lambda: told.told)
    assert told.told[0][1] is not None
    honest = sink_to(broker.url, lab.other, gateway=OTHER, site="hall4")
    await honest.connect(told)
    await honest.send(outgoing(1, first=2))
    await until(lambda: told.ids == [2])
    await until(lambda: len(watcher.messages) == 2)
    assert {topic for topic, _, _ in watcher.messages} == {
        "area4/v1/hall4/_gateway/other-gateway/status",
        "area4/v1/hall4/urn:maker:mill:7/data",
    }


async def test_a_consumer_cannot_write(broker: Broker, watcher: Watcher, sink_to: SinkMaker, lab: Lab) -> None:
    sink = sink_to(broker.url, lab.watcher, gateway=WATCHER)
    told = Deliveries()
    await sink.connect(told)
    await sink.send(outgoing(1))
    await until(lambda: told.told)
    assert told.told[0][1] is not None
    assert watcher.messages == []


async def test_two_clients_of_one_identifier_are_told_so(broker: Broker, sink_to: SinkMaker) -> None:
    one, two = sink_to(broker.url), sink_to(broker.url)
    await one.connect(Deliveries())
    await two.connect(Deliveries())
    reason = await asyncio.wait_for(one.wait_lost(), 20)
    assert "closed the connection" in str(reason)
    assert "client_id" in reason.advice


async def test_a_sink_without_connection_says_so(sink_to: SinkMaker) -> None:
    sink = sink_to("mqtts://127.0.0.1:1")
    with pytest.raises(UnreachableError, match="no connection"):
        await sink.send(outgoing(1))
    assert "no connection" in str(await sink.wait_lost())
    assert sink.status.state == "offline"
    await sink.close()
