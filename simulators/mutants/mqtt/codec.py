"""MQTT packets as the small broker reads and writes them; what is malformed it does not read."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum

V311, V5 = 4, 5
PropertyValue = int | str | bytes | tuple[str, str]
Properties = list[tuple[int, PropertyValue]]


class Type(IntEnum):
    """Control packet types (MQTT 5.0, 2.1.2)."""

    CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
    SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 10, 11, 12, 13, 14


class Reason(IntEnum):
    """Reason codes (MQTT 5.0, 2.4) that the small broker gives."""

    SUCCESS = 0x00
    DISCONNECT_WITH_WILL = 0x04
    NO_SUBSCRIPTION = 0x11
    MALFORMED = 0x81
    PROTOCOL_ERROR = 0x82
    VERSION = 0x84
    CLIENT_ID = 0x85
    NOT_AUTHORISED = 0x87
    KEEP_ALIVE = 0x8D
    TAKEN_OVER = 0x8E
    FILTER_INVALID = 0x8F
    TOPIC_INVALID = 0x90
    ALIAS_INVALID = 0x94
    TOO_LARGE = 0x95


class Property(IntEnum):
    """Properties (MQTT 5.0, 2.2.2.2) by the names that the small broker uses."""

    FORMAT, EXPIRY, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION, SUBSCRIPTION_ID = 1, 2, 3, 8, 9, 11
    SESSION_EXPIRY, CLIENT_ID, KEEP_ALIVE, WILL_DELAY = 17, 18, 19, 24
    RECEIVE_MAXIMUM, ALIAS_MAXIMUM, ALIAS, USER, MAXIMUM_PACKET = 33, 34, 35, 38, 39


_NUMBERS = {1: "B", 2: "I", 17: "I", 19: "H", 23: "B", 24: "I", 25: "B", 33: "H", 34: "H", 35: "H", 36: "B", 37: "B",
            39: "I", 40: "B", 41: "B", 42: "B"}  # fmt: skip
_STRINGS = {3, 8, 18, 21, 26, 28, 31}
_BYTES = {9, 22}
_REPEATED = {Property.USER, Property.SUBSCRIPTION_ID}


class ProtocolFaultError(Exception):
    """The peer broke the protocol; the reason code says how."""

    def __init__(self, reason: int, words: str) -> None:
        super().__init__(words)
        self.reason = reason


@dataclass(slots=True)
class Publication:
    """A message on its way."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    dup: bool = False
    packet_id: int = 0
    properties: Properties = field(default_factory=list)


@dataclass(slots=True)
class Will:
    """A will with its delay in seconds."""

    message: Publication
    delay: int = 0


class Cursor:
    """Reads fields one after the other, strictly.

    Attributes:
        lenient: Rules of the standard that are not held here, by name (`utf8`, `nul`, `property-twice`, ...).
    """

    def __init__(self, data: bytes, lenient: str = "") -> None:
        self.data = data
        self.at = 0
        self.lenient = lenient

    @property
    def left(self) -> int:
        """Bytes that are not read yet."""
        return len(self.data) - self.at

    def take(self, count: int) -> bytes:
        """So many bytes.

        Raises:
            ProtocolFaultError: There are fewer.
        """
        if count > self.left:
            raise ProtocolFaultError(Reason.MALFORMED, "packet ends early")
        self.at += count
        return self.data[self.at - count : self.at]

    def integer(self, layout: str) -> int:
        """A number, big-endian."""
        return int(struct.unpack(f">{layout}", self.take(struct.calcsize(layout)))[0])

    def binary(self) -> bytes:
        """Bytes behind their length."""
        return self.take(self.integer("H"))

    def text(self) -> str:
        """A string; MQTT 5.0, 1.5.4."""
        raw = self.binary()
        try:
            value = raw.decode()
        except UnicodeDecodeError as error:
            surrogate = b"\xed\xa0" in raw
            if self.lenient != ("surrogate" if surrogate else "invalid-utf8"):
                raise ProtocolFaultError(Reason.MALFORMED, "not UTF-8") from error
            value = raw.decode(errors="replace")
        if "\0" in value and self.lenient != "nul":
            raise ProtocolFaultError(Reason.MALFORMED, "NUL in a string")
        return value

    def varint(self) -> int:
        """A variable byte integer."""
        value = 0
        for place in range(4):
            digit = self.take(1)[0]
            value |= (digit & 0x7F) << (7 * place)
            if digit < 0x80:
                return value
        raise ProtocolFaultError(Reason.MALFORMED, "variable byte integer of more than four bytes")

    def properties(self, version: int) -> Properties:
        """The property list of MQTT 5; nothing in 3.1.1."""
        if version < V5:
            return []
        end = self.varint() + self.at
        found: Properties = []
        while self.at < end:
            key = self.varint()
            value = self._value(key)
            if key not in _REPEATED and any(one == key for one, _ in found) and self.lenient != "property-twice":
                raise ProtocolFaultError(Reason.PROTOCOL_ERROR, f"property {key} twice")
            if value is not None:
                found.append((key, value))
        return found

    def _value(self, key: int) -> PropertyValue | None:
        if key in _NUMBERS:
            return self.integer(_NUMBERS[key])
        if key in _STRINGS:
            return self.text()
        if key in _BYTES:
            return self.binary()
        if key == Property.USER:
            return self.text(), self.text()
        if key == Property.SUBSCRIPTION_ID:
            return self.varint()
        if self.lenient == "property-unknown":
            self.take(1)
            return None
        raise ProtocolFaultError(Reason.MALFORMED, f"property {key} is not known")

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self.left)


