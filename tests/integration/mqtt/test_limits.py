"""What a broker limits or does wrong; mostly a recording fake, because real brokers hide it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.mqtt.config import MqttConfig
from adapters.mqtt.sink import MqttSink
from gateway.contracts import Outgoing
from gateway.errors import ConfigurationError, RefusedError, UnreachableError
from simulators.broker import Limits

from .conftest import FAST, Deliveries, Lab, SinkMaker, mosquitto, outgoing, until
from .fake_broker import FakeBroker, fake, served

RECEIVE_MAXIMUM_3 = b"\x00\x00\x03\x21\x00\x03"
RECEIVE_MAXIMUM_1 = b"\x00\x00\x03\x21\x00\x01"
MAXIMUM_PACKET_1000 = b"\x00\x00\x05\x27\x00\x00\x03\xe8"
QOS_0_ONLY = b"\x00\x00\x02\x24\x00"
NO_RETAIN = b"\x00\x00\x02\x25\x00"


def sink_of(broker: FakeBroker, **changes: Any) -> MqttSink:
    values = {"url": f"mqtt://127.0.0.1:{broker.port}", "waivers": ["plaintext"], **changes}
    return MqttSink("hall", MqttConfig.model_validate(values), site="hall3", gateway="gateway", version="0")


@pytest.fixture
async def closing() -> AsyncIterator[list[MqttSink]]:
    made: list[MqttSink] = []
    yield made
    for sink in made:
        await sink.close()


@pytest.mark.parametrize(("connack", "most"), [(RECEIVE_MAXIMUM_3, 3), (RECEIVE_MAXIMUM_1, 1)])
async def test_receive_maximum_holds_for_messages_and_announcements_together(
    connack: bytes, most: int, closing: list[MqttSink]
) -> None:
    async with fake(FakeBroker(connack=connack, delay=0.002)) as broker:
        sink = sink_of(broker)
        closing.append(sink)
        told = Deliveries()
        await sink.connect(told)
        sending = asyncio.create_task(sink.send(outgoing(200)))
        for number in range(100):
            sink.announce("status", f"m{number % 10}", b"%d" % number)
            await asyncio.sleep(0.001)
        await sending
        await until(lambda: told.ids == list(range(1, 201)))
        await until(lambda: not sink.status.details["announcing"])
        assert broker.most_outstanding == most


async def test_the_configured_window_holds_where_the_broker_names_none(closing: list[MqttSink]) -> None:
    async with fake(FakeBroker(answer=lambda topic, _: 0 if "_gateway" in topic else None)) as broker:
        sink = sink_of(broker, window={"messages": 7})
        closing.append(sink)
        await sink.connect(Deliveries())
        sending = asyncio.create_task(sink.send(outgoing(50)))
        await until(lambda: sum("_gateway" not in topic for topic in broker.topics) == 7)
        await asyncio.sleep(0.2)
        assert sum("_gateway" not in topic for topic in broker.topics) == 7
        assert not sending.done()
        assert sink.status.details["in_flight"] == 7
        broker.writer.transport.abort()  # type: ignore[union-attr]
        with pytest.raises(UnreachableError):
            await sending


async def test_closing_ends_a_send_that_waits(closing: list[MqttSink]) -> None:
    async with fake(FakeBroker(answer=lambda topic, _: 0 if "_gateway" in topic else None)) as broker:
        sink = sink_of(broker, window={"messages": 2})
        closing.append(sink)
        await sink.connect(Deliveries())
        sending = asyncio.create_task(sink.send(outgoing(50)))
        lost = asyncio.create_task(sink.wait_lost())
        await until(lambda: sink.status.details["in_flight"] == 2)
        await sink.close()
        with pytest.raises(UnreachableError, match="was closed"):
            await asyncio.wait_for(sending, 10)
        assert "was closed" in str(await asyncio.wait_for(lost, 10))


async def test_bytes_in_flight_are_bounded_too(closing: list[MqttSink]) -> None:
    async with fake(FakeBroker(answer=lambda topic, _: 0 if "_gateway" in topic else None)) as broker:
        sink = sink_of(broker, window={"messages": 100, "bytes": 100_000})
        closing.append(sink)
        await sink.connect(Deliveries())
        sending = asyncio.create_task(sink.send(outgoing(50, size=30_000)))
        await asyncio.sleep(0.3)
        assert sink.status.details["in_flight"] == 3
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def test_mosquittos_receive_maximum_is_respected(lab: Lab, tmp_path: Path, sink_to: SinkMaker) -> None:
    async with mosquitto(lab, tmp_path / "b", limits=Limits(max_inflight=4, autosave_changes=FAST)) as broker:
        sink = sink_to(broker.url, window={"messages": 1000})
        told = Deliveries()
        await sink.connect(told)
        assert sink.status.details["receive_maximum"] == 4
        assert sink.status.details["window"] == 3
        await sink.send(outgoing(500))
        await until(lambda: told.ids == list(range(1, 501)))


async def test_a_message_too_large_for_the_broker_is_a_refusal(lab: Lab, tmp_path: Path, sink_to: SinkMaker) -> None:
    async with mosquitto(lab, tmp_path / "b", limits=Limits(max_packet=2000, autosave_changes=FAST)) as broker:
        sink = sink_to(broker.url)
        told = Deliveries()
        await sink.connect(told)
        fits = 2000 - (1 + 2 + 2 + len("area4/v1/hall3/m/data") + 2 + 1)
        await sink.send(
            [
                Outgoing(1, "m", "data", b"x" * fits),
                Outgoing(2, "m", "data", b"x" * (fits + 1)),
                Outgoing(3, "m", "data", b"x"),
            ]
        )
        await until(lambda: len(told.told) == 3)
        assert sorted(told.ids) == [1, 3]
        (refusal,) = [one for _, one in told.told if one is not None]
        assert refusal.reason == "2001 bytes; the broker takes 2000 (Maximum Packet Size)"
        sink.announce("status", "m", b"x" * 3000)
        await asyncio.sleep(0.1)
        assert sink.status.state == "degraded"


async def test_a_refusal_ends_when_the_topic_is_accepted_again(closing: list[MqttSink]) -> None:
    reasons = {b"no": 0x97}
    async with fake(FakeBroker(answer=lambda _, payload: reasons.get(payload, 0))) as broker:
        sink = sink_of(broker)
        closing.append(sink)
        told = Deliveries()
        await sink.connect(told)
        await sink.send([Outgoing(1, "m", "data", b"no")])
        await until(lambda: told.told)
        assert told.told[0][1] is not None
        assert told.told[0][1].reason == "Quota exceeded"
        assert sink.status.state == "degraded"
        await sink.send([Outgoing(2, "m", "data", b"yes")])
        await until(lambda: told.ids == [2])
        assert sink.status.state == "online"


async def test_no_matching_subscribers_is_no_refusal(closing: list[MqttSink]) -> None:
    async with fake(FakeBroker(answer=lambda *_: 0x10)) as broker:
        sink = sink_of(broker)
        closing.append(sink)
        told = Deliveries()
        await sink.connect(told)
        await sink.send(outgoing(1))
        await until(lambda: told.ids == [1])


@pytest.mark.parametrize(
    ("reason", "error", "words"),
    [
        (0x87, RefusedError, "Not authorized"),
        (0x86, RefusedError, "Bad user name or password"),
        (0x84, ConfigurationError, 'protocol = "3.1.1"'),
        (0x85, ConfigurationError, "client_id"),
        (0x9A, ConfigurationError, "retained"),
        (0x88, UnreachableError, "busy or shutting down"),
    ],
)
async def test_a_refused_connect_says_what_to_do(reason: int, error: type[Exception], words: str) -> None:
    async with fake(FakeBroker(connack=bytes([0, reason, 0]))) as broker:
        sink = sink_of(broker)
        with pytest.raises(error) as caught:
            await sink.connect(Deliveries())
        assert words in caught.value.told  # type: ignore[attr-defined]
        assert sink.status.state == ("refused" if error is RefusedError else "offline")


async def test_a_refused_connect_in_3_1_1(closing: list[MqttSink]) -> None:
    async with fake(FakeBroker(connack=b"\x00\x05")) as broker:
        with pytest.raises(RefusedError, match="Not authorized"):
            await sink_of(broker, protocol="3.1.1").connect(Deliveries())


async def test_a_broker_of_qos_0_is_refused() -> None:
    async with fake(FakeBroker(connack=QOS_0_ONLY)) as broker:
        with pytest.raises(ConfigurationError, match="QoS 0"):
            await sink_of(broker).connect(Deliveries())


async def test_a_broker_without_retained_messages_gets_none(closing: list[MqttSink]) -> None:
    async with fake(FakeBroker(connack=NO_RETAIN)) as broker:
        sink = sink_of(broker)
        closing.append(sink)
        await sink.connect(Deliveries())
        await until(lambda: 3 in broker.kinds)
        assert all(not head & 1 for head, _ in broker.packets if head >> 4 == 3)


async def test_the_brokers_last_word_is_told(closing: list[MqttSink]) -> None:
    async with fake(FakeBroker()) as broker:
        sink = sink_of(broker)
        closing.append(sink)
        await sink.connect(Deliveries())
        broker.writer.write(b"\xe0\x02\x8e\x00")  # type: ignore[union-attr]
        reason = await asyncio.wait_for(sink.wait_lost(), 10)
        assert "Session taken over" in str(reason)
        assert "its own client_id" in reason.advice


async def test_a_port_that_says_nothing_is_given_up() -> None:
    async def mute(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with served(mute) as port:
        sink = sink_of(FakeBroker(port=port), connect_timeout=0.5)
        with pytest.raises(UnreachableError, match=r"did not answer CONNECT within 0\.5 s"):
            await sink.connect(Deliveries())


async def test_rubbish_instead_of_mqtt_is_told() -> None:
    async def rubbish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10)
        await reader.read()

    async with served(rubbish) as port:
        with pytest.raises(UnreachableError, match="no MQTT"):
            await sink_of(FakeBroker(port=port)).connect(Deliveries())


async def test_silence_instead_of_acknowledgements_shows_and_then_ends_the_connection(closing: list[MqttSink]) -> None:
    async with fake(FakeBroker(answer=lambda topic, _: 0 if "_gateway" in topic else None)) as broker:
        sink = sink_of(broker, window={"timeout": 5.0}, keep_alive=2.0)
        closing.append(sink)
        await sink.connect(Deliveries())
        await sink.send(outgoing(1))
        await until(lambda: sink.status.state == "silent")
        reason = await asyncio.wait_for(sink.wait_lost(), 20)
        assert "acknowledged nothing for 5 s" in str(reason)
        assert sink.status.state == "offline"


async def test_message_expiry_goes_with_data_but_not_with_descriptions(closing: list[MqttSink]) -> None:
    async with fake(FakeBroker()) as broker:
        sink = sink_of(broker, message_expiry=60)
        closing.append(sink)
        told = Deliveries()
        await sink.connect(told)
        await sink.send([Outgoing(1, "m", "data", b"D"), Outgoing(2, "m", "description", b"D")])
        await until(lambda: told.ids == [1, 2])
        data, description = (body for head, body in broker.packets if head >> 4 == 3 and body.endswith(b"D"))
        assert data.endswith(b"\x05\x02\x00\x00\x00\x3cD")
        assert description.endswith(b"\x00D")


async def test_a_stopped_broker_bounds_our_memory(lab: Lab, tmp_path: Path, sink_to: SinkMaker) -> None:
    async with mosquitto(lab, tmp_path / "b") as broker:
        sink = sink_to(broker.url, window={"messages": 10_000, "bytes": 1_000_000}, keep_alive=60.0)
        told = Deliveries()
        await sink.connect(told)
        broker.signal(signal.SIGSTOP)
        sending = asyncio.create_task(sink.send(outgoing(3000, size=10_000)))
        await asyncio.sleep(0.5)
        link = sink._link
        assert link is not None
        queued = sum(one["to_process"] for one in link.connection._client._out_packet)
        assert queued + link.connection._wire.unsent <= 1_100_000
        assert link.window.size <= 1_000_000
        broker.signal(signal.SIGCONT)
        await sending
        await until(lambda: told.ids == list(range(1, 3001)), 60)
