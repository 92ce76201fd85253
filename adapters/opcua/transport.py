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
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from asyncua import Client, ua
from asyncua.client.ua_client import UaClient, UASocketProtocol
from asyncua.client.ua_session import UaSession
from asyncua.common.connection import SecureConnection, TransportLimits
from asyncua.common.utils import Buffer
from asyncua.crypto.security_policies import Cryptography
from asyncua.ua.ua_binary import uatcp_to_binary

from adapters.opcua.channel import MAX_CHUNK, Channel, OversizedError, RefusedMessageError
from gateway.errors import ConfigurationError

MIN_CHUNK = 8_192
"""Smallest buffer that OPC 10000-6, 7.1.2.3 allows a peer to have."""

SMALL_BUFFER, SMALL_READS = 16_384, 50
"""Bytes that are read at once at first, and again after so many reads that needed no more."""

_HEADER = struct.Struct("<3scI")
_HEADER_SIZES = {b"MSG": 24, b"OPN": 12, b"CLO": 12, b"ACK": 8, b"ERR": 8, b"RHE": 8}

_SUPPORTED = (2, 1)


@dataclass
class BoundedLimits(TransportLimits):
    """Limits that an Acknowledge can lower for what we send, and never lift for what we receive."""

    def update_client_limits(self, msg: ua.Acknowledge) -> None:
        """The server's buffer bounds our chunks (asyncua takes the other one of the pair)."""
        if msg.ReceiveBufferSize >= MIN_CHUNK:
            self.max_send_buffer: int = min(MAX_CHUNK, msg.ReceiveBufferSize)


class Answered(ABC):
    """What may wait for an answer in place of a future: it is given the body at once, as it came."""

    @abstractmethod
    def take(self, body: bytes) -> None:
        """The answer; called within the reading of the socket, so it never raises."""

    @abstractmethod
    def set_exception(self, problem: BaseException) -> None:
        """There will be no answer."""

    @abstractmethod
    def done(self) -> bool:
        """Either of them was called."""

    def set_result(self, body: Buffer) -> None:
        """As asyncua gives it."""
        self.take(bytes(body))

    def cancel(self) -> bool:
        """As asyncua ends what waits."""
        self.set_exception(asyncio.CancelledError())
        return True


class BoundedProtocol(UASocketProtocol, asyncio.BufferedProtocol):
    """Reads the socket into one buffer, and gives whole chunks to the channel, or to asyncua what opens and ends it."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.channel = Channel(self._connection)
        self.refused: str | None = None
        self._request_id: int
        self._view = memoryview(bytearray(SMALL_BUFFER))
        self._filled = self._small = 0

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

    def request(self, body: bytes, answer: Answered) -> None:
        """Send an encoded request; to be called while there is a transport."""
        number: int = self._request_id + 1
        message = self.channel.seal(body, number)
        self._request_id = number
        self._callbackmap[number] = answer
        self.transport.write(message)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - there is always room for a chunk
        """Where the next bytes of the socket go."""
        return self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes from the socket; disconnect at the first chunk that is not acceptable."""
        self._filled += nbytes
        try:
            end = self._chunks()
        except RefusedMessageError as problem:
            self.refused = str(problem)
            self._filled = 0
            self._fail_all_pending(problem)
            if self.transport is not None:
                self.transport.abort()
            return
        rest = self._filled - end
        if rest and end:
            self._view[:rest] = bytes(self._view[end : self._filled])
        self._filled = rest
        if not rest and len(self._view) > SMALL_BUFFER:
            self._small = self._small + 1 if end <= SMALL_BUFFER else 0
            if self._small >= SMALL_READS:
                self._view = memoryview(bytearray(SMALL_BUFFER))

    def _chunks(self) -> int:
        """Take the whole chunks that have arrived; their length."""
        position, filled, view = 0, self._filled, self._view
        while filled - position >= _HEADER.size:
            kind, _, size = _HEADER.unpack_from(view, position)
            smallest = _HEADER_SIZES.get(kind)
            if smallest is None:
                raise OversizedError(f"the peer does not speak OPC UA: a message begins with {kind!r}")
            if not smallest <= size <= MAX_CHUNK:
                raise OversizedError(f"the server announced a chunk of {size} bytes; accepted are {MAX_CHUNK}")
            if filled - position < size:
                self._make_room(size)
                break
            chunk = view[position : position + size]
            position += size
            if kind == b"MSG":
                self._answer(chunk)
            elif self.channel.within:
                raise RefusedMessageError(f"a message {kind!r} came within another one")
            else:
                self._process_received_data(bytes(chunk))
            if self.transport is None or self.transport.is_closing():
                return filled
        return position

    def _make_room(self, size: int) -> None:
        """A larger buffer while chunks are larger; many servers with few values need none."""
        if size > len(self._view):
            self._small = 0
            larger = memoryview(bytearray(2 * MAX_CHUNK))
            larger[: self._filled] = self._view[: self._filled]
            self._view = larger

    def _answer(self, chunk: memoryview) -> None:
        message = self.channel.open(chunk)
        if message is None:
            return
        waiting = self._callbackmap.get(message.request)
        if waiting is None:  # asyncua's server answers requests of a session's old channel after a transfer
            return
        if message.aborted:
            del self._callbackmap[message.request]
            if not waiting.done():
                waiting.set_exception(ua.UaStatusCodeError(message.aborted))
        elif isinstance(waiting, Answered):
            del self._callbackmap[message.request]
            waiting.take(message.body)
        else:
            self._call_callback(message.request, Buffer(message.body))


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
    (SecureConnection, "message_to_binary", ("message", "message_type", "request_id")),
    (SecureConnection, "revolve_tokens", ()),
    (SecureConnection, "_check_sym_header", ("security_hdr",)),
    (Cryptography, "revolved_expired_key", ()),
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
