"""A relay before a TLS listener that forges ServerHello messages of TLS 1.2, and a listener that serves plain text too.

What OpenSSL no longer does (compression, 3DES, no renegotiation_info) can only be shown this way; a handshake goes no
further after it, as its Finished messages then differ. TLS 1.3 passes untouched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from simulators.mutants.way import HOST, Before, first_ended

_READ = 65_536
_HANDSHAKE, _SERVER_HELLO = 22, 2
_SUPPORTED_VERSIONS = b"\x00\x2b"
_TRIPLE_DES = 0x000A

Forge = Callable[[bytes, bytes], bytes]
"""From a ClientHello and the answering bytes: the bytes to send instead."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What matters of a ClientHello.

    Attributes:
        suites: Numbers of cipher suites.
        compressions: Numbers of methods.
    """

    suites: frozenset[int]
    compressions: frozenset[int]


def read_offer(record: bytes) -> Offer | None:
    """Of a record with a ClientHello; None where it is something else."""
    body = record[9:]
    if len(record) < 44 or record[0] != _HANDSHAKE or record[5] != 1:
        return None
    at = 35 + body[34]
    length = int.from_bytes(body[at : at + 2], "big")
    suites = body[at + 2 : at + 2 + length]
    at += 2 + length
    methods = body[at + 1 : at + 1 + body[at]]
    pairs = (int.from_bytes(suites[place : place + 2], "big") for place in range(0, len(suites), 2))
    return Offer(frozenset(pairs), frozenset(methods))


def takes_compression(hello: bytes, answer: bytes) -> bytes:
    """Chooses DEFLATE where it is offered."""
    offer = read_offer(hello)
    return answer if offer is None or 1 not in offer.compressions else _rewritten(answer, _compressed)


def takes_triple_des(hello: bytes, answer: bytes) -> bytes:
    """Chooses 3DES where it is offered and the listener has declined."""
    offer = read_offer(hello)
    if offer is None or _TRIPLE_DES not in offer.suites or answer[:1] == bytes([_HANDSHAKE]):
        return answer
    body = b"\x03\x03" + bytes(32) + b"\x00" + _TRIPLE_DES.to_bytes(2, "big") + b"\x00" + b"\x00\x00"
    message = bytes([_SERVER_HELLO]) + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x03" + len(message).to_bytes(2, "big") + message


def hides_renegotiation_info(_: bytes, answer: bytes) -> bytes:
    """Leaves renegotiation_info out."""
    return _rewritten(answer, _without_renegotiation_info)


def _rewritten(answer: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """With another ServerHello in the first record; TLS 1.3 and everything else stays."""
    if len(answer) < 9 or answer[0] != _HANDSHAKE or answer[5] != _SERVER_HELLO:
        return answer
    length, size = int.from_bytes(answer[3:5], "big"), int.from_bytes(answer[6:9], "big")
    body = answer[9 : 9 + size]
    if _SUPPORTED_VERSIONS in body[38:]:
        return answer
    changed = change(body)
    record = bytes([_SERVER_HELLO]) + len(changed).to_bytes(3, "big") + changed + answer[9 + size : 5 + length]
    return answer[:3] + len(record).to_bytes(2, "big") + record + answer[5 + length :]


def _compressed(body: bytes) -> bytes:
    at = 35 + body[34] + 2
    return body[:at] + b"\x01" + body[at + 1 :]


def _without_renegotiation_info(body: bytes) -> bytes:
    at = 35 + body[34] + 3
    head, rest, kept = body[:at], body[at + 2 :], b""
    while rest:
        length = 4 + int.from_bytes(rest[2:4], "big")
        kept += b"" if rest[:2] == b"\xff\x01" else rest[:length]
        rest = rest[length:]
    return head + len(kept).to_bytes(2, "big") + kept


@dataclass(slots=True)
class Front(Before):
    """Listens before a broker's TLS port.

    Attributes:
        tls_port: Of the broker.
        forge: What it does to answers.
        plain_port: Where connections go that do not begin with a TLS record; 0: to the TLS port like all.
    """

    tls_port: int
    forge: Forge = lambda _hello, answer: answer
    plain_port: int = 0

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """From the first bytes on it is known where to."""
        hello = await reader.read(_READ)
        plain = self.plain_port and hello[:1] != bytes([_HANDSHAKE])
        there, back = await asyncio.open_connection(HOST, self.plain_port if plain else self.tls_port)
        try:
            back.write(hello)
            answer = await there.read(_READ)
            writer.write(self.forge(hello, answer))
            await first_ended(_pipe(reader, back), _pipe(there, writer))
        finally:
            back.transport.abort()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_READ):
        writer.write(data)
        await writer.drain()
