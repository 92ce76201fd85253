"""The suite's own MQTT packets: what is built is what is read, however the bytes are cut."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.broker import hello, wire
from conformance.broker.wire import Kind, Parser, Prop
from conformance.suite.target import TargetError

TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=40)
NUMBERS = {Prop.PAYLOAD_FORMAT: 1, Prop.MESSAGE_EXPIRY: 2**32 - 1, Prop.TOPIC_ALIAS: 65_535}
ENTRIES = st.lists(
    st.one_of(
        st.tuples(st.just(int(Prop.USER_PROPERTY)), st.tuples(TEXT, TEXT)),
        st.tuples(st.just(int(Prop.CONTENT_TYPE)), TEXT),
        st.tuples(st.just(int(Prop.CORRELATION_DATA)), st.binary(max_size=40)),
        st.tuples(st.just(int(Prop.SUBSCRIPTION_ID)), st.integers(0, wire.MAX_VARINT)),
        *(st.tuples(st.just(int(key)), st.integers(0, most)) for key, most in NUMBERS.items()),
    ),
    max_size=6,
).map(tuple)


@given(st.integers(0, wire.MAX_VARINT))
def test_a_variable_byte_integer_comes_back(number: int) -> None:
    packet = Parser().feed(bytes([0x30]) + wire.varint(number))
    assert (packet != []) == (number == 0), "a packet is whole when its body is there"
    assert len(wire.varint(number)) == 1 + sum(number >= limit for limit in (2**7, 2**14, 2**21))


@given(TEXT, st.binary(max_size=300), st.integers(0, 2), st.booleans(), st.booleans(), ENTRIES, st.sampled_from([4, 5]))
def test_a_message_comes_back(
    topic: str, payload: bytes, qos: int, retain: bool, dup: bool, entries: wire.Properties, version: int
) -> None:
    data = wire.publish(
        topic, payload, qos=qos, packet_id=513, retain=retain, dup=dup, entries=entries, version=version
    )
    (packet,) = Parser().feed(data)
    message = wire.read_message(packet, version)
    assert message == (topic, payload, qos, retain, dup, 513 if qos else 0, entries if version == 5 else ())


@given(st.lists(st.binary(max_size=200), max_size=5), st.data())
def test_packets_come_back_however_the_bytes_are_cut(payloads: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(wire.publish("a", one) for one in payloads)
    parser, got = Parser(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        got += parser.feed(stream[:size])
        stream = stream[size:]
    assert [wire.read_message(one, 5).payload for one in got] == payloads


@given(st.binary(max_size=60), st.integers(0, 15), st.sampled_from([4, 5]))
def test_garbage_is_read_or_refused(body: bytes, flags: int, version: int) -> None:
    for kind, read in (
        (Kind.PUBLISH, wire.read_message),
        (Kind.SUBACK, wire.read_ack),
        (Kind.CONNACK, wire.read_answer),
    ):
        with suppress(wire.WireError):  # and nothing else
            assert read(wire.Packet(kind, flags, body), version) is not None


def test_a_remaining_length_of_five_bytes_is_refused() -> None:
    with pytest.raises(wire.WireError, match="four bytes"):
        Parser().feed(b"\x30\xff\xff\xff\xff\x01")


def test_the_bytes_of_a_connect_are_those_of_the_standard() -> None:
    packet = wire.connect("ab", keep_alive=10, entries=((Prop.SESSION_EXPIRY, 10),), will=wire.Will("t", b"w"))
    assert packet.hex(" ") == ("10 1b 00 04 4d 51 54 54 05 0e 00 0a 05 11 00 00 00 0a 00 02 61 62 00 00 01 74 00 01 77")


@given(st.binary(max_size=120))
def test_a_server_hello_is_read_or_refused(body: bytes) -> None:
    with suppress(TargetError):  # and nothing else
        assert hello.read_server_hello(body).raw == body


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "a/b", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
        ("$share/group/a/+", "a/b", True),
        ("a/b", "A/b", False),
        ("+", "/a", False),
        ("+/+", "/a", True),
    ],
)
def test_a_filter_matches(pattern: str, topic: str, expected: bool) -> None:
    assert wire.matches(pattern, topic) is expected
