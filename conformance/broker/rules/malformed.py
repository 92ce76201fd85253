"""Packets that end a connection, and nobody else's (MQTT 5.0, 4.13; 3.1.1, 4.8)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from conformance.broker import wire
from conformance.broker.client import Client
from conformance.broker.link import ClosedError, SilenceError
from conformance.broker.rules.common import came, modern, pair, sent
from conformance.broker.wire import Kind, Prop
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome, failed, passed

if TYPE_CHECKING:
    from conformance.broker.target import BrokerTarget

_Build = Callable[["BrokerTarget", str], bytes]


def _body(target: BrokerTarget) -> bytes:
    return struct.pack(">H", 7) + wire.properties((), target.version)


def _twice(target: BrokerTarget, topic: str) -> bytes:
    entries = ((Prop.MESSAGE_EXPIRY, 60), (Prop.MESSAGE_EXPIRY, 60))
    return wire.publish(topic, b"x", entries=entries, version=target.version)


def _unknown(_: BrokerTarget, topic: str) -> bytes:
    entries = b"\x7e\x01"  # no property has number 126
    body = wire.text(topic) + struct.pack(">H", 7) + wire.varint(len(entries)) + entries + b"x"
    return wire.frame(Kind.PUBLISH, 2, body)


CONNECTED: dict[str, _Build] = {
    "second-connect": lambda target, _: wire.connect(target.client_id(), version=target.version),
    "qos-3": lambda target, topic: wire.publish(topic, b"x", qos=3, packet_id=7, version=target.version),
    "packet-id-0": lambda target, topic: wire.publish(topic, b"x", packet_id=0, version=target.version),
    "wildcard": lambda target, topic: wire.publish(f"{topic}/#", b"x", packet_id=7, version=target.version),
    "invalid-utf8": lambda target, topic: wire.publish(
        topic.encode() + b"\xc3\x28", b"x", packet_id=7, version=target.version
    ),
    "surrogate": lambda target, topic: wire.publish(f"{topic}\ud800", b"x", packet_id=7, version=target.version),
    "nul": lambda target, topic: wire.publish(f"{topic}\0", b"x", packet_id=7, version=target.version),
    "subscribe-flags": lambda target, topic: wire.frame(Kind.SUBSCRIBE, 0, _body(target) + wire.text(topic) + b"\x01"),
    "subscribe-empty": lambda target, _: wire.frame(Kind.SUBSCRIBE, 2, _body(target)),
    "subscribe-qos-3": lambda target, topic: wire.subscribe(7, [(topic, 3)], version=target.version),
    "unsubscribe-empty": lambda target, _: wire.frame(Kind.UNSUBSCRIBE, 2, _body(target)),
    "filter": lambda target, topic: wire.subscribe(7, [(f"{topic}/#/x", 1)], version=target.version),
    "reserved-type": lambda _target, _topic: wire.frame(0, 0, b""),
    "remaining-length": lambda _target, _topic: b"\x30\xff\xff\xff\xff\x01",
    "property-twice": _twice,
    "property-unknown": _unknown,
}
"""Sent by a client that is connected, by name."""

_FILTER_REASONS = {0x80, 0x8F}

FIRST: dict[str, Callable[[BrokerTarget], bytes]] = {
    "publish-first": lambda target: wire.publish(target.channel(), b"x", version=target.version),
    "protocol-name": lambda target: wire.connect(target.client_id(), version=target.version, protocol="MQTX"),
    "reserved-flag": lambda target: wire.connect(target.client_id(), version=target.version, reserved=1),
    "will-qos-3": lambda target: wire.connect(
        target.client_id(), version=target.version, will=wire.Will(target.channel(), b"x", qos=3)
    ),
}
"""Sent as the first packet, by name."""


async def connected(target: BrokerTarget, check: Check) -> Outcome:
    """A malformed packet ends its sender's connection; its message reaches nobody, and others are served on."""
    name = str(check.parameters["packet"])
    async with pair(target) as (client, reader, topic):
        data = CONNECTED[name](target, topic)
        async with await target.client("reader" if "subscribe" in name or name == "filter" else "client") as bad:
            await bad.send(data)
            verdict = await _taken(bad, name)
        if verdict:
            return failed(verdict, sent(data))
        await client.publish(topic, b"fence")
        found = await reader.messages_until(b"fence")
    if found:
        return failed("its message was delivered", sent(data), came("message", found[0]))
    words = "" if bad.farewell is None else f" with reason 0x{bad.farewell.reason:02X}"
    return passed(f"the connection was ended{words}, others were served on")


async def _taken(bad: Client, name: str) -> str:
    """What is wrong with the broker's reaction; empty where it ended the connection.

    An invalid filter may also be answered by a SUBACK that refuses it (MQTT 5.0, 3.9.3).
    """
    try:
        packet = await bad.answer(Kind.PUBACK, Kind.PUBREC, Kind.SUBACK, Kind.UNSUBACK, Kind.CONNACK)
    except ClosedError:
        return ""
    except SilenceError as error:
        return f"the connection stays: {error}"
    if packet.kind == Kind.SUBACK and name == "filter":
        reasons = wire.read_ack(packet, bad.version).reasons
        return "" if set(reasons) <= _FILTER_REASONS else f"SUBACK {reasons}"
    return f"answered with {Kind(packet.kind).name} {packet.body.hex(' ')}"


async def first(target: BrokerTarget, check: Check) -> Outcome:
    """As the first packet it gets no CONNACK that says success, and the connection ends."""
    data = FIRST[str(check.parameters["packet"])](target)
    async with await target.dial() as bad:
        await bad.send(data)
        try:
            packet = await bad.answer(Kind.CONNACK)
        except ClosedError as error:
            return passed(str(error))
        answer = wire.read_answer(packet, target.version)
        if answer.reason == 0:
            return failed("it was accepted", sent(data))
        if not await bad.ended():
            return failed(f"refused with 0x{answer.reason:02X}, but the connection stays", sent(data))
    return passed(f"refused with CONNACK 0x{answer.reason:02X}")


RULES = {"malformed.connected": connected, "malformed.first": first, "malformed.modern": modern(connected)}
"""By name."""
