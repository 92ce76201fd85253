"""Rules about what no honest client sends: too long, too deep, too many, or no OPC UA at all."""

from __future__ import annotations

import struct

from asyncua import ua
from asyncua.ua.ua_binary import nodeid_to_binary, struct_to_binary

from conformance.device.authority import Issuer, Leaf
from conformance.device.prober import Prober
from conformance.device.security.table import Rules
from conformance.device.wire.channel import Identity
from conformance.device.wire.errors import Refused, Silent
from conformance.device.wire.transport import Wire
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome, failed, passed

RULES = Rules()
_HUGE = 0x7FFF_FFFF
_LONG_URL = 5_000
_PIECE = 8_000
_FLOOD = 24 * 1024 * 1024
_DEEP = 500
_ADDITIONAL = ua.NodeId(ua.ObjectIds.AdditionalParametersType_Encoding_DefaultBinary)
_SMALLEST_BUFFER = 8_192


async def _survives(prober: Prober, done: str) -> Outcome:
    """The device is still there for others."""
    if await prober.alive():
        return passed(f"{done}, and the device goes on")
    return failed(f"{done}, and the device answers nobody any more")


async def _cut(prober: Prober, wire: Wire, what: str) -> Outcome:
    """The connection is answered with an error or closed, and the device goes on."""
    if not await wire.ended():
        return failed(f"{what}: the connection stays open")
    return await _survives(prober, f"{what}: the connection is closed")


@RULES.add("security.hostile.garbage")
async def garbage(prober: Prober, _check: Check) -> Outcome:
    """Another protocol."""
    wire = await prober.wire()
    try:
        await wire.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return await _cut(prober, wire, "an HTTP request")
    finally:
        await wire.close()


@RULES.add("security.hostile.size")
async def size(prober: Prober, _check: Check) -> Outcome:
    """A header that announces 2 GB."""
    wire = await prober.wire()
    try:
        await wire.hello()
        await wire.send(b"OPNF" + struct.pack("<II", _HUGE, 0) + bytes(1_000))
        return await _cut(prober, wire, "a chunk that says it has 2 GB")
    finally:
        await wire.close()


@RULES.add("security.hostile.url")
async def long_url(prober: Prober, _check: Check) -> Outcome:
    """An EndpointUrl of more than 4096 bytes (OPC 10000-6, 7.1.2.3)."""
    wire = await prober.wire()
    try:
        await wire.hello("opc.tcp://" + "x" * _LONG_URL)
    except Refused as refusal:
        return await _survives(prober, f"an EndpointUrl of {_LONG_URL} bytes is refused: {refusal}")
    finally:
        await wire.close()
    return failed(f"an EndpointUrl of {_LONG_URL} bytes is accepted")


@RULES.add("security.hostile.buffers")
async def buffers(prober: Prober, _check: Check) -> Outcome:
    """Acknowledge stays within Hello and above 8192 bytes (OPC 10000-6, 7.1.2.4)."""
    wire = await prober.wire()
    try:
        found = await wire.hello(receive=_SMALLEST_BUFFER, send=_SMALLEST_BUFFER)
    finally:
        await wire.close()
    sizes = (found.ReceiveBufferSize, found.SendBufferSize)
    text = f"buffers of {_SMALLEST_BUFFER} bytes are answered with {sizes[0]} and {sizes[1]}"
    return passed(text) if sizes == (_SMALLEST_BUFFER, _SMALLEST_BUFFER) else failed(text)


@RULES.secured("security.hostile.chunks")
async def endless(prober: Prober, check: Check) -> Outcome:
    """A message of intermediate chunks that does not end."""
    most = int(check.parameters.get("bytes", _FLOOD))
    async with prober.session() as session:
        channel = session.channel
        sent = 0
        try:
            while sent < most:
                await channel.wire.send(channel.intermediate(bytes(_PIECE), 4_711))
                sent += _PIECE
            if not await channel.wire.ended(2):
                return failed(f"a message of {sent // 1024} kB without end is taken, and more would be")
        except (Refused, Silent):
            pass
    return await _survives(prober, f"a message without end is cut off after at most {sent // 1024} kB")


@RULES.add("security.hostile.nested")
async def nested(prober: Prober, check: Check) -> Outcome:
    """Values within values within values."""
    depth = int(check.parameters.get("depth", _DEEP))
    request = ua.GetEndpointsRequest()
    request.Parameters.EndpointUrl = prober.url
    async with prober.plain() as channel:
        body = channel.body(request)
        plain = struct_to_binary(ua.ExtensionObject())
        at = body.index(plain, 20)
        hostile = _nested_object(depth)
        try:
            await channel.wire.send(b"".join(channel.chunks(body[:at] + hostile + body[at + len(plain) :])), "nested")
            await channel.response("GetEndpointsRequest")
        except Refused as refusal:
            return await _survives(prober, f"values {depth} deep are refused: {refusal}")
        except Silent as silence:
            return failed(f"values {depth} deep: {silence}")
    return await _survives(prober, f"values {depth} deep in the request's header are passed over")


