"""A TLS ClientHello of our own and what a server answers to it: how a listener's weaknesses are found out.

OpenSSL would not offer most of what is asked here, and its builds differ; so the first message is made by hand and the
handshake goes no further than the ServerHello (RFC 5246, 7.4.1; RFC 8446, 4.1).
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from conformance.suite.target import TargetError

TLS10, TLS11, TLS12 = 0x0301, 0x0302, 0x0303
RENEGOTIATION_INFO = 0xFF01
_HANDSHAKE, _ALERT = 22, 21
_SERVER_HELLO = 2
_GROUPS = (0x001D, 0x0017, 0x0018)
_SIGNATURES = (0x0403, 0x0503, 0x0804, 0x0805, 0x0401, 0x0501, 0x0203, 0x0201)


@dataclass(frozen=True, slots=True)
class ServerHello:
    """What a server chose.

    Attributes:
        version: Of the protocol.
        cipher: Number of the suite.
        compression: Method; 0 is none.
        extensions: Their numbers.
        raw: Its bytes.
    """

    version: int
    cipher: int
    compression: int
    extensions: frozenset[int]
    raw: bytes


async def offer(
    host: str,
    port: int,
    *,
    version: int = TLS12,
    ciphers: Sequence[int],
    compressions: Sequence[int] = (0,),
    within: float,
) -> ServerHello | None:
    """What the server answers to such an offer; None where it declines by an alert or ends the connection.

    Raises:
        TargetError: No connection, no answer in time, or an answer that is no TLS.
    """
    try:
        async with asyncio.timeout(within):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(client_hello(version, ciphers, compressions, host))
                await writer.drain()
                return await _answer(reader)
            except (ConnectionError, asyncio.IncompleteReadError):
                return None
            finally:
                writer.transport.abort()
    except TimeoutError as error:
        raise TargetError(f"no answer to a ClientHello within {within:g} s") from error
    except OSError as error:
        raise TargetError(f"no connection to {host}:{port}: {error.strerror or error}") from error


def client_hello(version: int, ciphers: Sequence[int], compressions: Sequence[int], host: str) -> bytes:
    """One record with a ClientHello that offers these and nothing newer than `version`."""
    extensions = (
        _extension(10, _list16(_GROUPS))
        + _extension(11, b"\x01\x00")
        + _extension(13, _list16(_SIGNATURES))
        + _extension(RENEGOTIATION_INFO, b"\x00")
    )
    if not host.replace(".", "").isdigit() and ":" not in host:
        name = host.encode("idna")
        extensions += _extension(0, struct.pack(">HBH", len(name) + 3, 0, len(name)) + name)
    body = struct.pack(">H", version) + os.urandom(32) + b"\x00" + _list16(ciphers)
    body += bytes([len(compressions), *compressions]) + struct.pack(">H", len(extensions)) + extensions
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return struct.pack(">BHH", _HANDSHAKE, TLS10, len(message)) + message


def _extension(number: int, content: bytes) -> bytes:
    return struct.pack(">HH", number, len(content)) + content


def _list16(numbers: Sequence[int]) -> bytes:
    return struct.pack(f">H{len(numbers)}H", 2 * len(numbers), *numbers)


async def _answer(reader: asyncio.StreamReader) -> ServerHello | None:
    handshake = b""
    while len(handshake) < 4 or len(handshake) < 4 + int.from_bytes(handshake[1:4], "big"):
        kind, _, length = struct.unpack(">BHH", await reader.readexactly(5))
        content = await reader.readexactly(length)
        if kind == _ALERT:
            return None
        if kind != _HANDSHAKE:
            raise TargetError(f"an answer that is no TLS handshake: {content[:40].hex()}")
        handshake += content
    if handshake[0] != _SERVER_HELLO:
        raise TargetError(f"handshake message {handshake[0]} where a ServerHello was awaited")
    return read_server_hello(handshake[4 : 4 + int.from_bytes(handshake[1:4], "big")])


def read_server_hello(body: bytes) -> ServerHello:
    """A ServerHello without its header.

    Raises:
        TargetError: It is malformed.
    """
    try:
        version = int.from_bytes(body[0:2], "big")
        at = 35 + body[34]
        cipher, compression = struct.unpack(">HB", body[at : at + 3])
        found: list[int] = []
        at += 5
        while at < len(body):
            number, length = struct.unpack(">HH", body[at : at + 4])
            found.append(number)
            at += 4 + length
    except (IndexError, struct.error) as error:
        raise TargetError(f"a ServerHello that cannot be read: {body[:80].hex()}") from error
    return ServerHello(version, cipher, compression, frozenset(found), body)
