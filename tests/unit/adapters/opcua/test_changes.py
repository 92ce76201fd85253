"""Values of notifications: equal to asyncua's in everything but its mistakes, and never more than the bytes say."""

from __future__ import annotations

import math
import random
import struct
import sys
import time
import tracemalloc
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, variant_from_binary, variant_to_binary
from hypothesis import given
from hypothesis import strategies as st

from adapters.opcua.binary import BUILT_IN, Body, Decode, variant
from adapters.opcua.changes import Encoded, read_changes
from adapters.opcua.decode import ticks
from adapters.opcua.extent import NOWHERE, skip_variant
from adapters.opcua.forms import DecodeError
from adapters.opcua.namespaces import UA, Namespaces
from adapters.opcua.structures import Kind, Part, compile_structure
from adapters.opcua.values import Values
from gateway.model.encode import encode_value
from gateway.model.times import iso_from_ticks

KIND = ua.VariantType
MALFORMED = (DecodeError, struct.error, IndexError)
POINT = ua.NodeId(5001, 1)


class Server:
    """The context of a server with one structure, a point."""

    namespaces = Namespaces([UA, "urn:example:server", "urn:example:vendor"])

    def structure(self, encoding: str) -> Decode | None:
        return _POINT if encoding == "nsu=urn:example:server;i=5001" else None


_POINT = compile_structure("Point", Kind.STRUCTURE, [Part(name, lambda: BUILT_IN[11]) for name in "xy"])
VALUES = Values(Server())


def notification(*items: bytes) -> bytes:
    return struct.pack("<i", len(items)) + b"".join(items) + struct.pack("<i", -1)


def item(handle: int, mask: int, value: bytes = b"", tail: bytes = b"") -> bytes:
    return struct.pack("<IB", handle, mask) + value + tail


def tail(mask: int, status: int, source: int, server: int, pico: int) -> bytes:
    """What follows the value in the order of OPC 10000-6, table 27."""
    parts = (
        (2, "<I", status), (4, "<q", source), (16, "<H", pico), (8, "<q", server), (32, "<H", pico),
    )  # fmt: skip
    return b"".join(struct.pack(layout, value) for bit, layout, value in parts if mask & bit)


def read(body: bytes) -> list[Any]:
    found: list[Any] = []
    read_changes(body, found.append)
    return found


def to_json(value: Any) -> Any:
    return VALUES.any(value) if isinstance(value, Encoded) else value


