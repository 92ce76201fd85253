"""A broker for tests of limits and misbehaviour: speaks just enough MQTT, records everything, obeys its script."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

CONNECT, PUBLISH, PINGREQ = 1, 3, 12
Behave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class FakeBroker:
    """What it does is set before it serves; what it saw is read afterwards.

    `connack` is the packet after its fixed header: flags, reason, and in MQTT 5 the properties. `answer` gives the
    reason of a PUBACK by topic and payload, None for silence.
    """

    connack: bytes = b"\x00\x00\x00"
    answer: Callable[[str, bytes], int | None] = lambda _topic, _payload: 0
    delay: float = 0.0
    pings: bool = True
    port: int = 0
    raw: bytearray = field(default_factory=bytearray)
    packets: list[tuple[int, bytes]] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    outstanding: int = 0
    most_outstanding: int = 0
    writer: asyncio.StreamWriter | None = None

    @property
    def kinds(self) -> list[int]:
        return [kind >> 4 for kind, _ in self.packets]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        while True:
            head = (await self._read(reader, 1))[0]
            body = await self._read(reader, await self._length(reader))
            self.packets.append((head, body))
            await self._packet(head, body, writer)

    async def _packet(self, head: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        if head >> 4 == CONNECT:
            writer.write(bytes([0x20, len(self.connack)]) + self.connack)
        elif head >> 4 == PINGREQ and self.pings:
            writer.write(b"\xd0\x00")
        elif head >> 4 == PUBLISH:
            length = int.from_bytes(body[:2], "big")
            topic, mid = body[2 : 2 + length].decode(), body[2 + length : 4 + length]
            self.topics.append(topic)
            self.outstanding += 1
            self.most_outstanding = max(self.most_outstanding, self.outstanding)
            asyncio.get_running_loop().call_later(self.delay, self._acknowledge, topic, body[5 + length :], mid, writer)

    def _acknowledge(self, topic: str, payload: bytes, mid: bytes, writer: asyncio.StreamWriter) -> None:
        reason = self.answer(topic, payload)
        if reason is not None and not writer.is_closing():
            self.outstanding -= 1
            writer.write(b"\x40\x03" + mid + bytes([reason]) if reason else b"\x40\x02" + mid)

    async def _read(self, reader: asyncio.StreamReader, size: int) -> bytes:
        data = await reader.readexactly(size)
        self.raw += data
        return data

    async def _length(self, reader: asyncio.StreamReader) -> int:
        value, shift = 0, 0
        while True:
            byte = (await self._read(reader, 1))[0]
            value |= (byte & 127) << shift
            shift += 7
            if not byte & 128:
                return value


@asynccontextmanager
async def fake(broker: FakeBroker, context: ssl.SSLContext | None = None) -> AsyncIterator[FakeBroker]:
    async with served(broker.serve, context) as broker.port:
        yield broker


@asynccontextmanager
async def served(behave: Behave, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that behaves as given, with nothing left open afterwards; its port."""
    running: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running[task] = writer
        with suppress(asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            await behave(reader, writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for writer in running.values():
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()
        await server.wait_closed()


@contextmanager
def handshakes(context: ssl.SSLContext) -> Iterator[int]:
    """A TLS server on blocking sockets, because asyncio's drops the alert of a failed handshake; its port."""

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.settimeout(10)
            try:
                with context.wrap_socket(sock, server_side=True) as tls:
                    tls.recv(1)
            except OSError:
                sock.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(20)
