"""A secure channel whose every step can be done wrong (OPC 10000-6, 6.7)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from asyncua import ua
from asyncua.common.connection import MessageChunk, SecureConnection, TransportLimits
from asyncua.crypto import security_policies as policies
from asyncua.ua.ua_binary import header_from_binary, nodeid_from_binary, struct_from_binary, struct_to_binary
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from conformance.device.wire.errors import Garbled, Refused, Silent, status_name
from conformance.device.wire.transport import BUFFER, Wire, decoded

NONE = "None"
POLICIES: dict[str, Any] = {
    NONE: policies.SecurityPolicyNone,
    "Basic128Rsa15": policies.SecurityPolicyBasic128Rsa15,
    "Basic256": policies.SecurityPolicyBasic256,
    "Basic256Sha256": policies.SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": policies.SecurityPolicyAes256Sha256RsaPss,
}
"""By the last part of their URI (OPC 10000-7)."""
CURRENT = ("Aes256_Sha256_RsaPss", "Aes128_Sha256_RsaOaep", "Basic256Sha256")
"""Not deprecated, the best first."""
DEPRECATED = ("Basic128Rsa15", "Basic256")
_CHUNKS, _MESSAGE = 1_000, 16 * 1024 * 1024
_FAULT = ua.NodeId(ua.ObjectIds.ServiceFault_Encoding_DefaultBinary)
_LIFETIME = 600_000


@dataclass(frozen=True)
class Identity:
    """Who the client says it is.

    Attributes:
        certificate: DER.
        key: Its private key.
        uri: ApplicationUri that it states.
        chain: DER certificates of its issuers, sent with its own.
    """

    certificate: bytes
    key: RSAPrivateKey
    uri: str
    chain: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Security:
    """How a channel is secured.

    Attributes:
        policy: Name of the security policy, of `POLICIES`.
        mode: Message security mode.
        server: The server's certificate in DER; empty without security.
    """

    policy: str
    mode: ua.MessageSecurityMode
    server: bytes

    @classmethod
    def none(cls) -> Security:
        """No security: discovery."""
        return cls(NONE, ua.MessageSecurityMode.None_, b"")


class Channel:
    """A secure channel on a connection that has said Hello.

    Attributes:
        sequence: Number of the next chunk; set it to make it jump.
        nonce: The server's nonce of the last opening.
        token: The authentication token sent with every request.
    """

    def __init__(self, wire: Wire, security: Security, identity: Identity | None) -> None:
        self.wire = wire
        self.security = security
        self.identity = identity
        self.policy = _policy(security, identity)
        self.sequence = 1
        self.nonce = b""
        self.token = ua.NodeId()
        self._requests = itertools.count(1)
        limits = TransportLimits(BUFFER, BUFFER, _CHUNKS, _MESSAGE)
        self._connection = SecureConnection(self.policy, limits)

    async def open(self, *, renew: bool = False, lifetime: int = _LIFETIME) -> ua.OpenSecureChannelResult:
        """Open or renew it, for this many ms.

        Raises:
            TargetError: It is not open.
        """
        request = ua.OpenSecureChannelRequest()
        kind = ua.SecurityTokenRequestType.Renew if renew else ua.SecurityTokenRequestType.Issue
        given = request.Parameters
        given.RequestType, given.SecurityMode, given.RequestedLifetime = kind, self.security.mode, lifetime
        given.ClientNonce = ua.utils.create_nonce(self.policy.secure_channel_nonce_length)
        request.RequestHeader.TimeoutHint = int(self.wire.seconds * 1000)
        data = b"".join(self.chunks(struct_to_binary(request), ua.MessageType.SecureOpen))
        await self.wire.send(data, "channel")
        body = await self._answer("channel")
        response = self._decoded(ua.OpenSecureChannelResponse, body, "channel")
        result = response.Parameters
        self.nonce = result.ServerNonce or b""
        self._connection.set_channel(result, kind, given.ClientNonce)
        return result

    def revolve(self) -> None:
        """Use the renewed token from now on."""
        self._connection.revolve_tokens()

    def chunks(
        self, body: bytes, kind: ua.MessageType = ua.MessageType.SecureMessage, *, token: int | None = None
    ) -> list[bytes]:
        """A message as chunks with the next sequence numbers, secured; with another token's id if one is given."""
        known = self._connection.security_token
        used = known.TokenId if token is None else token
        found = MessageChunk.message_to_chunks(
            self.policy, body, BUFFER, kind, known.ChannelId, next(self._requests), used
        )
        return [self._numbered(one) for one in found]

    def intermediate(self, body: bytes, request: int) -> bytes:
        """A chunk that says that more of its message follow."""
        token = self._connection.security_token
        chunk = MessageChunk(self.policy.symmetric_cryptography, body, chunk_type=ua.ChunkType.Intermediate)
        chunk.SecurityHeader.TokenId = token.TokenId
        chunk.MessageHeader.ChannelId = token.ChannelId
        chunk.SequenceHeader.RequestId = request
        return self._numbered(chunk)

    def _numbered(self, chunk: MessageChunk) -> bytes:
        chunk.SequenceHeader.SequenceNumber = self.sequence
        self.sequence += 1
        raw: bytes = chunk.to_binary()
        return raw

    def body(self, request: Any) -> bytes:  # noqa: ANN401 - asyncua's requests have no common class
        """A request as bytes, with this channel's authentication token."""
        request.RequestHeader.AuthenticationToken = self.token
        request.RequestHeader.TimeoutHint = int(self.wire.seconds * 1000)
        raw: bytes = struct_to_binary(request)
        return raw

    async def request(self, request: Any) -> Any:  # noqa: ANN401
        """A service's response.

        Raises:
            Refused: The server answers with a bad status, or closes.
            TargetError: It does not answer, or cannot be read.
        """
        name = type(request).__name__
        await self.wire.send(b"".join(self.chunks(self.body(request))), name)
        return await self.response(name)

    async def response(self, name: str) -> Any:  # noqa: ANN401
        """The response to the request of this class name that was sent.

        Raises:
            TargetError: As `request`.
        """
        body = await self._answer(name)
        return self._decoded(getattr(ua, name.replace("Request", "Response")), body, name)

    def _decoded(self, kind: Any, body: bytes, stage: str) -> Any:  # noqa: ANN401
        try:
            buffer = ua.utils.Buffer(body)
            fault = nodeid_from_binary(buffer) == _FAULT
            header = struct_from_binary(ua.ResponseHeader, buffer)
        except Exception as error:
            raise Garbled(f"{stage}: the answer cannot be decoded: {body[:64].hex()}") from error
        if fault or header.ServiceResult.is_bad():
            raise Refused(stage, status_name(header.ServiceResult.value))
        return decoded(kind, body, stage)

    async def _answer(self, stage: str) -> bytes:
        """The body of the next message."""
        for _ in range(_CHUNKS):
            chunk = await self.wire.chunk(stage)
            try:
                buffer = ua.utils.Buffer(chunk.raw)
                message = self._connection.receive_from_header_and_body(header_from_binary(buffer), buffer)
            except Exception as error:
                raise Garbled(f"{stage}: {type(error).__name__} in the answer: {chunk.raw[:64].hex()}") from error
            if isinstance(message, ua.Message):
                body = message.body()
                return bytes(body.read(len(body)))
        raise Garbled(f"{stage}: an answer of more than {_CHUNKS} chunks")

    async def close(self) -> None:
        """Close the channel, if it is open, and its connection."""
        try:
            if self._connection.is_open():
                body = self.body(ua.CloseSecureChannelRequest())
                await self.wire.send(b"".join(self.chunks(body, ua.MessageType.SecureClose)), "close")
        except (Refused, Silent):
            pass  # gone already
        finally:
            await self.wire.close()


def _policy(security: Security, identity: Identity | None) -> Any:  # noqa: ANN401
    kind = POLICIES[security.policy]
    if security.policy == NONE:
        return kind()
    if identity is None:
        raise ValueError("a secured channel needs a certificate")
    peer = x509.load_der_x509_certificate(security.server)
    own = x509.load_der_x509_certificate(identity.certificate)
    made = kind(peer, own, identity.key, security.mode)
    made.host_certificate_chain = list(identity.chain)
    return made
