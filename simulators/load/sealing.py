"""From the body of a response to chunks on the wire, without an object per chunk (OPC 10000-6, 6.7.2)."""

# ruff: noqa: ANN401 - asyncua's own objects come without usable annotations
from __future__ import annotations

import struct
from typing import Any

from asyncua.common.connection import MessageChunk

_HEAD = struct.Struct("<3scIII")  # type of message, of chunk, size, channel, token
_SEQUENCE = struct.Struct("<II")  # sequence number, request
_LAST_NUMBER = 0xFFFF_FFFF


def seal(connection: Any, body: bytes | bytearray, request: int) -> bytes:
    """Sign and encrypt a message of an open channel with its current keys, in chunks as large as the client takes.

    Args:
        connection: asyncua's SecureConnection of the channel; its sequence number moves on.
        body: Type and content of the response.
        request: Id of the request that is answered.
    """
    crypto = connection.security_policy.symmetric_cryptography
    token = connection.security_token
    largest = MessageChunk.max_body_size(crypto, connection._limits.max_send_buffer)
    signature = crypto.signature_size()
    view = memoryview(body)
    sealed = []
    for at in range(0, len(view), largest):
        number = connection._sequence_number = connection._sequence_number % _LAST_NUMBER + 1
        part = view[at : at + largest]
        padding = crypto.padding(_SEQUENCE.size + len(part))
        size = _HEAD.size + _SEQUENCE.size + len(part) + len(padding) + signature
        last = at + largest >= len(view)
        head = _HEAD.pack(b"MSG", b"F" if last else b"C", size, token.ChannelId, token.TokenId)
        plain = b"".join((_SEQUENCE.pack(number, request), part, padding))
        sealed.append(head)
        sealed.append(crypto.encrypt(plain + crypto.signature(head + plain)))
    return b"".join(sealed)
