"""Rules over the list of endpoints, and over what happens to a client that does not keep to it."""

from __future__ import annotations

from collections.abc import Iterable

from asyncua import ua

from conformance.device.prober import Prober, leaf, policy_name
from conformance.device.security.table import Rules, refused
from conformance.device.wire.channel import CURRENT, DEPRECATED, NONE, Security
from conformance.device.wire.session import Session
from conformance.suite.check import Check
from conformance.suite.outcome import Evidence, Outcome, absent, failed, passed

RULES = Rules()
_ENCRYPTED = ua.MessageSecurityMode.SignAndEncrypt


def shown(endpoint: ua.EndpointDescription) -> Evidence:
    """An endpoint as evidence."""
    text = (
        f"{policy_name(endpoint.SecurityPolicyUri)} {endpoint.SecurityMode.name} level {endpoint.SecurityLevel} "
        f"tokens {', '.join(one.TokenType.name for one in endpoint.UserIdentityTokens or ())}"
    )
    return Evidence(what="endpoint", where=(endpoint.EndpointUrl or "")[:200], content=text)


def none_of(found: Iterable[ua.EndpointDescription], wrong: str, right: str) -> Outcome:
    """Pass where nothing was found."""
    listed = list(found)
    if not listed:
        return passed(right)
    return failed(f"{len(listed)} endpoints {wrong}", *(shown(one) for one in listed[:5]))


@RULES.add("security.endpoints.mode")
async def mode(prober: Prober, check: Check) -> Outcome:
    """No endpoint of the mode in the parameters."""
    unwanted = str(check.parameters["mode"])
    found = [one for one in await prober.endpoints() if one.SecurityMode.name.rstrip("_") == unwanted]
    return none_of(found, f"have the mode {unwanted}", f"no endpoint has the mode {unwanted}")


@RULES.add("security.endpoints.deprecated")
async def deprecated(prober: Prober, _check: Check) -> Outcome:
    """No endpoint of a policy that OPC 10000-7 gave up."""
    found = [one for one in await prober.endpoints() if policy_name(one.SecurityPolicyUri) in DEPRECATED]
    return none_of(found, f"have a policy of {' and '.join(DEPRECATED)}", "no endpoint has a deprecated policy")


@RULES.add("security.endpoints.policy")
async def policy(prober: Prober, check: Check) -> Outcome:
    """One of the policies in the parameters, signed and encrypted."""
    wanted = [str(one) for one in check.parameters["any"]]
    offered = await prober.endpoints()
    found = {policy_name(one.SecurityPolicyUri) for one in offered if one.SecurityMode is _ENCRYPTED}
    if not found.isdisjoint(wanted):
        return passed(f"offered, signed and encrypted: {', '.join(sorted(found))}")
    return failed(f"offered are {', '.join(sorted(found)) or 'none'}, not {' or '.join(wanted)}", *map(shown, offered))


def rank(endpoint: ua.EndpointDescription) -> tuple[int, int]:
    """Strength of an endpoint: mode, then policy."""
    order = [NONE, *DEPRECATED, *reversed(CURRENT)]
    name = policy_name(endpoint.SecurityPolicyUri)
    return int(endpoint.SecurityMode), order.index(name) if name in order else len(order)


def misranked(offered: Iterable[ua.EndpointDescription]) -> Outcome:
    """SecurityLevel 0 for no security only, and higher for encrypted endpoints than for others of the same policy."""
    listed = list(offered)
    unsafe = [one for one in listed if one.SecurityMode is ua.MessageSecurityMode.None_ and one.SecurityLevel > 0]
    if unsafe:
        return failed("an endpoint without security has a SecurityLevel above 0", *map(shown, unsafe))
    for weak in listed:
        for strong in listed:
            if weak.SecurityMode < strong.SecurityMode and weak.SecurityLevel >= strong.SecurityLevel:
                return failed(
                    "a weaker endpoint has no lower SecurityLevel than a stronger", shown(weak), shown(strong)
                )
    deprecated_ones = [one for one in listed if policy_name(one.SecurityPolicyUri) in DEPRECATED]
    current = [one for one in listed if policy_name(one.SecurityPolicyUri) in CURRENT]
    for old in deprecated_ones:
        for new in current:
            if old.SecurityMode <= new.SecurityMode and old.SecurityLevel >= new.SecurityLevel:
                return failed(
                    "a deprecated policy has no lower SecurityLevel than a current one", shown(old), shown(new)
                )
    if any(one.SecurityMode is _ENCRYPTED and one.SecurityLevel == 0 for one in listed):
        return failed(
            "an endpoint that signs and encrypts has the SecurityLevel 0: not recommended", *map(shown, listed)
        )
    return passed(f"the SecurityLevels of {len(listed)} endpoints follow their strength")


@RULES.add("security.endpoints.level")
async def level(prober: Prober, _check: Check) -> Outcome:
    """SecurityLevel ranks the endpoints."""
    return misranked(await prober.endpoints())


