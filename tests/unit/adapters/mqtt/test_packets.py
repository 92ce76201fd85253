from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from adapters.mqtt.packets import (
    MalformedPacketError,
    packet_end,
    puback,
    publish,
    publish_properties,
    publish_size,
)

LARGEST = 1 << 20


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(
    topic=st.text(min_size=1, max_size=30),
    mid=st.integers(1, 65_535),
    length=st.sampled_from([0, 1, 90, 130, 16_200, 16_400, 2_097_200]),
    version_5=st.booleans(),
    expiry=st.none() | st.integers(1, 2**32 - 1),
    retain=st.booleans(),
)
def test_a_publication_is_what_paho_writes(
    topic: str, mid: int, length: int, version_5: bool, expiry: int | None, retain: bool
) -> None:
    topic = topic.replace("+", "p").replace("#", "s").encode("utf-8", "replace").decode()
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5 if version_5 else MQTTv311)
    written: list[bytes] = []
    client._sock = object()  # type: ignore[assignment]
    client._packet_queue = lambda _c, packet, *_: written.append(bytes(packet))  # type: ignore[method-assign,assignment,misc]
    properties = Properties(PacketTypes.PUBLISH) if version_5 else None  # type: ignore[no-untyped-call]
    if properties is not None and expiry is not None:
        properties.MessageExpiryInterval = expiry
    payload = b"x" * length
    client._send_publish(mid, topic.encode(), payload, 1, retain, properties=properties)
    client._sock = None
    own = publish_properties(expiry, version_5=version_5)
    assert [publish(topic.encode(), mid, payload, properties=own, retain=retain)] == written
    assert publish_size(topic.encode(), payload, own) == len(written[0])


@given(rest=st.integers(0, 200), before=st.integers(0, 3), after=st.integers(0, 3))
def test_a_packet_ends_where_its_length_says(rest: int, before: int, after: int) -> None:
    length = bytes((rest,)) if rest < 128 else bytes((rest & 127 | 128, rest >> 7))
    packet = b"\x40" + length + bytes(rest)
    data = b"\xff" * before + packet + b"\xff" * after
    assert packet_end(data, before, LARGEST) == before + len(packet)
    for end in range(before, before + len(packet)):
        assert packet_end(data[:end], before, LARGEST) is None


@pytest.mark.parametrize("length", [b"\xff\xff\xff\xff\x01", b"\x80\x80\x80\x80\x80", b"\x81\x80\x40"])
def test_a_length_that_is_none_or_too_much_is_refused(length: bytes) -> None:
    with pytest.raises(MalformedPacketError):
        packet_end(b"\x40" + length + bytes(10), 0, LARGEST)


@pytest.mark.parametrize(
    ("packet", "mid", "reason"),
    [
        (b"\x40\x02\x12\x34", 0x1234, None),
        (b"\x40\x03\x00\x01\x10", 1, None),  # no matching subscribers: it is accepted
        (b"\x40\x04\x00\x01\x00\x00", 1, None),
        (b"\x40\x03\x00\x01\x87", 1, "Not authorized"),
        (b"\x40\x04\x00\x01\x97\x00", 1, "Quota exceeded"),
        (b"\x40\x09\x00\x01\x87\x05\x1f\x00\x02no", 1, "no"),
        (b"\x40\x03\x00\x01\xf3", 1, "reason 0xF3"),
        (b"\x40\x10\x00\x01\x87\x0c\x26\x00\x01a\x00\x01b\x1f\x00\x02no", 1, "no"),
        (b"\x40\x06\x00\x01\x87\x09\x1f\x00", 1, "Not authorized"),  # cut off
        (b"\x40\x06\x00\x01\x87\x02\x01\x00", 1, "Not authorized"),  # a property that a PUBACK does not have
    ],
)
def test_an_acknowledgement_says_what_and_whether_it_was_refused(packet: bytes, mid: int, reason: str | None) -> None:
    assert puback(packet) == (mid, reason)


def test_a_long_reason_is_read() -> None:
    text = b"r" * 300
    properties = b"\xaf\x02\x1f" + len(text).to_bytes(2, "big") + text
    rest = b"\x00\x05\x87" + properties
    assert puback(b"\x40" + bytes((len(rest) & 127 | 128, len(rest) >> 7)) + rest) == (5, "r" * 300)


@pytest.mark.parametrize("packet", [b"\x40\x00", b"\x40\x01\x00"])
def test_an_acknowledgement_of_nothing_is_malformed(packet: bytes) -> None:
    with pytest.raises(MalformedPacketError):
        puback(packet)


@given(st.binary(min_size=2, max_size=40))
def test_no_bytes_make_it_fail_otherwise(rest: bytes) -> None:
    mid, reason = puback(b"\x40" + bytes((len(rest),)) + rest)
    assert 0 <= mid <= 65_535
    assert reason is None or reason
