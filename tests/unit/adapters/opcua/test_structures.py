from __future__ import annotations

import dataclasses
import struct
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import pack_uatype
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.opcua.binary import BUILT_IN, DEEPEST, Body, Decode, extension_object
from adapters.opcua.forms import DecodeError
from adapters.opcua.namespaces import UA, Namespaces
from adapters.opcua.structures import Kind, Part, compile_structure
from adapters.opcua.values import Values
from gateway.model import JsonValue

KIND = ua.VariantType


@dataclasses.dataclass
class Server:
    """The context of a server with these structures."""

    structures: dict[str, Decode] = dataclasses.field(default_factory=dict)
    namespaces: Namespaces = dataclasses.field(default_factory=lambda: Namespaces([UA, "urn:example:server"]))

    def structure(self, encoding: str) -> Decode | None:
        return self.structures.get(encoding)


VALUES = Values(Server())

SCALARS: dict[ua.VariantType, st.SearchStrategy[Any]] = {
    KIND.Boolean: st.booleans(),
    KIND.SByte: st.integers(-128, 127),
    KIND.Byte: st.integers(0, 255),
    KIND.Int16: st.integers(-(2**15), 2**15 - 1),
    KIND.UInt16: st.integers(0, 2**16 - 1),
    KIND.Int32: st.integers(-(2**31), 2**31 - 1),
    KIND.UInt32: st.integers(0, 2**32 - 1),
    KIND.Int64: st.integers(-(2**63), 2**63 - 1),
    KIND.UInt64: st.integers(0, 2**64 - 1),
    KIND.Float: st.floats(width=32),
    KIND.Double: st.floats(),
    KIND.String: st.none() | st.text(max_size=20),
    KIND.DateTime: st.datetimes(datetime(1602, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    KIND.Guid: st.uuids(),
    KIND.ByteString: st.none() | st.binary(max_size=20),
    KIND.NodeId: st.builds(ua.NodeId, st.integers(0, 2**32 - 1) | st.text(max_size=9), st.integers(0, 1)),
    KIND.StatusCode: st.sampled_from([0, 0x80AE0000, 0x40000000]).map(ua.StatusCode),
    KIND.QualifiedName: st.builds(ua.QualifiedName, st.text(max_size=9), st.integers(0, 1)),
    KIND.LocalizedText: st.builds(ua.LocalizedText, st.none() | st.text(max_size=9), st.sampled_from([None, "de-DE"])),
}  # fmt: skip


@st.composite
def fields(draw: st.DrawFn) -> list[tuple[ua.VariantType, bool, bool, Any]]:
    """Random fields: built-in type, array, optional, value (None where absent)."""
    made = []
    for _ in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(list(SCALARS)))
        array, optional = draw(st.booleans()), draw(st.booleans())
        strategy = st.lists(SCALARS[kind], max_size=4) if array else SCALARS[kind]
        present = not optional or draw(st.booleans())
        made.append((kind, array, optional, draw(strategy) if present else None))
    return made


def packed(kind: ua.VariantType, value: Any, *, array: bool) -> bytes:
    """What asyncua's own encoder makes of a value of a field."""
    if array:
        return struct.pack("<i", len(value)) + b"".join(pack_uatype(kind, one) for one in value)
    return pack_uatype(kind, value)


def part(name: str, kind: int, *, rank: int = -1, optional: bool = False) -> Part:
    return Part(name, lambda: BUILT_IN[kind], rank, optional)


def same(found: JsonValue, wanted: JsonValue) -> bool:
    return repr(found) == repr(wanted)


@given(fields())
@settings(max_examples=150, deadline=None)
def test_plain_structures(plan: list[tuple[ua.VariantType, bool, bool, Any]]) -> None:
    plan = [one for one in plan if one[3] is not None or one[0] in (KIND.String, KIND.ByteString)]
    plan = [one for one in plan if not (one[1] and one[3] is None)]
    parts = [part(f"F{i}", kind.value, rank=1 if array else -1) for i, (kind, array, _, _) in enumerate(plan)]
    decode = compile_structure("Random", Kind.STRUCTURE, parts)
    data = b"".join(packed(kind, value, array=array) for kind, array, _, value in plan)
    body = Body(data, Server())
    assert same(decode(body), {f"F{i}": VALUES.any(one[3]) for i, one in enumerate(plan)})
    assert body.position == body.end


@given(fields())
@settings(max_examples=150, deadline=None)
def test_optional_fields(plan: list[tuple[ua.VariantType, bool, bool, Any]]) -> None:
    plan = [one for one in plan if one[2] or one[3] is not None]
    parts = [part(f"F{i}", one[0].value, rank=1 if one[1] else -1, optional=one[2]) for i, one in enumerate(plan)]
    optional = [one for one in plan if one[2]]
    mask = sum(1 << i for i, one in enumerate(optional) if one[3] is not None)
    data = struct.pack("<I", mask)
    data += b"".join(packed(one[0], one[3], array=one[1]) for one in plan if one[3] is not None)
    decode = compile_structure("Random", Kind.OPTIONAL, parts)
    wanted = {f"F{i}": VALUES.any(one[3]) for i, one in enumerate(plan) if one[3] is not None}
    assert same(decode(Body(data, Server())), wanted)


@given(fields(), st.data())
@settings(max_examples=100, deadline=None)
def test_a_body_that_ends_early_is_an_error(
    plan: list[tuple[ua.VariantType, bool, bool, Any]], data: st.DataObject
) -> None:
    plan = [one for one in plan if one[3] is not None]
    parts = [part(f"F{i}", one[0].value, rank=1 if one[1] else -1) for i, one in enumerate(plan)]
    whole = b"".join(packed(one[0], one[3], array=one[1]) for one in plan)
    if not whole:
        return
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(DecodeError, match="in Random"):
        compile_structure("Random", Kind.STRUCTURE, parts)(Body(cut, Server()))


def test_unions_have_one_field() -> None:
    decode = compile_structure("Choice", Kind.UNION, [part("A", 6), part("B", 12)])
    assert decode(Body(struct.pack("<Ii", 1, -5), Server())) == {"A": -5}
    assert decode(Body(struct.pack("<Ii", 2, 1) + b"x", Server())) == {"B": "x"}
    assert decode(Body(struct.pack("<I", 0), Server())) is None
    with pytest.raises(DecodeError, match="field 3 of union Choice, which has 2 fields"):
        decode(Body(struct.pack("<I", 3), Server()))


def test_a_mask_with_bits_of_no_field_is_an_error() -> None:
    decode = compile_structure("Masked", Kind.OPTIONAL, [part("A", 6, optional=True)])
    with pytest.raises(DecodeError, match="mask 0x2 of Masked"):
        decode(Body(struct.pack("<Ii", 2, 1), Server()))


def test_matrices_in_structures() -> None:
    decode = compile_structure("Grid", Kind.STRUCTURE, [part("M", 4, rank=2)])
    good = struct.pack("<3i6h", 2, 2, 3, 1, 2, 3, 4, 5, 6)
    assert decode(Body(good, Server())) == {"M": [[1, 2, 3], [4, 5, 6]]}
    assert decode(Body(struct.pack("<i", 0), Server())) == {"M": []}
    assert decode(Body(struct.pack("<3i", 2, -1, 5), Server())) == {"M": []}
    for bad in ((2, 2**31 - 1, 2**31 - 1), (2**30,)):
        with pytest.raises(DecodeError, match="in Grid"):
            decode(Body(struct.pack(f"<{len(bad)}i", *bad), Server()))


def test_lengths_are_checked_before_anything_is_made() -> None:
    decode = compile_structure("Long", Kind.STRUCTURE, [part("A", 3, rank=1)])
    with pytest.raises(DecodeError, match="length 2147483647"):
        decode(Body(struct.pack("<i", 2**31 - 1), Server()))
    empty = compile_structure("Empty", Kind.STRUCTURE, [])
    many = compile_structure("Many", Kind.STRUCTURE, [Part("A", lambda: empty, 1, empty=True)])
    assert many(Body(struct.pack("<i", 3), Server())) == {"A": [{}, {}, {}]}
    with pytest.raises(DecodeError, match="length 2147483647"):
        many(Body(struct.pack("<i", 2**31 - 1), Server()))


def test_structures_within_structures_are_bounded() -> None:
    server = Server()

    def itself() -> Decode:
        return server.structures["Self"]

    server.structures["Self"] = compile_structure("Self", Kind.STRUCTURE, [Part("A", itself, 1)])
    three = struct.pack("<3i", 1, 1, 0)
    assert itself()(Body(three, server)) == {"A": [{"A": [{"A": []}]}]}
    with pytest.raises(DecodeError, match=f"more than {DEEPEST} values"):
        itself()(Body(struct.pack("<i", 1) * 1000, server))


def test_extension_objects_inside() -> None:
    server = Server()
    server.structures["nsu=urn:example:server;i=9"] = compile_structure("Inner", Kind.STRUCTURE, [part("A", 1)])

    def packed_object(body: bytes) -> bytes:
        return b"\x01\x01" + struct.pack("<H", 9) + b"\x01" + struct.pack("<i", len(body)) + body

    decode = compile_structure("Outer", Kind.SUBTYPED, [Part("X", lambda: extension_object), part("V", 24)])
    data = packed_object(b"\x01") + bytes([22]) + packed_object(b"\x00")
    assert decode(Body(data, server)) == {"X": {"A": True}, "V": {"A": False}}
    with pytest.raises(DecodeError, match="1 bytes more than the definition"):
        decode(Body(packed_object(b"\x01\x01") + b"\x00", server))
    xml = b"\x01\x01" + struct.pack("<H", 9) + b"\x02" + struct.pack("<i", 4) + b"<a/>"
    assert extension_object(Body(xml, server)) == {"typeId": "nsu=urn:example:server;i=9", "xml": "<a/>"}
    assert extension_object(Body(b"\x00\x00\x00", server)) is None
    with pytest.raises(DecodeError, match="encoding 0x07"):
        extension_object(Body(b"\x00\x00\x07\xff\xff\xff\xff", server))


def test_guids_have_their_bytes_in_order() -> None:
    value = uuid.UUID("72962b91-fa75-4ae6-8d28-b404dc7daf63")
    assert BUILT_IN[14](Body(pack_uatype(KIND.Guid, value), Server())) == f"{value}"
