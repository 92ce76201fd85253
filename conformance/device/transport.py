"""asyncua's transport with bounds: what a device sends can neither fill the memory nor keep the suite waiting.

asyncua takes the sizes that a server announces at their word, and lets the server's Acknowledge lift its limits. Here a
chunk that is larger than the buffer that we offered, or a message longer than the limit, ends the connection before it
is buffered (OPC 10000-6, 6.7.2 and 7.1.2).
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from typing import Any

from asyncua import Client, ua
from asyncua.client.ua_client import UASocketProtocol
from asyncua.common.connection import TransportLimits
from asyncua.ua.ua_binary import uatcp_to_binary

CHUNK = 65_536
"""The buffer that we offer."""

_LEAST = 8_192
_HEADER = struct.Struct("<3scI")


@dataclass
class BoundedLimits(TransportLimits):
    """Limits that a server can lower for what we send, and never lift for what we receive."""

    def update_client_limits(self, msg: ua.Acknowledge) -> None:
        """The server's buffer bounds our chunks."""
        if msg.ReceiveBufferSize >= _LEAST:
            self.max_send_buffer: int = min(CHUNK, msg.ReceiveBufferSize)


class BoundedProtocol(UASocketProtocol):
    """Looks at each chunk's size, and at the sum of a message's chunks, before asyncua buffers anything.

    Attributes:
        refused: Why the connection was ended, if it was for what the server sent.
    """

    def __init__(self, *args: Any, most: int, **named: Any) -> None:
        super().__init__(*args, **named)
        self.refused = ""
        self._most = most
        self._held = bytearray()
        self._message = 0

    async def send_hello(self, url: str, max_messagesize: int = 0, max_chunkcount: int = 0) -> ua.Acknowledge:
        """Offer our buffers."""
        hello = ua.Hello(0, CHUNK, CHUNK, max_messagesize, max_chunkcount, url)
        if self.transport is None:
            raise ConnectionError("the connection was closed")
        answer: asyncio.Future[ua.Acknowledge] = asyncio.get_running_loop().create_future()
        self._callbackmap[0] = answer
        self.transport.write(uatcp_to_binary(ua.MessageType.Hello, hello))
        async with asyncio.timeout(self.timeout):
            return await answer

    def data_received(self, data: bytes) -> None:
        """Give whole chunks to asyncua."""
        self._held += data
        while self.transport is not None and len(self._held) >= _HEADER.size:
            kind, final, size = _HEADER.unpack_from(self._held)
            problem = self._objection(kind, final, size)
            if problem:
                self.refused = problem
                self._held.clear()
                self._fail_all_pending(ConnectionError(problem))
                self.transport.abort()
                return
            if len(self._held) < size:
                return
            chunk = bytes(self._held[:size])
            del self._held[:size]
            self._message = 0 if final != b"C" else self._message + size
            self._process_received_data(chunk)

    def _objection(self, kind: bytes, final: bytes, size: int) -> str:
        if kind not in {b"MSG", b"OPN", b"CLO", b"ACK", b"ERR", b"RHE"} or final not in {b"F", b"C", b"A"}:
            return f"it does not speak OPC UA: a message begins with {bytes(self._held[:8])!r}"
        if not _HEADER.size <= size <= CHUNK:
            return f"it announced a chunk of {size} bytes; the buffer that was offered has {CHUNK}"
        if self._message + size > self._most:
            return f"its answer is longer than {self._most} bytes"
        return ""


def bound(client: Client, most: int) -> None:
    """Make a client, before it connects, use the bounded transport; no message is longer than `most` bytes."""
    transport = client.uaclient
    limits = BoundedLimits(CHUNK, CHUNK, most // _LEAST + 1, most)

    def make_protocol() -> BoundedProtocol:
        protocol = BoundedProtocol(
            transport._timeout,  # noqa: SLF001 - asyncua has no public way
            security_policy=transport.security_policy,
            limits=limits,
            most=most,
        )
        protocol.on_connection_lost = transport._on_transport_lost  # noqa: SLF001 - as asyncua itself does
        protocol.is_session_closing = transport._is_session_closing  # noqa: SLF001 - as asyncua itself does
        transport.protocol = protocol
        return protocol

    transport._make_protocol = make_protocol  # noqa: SLF001 - asyncua has no public way
    transport.pre_request_hook = None  # it waits for a reconnection that there is not
    client.max_messagesize = most
    client.max_chunkcount = limits.max_chunk_count