def _nested_object(depth: int) -> bytes:
    """AdditionalParametersType with a variant in a variant in a variant ... (OPC 10000-6, 5.2.2.16)."""
    variant = b"\x01\x01"
    for _ in range(depth):
        variant = b"\x98" + struct.pack("<i", 1) + variant
    name = struct.pack("<Hi", 0, 1) + b"x"
    body = struct.pack("<i", 1) + name + variant
    head: bytes = nodeid_to_binary(_ADDITIONAL)
    return head + b"\x01" + struct.pack("<i", len(body)) + body


@RULES.add("security.hostile.text")
async def text(prober: Prober, _check: Check) -> Outcome:
    """Text that is no UTF-8."""
    request = ua.GetEndpointsRequest()
    request.Parameters.EndpointUrl = "opc.tcp://" + "x" * 12
    async with prober.plain() as channel:
        body = channel.body(request).replace(b"x" * 12, b"\xff\xfe\x00\xed\xa0\x80\xc0\xaf\xf8\x88\x80\x80")
        try:
            await channel.wire.send(b"".join(channel.chunks(body)), "text")
            await channel.response("GetEndpointsRequest")
        except Refused as refusal:
            return await _survives(prober, f"text that is no UTF-8 is refused: {refusal}")
        except Silent as silence:
            return failed(f"text that is no UTF-8: {silence}")
    return await _survives(prober, "text that is no UTF-8 is passed over")


@RULES.add("security.hostile.length")
async def length(prober: Prober, _check: Check) -> Outcome:
    """An array that says it has 2,000,000,000 elements."""
    request = ua.GetEndpointsRequest()
    request.Parameters.EndpointUrl = prober.url
    async with prober.plain() as channel:
        body = channel.body(request)
        tail = struct.pack("<ii", 0, 0)
        if not body.endswith(tail):
            body = body[: -len(tail)] + tail
        body = body[:-4] + struct.pack("<i", 2_000_000_000)
        try:
            await channel.wire.send(b"".join(channel.chunks(body)), "length")
            await channel.response("GetEndpointsRequest")
        except Refused as refusal:
            return await _survives(prober, f"an array of 2,000,000,000 elements is refused: {refusal}")
        except Silent as silence:
            return failed(f"an array of 2,000,000,000 elements: {silence}")
    return failed("an array of 2,000,000,000 elements that are not there is taken for good")


@RULES.secured("security.hostile.loop")
async def loop(prober: Prober, _check: Check) -> Outcome:
    """Two authorities that issued each other."""
    first, second = Issuer.root("area4 loop a"), Issuer.root("area4 loop b")
    ring = (second.cross(first), first.cross(second))
    who = Identity(first.issue(prober.key, Leaf(uri="urn:area4:loop")), prober.key, "urn:area4:loop", ring * 2)
    try:
        await prober.admits(who)
    except Refused as refusal:
        return await _survives(prober, f"certificates that issued each other are refused: {refusal}")
    except Silent as silence:
        return failed(f"certificates that issued each other: {silence}")
    return failed("a client whose certificates issued each other is accepted")


@RULES.secured("security.hostile.certificate")
async def broken_certificate(prober: Prober, _check: Check) -> Outcome:
    """A sender certificate that is none."""
    channel = await prober.unopened()
    channel.policy.host_certificate = b"\x30\x82\x01\x00" + bytes(64)
    try:
        await channel.open()
    except Refused as refusal:
        return await _survives(prober, f"a sender certificate that is none is refused: {refusal}")
    except Silent as silence:
        return failed(f"a sender certificate that is none: {silence}")
    finally:
        await channel.close()
    return failed("a sender certificate that is none is accepted")


@RULES.add("security.hostile.slow")
async def half_open(prober: Prober, check: Check) -> Outcome:
    """A connection that never says anything."""
    seconds = float(check.parameters.get("seconds", 45))
    wire = await prober.wire()
    try:
        await wire.hello()
        if not await wire.ended(seconds):
            return failed(f"a connection that opens no channel is kept for more than {seconds:g} s")
    finally:
        await wire.close()
    return await _survives(prober, "a connection that opens no channel is closed after a while")
