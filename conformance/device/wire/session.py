"""A session whose every step can be done wrong (OPC 10000-4, 5.7)."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asyncua import ua
from asyncua.crypto import security_policies as policies
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from conformance.device.wire.channel import Channel
from conformance.device.wire.errors import Garbled

NONCE = 32
_TIMEOUT = 60_000.0
_NAMES = itertools.count(1)


@dataclass(frozen=True)
class Login:
    """Who logs in: a name with its password, the holder of a certificate, or nobody (both empty).

    Attributes:
        name: User name.
        password: Its password.
        certificate: DER.
        key: Its private key.
    """

    name: str = ""
    password: str = ""
    certificate: bytes = b""
    key: RSAPrivateKey | None = None


class Session:
    """A session on a channel.

    Attributes:
        created: The server's answer to CreateSession.
        nonce: The server's last nonce.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.created = ua.CreateSessionResult()
        self.nonce = b""
        self.sent = b""

    async def create(
        self, *, certificate: bytes | None = None, uri: str | None = None, lasting: float = _TIMEOUT
    ) -> ua.CreateSessionResult:
        """Create it; certificate and ApplicationUri are the channel's unless given.

        Raises:
            TargetError: It was not created.
        """
        who = self.channel.identity
        request = ua.CreateSessionRequest()
        given = request.Parameters
        given.ClientDescription.ApplicationUri = uri if uri is not None else (who.uri if who else "urn:area4:conform")
        given.ClientDescription.ProductUri = "urn:area4:conformance"
        given.ClientDescription.ApplicationName = ua.LocalizedText("area4 conform")
        given.ClientDescription.ApplicationType = ua.ApplicationType.Client
        given.EndpointUrl = self.channel.wire.url
        given.SessionName = f"area4 conform {next(_NAMES)}"
        self.sent = ua.utils.create_nonce(NONCE)
        given.ClientNonce = self.sent
        own = who.certificate if who is not None and self.channel.security.server else None
        given.ClientCertificate = own if certificate is None else certificate
        given.RequestedSessionTimeout = lasting
        answer = await self.channel.request(request)
        self.created = answer.Parameters
        self.nonce = self.created.ServerNonce or b""
        self.channel.token = self.created.AuthenticationToken
        return self.created

    async def activate(
        self, login: Login | None, policy: ua.UserTokenPolicy | None, *, signature: bytes | None = None,
        plain: bool = False,
    ) -> ua.ActivateSessionResult:  # fmt: skip
        """Log in, on whatever channel the session is now; None is no user token at all.

        Args:
            login: Who.
            policy: What the server offers for this kind of user token.
            signature: Instead of the right proof that the client has its key.
            plain: The password goes as it is.

        Raises:
            TargetError: Not logged in.
        """
        request = ua.ActivateSessionRequest()
        given = request.Parameters
        channel, who = self.channel, self.channel.identity
        if channel.security.server and who is not None:
            proof = channel.policy.asymmetric_cryptography.signature(channel.security.server + self.nonce)
            given.ClientSignature.Algorithm = channel.policy.AsymmetricSignatureURI
            given.ClientSignature.Signature = proof if signature is None else signature
        given.LocaleIds = ["en"]
        if login is not None:
            given.UserIdentityToken = self._token(login, policy, plain=plain)
            if login.certificate and login.key is not None:
                uri = _policy_uri(channel, policy)
                made, algorithm = policies.sign_asymmetric(login.key, channel.security.server + self.nonce, uri)
                given.UserTokenSignature.Algorithm, given.UserTokenSignature.Signature = algorithm, made
        answer = await channel.request(request)
        self.nonce = answer.Parameters.ServerNonce or b""
        return answer.Parameters

    def moved(self, channel: Channel) -> Session:
        """The same session, tried on another channel."""
        made = Session(channel)
        made.created, made.nonce = self.created, self.nonce
        channel.token = self.created.AuthenticationToken
        return made

    async def read(self, *nodes: int, attribute: ua.AttributeIds = ua.AttributeIds.Value) -> list[ua.DataValue]:
        """Attributes of nodes of namespace 0.

        Raises:
            TargetError: The service failed.
        """
        return await self.read_nodes([ua.NodeId(one) for one in nodes], attribute)

    async def read_nodes(self, nodes: Sequence[ua.NodeId], attribute: ua.AttributeIds) -> list[ua.DataValue]:
        """Attributes of nodes.

        Raises:
            TargetError: The service failed, or answers something else than was asked.
        """
        request = ua.ReadRequest()
        request.Parameters.NodesToRead = [ua.ReadValueId(NodeId=one, AttributeId=attribute) for one in nodes]
        answer: Any = await self.channel.request(request)
        found = list(answer.Results or ())
        if len(found) != len(nodes):
            raise Garbled(f"ReadRequest: {len(nodes)} values were asked for, {len(found)} came")
        return found

    async def close(self) -> None:
        """Close it, with its subscriptions.

        Raises:
            TargetError: The server does not.
        """
        request = ua.CloseSessionRequest()
        request.DeleteSubscriptions = True
        await self.channel.request(request)

    def _token(self, login: Login, policy: ua.UserTokenPolicy | None, *, plain: bool) -> Any:  # noqa: ANN401
        name = policy.PolicyId if policy is not None else ""
        if login.certificate:
            return ua.X509IdentityToken(PolicyId=name, CertificateData=login.certificate)
        if not login.name:
            return ua.AnonymousIdentityToken(PolicyId=name)
        token = ua.UserNameIdentityToken(PolicyId=name, UserName=login.name)
        secret = login.password.encode()
        uri = _policy_uri(self.channel, policy)
        if plain or uri.endswith("#None"):
            token.Password = secret
            return token
        whole = struct.pack("<I", len(secret) + len(self.nonce)) + secret + self.nonce
        key = x509.load_der_x509_certificate(self.channel.security.server).public_key()
        token.Password, token.EncryptionAlgorithm = policies.encrypt_asymmetric(key, whole, uri)
        return token


def _policy_uri(channel: Channel, policy: ua.UserTokenPolicy | None) -> str:
    """The security policy of a user token: its own, else the channel's (OPC 10000-4, 7.41)."""
    own: str = channel.policy.URI
    return (policy.SecurityPolicyUri if policy is not None else None) or own
