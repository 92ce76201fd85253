"""Opens channels and sessions for the security checks: right ones, and wrong ones on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from asyncua import ua
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from conformance.device.access import Access, Policy
from conformance.device.authority import AuthorityError, TestAuthority, new_key
from conformance.device.identity import AccessError, read_identity
from conformance.device.wire.channel import CURRENT, Channel, Identity, Security
from conformance.device.wire.errors import Garbled, Refused, Silent
from conformance.device.wire.session import Login, Session
from conformance.device.wire.transport import Wire

SECONDS = 10.0
_PREFIX = "http://opcfoundation.org/UA/SecurityPolicy#"
_PAUSE = 0.05


def policy_name(uri: str | None) -> str:
    """`Basic256Sha256`, of the policy's URI."""
    return (uri or "").removeprefix(_PREFIX)


def identity_of(certificate: Path, key: Path) -> Identity:
    """The suite as a client, or a user.

    Raises:
        TargetError: A file cannot be used.
    """
    found = read_identity(certificate, key)
    if not isinstance(found.key, RSAPrivateKey):
        raise AccessError(f"{key} is no RSA key")
    return Identity(found.certificate.public_bytes(Encoding.DER), found.key, found.uri)


def prober_of(access: Access) -> Prober:
    """A prober with the credentials of an access.

    Raises:
        TargetError: A file cannot be used.
    """
    own = identity_of(access.certificate, access.key) if access.certificate and access.key else None
    login = Login(access.user, access.password)
    if access.user_certificate is not None and access.user_key is not None:
        user = identity_of(access.user_certificate, access.user_key)
        login = Login(certificate=user.certificate, key=user.key)
    try:
        authority = TestAuthority.read(access.test_authority) if access.test_authority is not None else None
    except AuthorityError as error:
        raise AccessError(str(error)) from error
    policy = "" if access.policy in {Policy.BEST, Policy.NONE} else access.policy.value
    seconds = access.limits.request_seconds
    return Prober(access.url, own, login, authority=authority, policy=policy, seconds=seconds)


def uris(der: bytes) -> list[str]:
    """URIs in a certificate's SubjectAltName."""
    found = x509.load_der_x509_certificate(der)
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return list(names.get_values_for_type(x509.UniformResourceIdentifier))


