"""MQTT packets as bytes, for both 3.1.1 and 5: built as a check wants them, broken ones included, and read back.

Nothing here checks what a client may send: that a broker refuses it is what the checks find out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

V311 = 4
V5 = 5
MAX_VARINT = 268_435_455
"""Largest variable byte integer (MQTT 5.0, 1.5.5)."""


class Kind(IntEnum):
    """Control packet types (MQTT 5.0, 2.1.2)."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15


class Prop(IntEnum):
    """Properties (MQTT 5.0, 2.2.2.2)."""

    PAYLOAD_FORMAT = 1
    MESSAGE_EXPIRY = 2
    CONTENT_TYPE = 3
    RESPONSE_TOPIC = 8
    CORRELATION_DATA = 9
    SUBSCRIPTION_ID = 11
    SESSION_EXPIRY = 17
    ASSIGNED_CLIENT_ID = 18
    SERVER_KEEP_ALIVE = 19
    AUTH_METHOD = 21
    AUTH_DATA = 22
    REQUEST_PROBLEM = 23
    WILL_DELAY = 24
    REQUEST_RESPONSE = 25
    RESPONSE_INFORMATION = 26
    SERVER_REFERENCE = 28
    REASON_STRING = 31
    RECEIVE_MAXIMUM = 33
    TOPIC_ALIAS_MAXIMUM = 34
    TOPIC_ALIAS = 35
    MAXIMUM_QOS = 36
    RETAIN_AVAILABLE = 37
    USER_PROPERTY = 38
    MAXIMUM_PACKET = 39
    WILDCARD_AVAILABLE = 40
    SUBSCRIPTION_ID_AVAILABLE = 41
    SHARED_AVAILABLE = 42


_TEXT = {3, 8, 18, 21, 26, 28, 31}
_BINARY = {9, 22}
_INTEGERS = {
    **dict.fromkeys((1, 23, 25, 36, 37, 40, 41, 42), ">B"),
    **dict.fromkeys((19, 33, 34, 35), ">H"),
    **dict.fromkeys((2, 17, 24, 39), ">I"),
}

Value = int | str | bytes | tuple[str, str]
Properties = tuple[tuple[int, Value], ...]
"""In their order; a property may stand more than once."""


class WireError(ValueError):
    """Bytes that are no MQTT packet."""


class Packet(NamedTuple):
    """A control packet, not yet read: its type, the flags beside it, what follows the fixed header."""

    kind: int
    flags: int
    body: bytes


class Message(NamedTuple):
    """A PUBLISH."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    packet_id: int
    properties: Properties


class Ack(NamedTuple):
    """PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK or UNSUBACK: for which packet, and its reason codes."""

    packet_id: int
    reasons: tuple[int, ...]
    properties: Properties


class Answer(NamedTuple):
    """CONNACK or DISCONNECT."""

    reason: int
    session_present: bool
    properties: Properties


@dataclass(frozen=True, slots=True)
class Will:
    """What a broker publishes when the client is gone without a word."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    properties: Properties = ()


def varint(number: int) -> bytes:
    """A variable byte integer.

    Raises:
        WireError: It does not fit into four bytes.
    """
    if not 0 <= number <= MAX_VARINT:
        raise WireError(f"{number} is no variable byte integer")
    out = bytearray()
    while True:
        number, digit = number >> 7, number & 0x7F
        out.append(digit | (0x80 if number else 0))
        if not number:
            return bytes(out)


def text(value: str | bytes) -> bytes:
    """A UTF-8 string, or any bytes, behind their length."""
    raw = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    return struct.pack(">H", len(raw)) + raw


def properties(entries: Properties, version: int = V5) -> bytes:
    """The property list with its length; nothing in 3.1.1."""
    if version < V5:
        return b""
    raw = b"".join(_property(key, value) for key, value in entries)
    return varint(len(raw)) + raw


def _property(key: int, value: Value) -> bytes:
    if isinstance(value, tuple):
        return bytes([key]) + text(value[0]) + text(value[1])
    if isinstance(value, int):
        layout = _INTEGERS.get(key)
        return bytes([key]) + (struct.pack(layout, value) if layout else varint(value))
    return bytes([key]) + text(value)


