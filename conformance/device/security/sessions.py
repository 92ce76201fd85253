"""Rules about sessions: who may have one, who may take one over, how many."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from asyncua import ua

from conformance.device.authority import TestAuthority
from conformance.device.prober import Prober, left
from conformance.device.security.channels import unlike
from conformance.device.security.table import Rules, refused
from conformance.device.wire.errors import Refused
from conformance.device.wire.session import Session
from conformance.suite.check import Check
from conformance.suite.outcome import Evidence, Outcome, failed, passed

RULES = Rules()
_TOKENS = 6
_RANDOM = 16
"""Bytes of an authentication token that nobody guesses."""
_LONGEST = 86_400_000.0
_STATE = ua.ObjectIds.Server_ServerStatus_State
_MANY = 120


@RULES.secured("security.session.omitted")
async def omitted(prober: Prober, _check: Check) -> Outcome:
    """CreateSession without the client's certificate."""
    return await refused(_create(prober, b""), "CreateSession without a client certificate")


@RULES.secured("security.session.substituted")
async def substituted(prober: Prober, _check: Check) -> Outcome:
    """CreateSession with somebody else's certificate."""
    other = (await prober.security()).server
    return await refused(_create(prober, other), "CreateSession with another certificate than the channel's")


async def _create(prober: Prober, certificate: bytes) -> None:
    async with prober.channel() as channel:
        session = Session(channel)
        await session.create(certificate=certificate)
        await left(session)


@RULES.secured("security.session.proof")
async def proof(prober: Prober, _check: Check) -> Outcome:
    """ActivateSession without a proof that the client has its key."""
    async with prober.created() as session:
        policy = await prober.token_policy(prober.login)
        right = session.channel.policy.asymmetric_cryptography.signature(b"something else")
        return await refused(
            session.activate(prober.login, policy, signature=right), "ActivateSession with a wrong client signature"
        )


@RULES.secured("security.session.rebind")
async def rebind(prober: Prober, _check: Check) -> Outcome:
    """A session on a channel without security."""
    async with prober.session() as session, prober.plain() as channel:
        taken = session.moved(channel)
        policy = await prober.token_policy(prober.login)
        return await refused(taken.activate(prober.login, policy), "taking a session over without security")


@RULES.trusting("security.session.takeover")
async def takeover(prober: Prober, trusted: TestAuthority) -> Outcome:
    """A session on another client's channel."""
    other = trusted.root.identity(prober.key)
    async with prober.session() as session, prober.channel(identity=other) as channel:
        policy = await prober.token_policy(prober.login)
        taken = session.moved(channel)
        return await refused(taken.activate(prober.login, policy), "another client's takeover of a session")


@RULES.secured("security.session.stolen")
async def stolen(prober: Prober, _check: Check) -> Outcome:
    """A token used on another channel without ActivateSession."""
    async with prober.session() as session, prober.channel() as channel:
        return await refused(session.moved(channel).read(_STATE), "a session's token on another channel")


@RULES.secured("security.session.moves")
async def moves(prober: Prober, _check: Check) -> Outcome:
    """The same client goes on with its session on a new channel."""
    async with prober.session() as session, prober.channel() as channel:
        moved = session.moved(channel)
        try:
            await moved.activate(prober.login, await prober.token_policy(prober.login))
            await moved.read(_STATE)
        except Refused as refusal:
            return failed(f"a client that comes back on a new channel cannot go on with its session: {refusal}")
        await left(moved)
    return passed("a session goes on, on a new channel of the same client")


@RULES.secured("security.session.inactive")
async def inactive(prober: Prober, _check: Check) -> Outcome:
    """Nothing before ActivateSession."""
    async with prober.created() as session:
        return await refused(session.read(_STATE), "reading before ActivateSession")


@RULES.secured("security.session.closed")
async def closed(prober: Prober, _check: Check) -> Outcome:
    """Nothing after CloseSession."""
    async with prober.session() as session:
        await session.close()
        return await refused(session.read(_STATE), "reading after CloseSession")


def guessable(tokens: Sequence[ua.NodeId]) -> Outcome:
    """Opaque or Guid, long, and unlike each other."""
    shown = [Evidence(what="value", content=one.to_string()[:200]) for one in tokens[:3]]
    raw = [_bytes(one) for one in tokens]
    if any(isinstance(one.Identifier, int) for one in tokens):
        return failed("authentication tokens are numbers of at most 32 bits: they can be guessed", *shown)
    if len(set(raw)) < len(raw):
        return failed("two sessions have the same authentication token", *shown)
    if min(map(len, raw)) < _RANDOM:
        return failed(f"an authentication token has {min(map(len, raw))} bytes, {_RANDOM} are asked for", *shown)
    unsure = unlike(raw, "the authentication token", _RANDOM)
    return unsure if unsure.verdict == "pass" else failed(unsure.seen, *shown)


def _bytes(token: ua.NodeId) -> bytes:
    identifier = token.Identifier
    if isinstance(identifier, bytes):
        return identifier
    if isinstance(identifier, str):
        return identifier.encode()
    return bytes(getattr(identifier, "bytes", b""))


@RULES.secured("security.session.tokens")
async def tokens(prober: Prober, _check: Check) -> Outcome:
    """Authentication tokens of several sessions."""
    found = []
    for _ in range(_TOKENS):
        async with prober.created() as session:
            found.append(session.created.AuthenticationToken)
    return guessable(found)


@RULES.secured("security.session.id")
async def token_is_secret(prober: Prober, _check: Check) -> Outcome:
    """The SessionId, which others may see, does not tell the token."""
    async with prober.created() as session:
        same = session.created.SessionId == session.created.AuthenticationToken
    if same:
        return failed("the authentication token is the SessionId, which diagnostics show to everybody")
    return passed("the authentication token is not the SessionId")


@RULES.secured("security.session.timeout")
async def timeout(prober: Prober, _check: Check) -> Outcome:
    """A session for ever is revised."""
    async with prober.channel() as channel:
        session = Session(channel)
        revised = (await session.create(lasting=1e12)).RevisedSessionTimeout
        await left(session)
    hours = f"a session timeout of 31 years is revised to {revised / 3_600_000:.1f} h"
    return passed(hours) if 0 < revised <= _LONGEST else failed(f"{hours}; it keeps dead clients' sessions")


@RULES.secured("security.session.limit")
async def limit(prober: Prober, check: Check) -> Outcome:
    """Sessions are limited, and one that is closed makes room for the next."""
    most = int(check.parameters.get("sessions", _MANY))
    async with AsyncExitStack() as stack:
        opened: list[Session] = []
        try:
            while len(opened) < most:
                opened.append(await stack.enter_async_context(prober.session()))
        except Refused as refusal:
            if not opened:
                return failed(f"no session can be opened: {refusal}")
            await opened.pop().close()
            async with prober.session():
                return passed(f"after {len(opened) + 1} sessions: {refusal}; one that is closed makes room")
    return failed(f"{most} sessions of one client at once and no limit yet")


@RULES.secured("security.session.freed")
async def freed(prober: Prober, check: Check) -> Outcome:
    """Sessions come and go without using anything up."""
    for number in range(int(check.parameters.get("times", 30))):
        try:
            async with prober.session():
                pass
        except Refused as refusal:
            return failed(f"after {number} sessions that were closed again, the next one is refused: {refusal}")
    return passed("sessions that are closed leave nothing behind")
