"""Decoders of structured data types, compiled from their definitions (OPC 10000-3, 8.48; OPC 10000-6, 5.2.6 ff.)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from adapters.opcua.binary import Body, Decode, array, matrix
from adapters.opcua.forms import DecodeError
from gateway.model.values import JsonValue

_U32 = struct.Struct("<I")


class Kind(IntEnum):
    """StructureType."""

    STRUCTURE = 0
    OPTIONAL = 1
    UNION = 2
    SUBTYPED = 3
    SUBTYPED_UNION = 4

    @property
    def union(self) -> bool:
        """One field at a time."""
        return self in (Kind.UNION, Kind.SUBTYPED_UNION)


@dataclass(frozen=True, slots=True)
class Part:
    """A field of a structure, ready to be decoded.

    Attributes:
        decode: Gives the decoder of one element; asked at the first use, so structures may contain themselves.
        rank: ValueRank: below 0 a scalar, 1 an array, 2 and more a matrix.
        empty: Its elements may take no byte at all.
    """

    name: str
    decode: Callable[[], Decode]
    rank: int = -1
    optional: bool = False
    empty: bool = False


def compile_structure(name: str, kind: Kind, parts: Sequence[Part]) -> Decode:
    """The decoder of a structure."""
    fields = [(part.name, _field(part)) for part in parts]
    if kind.union:
        decode = _union(name, fields)
    elif kind is Kind.OPTIONAL:
        decode = _optional(name, fields, [part.optional for part in parts])
    else:
        decode = _plain(fields)
    return _named(name, decode)


def _field(part: Part) -> Decode:
    smallest = 0 if part.empty else 1
    known: Decode | None = None

    def element(body: Body) -> JsonValue:
        nonlocal known
        if known is None:
            known = part.decode()
        return known(body)

    if part.rank < 0:
        return element
    if part.rank < 2:
        return lambda body: array(body, element, smallest)
    return lambda body: matrix(body, element, smallest)


def _plain(fields: Sequence[tuple[str, Decode]]) -> Decode:
    return lambda body: {name: decode(body) for name, decode in fields}


def _optional(name: str, fields: Sequence[tuple[str, Decode]], optional: Sequence[bool]) -> Decode:
    count = sum(optional)
    bits = iter(range(count))
    plan = [
        (label, decode, 1 << next(bits) if may else 0) for (label, decode), may in zip(fields, optional, strict=True)
    ]

    def decode(body: Body) -> JsonValue:
        mask = body.number(_U32)
        if mask >> count:
            raise DecodeError(f"mask 0x{mask:X} of {name}, which has {count} optional fields")
        return {label: decode(body) for label, decode, bit in plan if not bit or mask & bit}

    return decode


def _union(name: str, fields: Sequence[tuple[str, Decode]]) -> Decode:
    def decode(body: Body) -> JsonValue:
        choice = body.number(_U32)
        if choice == 0:
            return None
        if choice > len(fields):
            raise DecodeError(f"field {choice} of union {name}, which has {len(fields)} fields")
        label, chosen = fields[choice - 1]
        return {label: chosen(body)}

    return decode


def _named(name: str, decode: Decode) -> Decode:
    """Count the depth and name the structure in errors."""

    def outer(body: Body) -> JsonValue:
        body.enter()
        try:
            return decode(body)
        except DecodeError as fault:
            if str(fault).startswith(("in ", "more than")):
                raise
            raise DecodeError(f"in {name}: {fault}") from fault
        finally:
            body.leave()

    return outer
