"""asyncua's transport with bounds, and the check that its private parts are those that we hook into.

A server announces the size of each chunk, of each message, and the number of chunks; asyncua takes them at their word
and lets the server's Acknowledge lift the limits. Here the limits are ours: whoever exceeds them is disconnected before
anything is buffered (OPC 10000-6, 6.7.2 and 7.1.2).
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import struct
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from asyncua import Client, ua
from asyncua.client.ua_client import UaClient, UASocketProtocol
from asyncua.client.ua_session import UaSession
from asyncua.common.connection import SecureConnection, TransportLimits
from asyncua.ua.ua_binary import uatcp_to_binary

from gateway.errors import ConfigurationError

MAX_CHUNK = 65_536
"""Bytes of one chunk, in both directions: what every stack uses unless told otherwise."""

MIN_CHUNK = 8_192
"""Smallest buffer that OPC 10000-6, 7.1.2.3 allows a peer to have."""

_HEADER = struct.Struct("<3scI")
_HEADER_SIZES = {b"MSG": 12, b"OPN": 12, b"CLO": 12, b"ACK": 8, b"ERR": 8, b"RHE": 8}

_SUPPORTED = (2, 1)


class OversizedError(ua.UaError):
    """The server sent, or announced, more than we accept."""


@dataclass
class BoundedLimits(TransportLimits):
    """Limits that an Acknowledge can lower for what we send, and never lift for what we receive."""

    def update_client_limits(self, msg: ua.Acknowledge) -> None:
        """The server's buffer bounds our chunks (asyncua takes the other one of the pair)."""
        if msg.ReceiveBufferSize >= MIN_CHUNK:
            self.max_send_buffer: int = min(MAX_CHUNK, msg.ReceiveBufferSize)


class BoundedProtocol(UASocketProtocol):
    """Collects chunks up to the limit, each one copied once, and hands them whole to asyncua."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._received = bytearray()
        self.refused: str | None = None

    async def send_hello(self, url: str, max_messagesize: int = 0, max_chunkcount: int = 0) -> ua.Acknowledge:
        """Offer our buffers (asyncua offers 2 GiB, and a server may take that up)."""
        hello = ua.Hello(0, MAX_CHUNK, MAX_CHUNK, max_messagesize, max_chunkcount, url)
        if self.transport is None:
            raise ConnectionError("the connection was closed")
        answer: asyncio.Future[ua.Acknowledge] = asyncio.get_running_loop().create_future()
        self._callbackmap[0] = answer
        self.transport.write(uatcp_to_binary(ua.MessageType.Hello, hello))
        async with asyncio.timeout(self.timeout):
            return await answer

    def data_received(self, data: bytes) -> None:
        """Take bytes from the socket; disconnect at the first chunk that is not acceptable."""
        self._received += data
        try:
            end = self._complete()
        except OversizedError as problem:
            self.refused = str(problem)
            self._received.clear()
            self._fail_all_pending(problem)
            if self.transport is not None:
                self.transport.abort()
            return
        if end:
            whole = bytes(memoryview(self._received)[:end])
            del self._received[:end]
            self._process_received_data(whole)

    def _complete(self) -> int:
        """Length of the whole chunks that have arrived."""
        position, available = 0, len(self._received)
        while available - position >= _HEADER.size:
            kind, _, size = _HEADER.unpack_from(self._received, position)
            smallest = _HEADER_SIZES.get(kind)
            if smallest is None:
                raise OversizedError(f"the peer does not speak OPC UA: a message begins with {bytes(kind)!r}")
            if not smallest <= size <= MAX_CHUNK:
                raise OversizedError(f"the server announced a chunk of {size} bytes; accepted are {MAX_CHUNK}")
            if available - position < size:
                break
            position += size
        return position


def bound_transport(client: Client, max_message: int) -> None:
    """Make `client` use the bounded transport; to be called before it connects."""
    transport = client.uaclient
    limits = BoundedLimits(MAX_CHUNK, MAX_CHUNK, max_message // MIN_CHUNK + 1, max_message)

    def make_protocol() -> BoundedProtocol:
        protocol = BoundedProtocol(transport._timeout, security_policy=transport.security_policy, limits=limits)
        protocol.on_connection_lost = transport._on_transport_lost
        protocol.is_session_closing = transport._is_session_closing
        transport.protocol = protocol
        return protocol

    transport._make_protocol = make_protocol
    transport.pre_request_hook = None  # its waiting for a reconnect is the pipeline's business here
    client.max_messagesize = max_message
    client.max_chunkcount = limits.max_chunk_count


def quiet_library() -> None:
    """Keep asyncua's own log out: at DEBUG it writes whole requests with their secrets, and every error twice."""
    logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)


_HOOKS: tuple[tuple[type, str, tuple[str, ...]], ...] = (
    (UaClient, "_make_protocol", ()),
    (UaClient, "_on_transport_lost", ("_exc",)),
    (UaClient, "_is_session_closing", ()),
    (UASocketProtocol, "_process_received_data", ("data",)),
    (UASocketProtocol, "_fail_all_pending", ("exc",)),
    (UASocketProtocol, "_setup_request_header", ("hdr", "timeout")),
    (UASocketProtocol, "_call_callback", ("request_id", "body")),
    (UASocketProtocol, "revolve_security_token", ()),
    (SecureConnection, "message_to_binary", ("message", "message_type", "request_id")),
    (TransportLimits, "update_client_limits", ("msg",)),
    (UaSession, "_send_request", ("request", "timeout", "message_type")),
    (UaSession, "create_subscription", ("params", "callback")),
)


def check_library() -> None:
    """Refuse an asyncua whose private parts are not those that this adapter hooks into.

    Raises:
        ConfigurationError: Another version is installed, or it was changed.
    """
    found = version("asyncua")
    if tuple(int(part) for part in found.split(".")[:2] if part.isdigit()) != _SUPPORTED:
        raise ConfigurationError(
            f"asyncua {found} is installed; this gateway works with asyncua 2.1.",
            advice="Install the versions of the lock file.",
        )
    for owner, name, parameters in _HOOKS:
        hook: Callable[..., Any] | None = getattr(owner, name, None)
        if hook is None or tuple(inspect.signature(hook).parameters)[1:] != parameters:
            raise ConfigurationError(
                f"asyncua {found} has no {owner.__name__}.{name}({', '.join(parameters)}) as this gateway needs it.",
                advice="Install the versions of the lock file.",
            )
