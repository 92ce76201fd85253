"""The values of a DataChangeNotification (OPC 10000-4, 7.25.2) in one pass over its bytes, straight to JSON values.

A number, a Boolean or a moment is read together with its handle, status and source time by one struct, chosen by the
DataValue's mask and the Variant's type byte (OPC 10000-6, 5.2.2.16 and 5.2.2.17). Strings and arrays of numbers have
their own readers, the rest goes through `adapters.opcua.binary`. What cannot be told without the server's tables
(NodeIds, qualified names, structures, and whatever may hold them) stays `Encoded` here, its extent checked, and is
decoded by the converter of its signal.

Every length is compared with the bytes that are there before anything is read or made by it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from adapters.opcua.binary import Body, variant
from adapters.opcua.extent import NOWHERE, skip_variant
from adapters.opcua.forms import DecodeError, moment, shaped, status_name
from gateway.model.values import SAFE_INTEGER, JsonValue, json_float, json_int, json_text


class Encoded(bytes):
    """A Variant as it came: its JSON depends on the server's namespaces and data types."""

    __slots__ = ()


Value: TypeAlias = "tuple[int, JsonValue | Encoded, int, int]"
"""Client handle, content of the Variant, source time in ticks (0: none), status code."""

Take: TypeAlias = Callable[[Value], object]
_Reader: TypeAlias = "Callable[[bytes, int], tuple[JsonValue | Encoded, int]]"
"""From the bytes and the position after the Variant's type byte to its content and the position after it."""

_STATUS, _SOURCE, _SERVER, _SOURCE_PICO, _SERVER_PICO = 2, 4, 8, 16, 32  # bits of a DataValue's mask beside the value
_ARRAY, _DIMENSIONS = 0x80, 0x40  # bits of a Variant's type byte
_SMALLEST = 5  # bytes of a notification: handle and mask
_MASKS = 64

_NUMBERS = {1: "?", 2: "b", 3: "B", 4: "h", 5: "H", 6: "i", 7: "I", 8: "q", 9: "Q", 10: "f", 11: "d"}
_WIDE = frozenset({8, 9})
_FLOATING = frozenset({10, 11})
_TEXTS = frozenset({12, 16})  # String and XmlElement
_OF_THE_SERVER = frozenset({17, 18, 20, 22, 23, 24})  # what may name a namespace or a structure

_I32 = struct.Struct("<i")
_HEAD = struct.Struct("<IB")


class _Layout(NamedTuple):
    """How to read one notification of a scalar of fixed size.

    Attributes:
        unpack: Gives handle, value and, where the mask has them, status and source time.
        parts: Bits of the mask for these two.
        convert: To JSON; None for numbers that JSON holds as they are, NaN and infinities aside.
    """

    unpack: Callable[[bytes, int], tuple[int, ...]]
    size: int
    parts: int
    convert: Callable[[int], JsonValue] | None


def _tail(mask: int) -> str:
    """What follows the value, in the order of OPC 10000-6, table 27; what nobody asks for is passed over."""
    known = ((_STATUS, "I"), (_SOURCE, "q"), (_SOURCE_PICO, "2x"), (_SERVER, "8x"), (_SERVER_PICO, "2x"))
    return "".join(layout for bit, layout in known if mask & bit)


def _layouts() -> dict[bytes, _Layout]:
    kinds: list[tuple[int, str, Callable[[int], JsonValue] | None]] = [
        *((kind, layout, json_int if kind in _WIDE else None) for kind, layout in _NUMBERS.items()),
        (13, "q", moment),
        (19, "I", status_name),
    ]
    found: dict[bytes, _Layout] = {}
    for kind, layout, convert in kinds:
        for mask in range(1, _MASKS, 2):
            packed = struct.Struct(f"<I2x{layout}{_tail(mask)}")
            found[bytes((mask, kind))] = _Layout(packed.unpack_from, packed.size, mask & 6, convert)
    return found


_LAYOUTS = _layouts()
_TAILS = [struct.Struct(f"<{_tail(mask)}") for mask in range(_MASKS)]


def read_changes(body: bytes, take: Take) -> None:
    """Give every value of the notification to `take`, in its order.

    Raises:
        DecodeError: The body is malformed; what came before the fault has been taken.
        struct.error: It ends within a value.
        IndexError: Likewise.
    """
    (count,) = _I32.unpack_from(body)
    position = _I32.size
    if count * _SMALLEST > len(body) - position:
        raise DecodeError(f"{count} notifications announced in a body of {len(body)} bytes")
    layout_of = _LAYOUTS.get
    for _ in range(count):
        layout = layout_of(body[position + 4 : position + 6])
        if layout is None:
            position = _other(body, position, take)
            continue
        unpack, size, parts, convert = layout
        time = status = 0
        if parts == _SOURCE:
            handle, value, time = unpack(body, position)
        elif parts == _SOURCE | _STATUS:
            handle, value, status, time = unpack(body, position)
        elif parts:
            handle, value, status = unpack(body, position)
        else:
            handle, value = unpack(body, position)
        position += size
        if convert is not None:
            content = convert(value)
        elif value - value:  # NaN: the value is NaN or infinite
            content = json_float(value)
        else:
            content = value
        take((handle, content, time if time > 0 else 0, status))  # noqa: FURB136 - a third of what max() costs