class Prober:
    """Everything that the security checks ask with.

    Attributes:
        url: Of the device.
        identity: The suite's own certificate; None where none is given.
        login: As whom the suite logs in.
        authority: The test authority that the device trusts; None where none is given.
        policy: Name of the security policy; empty for the best that the device offers.
        seconds: Longest wait for one answer.
        key: For certificates that are made for one check.
    """

    def __init__(
        self, url: str, identity: Identity | None, login: Login, *, authority: TestAuthority | None = None,
        policy: str = "", seconds: float = SECONDS,
    ) -> None:  # fmt: skip
        self.url = url
        self.identity = identity
        self.login = login
        self.authority = authority
        self.policy = policy
        self.seconds = seconds
        self._key: RSAPrivateKey | None = None
        self._endpoints: list[ua.EndpointDescription] | None = None

    @property
    def key(self) -> RSAPrivateKey:
        """A key for certificates of one check; making one takes long."""
        if self._key is None:
            self._key = new_key()
        return self._key

    async def wire(self) -> Wire:
        """A connection that has not said anything."""
        return await Wire.connect(self.url, self.seconds)

    @asynccontextmanager
    async def plain(self) -> AsyncIterator[Channel]:
        """A channel without security, for discovery."""
        async with self.channel(security=Security.none()) as channel:
            yield channel

    async def endpoints(self) -> list[ua.EndpointDescription]:
        """What the device offers; asked once.

        Raises:
            TargetError: No answer, or nothing is offered.
        """
        if self._endpoints is None:
            self._endpoints = await self.discover()
        return self._endpoints

    async def discover(self) -> list[ua.EndpointDescription]:
        """What the device offers now.

        Raises:
            TargetError: No answer, or nothing is offered.
        """
        request = ua.GetEndpointsRequest()
        request.Parameters.EndpointUrl = self.url
        async with self.plain() as channel:
            found = list((await channel.request(request)).Endpoints or ())
        if not found:
            raise Garbled("GetEndpoints answers with an empty list")
        return found

    async def endpoint(self) -> ua.EndpointDescription:
        """The endpoint that is used: of the policy wanted, signed and encrypted.

        Raises:
            Refused: There is none.
        """
        wanted = (self.policy,) if self.policy else CURRENT
        for name in wanted:
            for one in await self.endpoints():
                secured = one.SecurityMode is ua.MessageSecurityMode.SignAndEncrypt
                if secured and policy_name(one.SecurityPolicyUri) == name and one.ServerCertificate:
                    return one
        raise Refused("channel", reason=f"it offers no endpoint that signs and encrypts with {' or '.join(wanted)}")

    async def security(self) -> Security:
        """How channels are secured.

        Raises:
            TargetError: The device offers nothing of the kind.
        """
        one = await self.endpoint()
        return Security(policy_name(one.SecurityPolicyUri), one.SecurityMode, leaf(one.ServerCertificate))

    @asynccontextmanager
    async def channel(
        self, *, security: Security | None = None, identity: Identity | None = None
    ) -> AsyncIterator[Channel]:
        """An open channel; the suite's own unless told otherwise.

        Raises:
            TargetError: It cannot be opened.
        """
        channel = await self.unopened(security=security, identity=identity)
        try:
            await channel.open()
            yield channel
        finally:
            await channel.close()

    async def unopened(self, *, security: Security | None = None, identity: Identity | None = None) -> Channel:
        """A channel after Hello; the caller opens and closes it.

        Raises:
            TargetError: No connection.
        """
        chosen = security if security is not None else await self.security()
        who = identity if identity is not None else self.identity
        wire = await self.wire()
        try:
            await wire.hello()
            return Channel(wire, chosen, who)
        except ValueError as error:
            await wire.close()
            raise Garbled(f"the device's certificate cannot be used: {error}") from error
        except BaseException:
            await wire.close()
            raise

    @asynccontextmanager
    async def session(
        self, *, security: Security | None = None, identity: Identity | None = None, login: Login | None = None
    ) -> AsyncIterator[Session]:
        """A session that is logged in; closed afterwards.

        Raises:
            TargetError: It cannot be opened.
        """
        async with self.created(security=security, identity=identity) as session:
            who = login if login is not None else self.login
            await session.activate(who, await self.token_policy(who))
            yield session

    @asynccontextmanager
    async def created(
        self, *, security: Security | None = None, identity: Identity | None = None
    ) -> AsyncIterator[Session]:
        """A session that nobody has logged in to; closed afterwards, as far as the server lets us."""
        async with self.channel(security=security, identity=identity) as channel:
            session = Session(channel)
            await session.create()
            try:
                yield session
            finally:
                await left(session)

    async def token_policy(self, login: Login) -> ua.UserTokenPolicy | None:
        """What the used endpoint offers for this kind of login; None where it offers nothing."""
        kind = ua.UserTokenType.Anonymous
        if login.certificate:
            kind = ua.UserTokenType.Certificate
        elif login.name:
            kind = ua.UserTokenType.UserName
        return await self.offered(kind)

    async def offered(self, kind: ua.UserTokenType) -> ua.UserTokenPolicy | None:
        """The used endpoint's policy for a kind of user token."""
        tokens = (await self.endpoint()).UserIdentityTokens or ()
        return next((one for one in tokens if one.TokenType is kind), None)

    async def admits(self, identity: Identity) -> None:
        """Let a client log in and leave again.

        Raises:
            Refused: The device does not let it.
            TargetError: It does something else.
        """
        async with self.session(identity=identity):
            return

    async def alive(self, within: float = 30.0) -> bool:
        """The device still answers a new client, if need be after a while."""
        loop = asyncio.get_running_loop()
        end = loop.time() + within
        while True:
            try:
                await self.discover()
            except (Refused, Silent, Garbled):
                if loop.time() >= end:
                    return False
                await asyncio.sleep(_PAUSE)
            else:
                return True


async def left(session: Session) -> None:
    """Close a session on a channel that may be gone by now; then the server forgets it after its timeout."""
    try:
        await session.close()
    except (Refused, Silent, Garbled):
        return


def leaf(der: bytes) -> bytes:
    """The first of the certificates in a chain."""
    if len(der) > 4 and der[0] == 0x30 and der[1] == 0x82:
        return der[: 4 + int.from_bytes(der[2:4], "big")]
    return der
