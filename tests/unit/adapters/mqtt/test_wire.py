from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator

import pytest

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


def test_a_read_leaves_nothing_within_tls(pair: tuple[socket.socket, socket.socket]) -> None:
    """The network announces what is left in its buffer, never what OpenSSL has taken from it already."""
    ends = []
    for end, server in zip(pair, (False, True), strict=True):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AECDH-AES256-SHA:@SECLEVEL=0")  # without certificates: records are what matters
        end.setblocking(False)
        ends.append(context.wrap_socket(end, server_side=server, do_handshake_on_connect=False))
    ours, theirs = ends
    with ours, theirs:
        done: set[ssl.SSLSocket] = set()
        while len(done) < len(ends):
            for one in ends:
                with contextlib.suppress(ssl.SSLWantReadError):
                    one.do_handshake()
                    done.add(one)
        sent = bytes(range(256)) * 256
        assert theirs.send(sent) == len(sent)
        wire = Wire(ours)
        received = b""
        while wire.fill():
            assert ours.pending() == 0
            received += wire.recv(len(sent))
        assert received == sent
