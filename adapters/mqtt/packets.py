"""The two packets of which there are many, to and from bytes: PUBLISH at QoS 1 and PUBACK (MQTT 5.0, 3.3 and 3.4).

Everything else of a connection is written and read by paho. A PUBLISH through paho costs ten times as much, because it
keeps each message for sending it again, which is the outbox's business here. Pure: no socket, no clock.
"""

from __future__ import annotations

import struct

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

PUBACK = 0x40
"""First byte of a PUBACK."""

MOST = 0x0FFF_FFFF
"""Largest remaining length (MQTT 5.0, 1.5.5)."""

_PUBLISH = 0x32  # QoS 1, neither repeated nor retained
_RETAIN = 0x01
_FAILURE = 0x80
_IDENTIFIER = struct.Struct(">H")
_EXPIRY = struct.Struct(">BBI")
_MESSAGE_EXPIRY = 0x02
_REASON_STRING = 0x1F
_USER_PROPERTY = 0x26
_NO_PROPERTIES = b"\0"


class MalformedPacketError(Exception):
    """The peer does not speak MQTT, or sends more than we told it to."""


def publish(topic: bytes, mid: int, payload: bytes, *, properties: bytes, retain: bool) -> bytes:
    """A PUBLISH at QoS 1; `properties` as `publish_properties` gives them.

    Raises:
        ValueError: It is longer than a packet may be.
    """
    rest = 4 + len(topic) + len(properties) + len(payload)
    first = bytes((_PUBLISH | _RETAIN if retain else _PUBLISH,))
    return b"".join(
        (first, _length(rest), _IDENTIFIER.pack(len(topic)), topic, _IDENTIFIER.pack(mid), properties, payload)
    )


def publish_properties(expiry: int | None, *, version_5: bool) -> bytes:
    """The properties of a PUBLISH: none at all in MQTT 3.1.1, else with the seconds after which it expires."""
    if not version_5:
        return b""
    return _NO_PROPERTIES if expiry is None else _EXPIRY.pack(5, _MESSAGE_EXPIRY, expiry)


def publish_size(topic: bytes, payload: bytes, properties: bytes) -> int:
    """Bytes of a PUBLISH on the wire."""
    rest = 4 + len(topic) + len(properties) + len(payload)
    return 1 + (1 if rest < 128 else 2 if rest < 16_384 else 3 if rest < 2_097_152 else 4) + rest


def _length(rest: int) -> bytes:
    if rest > MOST:
        raise ValueError(f"a packet of {rest} bytes; MQTT allows {MOST}")
    found = bytearray()
    while rest > 127:
        found.append(rest & 127 | 128)
        rest >>= 7
    found.append(rest)
    return bytes(found)


def packet_end(data: bytes, start: int, most: int) -> int | None:
    """Where the packet that starts there ends; None if it is not all there yet.

    Raises:
        MalformedPacketError: Its length is none, or beyond `most`.
    """
    rest = shift = 0
    for position in range(start + 1, min(start + 5, len(data))):
        byte = data[position]
        rest |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            if rest > most:
                raise MalformedPacketError(f"a packet of {rest} bytes was announced; accepted are {most}")
            end = position + 1 + rest
            return end if end <= len(data) else None
    if shift == 28:
        raise MalformedPacketError("the length of a packet has more than four bytes")
    return None


def puback(packet: bytes) -> tuple[int, str | None]:
    """Identifier of what a PUBACK acknowledges, and the reason where it was refused.

    Raises:
        MalformedPacketError: It is too short.
    """
    at = 2  # a PUBACK of more than 127 bytes has its length in two
    while packet[at - 1] & 128:
        at += 1
    if len(packet) < at + 2:
        raise MalformedPacketError("a PUBACK without an identifier")
    (mid,) = _IDENTIFIER.unpack_from(packet, at)
    reason = packet[at + 2] if len(packet) > at + 2 else 0
    return mid, None if reason < _FAILURE else _told(reason, packet[at + 3 :])


def _told(reason: int, properties: bytes) -> str:
    """The broker's own words, else the name of the reason, else its number."""
    text = _reason_string(properties)
    if text:
        return text
    try:
        return ReasonCode(PacketTypes.PUBACK, identifier=reason).getName()
    except (KeyError, AssertionError, ValueError):
        return f"reason 0x{reason:02X}"


def _reason_string(properties: bytes) -> str:
    """The Reason String among the properties of a PUBACK (MQTT 5.0, 3.4.2.2); empty where there is none."""
    at = 1
    while at < len(properties) and properties[at - 1] & 128:
        at += 1  # over their length
    while at < len(properties):
        if properties[at] == _REASON_STRING:
            return _text(properties, at + 1)[0]
        if properties[at] != _USER_PROPERTY:
            break
        _, at = _text(properties, at + 1)
        _, at = _text(properties, at)
    return ""


def _text(data: bytes, at: int) -> tuple[str, int]:
    """A string and where it ends, as far as the bytes go."""
    end = at + 2 + int.from_bytes(data[at : at + 2], "big")
    return data[at + 2 : end].decode("utf-8", "replace"), end
