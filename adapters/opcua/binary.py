"""OPC UA Binary (OPC 10000-6, 5.2) straight to JSON: built-in types, every step checked against the end of the body."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from typing import Protocol, TypeAlias

from adapters.opcua.forms import DecodeError, localized, moment, octets, opaque, shaped, status_name
from adapters.opcua.namespaces import Namespaces
from gateway.model.values import JsonValue, json_float, json_int, json_text

DEEPEST = 64
"""Structures, Variants, DataValues and DiagnosticInfos inside of each other."""

NULL_ID = "i=0"

_MOST_EMPTY = 10_000  # elements of an array that take no byte each
_I32 = struct.Struct("<i")
_U32 = struct.Struct("<I")
_U16 = struct.Struct("<H")
_I64 = struct.Struct("<q")


class Context(Protocol):
    """What decoding needs to know of the server."""

    @property
    def namespaces(self) -> Namespaces:
        """Its namespace table."""

    def structure(self, encoding: str) -> Decode | None:
        """Decoder of a structure by the text of its encoding's NodeId."""


class Body:
    """Bytes with a position; nothing is read beyond their end."""

    __slots__ = ("context", "data", "depth", "end", "position")

    def __init__(self, data: bytes, context: Context, depth: int = 0) -> None:
        self.data = data
        self.position = 0
        self.end = len(data)
        self.context = context
        self.depth = depth

    def take(self, count: int) -> int:
        """Position of the next `count` bytes, which are taken.

        Raises:
            DecodeError: There are not so many.
        """
        start = self.position
        if count < 0 or count > self.end - start:
            raise DecodeError(f"{count} bytes wanted at byte {start} of {self.end}")
        self.position = start + count
        return start

    def raw(self, count: int) -> bytes:
        """The next `count` bytes."""
        start = self.take(count)
        return bytes(self.data[start : start + count])

    def number(self, packed: struct.Struct) -> int:
        """An integer."""
        return int(packed.unpack_from(self.data, self.take(packed.size))[0])

    def byte(self) -> int:
        """A Byte."""
        return self.data[self.take(1)]

    def length(self, smallest: int = 1) -> int | None:
        """Length of a string or an array whose elements take at least `smallest` bytes; None for null."""
        count = self.number(_I32)
        if count < 0:
            return None
        if count * smallest > self.end - self.position or (not smallest and count > _MOST_EMPTY):
            raise DecodeError(
                f"length {count} at byte {self.position - 4} does not fit into a body of {self.end} bytes"
            )
        return count

    def octets(self) -> bytes | None:
        """A ByteString."""
        count = self.length()
        return None if count is None else self.raw(count)

    def text(self) -> str | None:
        """A String; what is no UTF-8 becomes U+FFFD."""
        found = self.octets()
        return None if found is None else json_text(found.decode("utf-8", "surrogateescape"))

    def enter(self) -> None:
        """One level deeper.

        Raises:
            DecodeError: Too deep.
        """
        self.depth += 1
        if self.depth > DEEPEST:
            raise DecodeError(f"more than {DEEPEST} values inside of each other")

    def leave(self) -> None:
        """One level up."""
        self.depth -= 1


Decode: TypeAlias = Callable[[Body], JsonValue]


def _integer(layout: str) -> Decode:
    packed = struct.Struct(layout)
    return lambda body: body.number(packed)


def _wide(layout: str) -> Decode:
    packed = struct.Struct(layout)
    return lambda body: json_int(body.number(packed))


def _floating(layout: str) -> Decode:
    packed = struct.Struct(layout)
    return lambda body: json_float(packed.unpack_from(body.data, body.take(packed.size))[0])


def _byte_string(body: Body) -> JsonValue:
    found = body.octets()
    return None if found is None else octets(found)


def _guid(body: Body) -> JsonValue:
    return str(uuid.UUID(bytes_le=body.raw(16)))


def node_id(body: Body) -> str:
    """A NodeId or ExpandedNodeId as text.

    Raises:
        DecodeError: Its encoding byte is none of OPC 10000-6, 5.2.2.9.
    """
    encoding = body.byte()
    kind, index = encoding & 0x3F, 0
    if kind == 0:
        text = f"i={body.byte()}"
    elif kind == 1:
        index = body.byte()
        text = f"i={body.number(_U16)}"
    else:
        index = body.number(_U16)
        match kind:
            case 2:
                text = f"i={body.number(_U32)}"
            case 3:
                text = f"s={body.text() or ''}"
            case 4:
                text = f"g={_guid(body)}"
            case 5:
                text = f"b={octets(body.octets() or b'')}"
            case _:
                raise DecodeError(f"NodeId encoding 0x{encoding:02X} at byte {body.position - 3}; allowed are 0 to 5")
    uri = body.text() if encoding & 0x80 else None
    server = body.number(_U32) if encoding & 0x40 else 0
    return body.context.namespaces.place(text, index, uri, server)


def _status(body: Body) -> JsonValue:
    return status_name(body.number(_U32))


def _qualified_name(body: Body) -> JsonValue:
    index = body.number(_U16)
    return body.context.namespaces.named(body.text(), index)


def _localized_text(body: Body) -> JsonValue:
    mask = body.byte()
    locale = body.text() if mask & 1 else None
    text = body.text() if mask & 2 else None
    return localized(locale, text)


