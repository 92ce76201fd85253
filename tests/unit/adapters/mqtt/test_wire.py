from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from adapters.mqtt.client import packet_size
from adapters.mqtt.wire import WRITE_LIMIT, Wire


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def test_bytes_come_in_pieces_of_any_size(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    wire = Wire(ours, b"early")
    theirs.sendall(b"then")
    assert wire.pending() == 5
    assert [wire.recv(2), wire.recv(9), wire.recv(1), wire.recv(9)] == [b"ea", b"rly", b"t", b"hen"]
    assert wire.pending() == 0
    with pytest.raises(ssl.SSLWantReadError):
        wire.recv(1)
    assert wire.problem is None
    theirs.close()
    assert wire.recv(1) == b""


def test_writes_are_gathered_until_flush(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.setblocking(False)
    wire = Wire(ours)
    assert wire.send(b"one") + wire.send(b"two") == 6
    with pytest.raises(BlockingIOError):
        theirs.recv(10)
    assert wire.unsent == 6
    assert wire.flush()
    assert theirs.recv(10) == b"onetwo"


def test_what_the_network_does_not_take_is_bounded_and_stays_in_order(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    wire = Wire(ours)
    sent = bytearray()
    piece = bytes(range(256)) * 64
    while wire.unsent < WRITE_LIMIT or wire.flush():
        wire.send(piece)
        sent += piece
    while wire.unsent < WRITE_LIMIT:
        wire.send(piece)
        sent += piece
    with pytest.raises(BlockingIOError):
        wire.send(piece)
    assert WRITE_LIMIT <= wire.unsent < WRITE_LIMIT + len(piece)
    received = bytearray()
    while len(received) < len(sent):
        wire.flush()
        received += theirs.recv(65536)
    assert received == sent
    assert wire.flush()


def test_the_error_that_ended_it_is_kept(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    wire = Wire(ours)
    theirs.close()
    wire.send(b"x")
    with pytest.raises(BrokenPipeError):
        wire.flush()
    assert isinstance(wire.problem, BrokenPipeError)
    wire.close()
    wire.close()
    assert wire.fileno() == -1


def test_closing_writes_what_waits(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    wire = Wire(ours)
    wire.send(b"last word")
    wire.close()
    assert theirs.recv(20) == b"last word"


def test_it_never_blocks(pair: tuple[socket.socket, socket.socket]) -> None:
    wire = Wire(pair[0])
    wire.setblocking(False)
    with pytest.raises(ValueError, match="never blocks"):
        wire.setblocking(True)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(
    st.text(min_size=1, max_size=30),
    st.sampled_from([0, 1, 90, 130, 16_200, 16_400, 2_097_200]),
    st.booleans(),
    st.booleans(),
)
def test_the_size_of_a_packet_is_what_paho_writes(topic: str, length: int, version_5: bool, expiry: bool) -> None:
    topic = topic.replace("+", "p").replace("#", "s").encode("utf-8", "replace").decode()
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5 if version_5 else MQTTv311)
    written: list[int] = []
    client._sock = object()  # type: ignore[assignment]
    client._packet_queue = lambda _c, packet, *_: written.append(len(packet))  # type: ignore[method-assign,assignment,misc]
    properties = Properties(PacketTypes.PUBLISH) if version_5 else None  # type: ignore[no-untyped-call]
    if properties is not None and expiry:
        properties.MessageExpiryInterval = 5
    payload = b"x" * length
    client._send_publish(1, topic.encode(), payload, 1, False, properties=properties)
    client._sock = None
    assert written == [packet_size(topic, payload, version_5=version_5, expiry=expiry)]
