"""Messages of an open secure channel, straight from and to the bytes of the socket (OPC 10000-6, 6.7.2).

asyncua opens the channel, derives its keys and renews them. From then on each MSG chunk comes here: its channel, token,
signature, sequence number and request are checked as asyncua checks them, with keyed contexts that are made once per
token, and without an object per header. What asyncua knows of the channel (sequence numbers, tokens, keys) stays in its
own `SecureConnection`, so its chunks and ours may follow each other in any order.
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass
from typing import Any

from asyncua import ua
from asyncua.common.connection import SecureConnection
from asyncua.crypto.security_policies import Cryptography, SignerHMac256, VerifierHMac256
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.hmac import HMAC

MAX_CHUNK = 65_536
"""Bytes of one chunk, in both directions: what every stack uses unless told otherwise."""

_HEADER = struct.Struct("<3scIII")  # type, kind of chunk, size, channel, token
_SEQUENCE = struct.Struct("<II")  # sequence number, request
_BEGIN = struct.Struct("<4sIIIII")  # both of them
_ERROR = struct.Struct("<Ii")  # status, length of the reason

_SIGNATURE = 32  # HMAC-SHA256, of all supported policies (OPC 10000-7)
_BLOCK = 16  # of AES
_SMALLEST = _SEQUENCE.size + _SIGNATURE + 1

_MODULUS = 1 << 32
_WRAP = 1024
"""Distance from the end and from 0 within which a sequence number may start anew (OPC 10000-6, 6.7.2.4)."""


class RefusedMessageError(ua.UaError):
    """A chunk is not what the peer of this channel may send; the connection must end."""


class OversizedError(RefusedMessageError):
    """The server sent, or announced, more than we accept."""


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message: the request that it answers and its body.

    Attributes:
        aborted: The status with which the sender gave it up; the body is empty then.
    """

    request: int
    body: bytes
    aborted: int = 0


class _Keys:
    """Contexts of one direction and one token, for signing or verifying, and for encrypting or decrypting."""

    __slots__ = ("cipher", "mac", "origin")

    def __init__(self, origin: SignerHMac256 | VerifierHMac256, cipher: Cipher[Any] | None) -> None:
        self.origin = origin
        self.mac = HMAC(origin.key, hashes.SHA256())
        self.cipher = cipher