def _other(body: bytes, position: int, take: Take) -> int:
    """One value that is no scalar of fixed size; the position after it."""
    handle, mask = _HEAD.unpack_from(body, position)
    mask &= _MASKS - 1  # further bits are reserved
    position += _HEAD.size
    value: JsonValue | Encoded = None
    if mask & 1:
        value, position = _READERS[body[position]](body, position + 1)
    tail: struct.Struct = _TAILS[mask]
    found = tail.unpack_from(body, position)
    status = found[0] if mask & _STATUS else 0
    time = found[-1] if mask & _SOURCE else 0
    take((handle, value, max(time, 0), status))
    return position + tail.size


def _length(body: bytes, position: int, size: int = 1) -> int:
    """Length of a string or array with elements of `size` bytes; below 0 for null."""
    (count,) = _I32.unpack_from(body, position)
    if count * size > len(body) - position - _I32.size:
        raise DecodeError(f"length {count} at byte {position} does not fit into a body of {len(body)} bytes")
    return int(count)


def _text(body: bytes, position: int) -> tuple[JsonValue, int]:
    count = _length(body, position)
    position += _I32.size
    if count < 0:
        return None, position
    found = body[position : position + count]
    try:
        return found.decode(), position + count
    except UnicodeDecodeError:
        return json_text(found.decode("utf-8", "surrogateescape")), position + count


def _scalar(kind: int) -> _Reader:
    """Reader of a number, for masks that no layout has."""
    packed = struct.Struct(f"<{_NUMBERS[kind]}")
    to_json = json_int if kind in _WIDE else json_float if kind in _FLOATING else None

    def read(body: bytes, position: int) -> tuple[JsonValue, int]:
        (value,) = packed.unpack_from(body, position)
        return value if to_json is None else to_json(value), position + packed.size

    return read


def _numbers(kind: int, *, matrix: bool) -> _Reader:
    """Reader of an array of numbers."""
    layout = _NUMBERS[kind]
    size = struct.calcsize(f"<{layout}")

    def read(body: bytes, position: int) -> tuple[JsonValue, int]:
        count = _length(body, position, size)
        position += _I32.size
        values: list[JsonValue] | None = None
        if count >= 0:
            found = struct.unpack_from(f"<{count}{layout}", body, position)
            position += count * size
            values = _array_to_json(kind, found)
        if not matrix:
            return values, position
        dimensions, position = _dimensions(body, position)
        return None if values is None else shaped(values, dimensions), position

    return read


def _array_to_json(kind: int, found: Sequence[Any]) -> list[JsonValue]:
    """Numbers as JSON has them; whether one needs another form is asked of all at once."""
    if kind in _FLOATING:
        total = sum(found)
        if total - total != 0.0:  # one is NaN or infinite, or the sum is
            return [json_float(one) for one in found]
    elif kind in _WIDE and found and (max(found) > SAFE_INTEGER or min(found) < -SAFE_INTEGER):
        return [json_int(one) for one in found]
    return list(found)


def _dimensions(body: bytes, position: int) -> tuple[list[int], int]:
    count = max(0, _length(body, position, _I32.size))
    position += _I32.size
    return list(struct.unpack_from(f"<{count}i", body, position)), position + count * _I32.size


def _plain(body: bytes, position: int) -> tuple[JsonValue, int]:
    """Whatever needs no table of the server."""
    reader = Body(body, NOWHERE)
    reader.position = position - 1
    value = variant(reader)
    return value, reader.position


def _encoded(body: bytes, position: int) -> tuple[Encoded, int]:
    """What the server's tables are needed for, cut out."""
    reader = Body(body, NOWHERE)
    reader.position = position - 1
    skip_variant(reader)
    return Encoded(body[position - 1 : reader.position]), reader.position


def _reader(encoding: int) -> _Reader:
    """Reader of a Variant by its type byte."""
    kind = encoding & 0x3F
    if kind in _OF_THE_SERVER:
        return _encoded
    if kind in _NUMBERS and encoding & _ARRAY:
        return _numbers(kind, matrix=bool(encoding & _DIMENSIONS))
    if kind in _NUMBERS and encoding == kind:
        return _scalar(kind)
    if encoding in _TEXTS:
        return _text
    return _plain


_READERS: list[_Reader] = [_reader(encoding) for encoding in range(256)]