def first(entries: Properties, key: int) -> Value | None:
    """The first value of a property."""
    return next((value for one, value in entries if one == key), None)


def number(entries: Properties, key: int, otherwise: int) -> int:
    """The first value of a numeric property."""
    value = first(entries, key)
    return value if isinstance(value, int) else otherwise


def frame(kind: int, flags: int, body: bytes) -> bytes:
    """A control packet."""
    return bytes([kind << 4 | flags]) + varint(len(body)) + body


def connect(
    client_id: str,
    *,
    version: int = V5,
    clean: bool = True,
    keep_alive: int = 60,
    entries: Properties = (),
    will: Will | None = None,
    user: str | None = None,
    password: bytes | None = None,
    protocol: str = "MQTT",
    reserved: int = 0,
) -> bytes:
    """CONNECT."""
    flags = (0x02 if clean else 0) | (0x80 if user is not None else 0) | (0x40 if password is not None else 0)
    if will is not None:
        flags |= 0x04 | will.qos << 3 | (0x20 if will.retain else 0)
    body = text(protocol) + bytes([version, flags | reserved]) + struct.pack(">H", keep_alive)
    body += properties(entries, version) + text(client_id)
    if will is not None:
        body += properties(will.properties, version) + text(will.topic) + text(will.payload)
    body += b"" if user is None else text(user)
    body += b"" if password is None else text(password)
    return frame(Kind.CONNECT, 0, body)


def publish(
    topic: str | bytes,
    payload: bytes,
    *,
    qos: int = 1,
    packet_id: int = 1,
    retain: bool = False,
    dup: bool = False,
    entries: Properties = (),
    version: int = V5,
) -> bytes:
    """PUBLISH."""
    body = text(topic) + (struct.pack(">H", packet_id) if qos else b"") + properties(entries, version) + payload
    return frame(Kind.PUBLISH, (0x08 if dup else 0) | qos << 1 | int(retain), body)


def subscribe(
    packet_id: int, filters: Iterable[tuple[str, int]], *, entries: Properties = (), version: int = V5
) -> bytes:
    """SUBSCRIBE; with each filter its options byte (the QoS, in MQTT 5 more)."""
    body = struct.pack(">H", packet_id) + properties(entries, version)
    return frame(Kind.SUBSCRIBE, 2, body + b"".join(text(one) + bytes([options]) for one, options in filters))


def unsubscribe(packet_id: int, filters: Sequence[str], *, version: int = V5) -> bytes:
    """UNSUBSCRIBE."""
    body = struct.pack(">H", packet_id) + properties((), version)
    return frame(Kind.UNSUBSCRIBE, 2, body + b"".join(text(one) for one in filters))


def acknowledge(kind: int, packet_id: int) -> bytes:
    """PUBACK, PUBREC, PUBREL or PUBCOMP that says success."""
    return frame(kind, 2 if kind == Kind.PUBREL else 0, struct.pack(">H", packet_id))


def disconnect(reason: int = 0, entries: Properties = (), *, version: int = V5) -> bytes:
    """DISCONNECT; in MQTT 5 with a reason where it is not 0 or properties follow."""
    body = bytes([reason]) + properties(entries) if version >= V5 and (reason or entries) else b""
    return frame(Kind.DISCONNECT, 0, body)


def matches(pattern: str, topic: str) -> bool:
    """A topic filter, shared or not, matches a topic name (MQTT 5.0, 4.7.1 and 4.8.2)."""
    if pattern.startswith("$share/"):
        pattern = pattern.split("/", 2)[-1]
    wanted, levels = pattern.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in {"+", "#"}:
        return False
    if wanted[-1] == "#":
        wanted = wanted[:-1]
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and all(one in {"+", two} for one, two in zip(wanted, levels, strict=True))


PING = frame(Kind.PINGREQ, 0, b"")


