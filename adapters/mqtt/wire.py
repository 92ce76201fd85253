"""A connected socket, TCP or TLS, opened without blocking the event loop; reads and writes are gathered.

paho reads a packet in three pieces and writes each packet alone. Over TLS every piece costs a call into OpenSSL and
every write a record and a system call, so `Wire` stands between: it reads what there is at once and writes what has
gathered at once. What was read can be looked at before paho takes it, and packets that are written without paho go
the same way, in order with paho's own. It keeps the error that ended it, which paho only logs.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
from typing import Any

from gateway.errors import UnreachableError

READ_SIZE = 65536
"""More than a TLS record holds, so no read leaves bytes within OpenSSL, of which the network would not tell."""

WRITE_LIMIT = 262_144
"""Bytes that wait here at most; with more, `send` says that it would block and paho keeps the packet."""

RECORD = 16_384
"""Longest content of a TLS record (RFC 8446, 5.1)."""

LATE_REFUSAL = 0.3
"""Seconds to wait after a TLS 1.3 handshake for the broker's word on our certificate."""


class LateRefusalError(ConnectionError):
    """The peer ended the connection between the TLS 1.3 handshake and our first byte: it refuses our certificate."""


Address = tuple[int, int, int, str, tuple[Any, ...]]
Socket = socket.socket | ssl.SSLSocket


async def resolve(host: str, port: int, within: float) -> list[Address]:
    """Addresses of `host`.

    Raises:
        UnreachableError: The name is unknown, or no name server answers within `within` seconds.
    """
    try:
        async with asyncio.timeout(within):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as problem:  # TimeoutError is one
        raise UnreachableError(
            f"The name of the broker, {host}, has no address: {problem.strerror or problem or 'no answer'}.",
            advice="Check the host in url and the name server of this computer.",
        ) from problem
    return [(int(family), int(kind), proto, name, address) for family, kind, proto, name, address in found]


async def dial(addresses: list[Address], peer: str, within: float, *, silence: float) -> socket.socket:
    """A TCP connection to the first address that answers, each tried for its part of `within` seconds.

    Args:
        addresses: As `resolve` gave them.
        peer: For error texts.
        within: Seconds for all addresses together.
        silence: Seconds after which unacknowledged bytes end the connection (half-open link).

    Raises:
        UnreachableError: None answers.
    """
    loop = asyncio.get_running_loop()
    reasons: list[str] = []
    for family, kind, proto, _, address in addresses:
        sock = socket.socket(family, kind, proto)
        sock.setblocking(False)
        try:
            async with asyncio.timeout(within / len(addresses)):
                await loop.sock_connect(sock, address)
        except TimeoutError:
            sock.close()
            reasons.append(f"{address[0]}: no answer")
        except OSError as problem:
            sock.close()
            reasons.append(f"{address[0]}: {problem.strerror or problem}")
        except BaseException:
            sock.close()
            raise
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if sys.platform == "linux":
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(silence * 1000))
            return sock
    raise UnreachableError(
        f"Nothing accepts a connection at {peer} ({'; '.join(reasons)}).",
        advice="Check that the broker runs, the port in url, and firewalls in between.",
    )


async def secure(sock: socket.socket, context: ssl.SSLContext, host: str, within: float) -> tuple[ssl.SSLSocket, bytes]:
    """TLS over `sock` with the peer verified as `context` says, and what the peer has already sent.

    Nothing of the application protocol is sent. In TLS 1.3 a server's refusal of our certificate comes only after the
    handshake; it is waited for shortly, until the server's session tickets or `LATE_REFUSAL` show that none comes.

    Raises:
        ssl.SSLError: The handshake failed or the peer refused us; the socket is closed.
        LateRefusalError: The peer refused us without saying so; the socket is closed.
        OSError: The connection ended; the socket is closed.
        TimeoutError: The handshake took longer than `within` seconds; the socket is closed.
    """
    tls = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    try:
        async with asyncio.timeout(within):
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    await _ready(tls, write=False)
                except ssl.SSLWantWriteError:
                    await _ready(tls, write=True)
            early = await _late_word(tls) if tls.version() == "TLSv1.3" else b""
    except BaseException:
        tls.close()
        raise
    return tls, early