def find(properties: Properties, key: int, otherwise: int = 0) -> int:
    """The value of a numeric property."""
    return next((value for one, value in properties if one == key and isinstance(value, int)), otherwise)


def varint(number: int) -> bytes:
    """A variable byte integer."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def text(value: str | bytes) -> bytes:
    """A string or bytes behind their length."""
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(raw)) + raw


def property_list(entries: Properties, version: int) -> bytes:
    """The property list of MQTT 5; nothing in 3.1.1."""
    if version < V5:
        return b""
    raw = bytearray()
    for key, value in entries:
        raw.append(key)
        if isinstance(value, tuple):
            raw += text(value[0]) + text(value[1])
        elif isinstance(value, int):
            raw += struct.pack(f">{_NUMBERS[key]}", value) if key in _NUMBERS else varint(value)
        else:
            raw += text(value)
    return varint(len(raw)) + bytes(raw)


def packet(kind: int, body: bytes, flags: int = 0) -> bytes:
    """A control packet."""
    return bytes([kind << 4 | flags]) + varint(len(body)) + body


def publish(message: Publication, version: int) -> bytes:
    """PUBLISH."""
    body = text(message.topic) + (struct.pack(">H", message.packet_id) if message.qos else b"")
    flags = message.dup << 3 | message.qos << 1 | int(message.retain)
    return packet(Type.PUBLISH, body + property_list(message.properties, version) + message.payload, flags)


def acknowledge(kind: int, packet_id: int, version: int, reason: int = 0) -> bytes:
    """PUBACK, PUBREC, PUBREL or PUBCOMP."""
    body = struct.pack(">H", packet_id) + (bytes([reason]) if reason and version >= V5 else b"")
    return packet(kind, body, 2 if kind == Type.PUBREL else 0)


def granted(kind: int, packet_id: int, reasons: list[int], version: int) -> bytes:
    """SUBACK or UNSUBACK; the latter has no reason codes in 3.1.1."""
    codes = bytes(reasons) if version >= V5 or kind == Type.SUBACK else b""
    return packet(kind, struct.pack(">H", packet_id) + property_list([], version) + codes)


def read_publish(flags: int, body: bytes, version: int, lenient: str) -> Publication:
    """A PUBLISH, read.

    Raises:
        ProtocolFaultError: It is malformed.
    """
    cursor = Cursor(body, lenient)
    qos = flags >> 1 & 3
    if qos == 3:
        if lenient != "qos-3":
            raise ProtocolFaultError(Reason.MALFORMED, "QoS 3")
        qos = 1
    topic = cursor.text()
    if any(one in topic for one in "+#") and lenient != "wildcard":
        raise ProtocolFaultError(Reason.TOPIC_INVALID, "wildcard in a topic name")
    packet_id = cursor.integer("H") if qos else 0
    if qos and not packet_id and lenient != "packet-id-0":
        raise ProtocolFaultError(Reason.MALFORMED, "packet identifier 0")
    entries = cursor.properties(version)
    return Publication(topic, cursor.rest(), qos, bool(flags & 1), bool(flags & 8), packet_id, entries)