class Parser:
    """Cuts a stream of bytes into control packets."""

    def __init__(self) -> None:
        self._left = bytearray()

    def feed(self, data: bytes) -> list[Packet]:
        """The packets that these bytes complete.

        Raises:
            WireError: A remaining length of more than four bytes.
        """
        self._left += data
        found: list[Packet] = []
        while (cut := _header(self._left)) is not None:
            start, end = cut
            if len(self._left) < end:
                break
            found.append(Packet(self._left[0] >> 4, self._left[0] & 0x0F, bytes(self._left[start:end])))
            del self._left[:end]
        return found


def _header(data: bytearray) -> tuple[int, int] | None:
    """Where the body begins and ends; None where the header is not whole."""
    length = 0
    for place in range(4):
        if len(data) < place + 2:
            return None
        length |= (data[place + 1] & 0x7F) << (7 * place)
        if not data[place + 1] & 0x80:
            return place + 2, place + 2 + length
    raise WireError(f"remaining length of more than four bytes: {bytes(data[:6]).hex()}")


class _Body:
    """Reads a body field by field."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise WireError(f"packet ends early: {self.data.hex()}")
        self.at += count
        return self.data[self.at - count : self.at]

    def integer(self, layout: str) -> int:
        return int(struct.unpack(layout, self.take(struct.calcsize(layout)))[0])

    def binary(self) -> bytes:
        return self.take(self.integer(">H"))

    def text(self) -> str:
        try:
            return self.binary().decode()
        except UnicodeDecodeError as error:
            raise WireError(f"not UTF-8: {error}") from error

    def varint(self) -> int:
        value = 0
        for place in range(4):
            digit = self.take(1)[0]
            value |= (digit & 0x7F) << (7 * place)
            if not digit & 0x80:
                return value
        raise WireError("variable byte integer of more than four bytes")

    def properties(self, version: int) -> Properties:
        if version < V5 or self.at == len(self.data):
            return ()
        length = self.varint()
        end = self.at + length
        found: list[tuple[int, Value]] = []
        while self.at < end:
            key = self.varint()
            found.append((key, self._value(key)))
        if self.at != end:
            raise WireError(f"properties end elsewhere than they say: {self.data.hex()}")
        return tuple(found)

    def _value(self, key: int) -> Value:
        if key in _TEXT:
            return self.text()
        if key in _BINARY:
            return self.binary()
        if key in _INTEGERS:
            return self.integer(_INTEGERS[key])
        if key == Prop.USER_PROPERTY:
            return self.text(), self.text()
        if key == Prop.SUBSCRIPTION_ID:
            return self.varint()
        raise WireError(f"property {key} is not known")

    @property
    def rest(self) -> bytes:
        return self.take(len(self.data) - self.at)


def read_message(packet: Packet, version: int) -> Message:
    """A PUBLISH, read.

    Raises:
        WireError: It is malformed.
    """
    body = _Body(packet.body)
    qos = packet.flags >> 1 & 3
    topic = body.text()
    packet_id = body.integer(">H") if qos else 0
    entries = body.properties(version)
    return Message(topic, body.rest, qos, bool(packet.flags & 1), bool(packet.flags & 8), packet_id, entries)


def read_ack(packet: Packet, version: int) -> Ack:
    """An acknowledgement, read; where a publication's says nothing more, it says success.

    Raises:
        WireError: It is malformed.
    """
    body = _Body(packet.body)
    packet_id = body.integer(">H")
    if packet.kind in {Kind.SUBACK, Kind.UNSUBACK}:
        entries = body.properties(version)
        return Ack(packet_id, tuple(body.rest), entries)
    reason = body.integer(">B") if body.at < len(packet.body) else 0
    return Ack(packet_id, (reason,), body.properties(version))


def read_answer(packet: Packet, version: int) -> Answer:
    """CONNACK or DISCONNECT, read.

    Raises:
        WireError: It is malformed.
    """
    body = _Body(packet.body)
    present = bool(body.integer(">B") & 1) if packet.kind == Kind.CONNACK else False
    reason = body.integer(">B") if body.at < len(packet.body) else 0
    return Answer(reason, present, body.properties(version))