def same(one: Any, other: Any) -> bool:
    """Equal in type too: 1, 1.0 and true are three values in JSON."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


texts = st.none() | st.text(max_size=8)
node_ids = st.one_of(
    st.builds(ua.NodeId, st.integers(0, 2**32 - 1), st.integers(0, 2)),
    st.builds(ua.NodeId, st.text(max_size=5), st.integers(0, 2)),
    st.builds(lambda data, index: ua.NodeId(data, index, ua.NodeIdType.ByteString), st.binary(max_size=5), st.just(1)),
    st.builds(lambda data, index: ua.NodeId(data, index, ua.NodeIdType.Guid), st.uuids(), st.just(2)),
)
expanded = st.builds(
    lambda node, uri, server: ua.ExpandedNodeId(
        node.Identifier, node.NamespaceIndex, node.NodeIdType, uri or None, server
    ),
    node_ids, st.text(max_size=5), st.integers(0, 3),
)  # fmt: skip
moments = st.datetimes(datetime(1601, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 - made aware
unknown_structures = st.builds(
    lambda data: ua.ExtensionObject(TypeId=ua.NodeId(77, 2), Body=data), st.binary(max_size=9)
)
points = st.builds(
    lambda x, y: ua.ExtensionObject(TypeId=POINT, Body=struct.pack("<dd", x, y)), st.floats(), st.floats()
)
statuses = st.sampled_from([0, 0x80310000, 0x40F20000, 0x00300000, 0x480, 0x8FFF0000]).map(ua.StatusCode)
localized = st.builds(ua.LocalizedText, texts, texts)
qualified = st.builds(ua.QualifiedName, st.text(max_size=5), st.integers(0, 2))
diagnostics = st.builds(
    ua.DiagnosticInfo, SymbolicId=st.none() | st.integers(-1, 9),
    AdditionalInfo=st.none() | st.text(max_size=5), InnerStatusCode=st.none() | statuses,
)  # fmt: skip

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
    KIND.String: texts,
    KIND.DateTime: moments,
    KIND.Guid: st.uuids(),
    KIND.ByteString: st.none() | st.binary(max_size=8),
    KIND.XmlElement: st.builds(ua.XmlElement, st.text(max_size=8)),
    KIND.NodeId: node_ids,
    KIND.ExpandedNodeId: expanded,
    KIND.StatusCode: statuses,
    KIND.QualifiedName: qualified,
    KIND.LocalizedText: localized,
    KIND.ExtensionObject: unknown_structures | points,
    KIND.DiagnosticInfo: diagnostics,
}


@st.composite
def variants(draw: st.DrawFn, depth: int = 1) -> ua.Variant:
    """Any Variant that asyncua can write and read again."""
    kinds = [*SCALARS, *([KIND.Variant, KIND.DataValue] if depth else [])]
    kind = draw(st.sampled_from([KIND.Null, *kinds]))
    if kind is KIND.Null:
        return ua.Variant(None, KIND.Null)
    if kind is KIND.Variant:
        return ua.Variant(draw(st.lists(variants(depth - 1), max_size=3)), kind, is_array=True)
    values = data_values(depth - 1) if kind is KIND.DataValue else SCALARS[kind]
    match draw(st.sampled_from(["scalar", "array", "null", "matrix"])):
        case "scalar":
            return ua.Variant(draw(values), kind)
        case "array":
            return ua.Variant(draw(st.lists(values, max_size=4)), kind, is_array=True)
        case "null":
            return ua.Variant(None, kind, is_array=True)
        case _:
            rows, columns = draw(st.integers(2, 3)), draw(st.integers(1, 3))
            row = st.lists(values, min_size=columns, max_size=columns)
            return ua.Variant(draw(st.lists(row, min_size=rows, max_size=rows)), kind, is_array=True)


@st.composite
def data_values(draw: st.DrawFn, depth: int = 0) -> ua.DataValue:
    """Without picoseconds, which asyncua orders wrongly."""
    return ua.DataValue(
        draw(variants(depth)), draw(st.none() | statuses), draw(st.none() | moments), draw(st.none() | moments)
    )


def packed(value: ua.Variant) -> bytes:
    return bytes(variant_to_binary(value))


@given(variants(), st.integers(0, 255), st.integers(0, 2**32 - 1), moments, moments, st.integers(0, 9999), statuses)
def test_equal_to_asyncua(
    value: ua.Variant, mask: int, handle: int, source: datetime, server: datetime, pico: int, status: ua.StatusCode
) -> None:
    content = packed(value) if mask & 1 else b""
    one = item(handle, mask, content, tail(mask, status.value, ticks(source), ticks(server), pico))
    (found, after) = read(notification(one, item(7, 0)))
    wanted = VALUES.any(variant_from_binary(Buffer(content)).Value) if mask & 1 else None
    assert found[0] == handle
    assert same(to_json(found[1]), wanted)
    assert encode_value(to_json(found[1]))
    assert found[2] == (ticks(source) if mask & 4 else 0)
    assert found[3] == (status.value if mask & 2 else 0)
    assert after == (7, None, 0, 0)


def test_a_nested_data_value_says_good_by_saying_nothing() -> None:
    body = notification(item(1, 1, b"\x17\x03\x00\x00\x00\x00\x00"))
    (found,) = read(body)
    assert to_json(found[1]) == {"value": None}


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), data_values()), max_size=6))
def test_whole_notifications_equal_to_asyncua(items: list[tuple[int, ua.DataValue]]) -> None:
    change = ua.DataChangeNotification(MonitoredItems=[ua.MonitoredItemNotification(*one) for one in items])
    body = bytes(ua.ua_binary.struct_to_binary(change))
    wanted = [
        (
            one.ClientHandle,
            VALUES.any(one.Value.Value.Value),
            ticks(one.Value.SourceTimestamp),
            one.Value.StatusCode.value if one.Value.StatusCode is not None else 0,
        )
        for one in struct_from_binary(ua.DataChangeNotification, Buffer(body)).MonitoredItems or ()
    ]
    found = [(handle, to_json(value), moment, status) for handle, value, moment, status in read(body)]
    assert len(found) == len(wanted)
    assert all(same(list(one), list(other)) for one, other in zip(found, wanted, strict=True))


@given(variants(2))
def test_skipping_ends_where_decoding_ends(value: ua.Variant) -> None:
    content = packed(value)
    body = Body(content + b"\xff" * 3, NOWHERE)
    skip_variant(body)
    assert body.position == len(content)
    decoding = Body(content + b"\xff" * 3, Server())
    variant(decoding)
    assert decoding.position == len(content)


@pytest.mark.parametrize("empty", [struct.pack("<i", 0), struct.pack("<i", -1)])
def test_no_values(empty: bytes) -> None:
    assert read(empty) == []


@pytest.mark.parametrize("kind", [1, 6, 8, 11, 12, 13, 17, 24])
def test_picoseconds_in_the_order_of_the_standard(kind: int) -> None:
    contents = {1: b"\1", 12: struct.pack("<i", 1) + b"a", 17: b"\0\x55", 24: b"\1\1"}
    value = bytes([kind]) + contents.get(kind, bytes(4 if kind == 6 else 8))
    mask = 0x3F
    source, server = 133_000_000_000_000_001, 133_000_000_000_000_002
    one = item(3, mask, value, tail(mask, 0x80310000, source, server, 0x1234))
    (found,) = read(notification(one))
    assert (found[0], found[2], found[3]) == (3, source, 0x80310000)
    wrong = struct_from_binary(ua.DataChangeNotification, Buffer(notification(one))).MonitoredItems[0].Value
    assert wrong.SourcePicoseconds != 0x1234  # asyncua's order: source time, server time, picoseconds of both


def test_bits_of_diagnostic_infos_in_the_order_of_the_standard() -> None:
    """OPC 10000-6, 5.2.2.12: 0x04 is the LocalizedText and 0x08 the Locale, first (asyncua: the reverse)."""
    both = b"\x19\x0c" + struct.pack("<ii", 1, 2)
    one = b"\x19\x04" + struct.pack("<i", 2)
    rows = read(notification(item(1, 1, both), item(2, 1, one)))
    assert [row[1] for row in rows] == [{"locale": 1, "localizedText": 2}, {"localizedText": 2}]


def test_times_are_exact_to_100_ns_and_never_negative() -> None:
    moment = 133_000_000_000_000_007
    value = b"\x0d" + struct.pack("<q", moment)
    rows = read(notification(*(item(1, 5, value, struct.pack("<q", one)) for one in (moment, 0, -1, -(2**63)))))
    assert [row[2] for row in rows] == [moment, 0, 0, 0]
    assert {row[1] for row in rows} == {iso_from_ticks(moment)}


def test_null_and_latest_moment() -> None:
    rows = read(notification(*(item(1, 1, b"\x0d" + struct.pack("<q", one)) for one in (0, -5, 2**63 - 1))))
    assert [row[1] for row in rows] == [None, None, "9999-12-31T23:59:59.9999999Z"]


@pytest.mark.parametrize("status", [0x80310000, 0x40F20000, 0x00300000, 0x480])
def test_status_with_and_without_value(status: int) -> None:
    with_value = item(1, 3, b"\x0b" + struct.pack("<d", 1.5), struct.pack("<I", status))
    alone = item(2, 2, b"", struct.pack("<I", status))
    assert read(notification(with_value, alone)) == [(1, 1.5, 0, status), (2, None, 0, status)]


def test_known_structures_are_decoded_with_the_connections_definitions() -> None:
    point = packed(ua.Variant(ua.ExtensionObject(TypeId=POINT, Body=struct.pack("<dd", 1.5, math.inf))))
    both = packed(ua.Variant([ua.ExtensionObject(TypeId=POINT, Body=struct.pack("<dd", 1, 2))] * 2))
    (one, two) = read(notification(item(1, 1, point), item(2, 1, both)))
    assert isinstance(one[1], Encoded)
    assert VALUES.any(one[1]) == {"x": 1.5, "y": "Infinity"}
    assert VALUES.converter(22)(two[1]) == [{"x": 1.0, "y": 2.0}] * 2


def test_a_structure_that_is_not_as_defined_harms_no_other_value() -> None:
    broken = packed(ua.Variant(ua.ExtensionObject(TypeId=POINT, Body=b"\1\2")))
    (one, two) = read(notification(item(1, 1, broken), item(2, 1, b"\1\1")))
    with pytest.raises(DecodeError, match="in Point"):
        VALUES.any(one[1])
    assert two == (2, True, 0, 0)


def test_matrices_whose_dimensions_do_not_fit_are_flat() -> None:
    three = struct.pack("<i3d", 3, 1, 2, 3)
    for dimensions in ([2, 2], [0, 3], [-1, -3], [2**31 - 1, 2**31 - 1], [3]):
        value = b"\xcb" + three + struct.pack(f"<{len(dimensions) + 1}i", len(dimensions), *dimensions)
        assert read(notification(item(1, 1, value), item(2, 0)))[0][1] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_arrays_whose_sum_is_no_number(count: int) -> None:
    largest = struct.pack(f"<i{count}d", count, *[1.7e308] * count)
    other = struct.pack("<i3d", 3, math.inf, -math.inf, 1)
    rows = read(notification(item(1, 1, b"\x8b" + largest), item(2, 1, b"\x8b" + other)))
    assert rows[0][1] == [1.7e308] * count
    assert rows[1][1] == ["Infinity", "-Infinity", 1.0]


def test_null_arrays_with_dimensions() -> None:
    for kind in range(1, 26):
        value = bytes([kind | 0xC0]) + struct.pack("<iiii", -1, 2, 0, 0)
        (one, two) = read(notification(item(1, 1, value), item(2, 0)))
        assert to_json(one[1]) is None
        assert two == (2, None, 0, 0)


def test_texts_that_are_no_utf8() -> None:
    (one,) = read(notification(item(1, 1, b"\x0c" + struct.pack("<i", 3) + b"a\xffb")))
    assert one[1] == "a\ufffdb"


@pytest.mark.parametrize(
    "value",
    [
        b"\x0c" + struct.pack("<i", 1000),  # a string longer than the body
        b"\x8b" + struct.pack("<i", 2**31 - 1),  # an array longer than the body
        b"\xcb" + struct.pack("<iii", 0, 2**31 - 1, 1),  # dimensions likewise
        b"\x98" + struct.pack("<i", 2**31 - 1),
        b"\x96" + struct.pack("<i", 2**31 - 1),
        b"\x97" + struct.pack("<i", 2**31 - 1),
        b"\x4b" + bytes(12),  # dimensions without an array
        b"\x58" + bytes(12),
        b"\x80" + struct.pack("<i", 1),  # an array of nothing
        b"\x3d",  # no built-in type
        b"\x18" * 500 + b"\1\1",  # Variants in Variants
        b"\x17" + b"\1\x17" * 500 + b"\0",  # DataValues in DataValues
        b"\x19" + b"\x40" * 500 + b"\0",  # DiagnosticInfos in DiagnosticInfos
        b"",
    ],
)
def test_malformed_values_are_refused(value: bytes) -> None:
    body = struct.pack("<i", 1) + item(1, 1, value)
    with pytest.raises(MALFORMED):
        read(body)


@given(st.binary(max_size=120), st.integers(0, 63), st.integers(0, 255))
def test_any_bytes_are_values_or_a_refusal(data: bytes, mask: int, kind: int) -> None:
    fuzzed(notification(item(1, mask, bytes([kind]) + data)))


def test_a_count_beyond_the_body_is_refused_at_once() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match="announced"):
            read(struct.pack("<i", 2**31 - 1) + bytes(1000))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def fuzzed(body: bytes) -> bool:
    """Read it; whatever it is, no more comes out than its bytes can hold. Whether it was well-formed."""
    found: list[Any] = []
    try:
        read_changes(body, found.append)
    except MALFORMED:
        complete = False
    else:
        complete = True
    assert len(found) * 5 <= len(body)
    for handle, value, moment, status in found:
        assert 0 <= handle < 2**32
        assert 0 <= moment < 2**63
        assert 0 <= status < 2**32
        try:
            json = to_json(value)
        except DecodeError:
            continue
        assert len(encode_value(json)) <= 600 * len(body) + 100
    return complete


def seeds() -> list[bytes]:
    moment = datetime(2026, 11, 22, 15, 30, tzinfo=UTC)
    node = ua.NodeId("axis", 2)
    values = [
        ua.Variant(1.5), ua.Variant("text"), ua.Variant([1, 2, 3], KIND.Int32), ua.Variant([1.5, math.nan]),
        ua.Variant([["a", "b"], ["c", None]], KIND.String), ua.Variant(moment), ua.Variant(uuid.UUID(int=9)),
        ua.Variant(b"bytes"), ua.Variant(node), ua.Variant(ua.ExpandedNodeId("x", 1, NamespaceUri="urn:u")),
        ua.Variant(ua.QualifiedName("q", 1)), ua.Variant(ua.LocalizedText("Tür", "de")),
        ua.Variant(ua.ExtensionObject(TypeId=POINT, Body=bytes(16))),
        ua.Variant([ua.Variant([1.5]), ua.Variant("n")], KIND.Variant), ua.Variant(True), ua.Variant(2**60, KIND.Int64),
        ua.Variant(ua.DataValue(ua.Variant(1), SourceTimestamp=moment + timedelta(hours=1))),
        ua.Variant(ua.DiagnosticInfo(SymbolicId=1, AdditionalInfo="why")), ua.Variant(ua.StatusCode(0x80310000)),
    ]  # fmt: skip
    alone = [
        notification(item(1, mask, packed(value), tail(mask, 0, 10**17, 10**17, 5))) for value in values
        for mask in (1, 5, 0x3F)
    ]  # fmt: skip
    together = notification(*(item(n, 7, packed(one), tail(7, 0, 10**17, 0, 0)) for n, one in enumerate(values)))
    return [*alone, together, together]


_INTERESTING = [0, 1, 5, 0x3F, 0x7F, 0x80, 0xFF, *range(1, 26), *(one | 0x80 for one in range(26)), 0xCB, 0xD6, 0xD8]


def mutated(body: bytes, chance: random.Random) -> bytes:
    data = bytearray(body)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        position = chance.randrange(len(data))
        match chance.randrange(5):
            case 0:
                data[position] ^= 1 << chance.randrange(8)
            case 1:
                data[position] = chance.choice(_INTERESTING)
            case 2:
                number = chance.choice((-1, 0, 1, 2**31 - 1, -(2**31), len(data), chance.randrange(1000)))
                data[position : position + 4] = struct.pack("<i", number)
            case 3:
                del data[position : position + chance.randrange(1, 9)]
            case _:
                other = chance.randrange(len(data))
                data[position:position] = data[other : other + chance.randrange(40)]
        if not data:
            return b"\0"
    return bytes(data)


def fuzz(seconds: float) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}", file=sys.stderr)
    chance = random.Random(seed)
    corpus = seeds()
    assert all(fuzzed(one) for one in corpus)
    begin, well_formed, count = time.monotonic(), 0, 0
    while time.monotonic() - begin < seconds:
        body = mutated(chance.choice(corpus), chance)
        started = time.process_time()
        if fuzzed(body):
            well_formed += 1
            if len(corpus) < 5000 and len(body) < 3000:
                corpus.append(body)
        count += 1
        assert time.process_time() - started < 2, body
    assert well_formed
    assert count > well_formed


def test_mutated_bodies_for_20_seconds() -> None:
    fuzz(20)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_mutated_bodies_for_10_minutes() -> None:
    fuzz(600)
