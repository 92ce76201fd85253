"""Rules about the secure channel: numbers, signatures, nonces, tokens."""

from __future__ import annotations

from collections.abc import Sequence

from asyncua import ua

from conformance.device.prober import Prober
from conformance.device.security.table import Rules, refused
from conformance.device.wire.channel import NONE, Channel, Security
from conformance.device.wire.errors import Refused
from conformance.device.wire.session import Session
from conformance.suite.check import Check
from conformance.suite.outcome import Evidence, Outcome, absent, failed, passed

RULES = Rules()
NONCE = 32
_TIMES = 4
_JUMP = 1_000
_NEVER = 0x5A5A5A5A
"""Id of a security token that nobody issues."""
_LONGEST_TOKEN = 86_400_000
_STATE = ua.ObjectIds.Server_ServerStatus_State


def unlike(nonces: Sequence[bytes], what: str, least: int = NONCE) -> Outcome:
    """Long enough, none twice, and not what a counter makes."""
    shown = [Evidence(what="bytes", content=one.hex()[:128]) for one in nonces[:3]]
    short = [one for one in nonces if len(one) < least]
    if short:
        return failed(f"{what} has {len(short[0])} bytes, {least} are asked for", *shown)
    if len(set(nonces)) < len(nonces):
        return failed(f"{what} comes twice in {len(nonces)}", *shown)
    first = nonces[0]
    same = max(sum(a == b for a, b in zip(first, one, strict=False)) for one in nonces[1:])
    if same > least // 2:
        return failed(f"{what} differs in only {len(first) - same} of {len(first)} bytes from another", *shown)
    return passed(f"{what}: {len(nonces)} of at least {least} bytes, all different")


@RULES.secured("security.channel.nonce")
async def channel_nonce(prober: Prober, _check: Check) -> Outcome:
    """The server's nonce of OpenSecureChannel."""
    security = await prober.security()
    if security.policy == NONE:
        return absent("without security there is no nonce")
    found = []
    for _ in range(_TIMES):
        async with prober.channel() as channel:
            found.append(channel.nonce)
    return unlike(found, "the nonce of OpenSecureChannel")


@RULES.secured("security.session.nonce")
async def session_nonce(prober: Prober, _check: Check) -> Outcome:
    """The server's nonces of CreateSession and ActivateSession."""
    found = []
    for _ in range(_TIMES):
        async with prober.created() as session:
            found.append(session.nonce)
            await session.activate(prober.login, await prober.token_policy(prober.login))
            found.append(session.nonce)
    return unlike(found, "the nonce of a session")


@RULES.secured("security.channel.replay")
async def replay(prober: Prober, _check: Check) -> Outcome:
    """The same message twice."""
    async with prober.session() as session:
        channel = session.channel
        data = b"".join(channel.chunks(_read(channel)))
        await channel.wire.send(data, "ReadRequest")
        await channel.response("ReadRequest")
        return await _dropped(channel, data, "a message that is sent again")


@RULES.secured("security.channel.jump")
async def jump(prober: Prober, _check: Check) -> Outcome:
    """A gap in the sequence numbers."""
    async with prober.session() as session:
        channel = session.channel
        channel.sequence += _JUMP
        return await _dropped(channel, b"".join(channel.chunks(_read(channel))), f"a jump of {_JUMP} sequence numbers")


@RULES.secured("security.channel.forged")
async def forged(prober: Prober, _check: Check) -> Outcome:
    """A message with one changed bit."""
    async with prober.session() as session:
        channel = session.channel
        data = bytearray(b"".join(channel.chunks(_read(channel))))
        data[-1] ^= 1
        return await _dropped(channel, bytes(data), "a message with a changed bit")


@RULES.secured("security.channel.token")
async def unknown_token(prober: Prober, _check: Check) -> Outcome:
    """A security token that was never issued."""
    async with prober.session() as session:
        channel = session.channel
        data = b"".join(channel.chunks(_read(channel), token=_NEVER))
        return await _dropped(channel, data, "a message with a token that was never issued")


@RULES.secured("security.channel.plain")
async def plain_message(prober: Prober, _check: Check) -> Outcome:
    """An unsecured message on a secured channel, with its ids right."""
    async with prober.session() as session, prober.plain() as other:
        channel = session.channel
        head = b"".join(channel.chunks(_read(channel)))[8:16]
        other.token = channel.token
        data = bytearray(b"".join(other.chunks(_read(channel))))
        data[8:16] = head
        data[16:20] = (channel.sequence - 1).to_bytes(4, "little")
        return await _dropped(channel, bytes(data), "an unsecured message on a secured channel")


