from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from simulators.mutants import packets
from simulators.mutants.gateway_faults import Willless
from simulators.mutants.packets import Packet, Publish

PUBLISHES = st.builds(
    Publish,
    topic=st.text(max_size=40),
    payload=st.binary(max_size=300),
    qos=st.sampled_from([0, 1, 2]),
    retain=st.booleans(),
    duplicate=st.booleans(),
    number=st.integers(1, 65_535),
    properties=st.just(b""),
)


async def parsed(data: bytes) -> Packet | None:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return await packets.read(reader)


@given(PUBLISHES, st.sampled_from([b"\x00", b"\x03\x01\x00\x02"[:1] + b"\x23\x00\x05"]), st.booleans())
def test_a_publish_and_back(message: Publish, properties: bytes, modern: bool) -> None:
    whole = Publish(
        message.topic, message.payload, message.qos, message.retain, message.duplicate,
        message.number if message.qos else 0, properties if modern else b"",
    )  # fmt: skip
    packet = asyncio.run(parsed(whole.packet().encode()))
    assert packet is not None
    assert Publish.decode(packet, 5 if modern else 4) == whole


@given(st.binary(max_size=40))
def test_what_is_cut_off_is_the_end(data: bytes) -> None:
    whole = Packet(packets.PUBLISH, 0, bytes(200)).encode()
    assert asyncio.run(parsed(whole[: len(data)])) is None


def test_the_will_leaves_the_connect() -> None:
    def text(value: bytes) -> bytes:
        return len(value).to_bytes(2, "big") + value

    head = text(b"MQTT") + bytes([5, 0b0010_0110]) + (30).to_bytes(2, "big")
    connect = Packet(
        packets.CONNECT, 0, head + b"\x00" + text(b"me") + b"\x05\x18\x00\x00\x00\x05" + text(b"t") + text(b"gone")
    )
    left = Willless().connect(connect)
    assert left.body == text(b"MQTT") + bytes([5, 2]) + (30).to_bytes(2, "big") + b"\x00" + text(b"me")
    assert Willless().connect(left) == left