def extension_object(body: Body) -> JsonValue:
    """An ExtensionObject: its structure, null, or what `forms` says of unknown ones."""
    type_text = node_id(body)
    kind = body.byte()
    if kind == 0:
        return extension(body.context, type_text, None, body.depth)
    found = body.octets()
    if kind == 1:
        return extension(body.context, type_text, found, body.depth)
    if kind == 2:
        text = (found or b"").decode("utf-8", "surrogateescape")
        return {"typeId": type_text, "xml": json_text(text)}
    raise DecodeError(f"ExtensionObject encoding 0x{kind:02X}; allowed are 0, 1 and 2")


def extension(context: Context, type_text: str, data: bytes | None, depth: int = 0) -> JsonValue:
    """The structure in the body of an ExtensionObject.

    Raises:
        DecodeError: The body is not what the definition of the type says.
    """
    if not data and type_text == NULL_ID:
        return None
    decode = context.structure(type_text)
    if decode is None:
        return opaque(type_text, data)
    body = Body(data or b"", context, depth)
    found = decode(body)
    if body.position != body.end:
        raise DecodeError(f"{body.end - body.position} bytes more than the definition of {type_text} has")
    return found


def variant(body: Body) -> JsonValue:
    """Content of a Variant."""
    encoding = body.byte()
    kind = encoding & 0x3F
    body.enter()
    try:
        if not encoding & 0x80:
            _check_scalar(encoding)
            return None if kind == 0 else _decoder(kind)(body)
        found = array(body, _decoder(kind))
        if not encoding & 0x40:
            return found
        dimensions = _dimensions(body)  # they are there for a null array too
        return None if found is None else shaped(found, dimensions)
    finally:
        body.leave()


def _check_scalar(encoding: int) -> None:
    if encoding & 0x40:
        raise DecodeError(f"a Variant of type byte 0x{encoding:02X} has dimensions and is no array")


def _decoder(kind: int) -> Decode:
    if 26 <= kind <= 31:  # reserved, encoded as ByteString (OPC 10000-6, 5.1.2)
        return _byte_string
    if kind not in BUILT_IN:
        raise DecodeError(f"built-in type {kind} in a Variant; allowed are 1 to 25")
    return BUILT_IN[kind]


def array(body: Body, decode: Decode, smallest: int = 1) -> list[JsonValue] | None:
    """An array; None for null."""
    count = body.length(smallest)
    return None if count is None else [decode(body) for _ in range(count)]


def matrix(body: Body, decode: Decode, smallest: int = 1) -> JsonValue:
    """A matrix as a field of a structure: its dimensions, then its values (OPC 10000-6, 5.2.5)."""
    dimensions = _dimensions(body)
    count = 1 if dimensions else 0
    for length in dimensions:
        count *= max(length, 0)
        if count * smallest > body.end - body.position or (not smallest and count > _MOST_EMPTY):
            raise DecodeError(f"dimensions {dimensions} do not fit into a body of {body.end} bytes")
    return shaped([decode(body) for _ in range(count)], dimensions)


def _dimensions(body: Body) -> list[int]:
    count = body.length(4)
    return [body.number(_I32) for _ in range(count or 0)]


def _data_value(body: Body) -> JsonValue:
    mask = body.byte()
    body.enter()
    found: dict[str, JsonValue] = {"value": variant(body) if mask & 1 else None}
    if mask & 2:
        code = body.number(_U32)
        if code:
            found["status"] = status_name(code)
    if mask & 4:
        found["sourceTime"] = moment(body.number(_I64))
    if mask & 16:
        found["sourcePicoseconds"] = body.number(_U16)
    if mask & 8:
        found["serverTime"] = moment(body.number(_I64))
    if mask & 32:
        found["serverPicoseconds"] = body.number(_U16)
    body.leave()
    return found


def _diagnostic_info(body: Body) -> JsonValue:
    mask = body.byte()
    body.enter()
    found: dict[str, JsonValue] = {}
    for bit, name in ((1, "symbolicId"), (2, "namespaceUri"), (8, "locale"), (4, "localizedText")):
        if mask & bit:
            found[name] = body.number(_I32)
    if mask & 16:
        found["additionalInfo"] = body.text()
    if mask & 32:
        found["innerStatusCode"] = _status(body)
    if mask & 64:
        found["innerDiagnosticInfo"] = _diagnostic_info(body)
    body.leave()
    return found


BUILT_IN: dict[int, Decode] = {
    1: lambda body: body.byte() != 0,
    2: _integer("<b"),
    3: lambda body: body.byte(),
    4: _integer("<h"),
    5: _integer("<H"),
    6: _integer("<i"),
    7: _integer("<I"),
    8: _wide("<q"),
    9: _wide("<Q"),
    10: _floating("<f"),
    11: _floating("<d"),
    12: lambda body: body.text(),
    13: lambda body: moment(body.number(_I64)),
    14: _guid,
    15: _byte_string,
    16: lambda body: body.text(),
    17: node_id,
    18: node_id,
    19: _status,
    20: _qualified_name,
    21: _localized_text,
    22: extension_object,
    23: _data_value,
    24: variant,
    25: _diagnostic_info,
}
"""Decoders of the built-in types by their number."""
