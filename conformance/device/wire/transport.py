"""Chunks on a TCP connection (OPC 10000-6, 7.1), within limits of time and memory whatever the server does."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.ua.ua_binary import struct_from_binary, uatcp_to_binary

from conformance.device.wire.errors import Garbled, Refused, Silent, status_name

BUFFER = 65_535
"""Largest chunk that is agreed upon."""
_HEADER = struct.Struct("<3scI")
_SMALLEST = 8
_LONGEST_REASON = 200
_DEFAULT_PORT = 4840
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk, as it came.

    Attributes:
        kind: `HEL`, `ACK`, `ERR`, `OPN`, `MSG`, `CLO`.
        final: `F`, `C` or `A`.
        raw: All its bytes, header included.
    """

    kind: bytes
    final: bytes
    raw: bytes


def address(url: str) -> tuple[str, int]:
    """Host and port of an endpoint URL.

    Raises:
        Garbled: It is none.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _DEFAULT_PORT
    except ValueError as error:
        raise Garbled(f"{url[:200]!r} is no endpoint URL: {error}") from error
    if parts.scheme != "opc.tcp" or not host:
        raise Garbled(f"{url[:200]!r} is no endpoint URL: opc.tcp://host:port is one")
    return host, port


class Wire:
    """A TCP connection to a server.

    Attributes:
        url: Where to.
        seconds: Longest wait for one answer.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, url: str, seconds: float) -> None:
        self.url = url
        self.seconds = seconds
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, url: str, seconds: float) -> Wire:
        """A connection, before Hello.

        Raises:
            Refused: Nobody listens there.
            Silent: No answer.
        """
        host, port = address(url)
        try:
            async with asyncio.timeout(seconds):
                reader, writer = await asyncio.open_connection(host, port)
        except TimeoutError:
            raise Silent("connection", seconds) from None
        except OSError as error:
            raise Refused("connection", reason=str(error)) from error
        return cls(reader, writer, url, seconds)

    async def send(self, data: bytes, stage: str = "connection") -> None:
        """Send bytes, whatever they are.

        Raises:
            Refused: The server has closed the connection.
            Silent: It takes nothing more.
        """
        try:
            self._writer.write(data)
            async with asyncio.timeout(self.seconds):
                await self._writer.drain()
        except TimeoutError:
            raise Silent(stage, self.seconds) from None
        except OSError as error:
            raise Refused(stage, reason=str(error)) from error

    async def chunk(self, stage: str) -> Chunk:
        """The next chunk; an error message of the server is raised.

        Raises:
            Refused: An error message came, or the connection was closed.
            Silent: Nothing came.
            Garbled: It is none, or too large.
        """
        head = await self._exactly(_SMALLEST, stage)
        kind, final, size = _HEADER.unpack(head)
        if kind not in {b"ACK", b"ERR", b"OPN", b"MSG", b"CLO", b"HEL"} or not _SMALLEST <= size <= BUFFER:
            raise Garbled(f"{stage}: {head.hex()} is no header of a chunk of at most {BUFFER} bytes")
        raw = head + await self._exactly(size - _SMALLEST, stage)
        if kind == b"ERR":
            raise _error(raw, stage)
        return Chunk(kind, final, raw)

    async def hello(self, endpoint: str | None = None, *, receive: int = BUFFER, send: int = BUFFER) -> ua.Acknowledge:
        """Say Hello; the server's Acknowledge.

        Raises:
            TargetError: No Acknowledge came.
        """
        hello = ua.Hello()
        hello.EndpointUrl = self.url if endpoint is None else endpoint
        hello.ReceiveBufferSize, hello.SendBufferSize = receive, send
        await self.send(uatcp_to_binary(ua.MessageType.Hello, hello), "hello")
        answer = await self.chunk("hello")
        if answer.kind != b"ACK":
            raise Garbled(f"hello is answered with {answer.kind.decode('ascii')}")
        return decoded(ua.Acknowledge, answer.raw[_SMALLEST:], "hello")

    async def ended(self, seconds: float | None = None) -> bool:
        """The server closes the connection within this time; what it sends until then is thrown away."""
        try:
            async with asyncio.timeout(self.seconds if seconds is None else seconds):
                while await self._reader.read(BUFFER):
                    pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    async def close(self) -> None:
        """Close the connection."""
        self._writer.close()
        try:
            async with asyncio.timeout(1):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()

    async def _exactly(self, size: int, stage: str) -> bytes:
        return await self._within(self._reader.readexactly(size), stage)

    async def _within(self, answer: Awaitable[_Answer], stage: str) -> _Answer:
        try:
            async with asyncio.timeout(self.seconds):
                return await answer
        except TimeoutError:
            raise Silent(stage, self.seconds) from None
        except (asyncio.IncompleteReadError, OSError) as error:
            raise Refused(stage) from error


def _error(raw: bytes, stage: str) -> Refused:
    code = int.from_bytes(raw[8:12], "little")
    if not code >> 31:
        return Refused(stage, reason="with an error message that names no bad status")
    reason = raw[16 : 16 + _LONGEST_REASON].decode("utf-8", "replace")
    return Refused(stage, status_name(code), reason)


def decoded(kind: type[_Answer], data: bytes, stage: str) -> _Answer:
    """A structure out of bytes.

    Raises:
        Garbled: The bytes hold none.
    """
    try:
        found: _Answer = struct_from_binary(kind, ua.utils.Buffer(data))
    except Exception as error:
        raise Garbled(f"{stage}: the answer cannot be decoded ({type(error).__name__}): {data[:64].hex()}") from error
    return found
