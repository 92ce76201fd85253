"""Listeners for the wire: a proxy that writes down what passes, and a broker with a certificate of our choice."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

HOST = "127.0.0.1"


@dataclass
class Connection:
    """What passed: from the client, and to it."""

    sent: bytearray = field(default_factory=bytearray)
    received: bytearray = field(default_factory=bytearray)


class Listener(ABC):
    """Accepts connections on a port of its own, each served by a thread, until closed."""

    def __init__(self) -> None:
        self._socket = socket.create_server((HOST, 0))
        self.port = int(self._socket.getsockname()[1])
        self.connections: list[Connection] = []
        self._open: set[socket.socket] = set()
        self._threads = [self._started(self._accept)]

    @abstractmethod
    def serve(self, client: socket.socket, connection: Connection) -> None:
        """Handle one connection until it ends."""

    def _started(self, work: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        thread.start()
        return thread

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:  # closed
                return
            self.connections.append(connection := Connection())
            self._threads.append(self._started(self._serve, client, connection))

    def _serve(self, client: socket.socket, connection: Connection) -> None:
        with self.held(client), contextlib.suppress(OSError):  # a peer that goes away ends its connection
            self.serve(client, connection)

    @contextlib.contextmanager
    def held(self, sock: socket.socket):
        self._open.add(sock)
        try:
            yield sock
        finally:
            self._open.discard(sock)
            sock.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)


class Recorder(Listener):
    """Passes everything on to a port, and keeps it."""

    def __init__(self, target: int) -> None:
        self.target = target
        super().__init__()

    def serve(self, client: socket.socket, connection: Connection) -> None:
        with self.held(socket.create_connection((HOST, self.target))) as server:
            back = self._started(self._pump, server, client, connection.received)
            self._pump(client, server, connection.sent)
            back.join()

    @staticmethod
    def _pump(source: socket.socket, target: socket.socket, kept: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                kept += data
                target.sendall(data)
        for sock in (source, target):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    @property
    def bytes(self) -> bytes:
        """All that passed in either direction."""
        return b"".join(bytes(one.sent) + b"\0\0" + bytes(one.received) for one in self.connections)


class RogueBroker(Listener):
    """A TLS server with a certificate of our choice; keeps what clients tell it inside of TLS."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        super().__init__()

    def serve(self, client: socket.socket, connection: Connection) -> None:
        client.settimeout(20)
        with self.held(self.context.wrap_socket(client, server_side=True)) as inside:
            while data := inside.recv(65536):
                connection.sent += data


def chunks(stream: bytes) -> list[tuple[str, str]]:
    """Types of the message chunks of an OPC UA connection (OPC 10000-6, 6.7.2), with the policy of an OPN."""
    found, at = [], 0
    while at + 8 <= len(stream):
        kind = stream[at : at + 3].decode("ascii")
        (size,) = struct.unpack_from("<I", stream, at + 4)
        policy = ""
        if kind == "OPN":
            (length,) = struct.unpack_from("<I", stream, at + 12)
            policy = stream[at + 16 : at + 16 + length].decode().rpartition("#")[2]
        assert kind in {"HEL", "ACK", "ERR", "OPN", "MSG", "CLO"}, kind
        found.append((kind, policy))
        at += size
    return found


def records(stream: bytes) -> set[int]:
    """Content types of the TLS records of one direction (RFC 8446, 5.1); anything else than TLS fails."""
    found, at = set(), 0
    while at + 5 <= len(stream):
        kind, version, size = struct.unpack_from(">BHH", stream, at)
        assert kind in {20, 21, 22, 23}, stream[at : at + 40]
        assert version in {0x0301, 0x0303}
        found.add(kind)
        at += 5 + size
    return found