async def _late_word(tls: ssl.SSLSocket) -> bytes:
    try:
        async with asyncio.timeout(LATE_REFUSAL):
            await _ready(tls, write=False)
    except TimeoutError:
        return b""
    try:
        data = tls.recv(READ_SIZE)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return b""  # session tickets: the server has accepted our certificate
    except ConnectionError as problem:
        raise LateRefusalError from problem
    if not data:
        raise LateRefusalError
    return data


async def _ready(sock: Socket, *, write: bool) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    number = sock.fileno()
    add, remove = (loop.add_writer, loop.remove_writer) if write else (loop.add_reader, loop.remove_reader)

    def fire() -> None:
        if not ready.done():
            ready.set_result(None)

    add(number, fire)
    try:
        await ready
    finally:
        remove(number)


class Wire:
    """What paho takes for its socket.

    Attributes:
        problem: The error that ended the connection, where there was one.
        ended: `fill` found the end of the connection.
    """

    def __init__(self, sock: Socket, early: bytes = b"") -> None:
        self._sock = sock
        self._in = early
        self._at = 0
        self._out = bytearray()
        self.problem: OSError | None = None
        self.ended = False

    @property
    def unsent(self) -> int:
        """Bytes that wait to be written."""
        return len(self._out)

    def fileno(self) -> int:
        """Number of the socket, -1 when closed."""
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        """The socket never blocks; paho asks for nothing else."""
        if flag:
            raise ValueError("this socket is driven by an event loop and never blocks")

    def pending(self) -> int:
        """Bytes that can be read without the network."""
        return len(self._in) - self._at

    def fill(self) -> bool:
        """Read what there is, once, behind what was not taken yet; whether bytes came.

        None come when there are none, and at the end of the connection, which `recv` tells.
        """
        try:
            more = self._sock.recv(READ_SIZE)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError as problem:
            self.problem = self.problem or problem
            self.ended = True
            return False
        self.ended = not more
        self._in = self._in[self._at :] + more if self._at < len(self._in) else more
        self._at = 0
        return bool(more)

    def look(self) -> tuple[bytes, int]:
        """What was read, and from where on it is not taken yet."""
        return self._in, self._at

    def skip(self, end: int) -> None:
        """All up to this place of what `look` gave is taken."""
        self._at = end

    def recv(self, size: int) -> bytes:
        """At most `size` bytes; none at the end of the connection.

        Raises:
            ssl.SSLWantReadError: Nothing there yet.
        """
        if self._at >= len(self._in):
            self._in, self._at = self._read(), 0
        piece = self._in[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def _read(self) -> bytes:
        try:
            return self._sock.recv(READ_SIZE)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError) as nothing:
            raise ssl.SSLWantReadError from nothing
        except OSError as problem:
            self.problem = self.problem or problem
            raise

    def send(self, data: bytes | bytearray) -> int:
        """Take all of `data`; it goes out with `flush`.

        Raises:
            BlockingIOError: Too much waits already.
        """
        if len(self._out) >= WRITE_LIMIT:
            self.flush()
            if len(self._out) >= WRITE_LIMIT:
                raise BlockingIOError
        self._out += data
        return len(data)

    def put(self, packet: bytes) -> None:
        """Take a packet whatever waits already, which the caller bounds; it goes out with `flush`."""
        self._out += packet

    def flush(self) -> bool:
        """Write what waits, as far as the network takes it; whether nothing is left.

        Raises:
            OSError: The connection ended.
        """
        while self._out:
            # OpenSSL wants to see a refused piece again from its beginning and at least as long: bytes are only
            # appended behind it, and the piece is cut at the length of a record.
            piece = bytes(self._out[:RECORD])
            try:
                written = self._sock.send(piece)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return False
            except OSError as problem:
                self.problem = self.problem or problem
                raise
            del self._out[:written]
        return True

    def close(self) -> None:
        """Close the socket; what waits is written as far as that needs no waiting."""
        if self.problem is None and self._sock.fileno() >= 0:
            with contextlib.suppress(OSError, ValueError):  # the peer may be gone already
                self.flush()
                if isinstance(self._sock, ssl.SSLSocket):
                    self._sock.unwrap()
        self._out.clear()
        self._sock.close()
