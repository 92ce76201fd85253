"""One connection to a broker, packet by packet: nothing is sent or read unless a check says so."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from types import TracebackType
from typing import Self

from conformance.broker import wire
from conformance.broker.wire import Packet
from conformance.suite.target import TargetError

READ = 65_536
SMALL_BUFFER = 16_384
"""Bytes of the receive buffer of a client that is to be slow."""


class SilenceError(TargetError):
    """The broker did not answer in time."""


class ClosedError(TargetError):
    """The broker ended the connection."""


class Link:
    """A connection, TLS or plain; leaving its context ends it without a DISCONNECT.

    Attributes:
        version: Protocol level that is spoken, 4 (3.1.1) or 5.
        patience: Seconds that an answer may take.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, version: int, patience: float
    ) -> None:
        self.version = version
        self.patience = patience
        self._reader = reader
        self._writer = writer
        self._parser = wire.Parser()
        self._packets: deque[Packet] = deque()

    @classmethod
    async def dial(
        cls,
        host: str,
        port: int,
        context: ssl.SSLContext | None,
        *,
        version: int,
        patience: float,
        small: bool = False,
    ) -> Self:
        """Connect, without a first packet; `small` keeps what the kernel takes for us little.

        Raises:
            ClosedError: Refused, or the TLS handshake failed.
            SilenceError: It took too long.
        """
        try:
            async with asyncio.timeout(patience):
                if small:
                    raw = await _small_socket(host, port)
                    reader, writer = await asyncio.open_connection(
                        sock=raw, ssl=context, server_hostname=host if context else None
                    )
                else:
                    reader, writer = await asyncio.open_connection(
                        host, port, ssl=context, server_hostname=host if context else None
                    )
        except TimeoutError as error:
            raise SilenceError(f"no connection to {host}:{port} within {patience:g} s") from error
        except OSError as error:
            raise ClosedError(f"no connection to {host}:{port}: {_words(error)}") from error
        return cls(reader, writer, version=version, patience=patience)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.abort()

    @property
    def transport(self) -> asyncio.Transport:
        """Of the connection."""
        return self._writer.transport  # type: ignore[return-value]  # of a stream it is one

    async def send(self, data: bytes) -> None:
        """Bytes as they are.

        Raises:
            ClosedError: The connection has ended.
            SilenceError: The broker does not take them.
        """
        try:
            self._writer.write(data)
            async with asyncio.timeout(self.patience):
                await self._writer.drain()
        except TimeoutError as error:
            raise SilenceError(f"the broker took nothing for {self.patience:g} s") from error
        except OSError as error:
            raise ClosedError(f"the broker ended the connection: {_words(error)}") from error

    async def packet(self, within: float | None = None) -> Packet:
        """The next packet.

        Raises:
            ClosedError: The connection has ended.
            SilenceError: None came in time.
            TargetError: What came is no MQTT packet.
        """
        wait = self.patience if within is None else within
        try:
            async with asyncio.timeout(wait):
                while not self._packets:
                    data = await self._reader.read(READ)
                    if not data:
                        raise ClosedError("the broker ended the connection")
                    self._packets.extend(self._parser.feed(data))
        except TimeoutError as error:
            raise SilenceError(f"no packet within {wait:g} s") from error
        except OSError as error:
            raise ClosedError(f"the broker ended the connection: {_words(error)}") from error
        except wire.WireError as error:
            raise TargetError(f"the broker sent what is no MQTT packet: {error}") from error
        return self._packets.popleft()

    async def abort(self) -> None:
        """End the TCP connection without a word."""
        self.transport.abort()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(2.0):
                await self._writer.wait_closed()


async def _small_socket(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, kind, proto, _, address = found[0]
    raw = socket.socket(family, kind, proto)
    try:
        raw.setblocking(False)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        await loop.sock_connect(raw, address)
    except BaseException:
        raw.close()
        raise
    return raw


def _words(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return error.strerror or str(error) or type(error).__name__