@RULES.add("security.channel.unopened")
async def unopened(prober: Prober, _check: Check) -> Outcome:
    """A message before a channel is open."""
    request = ua.GetEndpointsRequest()
    request.Parameters.EndpointUrl = prober.url
    channel = await prober.unopened(security=Security.none())
    try:
        return await refused(channel.request(request), "a message before a channel is open")
    finally:
        await channel.wire.close()


@RULES.secured("security.channel.renewal")
async def renewal(prober: Prober, _check: Check) -> Outcome:
    """A renewed token; the old one holds until the new one is used."""
    async with prober.session() as session:
        channel = session.channel
        try:
            await session.read(_STATE)
            await channel.open(renew=True)
            await session.read(_STATE)
        except Refused as refusal:
            return failed(f"after a renewal the old token is refused before the new one was used: {refusal}")
        channel.revolve()
        try:
            await session.read(_STATE)
            await session.read(_STATE)
        except Refused as refusal:
            return failed(f"the renewed token is refused: {refusal}")
    return passed("the channel was renewed, and reading went on with the old and then the new token")


@RULES.secured("security.channel.renewal-id")
async def renewal_id(prober: Prober, _check: Check) -> Outcome:
    """Renewing gives the same channel and another token."""
    channel = await prober.unopened()
    try:
        first = (await channel.open()).SecurityToken
        ids = (first.ChannelId, first.TokenId, channel.nonce)
        second = (await channel.open(renew=True)).SecurityToken
        if second.ChannelId != ids[0]:
            return failed(f"renewing channel {ids[0]} gives channel {second.ChannelId}")
        if second.TokenId == ids[1]:
            return failed(f"renewing gives the token {ids[1]} again")
        if channel.nonce == ids[2]:
            return failed("renewing gives the nonce of the opening again", Evidence(what="bytes", content=ids[2].hex()))
        return passed(f"channel {ids[0]} stays, token {ids[1]} becomes {second.TokenId}")
    finally:
        await channel.close()


@RULES.secured("security.channel.lifetime")
async def lifetime(prober: Prober, _check: Check) -> Outcome:
    """A lifetime without end is revised."""
    channel = await prober.unopened()
    try:
        revised = (await channel.open(lifetime=0xFFFF_FFFF)).SecurityToken.RevisedLifetime
    finally:
        await channel.close()
    text = f"a lifetime of 49 days is revised to {revised / 3_600_000:.1f} h"
    return passed(text) if 0 < revised <= _LONGEST_TOKEN else failed(f"{text}; at most 24 h are reasonable")


def _read(channel: Channel) -> bytes:
    request = ua.ReadRequest()
    request.Parameters.NodesToRead = [ua.ReadValueId(NodeId=ua.NodeId(_STATE), AttributeId=ua.AttributeIds.Value)]
    return channel.body(request)


async def _dropped(channel: Channel, data: bytes, what: str) -> Outcome:
    async def attempt() -> None:
        await channel.wire.send(data, "ReadRequest")
        await channel.response("ReadRequest")

    outcome = await refused(attempt(), what)
    if outcome.verdict == "pass" and not await channel.wire.ended():
        return failed(f"{what} is answered with an error, but the channel stays open")
    return outcome


def proven(session: Session) -> Outcome:
    """The server proves with its signature that it has its key (OPC 10000-4, 5.7.2)."""
    channel = session.channel
    assert channel.identity is not None
    given = session.created.ServerSignature
    signed = channel.identity.certificate + session.sent
    try:
        channel.policy.asymmetric_cryptography.verify(signed, given.Signature or b"")
    except Exception as error:  # noqa: BLE001 - a signature of any kind of wrongness
        return failed(f"the server's signature does not fit its certificate ({type(error).__name__})")
    if given.Algorithm != channel.policy.AsymmetricSignatureURI:
        return failed(f"the server says that it signs with {given.Algorithm}")
    return passed("the server signs the client's certificate and nonce with its key")


@RULES.secured("security.session.signature")
async def server_signature(prober: Prober, _check: Check) -> Outcome:
    """The signature of CreateSession."""
    async with prober.created() as session:
        if session.created.ServerCertificate and session.created.ServerCertificate[:2] != b"\x30\x82":
            return failed("CreateSession answers with something that is no certificate")
        return proven(session)