class Channel:
    """The MSG chunks of one connection."""

    def __init__(self, connection: SecureConnection) -> None:
        self._connection = connection
        self._parts: list[bytes] = []
        self._size = 0
        self._request = 0
        self._own: _Keys | None = None
        self._current: _Keys | None = None
        self._previous: _Keys | None = None

    @property
    def within(self) -> bool:
        """Some chunks of a message have come, and not yet its last one."""
        return bool(self._parts)

    def seal(self, body: bytes, request: int) -> bytes:
        """The message of a request as it goes to the socket; takes a sequence number, and a new token that waits."""
        connection = self._connection
        if connection.next_security_token.TokenId:
            connection.revolve_tokens()
        keys = self._sealing()
        length = _SEQUENCE.size + len(body)
        padding = b""
        if keys is not None and keys.cipher is not None:
            rest = -(length + 1 + _SIGNATURE) % _BLOCK
            padding = bytes((rest,)) * (rest + 1)
        size = _HEADER.size + length + len(padding) + (0 if keys is None else _SIGNATURE)
        if size > min(MAX_CHUNK, connection._limits.max_send_buffer):
            found: bytes = connection.message_to_binary(body, request_id=request)
            return found
        number = connection._sequence_number + 1
        if number >= _MODULUS:
            number = 1
        connection._sequence_number = number
        token = connection.security_token
        message = _BEGIN.pack(b"MSGF", size, token.ChannelId, token.TokenId, number, request) + body
        if keys is None:
            return message
        mac = keys.mac.copy()
        message += padding
        mac.update(message)
        signed = message + mac.finalize()
        if keys.cipher is None:
            return signed
        return signed[: _HEADER.size] + keys.cipher.encryptor().update(signed[_HEADER.size :])

    def open(self, chunk: memoryview) -> Message | None:
        """The message that ends with this chunk; None while more are to come.

        Args:
            chunk: A whole chunk of type MSG, whose size was checked.

        Raises:
            RefusedMessageError: It is not authentic, out of order, or not of this channel.
            OversizedError: The message has more bytes or chunks than we accept.
        """
        connection = self._connection
        _, kind, _, channel, token = _HEADER.unpack_from(chunk)
        if not connection.is_open() or channel != connection.security_token.ChannelId:
            raise RefusedMessageError(f"a message of channel {channel} came, which is not open")
        if token != connection.security_token.TokenId:
            self._check_token(token)
        content = self._verified(chunk, previous=token != connection.security_token.TokenId)
        number, request = _SEQUENCE.unpack_from(content)
        self._check_number(number)
        if self._parts and request != self._request:
            raise RefusedMessageError(f"a chunk of request {request} came within the answer to {self._request}")
        if kind == b"A":
            self._drop()
            return Message(request, b"", _status(content[_SEQUENCE.size :]))
        body = bytes(content[_SEQUENCE.size :])
        if kind == b"F" and not self._parts:
            self._check_size(len(body), 1)
            return Message(request, body)
        return self._gather(kind, request, body)

    def _gather(self, kind: bytes, request: int, body: bytes) -> Message | None:
        self._request = request
        self._size += len(body)
        self._check_size(self._size, len(self._parts) + 1)
        self._parts.append(body)
        if kind == b"C":
            return None
        if kind != b"F":
            raise RefusedMessageError(f"a chunk of the unknown kind {kind!r}")
        whole = b"".join(self._parts)
        self._drop()
        return Message(request, whole)

    def _drop(self) -> None:
        self._parts, self._size = [], 0

    # -- what is checked

    def _check_size(self, size: int, chunks: int) -> None:
        limits = self._connection._limits
        if size > limits.max_message_size or chunks > limits.max_chunk_count:
            self._drop()
            raise OversizedError(
                f"a message of {size} bytes in {chunks} chunks or more; accepted are {limits.max_message_size} in "
                f"{limits.max_chunk_count}"
            )

    def _check_token(self, token: int) -> None:
        """A token that is new or the one before; asyncua's rules, which may make the new one the present one.

        asyncua's word for "no new token" is the number 0, so a chunk with that number must not get there.
        """
        if not token:
            raise RefusedMessageError("a message names the security token 0, which was never agreed")
        header = ua.SymmetricAlgorithmHeader()
        header.TokenId = token
        try:
            self._connection._check_sym_header(header)
        except ua.UaError as problem:
            raise RefusedMessageError(str(problem)) from problem

    def _check_number(self, number: int) -> None:
        connection = self._connection
        before = connection._peer_sequence_number
        wrapped = before is not None and number < _WRAP and before >= _MODULUS - _WRAP
        if before is not None and number != before + 1 and not wrapped:
            raise RefusedMessageError(f"a chunk with sequence number {number} came after {before}")
        connection._peer_sequence_number = number

    # -- signatures and keys

    def _verified(self, chunk: memoryview, *, previous: bool) -> memoryview:
        """Sequence header and body, decrypted and authentic."""
        keys = self._opening(previous=previous)
        if keys is None:
            return chunk[_HEADER.size :]
        content = chunk[_HEADER.size :]
        if keys.cipher is not None:
            if len(content) % _BLOCK or len(content) < _SMALLEST:
                raise RefusedMessageError(f"an encrypted chunk of {len(chunk)} bytes, which cannot be")
            content = memoryview(keys.cipher.decryptor().update(content))
        end = len(content) - _SIGNATURE
        if end < _SEQUENCE.size:
            raise RefusedMessageError(f"a signed chunk of {len(chunk)} bytes, which cannot be")
        mac = keys.mac.copy()
        mac.update(chunk[: _HEADER.size])
        mac.update(content[:end])
        if not hmac.compare_digest(mac.finalize(), content[end:]):
            raise RefusedMessageError("the signature of a message is wrong: it was changed on its way, or is forged")
        if keys.cipher is not None:
            end -= content[end - 1] + 1
        if end < _SEQUENCE.size:
            raise RefusedMessageError("the padding of a message is longer than the message")
        return content[:end]

    def _cryptography(self) -> Cryptography | None:
        """The symmetric part of the policy; None where nothing is signed."""
        found = self._connection.security_policy.symmetric_cryptography
        return found if isinstance(found, Cryptography) else None

    def _sealing(self) -> _Keys | None:
        crypto = self._cryptography()
        if crypto is None:
            return None
        if self._own is None or self._own.origin is not crypto.Signer:
            self._own = _Keys(crypto.Signer, crypto.Encryptor.cipher if crypto.is_encrypted else None)
        return self._own

    def _opening(self, *, previous: bool) -> _Keys | None:
        """Contexts for the token of a chunk; the earlier token's keys are forgotten when asyncua forgets them."""
        crypto = self._cryptography()
        if crypto is None:
            return None
        if crypto.Prev_Verifier is not None and crypto.is_encrypted:
            crypto.revolved_expired_key()
        if crypto.Prev_Verifier is None:
            self._previous = None
        if not previous:
            if self._current is None or self._current.origin is not crypto.Verifier:
                self._current = _Keys(crypto.Verifier, crypto.Decryptor.cipher if crypto.is_encrypted else None)
            return self._current
        if crypto.Prev_Verifier is None:
            raise RefusedMessageError("a message is protected with keys that have ended")
        if self._previous is None or self._previous.origin is not crypto.Prev_Verifier:
            cipher = crypto.Prev_Decryptor.cipher if crypto.is_encrypted else None
            self._previous = _Keys(crypto.Prev_Verifier, cipher)
        return self._previous


def _status(body: memoryview) -> int:
    """The status in the body of an abort chunk (OPC 10000-6, 6.7.3)."""
    if len(body) < _ERROR.size:
        raise RefusedMessageError("a message was given up without saying why")
    status, _ = _ERROR.unpack_from(body)
    return int(status) or int(ua.StatusCodes.BadUnexpectedError)