@RULES.add("security.endpoints.certificate")
async def one_certificate(prober: Prober, _check: Check) -> Outcome:
    """Every secured endpoint shows a certificate, and its application the same ApplicationUri."""
    offered = await prober.endpoints()
    bare = [
        one for one in offered if one.SecurityMode is not ua.MessageSecurityMode.None_ and not one.ServerCertificate
    ]
    if bare:
        return failed(f"{len(bare)} secured endpoints have no server certificate", *map(shown, bare[:5]))
    applications = {one.Server.ApplicationUri for one in offered}
    if len(applications) != 1 or not all(applications):
        return failed(f"the endpoints name {len(applications)} ApplicationUris: {sorted(map(str, applications))[:5]}")
    return passed(f"{len(offered)} endpoints, one application")


@RULES.add("security.endpoints.password")
async def password(prober: Prober, _check: Check) -> Outcome:
    """No endpoint takes a password that goes in the clear."""
    open_ones = [
        one for one in await prober.endpoints() if any(in_clear(one, token) for token in one.UserIdentityTokens or ())
    ]
    return none_of(open_ones, "take a password unencrypted", "no endpoint takes a password unencrypted")


def in_clear(endpoint: ua.EndpointDescription, token: ua.UserTokenPolicy) -> bool:
    """A password sent as this token can be read on the network (OPC 10000-4, 7.41)."""
    if token.TokenType is not ua.UserTokenType.UserName or endpoint.SecurityMode is _ENCRYPTED:
        return False
    return policy_name(token.SecurityPolicyUri or endpoint.SecurityPolicyUri) == NONE


@RULES.secured("security.endpoints.session")
async def same_list(prober: Prober, _check: Check) -> Outcome:
    """CreateSession tells the endpoints that discovery told."""
    discovered = {_key(one) for one in await prober.discover()}
    async with prober.created() as session:
        told = {_key(one) for one in session.created.ServerEndpoints or ()}
    if told == discovered:
        return passed(f"CreateSession tells the same {len(told)} endpoints")
    texts = [f"{key[0]} {key[1]}" for key in sorted(told ^ discovered, key=str)]
    return failed(
        "discovery and CreateSession tell different endpoints", Evidence(what="endpoints", content="; ".join(texts))
    )


def _key(one: ua.EndpointDescription) -> tuple[str, str, int, str]:
    """What a client compares; CreateSession may leave the certificate out (OPC 10000-4, 5.7.2.2)."""
    return (
        policy_name(one.SecurityPolicyUri),
        one.SecurityMode.name,
        int(one.SecurityLevel),
        one.TransportProfileUri or "",
    )


@RULES.add("security.none.session")
async def session_without_security(prober: Prober, _check: Check) -> Outcome:
    """A session on a channel without security is refused, listed or not."""

    async def attempt() -> None:
        async with prober.plain() as channel:
            session = Session(channel)
            await session.create(uri=prober.identity.uri if prober.identity is not None else None)
            await session.activate(prober.login, await _first_token(prober))
            await session.close()

    return await refused(attempt(), "a session without security")


async def _first_token(prober: Prober) -> ua.UserTokenPolicy | None:
    kind = ua.UserTokenType.UserName if prober.login.name else ua.UserTokenType.Anonymous
    tokens = [token for one in await prober.endpoints() for token in one.UserIdentityTokens or ()]
    return next((token for token in tokens if token.TokenType is kind), None)


@RULES.add("security.none.read")
async def read_without_session(prober: Prober, _check: Check) -> Outcome:
    """Nothing can be read without a session."""

    async def attempt() -> None:
        async with prober.plain() as channel:
            await Session(channel).read(ua.ObjectIds.Server_ServerStatus_BuildInfo)

    return await refused(attempt(), "reading without a session")


@RULES.secured("security.policy.deprecated")
async def deprecated_refused(prober: Prober, check: Check) -> Outcome:
    """A channel of a deprecated policy is refused, listed or not."""
    name = str(check.parameters["policy"])
    server = leaf((await prober.endpoint()).ServerCertificate)

    async def attempt() -> None:
        async with prober.channel(security=Security(name, _ENCRYPTED, server)):
            return

    return await refused(attempt(), f"a channel with {name}")


@RULES.secured("security.mode.mismatch")
async def mismatched_mode(prober: Prober, _check: Check) -> Outcome:
    """A mode that is not offered with a policy is refused."""
    own = await prober.security()
    if any(
        one.SecurityMode is ua.MessageSecurityMode.Sign and policy_name(one.SecurityPolicyUri) == own.policy
        for one in await prober.endpoints()
    ):
        return absent(f"{own.policy} is offered with Sign too")

    async def attempt() -> None:
        async with prober.session(security=Security(own.policy, ua.MessageSecurityMode.Sign, own.server)):
            return

    return await refused(attempt(), f"a channel with {own.policy} that signs only, which is not offered,")
