"""Rules about who may log in, and about what a device tells of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from asyncua import ua

from conformance.device.authority import Issuer
from conformance.device.prober import Prober
from conformance.device.security.table import Rules, refused
from conformance.device.wire.errors import Refused
from conformance.device.wire.session import Login
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome, absent, failed, non_strict, passed

RULES = Rules()
WORDS = (
    ("admin", "admin"), ("admin", "password"), ("admin", ""), ("admin", "1234"), ("admin", "12345678"),
    ("administrator", "administrator"), ("root", "root"), ("root", ""), ("user", "user"), ("user", "password"),
    ("guest", "guest"), ("operator", "operator"), ("opcua", "opcua"), ("OpcUaClient", "OpcUaClient"),
    ("service", "service"), ("test", "test"), ("default", "default"), ("user1", "password"), ("sysadmin", "demo"),
    ("appuser", "demo"),
)  # fmt: skip
"""Names and passwords that products were delivered with."""
_WRONG = 8
_SLOW = 0.5
"""Seconds of delay that make guessing hopeless: a million passwords in six days and not in minutes."""


@RULES.secured("security.user.anonymous")
async def anonymous(prober: Prober, _check: Check) -> Outcome:
    """Nobody logs in, offered or not."""
    offered = [one for one in await prober.endpoints() if _takes(one, ua.UserTokenType.Anonymous)]

    async def attempt() -> None:
        async with prober.session(login=Login()):
            return

    outcome = await refused(attempt(), "a session without a user")
    if outcome.verdict == "pass" and offered:
        return non_strict(f"{len(offered)} endpoints offer anonymous users; {outcome.seen}")
    return outcome


def _takes(endpoint: ua.EndpointDescription, kind: ua.UserTokenType) -> bool:
    return any(one.TokenType is kind for one in endpoint.UserIdentityTokens or ())


@RULES.secured("security.user.missing")
async def no_token(prober: Prober, _check: Check) -> Outcome:
    """ActivateSession without any user token, where anonymous users are not offered."""
    if await prober.offered(ua.UserTokenType.Anonymous) is not None:
        return absent("anonymous users are offered, and no token means anonymous")
    async with prober.created() as session:
        return await refused(session.activate(None, None), "ActivateSession without a user token")


@RULES.secured("security.user.unknown")
async def unknown_user(prober: Prober, _check: Check) -> Outcome:
    """A name that nobody has."""
    policy = await prober.offered(ua.UserTokenType.UserName)
    if policy is None:
        return absent("the device takes no names and passwords")
    async with prober.created() as session:
        login = Login("area4-conform-nobody", "wrong")
        return await refused(session.activate(login, policy), "a user whom nobody knows")


@RULES.secured("security.user.certificate")
async def foreign_certificate(prober: Prober, _check: Check) -> Outcome:
    """A user certificate that nobody trusts."""
    policy = await prober.offered(ua.UserTokenType.Certificate)
    if policy is None:
        return absent("the device takes no user certificates")
    login = Login(certificate=Issuer.root("area4 conform user").issue(prober.key), key=prober.key)
    async with prober.created() as session:
        return await refused(session.activate(login, policy), "a user certificate that nobody trusts")


@RULES.secured("security.user.certificate-proof")
async def stolen_certificate(prober: Prober, _check: Check) -> Outcome:
    """A trusted user's certificate without its key."""
    policy = await prober.offered(ua.UserTokenType.Certificate)
    if policy is None:
        return absent("the device takes no user certificates")
    assert prober.identity is not None
    known = prober.login.certificate or prober.identity.certificate
    async with prober.created() as session:
        login = Login(certificate=known, key=prober.key)
        return await refused(session.activate(login, policy), "a user certificate without its key")


@RULES.secured("security.user.default")
async def default_credentials(prober: Prober, _check: Check) -> Outcome:
    """Names and passwords that everybody knows."""
    policy = await prober.offered(ua.UserTokenType.UserName)
    if policy is None:
        return absent("the device takes no names and passwords")
    for name, password in WORDS:
        if (name, password) == (prober.login.name, prober.login.password):
            return failed(f"the user {name!r} that was given has a password that everybody knows")
        try:
            async with prober.session(login=Login(name, password)):
                return failed(f"the user {name!r} logs in with a password that everybody knows")
        except Refused:
            continue
    return passed(f"{len(WORDS)} well-known names with their passwords are refused")


def throttled(seconds: Sequence[float], ended: str) -> Outcome:
    """What became of a row of wrong passwords: how long each took, and how the row ended, if it did."""
    if ended:
        return passed(f"after {len(seconds)} wrong passwords {ended}")
    slowest = min(seconds[-3:])
    text = f"{len(seconds)} wrong passwords in a row, the last ones took {slowest:.2f} s each"
    if slowest >= _SLOW and slowest > seconds[0]:
        return passed(text)
    return failed(f"{text}: nothing keeps anybody from trying on")


@RULES.secured("security.user.throttle")
async def throttle(prober: Prober, _check: Check) -> Outcome:
    """Wrong passwords of one user in a row."""
    policy = await prober.offered(ua.UserTokenType.UserName)
    if policy is None:
        return absent("the device takes no names and passwords")
    login = Login("area4-conform-guess", "wrong")
    loop = asyncio.get_running_loop()
    taken: list[float] = []
    usual = ""
    for number in range(_WRONG):
        started = loop.time()
        try:
            async with prober.session(login=login):
                return failed("a wrong password is accepted")
        except Refused as refusal:
            usual = usual or refusal.status
            if number and refusal.status != usual:
                return throttled(taken, str(refusal))
        taken.append(loop.time() - started)
    return throttled(taken, "")


@RULES.secured("security.roles.offered")
async def roles(prober: Prober, _check: Check) -> Outcome:
    """Server/ServerCapabilities/RoleSet."""
    async with prober.session() as session:
        (value,) = await session.read(
            ua.ObjectIds.Server_ServerCapabilities_RoleSet, attribute=ua.AttributeIds.BrowseName
        )
    if value.StatusCode is not None and value.StatusCode.is_good() and value.Value is not None:
        return passed("the server has a RoleSet")
    return failed("the server has no RoleSet: every user may do everything, or rights cannot be seen")


@RULES.secured("security.identity.build")
async def build(prober: Prober, _check: Check) -> Outcome:
    """Product and versions can be read by those who may."""
    wanted = ("ProductName", "SoftwareVersion", "BuildNumber", "ManufacturerName")
    ids = [getattr(ua.ObjectIds, f"Server_ServerStatus_BuildInfo_{name}") for name in wanted]
    async with prober.session() as session:
        found = await session.read(*ids)
    empty = [name for name, one in zip(wanted, found, strict=True) if one.Value is None or not one.Value.Value]
    if empty:
        return failed(f"BuildInfo lacks {', '.join(empty)}: nobody can tell whether a known weakness is there")
    texts = [str(one.Value.Value)[:60] for one in found if one.Value is not None]
    return passed(f"BuildInfo: {', '.join(texts)}")
