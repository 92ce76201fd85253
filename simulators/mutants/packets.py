"""MQTT packets as far as a relay must understand them: where one ends, what a PUBLISH carries (MQTT 3.1.1 and 5)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

CONNECT, CONNACK, PUBLISH, PUBACK, DISCONNECT = 1, 2, 3, 4, 14


class PacketError(Exception):
    """What came is no MQTT."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One control packet: its type, the four flags, everything behind the length."""

    kind: int
    flags: int
    body: bytes

    def encode(self) -> bytes:
        """As it goes over the wire."""
        return bytes([self.kind << 4 | self.flags]) + _length(len(self.body)) + self.body


@dataclass(frozen=True, slots=True)
class Publish:
    """A PUBLISH; `properties` are its bytes with their length before them, empty in MQTT 3.1.1."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    duplicate: bool
    number: int
    properties: bytes

    @classmethod
    def decode(cls, packet: Packet, level: int) -> Publish:
        """From a packet; `level` is the protocol level of the CONNECT (4 or 5)."""
        body, qos = packet.body, packet.flags >> 1 & 3
        end = 2 + int.from_bytes(body[:2], "big")
        topic, at, number, properties = body[2:end].decode(), end, 0, b""
        if qos:
            number, at = int.from_bytes(body[at : at + 2], "big"), at + 2
        if level >= 5:
            length, behind = _read_length(body, at)
            properties, at = body[at : behind + length], behind + length
        return cls(topic, body[at:], qos, bool(packet.flags & 1), bool(packet.flags & 8), number, properties)

    def packet(self) -> Packet:
        """Back again."""
        name = self.topic.encode()
        number = self.number.to_bytes(2, "big") if self.qos else b""
        body = len(name).to_bytes(2, "big") + name + number + self.properties + self.payload
        return Packet(PUBLISH, self.duplicate << 3 | self.qos << 1 | self.retain, body)


def puback(number: int) -> Packet:
    """The acknowledgement of a PUBLISH with QoS 1, without a reason: success."""
    return Packet(PUBACK, 0, number.to_bytes(2, "big"))


def protocol_level(connect: Packet) -> int:
    """Of a CONNECT: 4 is MQTT 3.1.1, 5 is MQTT 5."""
    return connect.body[2 + int.from_bytes(connect.body[:2], "big")]


async def read(reader: asyncio.StreamReader) -> Packet | None:
    """The next packet; None at the end of the connection.

    Raises:
        PacketError: A length that MQTT does not know.
    """
    try:
        first = (await reader.readexactly(1))[0]
        length = shift = 0
        while True:
            digit = (await reader.readexactly(1))[0]
            length |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                break
            if shift > 21:
                raise PacketError("a packet's length has more than four bytes")
        return Packet(first >> 4, first & 15, await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def _length(value: int) -> bytes:
    digits = bytearray()
    while True:
        value, digit = divmod(value, 128)
        digits.append(digit | (128 if value else 0))
        if not value:
            return bytes(digits)


def _read_length(body: bytes, at: int) -> tuple[int, int]:
    """A variable byte integer and the place behind it."""
    length = shift = 0
    while True:
        digit = body[at]
        at += 1
        length |= (digit & 127) << shift
        shift += 7
        if digit < 128:
            return length, at
