"""How far an encoded value reaches (OPC 10000-6, 5.2.2), without decoding it and without the server's tables."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeAlias

from adapters.opcua.binary import Body, Decode
from adapters.opcua.forms import DecodeError
from adapters.opcua.namespaces import Namespaces

Skip: TypeAlias = Callable[[Body], object]

_I32 = struct.Struct("<i")

_FIXED = {1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 4, 8: 8, 9: 8, 10: 4, 11: 8, 13: 8, 14: 16, 19: 4}
"""Bytes of the built-in types that always have as many."""

_NODE_ID = {0: 1, 1: 3, 2: 6, 4: 18}
"""Bytes after the encoding byte of a NodeId with a number or a Guid (OPC 10000-6, 5.2.2.9)."""


class _Nowhere:
    """The context of values for which no server is asked."""

    namespaces = Namespaces(())

    def structure(self, _encoding: str) -> Decode | None:
        """None is known."""
        return None


NOWHERE = _Nowhere()


def skip_variant(body: Body) -> None:
    """Pass over a Variant.

    Raises:
        DecodeError: It is malformed, or reaches beyond the end.
    """
    encoding = body.byte()
    kind = encoding & 0x3F
    if encoding & 0xC0 == 0x40:
        raise DecodeError(f"a Variant of type byte 0x{encoding:02X} has dimensions and is no array")
    if not encoding & 0x80:
        if kind:
            _one(body, kind)
        return
    count = body.length(_FIXED.get(kind, 1))
    if kind in _FIXED:
        body.take((count or 0) * _FIXED[kind])
    else:
        for _ in range(count or 0):
            _one(body, kind)
    if encoding & 0x40:
        body.take((body.length(_I32.size) or 0) * _I32.size)


def _one(body: Body, kind: int) -> None:
    if kind in _FIXED:
        body.take(_FIXED[kind])
        return
    skip = _SKIPS.get(kind)
    if skip is None:
        raise DecodeError(f"built-in type {kind} in a Variant; allowed are 1 to 25")
    body.enter()
    skip(body)
    body.leave()


def _octets(body: Body) -> None:
    body.take(body.length() or 0)


def _node_id(body: Body) -> None:
    encoding = body.byte()
    kind = encoding & 0x3F
    if kind in _NODE_ID:
        body.take(_NODE_ID[kind])
    elif kind in {3, 5}:
        body.take(2)
        _octets(body)
    else:
        raise DecodeError(f"NodeId encoding 0x{encoding:02X} at byte {body.position - 1}; allowed are 0 to 5")
    if encoding & 0x80:
        _octets(body)
    if encoding & 0x40:
        body.take(4)


def _qualified_name(body: Body) -> None:
    body.take(2)
    _octets(body)


def _localized_text(body: Body) -> None:
    mask = body.byte()
    for bit in (1, 2):
        if mask & bit:
            _octets(body)


def _extension_object(body: Body) -> None:
    _node_id(body)
    kind = body.byte()
    if kind > 2:
        raise DecodeError(f"ExtensionObject encoding 0x{kind:02X}; allowed are 0, 1 and 2")
    if kind:
        _octets(body)


def _data_value(body: Body) -> None:
    mask = body.byte()
    if mask & 1:
        skip_variant(body)
    for bit, size in ((2, 4), (4, 8), (8, 8), (16, 2), (32, 2)):
        if mask & bit:
            body.take(size)


def _diagnostic_info(body: Body) -> None:
    mask = body.byte()
    body.take(4 * (mask & 0x0F).bit_count())
    if mask & 16:
        _octets(body)
    if mask & 32:
        body.take(4)
    if mask & 64:
        _one(body, 25)


_SKIPS: dict[int, Skip] = {
    12: _octets,
    15: _octets,
    16: _octets,
    17: _node_id,
    18: _node_id,
    20: _qualified_name,
    21: _localized_text,
    22: _extension_object,
    23: _data_value,
    24: skip_variant,
    25: _diagnostic_info,
    **dict.fromkeys(range(26, 32), _octets),  # reserved, encoded as ByteString (OPC 10000-6, 5.1.2)
}
