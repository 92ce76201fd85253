"""Mutants of the secure channel."""

# ruff: noqa: ANN401, ARG002 - asyncua's objects come without usable annotations; methods here look away
from __future__ import annotations

from typing import Any

from asyncua import ua
from asyncua.common.connection import MessageChunk, SecureConnection
from asyncua.crypto.security_policies import SecurityPolicyNone

from simulators.mutants.device import Apply, DeviceMutant
from simulators.mutants.patching import core, mutant, patched, processor, session
from simulators.opcua.mended import Processor, Session

_CHANNEL = "OPC 10000-6, 6.7.2"
_NONCE = bytes(range(32))


def connection(kind: type[SecureConnection]) -> Apply:
    """New channels number, sign and encrypt in this way."""

    class Broken(Processor):
        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            self._connection = kind(SecurityPolicyNone(), self._limits)

    return processor(Broken)


class _SameNonce(SecureConnection):
    def open(self, params: Any, server: Any) -> Any:
        response = super().open(params, server)
        self.local_nonce = response.ServerNonce = _NONCE
        if params.RequestType == ua.SecurityTokenRequestType.Issue:
            self.security_policy.make_local_symmetric_key(self.remote_nonce, self.local_nonce)
            lifetime = self.security_token.RevisedLifetime
            self.security_policy.make_remote_symmetric_key(self.local_nonce, self.remote_nonce, lifetime)
        return response


class _Replays(SecureConnection):
    _peer_sequence_number: int | None

    def _check_incoming_chunk(self, chunk: MessageChunk) -> None:
        number, known = chunk.SequenceHeader.SequenceNumber, self._peer_sequence_number
        if known is not None and number <= known:
            self._peer_sequence_number = number - 1
        super()._check_incoming_chunk(chunk)


class _Jumps(SecureConnection):
    _peer_sequence_number: int | None

    def _check_incoming_chunk(self, chunk: MessageChunk) -> None:
        number, known = chunk.SequenceHeader.SequenceNumber, self._peer_sequence_number
        if known is not None and number > known:
            self._peer_sequence_number = number - 1
        super()._check_incoming_chunk(chunk)


class _AnyToken(SecureConnection):
    def _check_sym_header(self, security_hdr: Any) -> None:
        return


class _PlainToo(SecureConnection):
    def receive_from_header_and_body(self, header: Any, body: Any) -> Any:
        if header.MessageType == ua.MessageType.SecureMessage:
            start = body.cur_pos
            chunk = MessageChunk.from_header_and_body(SecurityPolicyNone(), header, body)
            if chunk.SequenceHeader.SequenceNumber == (self._peer_sequence_number or 0) + 1:
                return self._receive(chunk)
            body.rewind(cur_pos=start)
        return super().receive_from_header_and_body(header, body)


class _Hasty(SecureConnection):
    def open(self, params: Any, server: Any) -> Any:
        response = super().open(params, server)
        if params.RequestType == ua.SecurityTokenRequestType.Renew:
            self.security_token.TokenId = 0xFFFF
        return response


class _SameToken(SecureConnection):
    def open(self, params: Any, server: Any) -> Any:
        response = super().open(params, server)
        response.SecurityToken.TokenId = self.security_token.TokenId
        return response


class _Unsigned(Processor):
    def open_secure_channel(self, algohdr: Any, seqhdr: Any, body: Any) -> None:
        super().open_secure_channel(algohdr, seqhdr, body)
        self._connection.security_policy.symmetric_cryptography.verify = _believe


class _Unproven(Processor):
    def open_secure_channel(self, algohdr: Any, seqhdr: Any, body: Any) -> None:
        super().open_secure_channel(algohdr, seqhdr, body)
        self._connection.security_policy.asymmetric_cryptography.verify = _believe


def _believe(_data: bytes, _signature: bytes) -> None:
    return


class _BeforeOpening(Processor):
    def check_open(self, header: Any) -> None:
        return


class _NoSignature(Processor):
    def send_response(self, requesthandle: Any, seqhdr: Any, response: Any, *args: Any) -> None:
        if isinstance(response, ua.CreateSessionResponse):
            response.Parameters.ServerSignature.Signature = bytes(256)
        super().send_response(requesthandle, seqhdr, response, *args)


class _SessionNonce(Session):
    async def create_session(self, params: Any, sockname: Any = None) -> Any:
        result = await super().create_session(params, sockname)
        self.nonce = result.ServerNonce = _NONCE
        return result


MUTANTS: tuple[DeviceMutant, ...] = (
    mutant("channel-nonce-repeats", "The nonce of the channel is always the same",
           "The keys of a channel come from both nonces; its own must be new and random each time.",
           "OPC 10000-4, 5.6.2", connection(_SameNonce)),
    mutant("session-nonce-repeats", "The nonce of the session is always the same",
           "A client's signature over an old nonce can be used again by who has recorded it.", "OPC 10000-4, 5.7.2",
           session(_SessionNonce)),
    mutant("accepts-replays", "A message that was recorded is accepted again",
           "It does not refuse sequence numbers that it has seen.", _CHANNEL, connection(_Replays)),
    mutant("accepts-jumps", "Sequence numbers may jump",
           "It does not notice that messages before this one are missing.", _CHANNEL, connection(_Jumps)),
    mutant("ignores-signature", "Messages are not verified",
           "It decrypts messages but does not look at their signatures.", _CHANNEL, processor(_Unsigned)),
    mutant("accepts-any-token", "Tokens that were never issued are accepted",
           "It does not look at the TokenId of a message.", _CHANNEL, connection(_AnyToken)),
    mutant("accepts-plain", "Unsecured messages are accepted on a secured channel",
           "Who knows the channel's ids can write into it without a key.", _CHANNEL, connection(_PlainToo)),
    mutant("message-before-opening", "Messages are answered before a channel is open",
           "It answers a request on a connection on which no channel was opened.", _CHANNEL,
           processor(_BeforeOpening)),
    mutant("drops-old-token", "The old token ends when the new one is issued",
           "A client whose request crosses the renewal loses its channel; the old token holds until the new one is "
           "used.", "OPC 10000-4, 5.6.2", connection(_Hasty)),
    mutant("same-token", "Renewing gives the old token's id again",
           "Nobody can tell which keys a message was secured with.", "OPC 10000-4, 5.6.2", connection(_SameToken)),
    mutant("endless-token", "A token may live for seven weeks",
           "It takes any lifetime that a client asks for; keys should be renewed within hours.",
           "OPC 10000-4, 5.6.2", patched(lambda server: [(core(server), "longest_token", 0xFFFF_FFFF)])),
    mutant("no-server-signature", "The server does not prove that it has its key",
           "The signature in CreateSession is empty.", "OPC 10000-4, 5.7.2", processor(_NoSignature)),
    mutant("no-client-signature", "The client does not have to prove that it has its key",
           "It does not verify the signature in ActivateSession.", "OPC 10000-4, 5.7.3", processor(_Unproven)),
)  # fmt: skip
