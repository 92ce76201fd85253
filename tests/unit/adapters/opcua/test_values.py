from __future__ import annotations

import enum
import math
import uuid
from datetime import UTC, datetime

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import variant_from_binary, variant_to_binary
from hypothesis import given
from hypothesis import strategies as st

from adapters.opcua.binary import Body, Decode, variant
from adapters.opcua.forms import DecodeError, moment, shown, status_name
from adapters.opcua.namespaces import UA, Namespaces
from adapters.opcua.values import Values
from gateway.model.encode import encode_value


class Nothing:
    """The context of a server without structures."""

    namespaces = Namespaces([UA, "urn:example:server", "urn:example:vendor"])

    def structure(self, encoding: str) -> Decode | None:
        return None


VALUES = Values(Nothing())
KIND = ua.VariantType

CASES = [
    (KIND.Boolean, True, True),
    (KIND.SByte, -128, -128),
    (KIND.Byte, 255, 255),
    (KIND.Int16, -32768, -32768),
    (KIND.UInt16, 65535, 65535),
    (KIND.Int32, -(2**31), -(2**31)),
    (KIND.UInt32, 2**32 - 1, 2**32 - 1),
    (KIND.Int64, 2**53, 2**53),
    (KIND.Int64, 2**53 + 1, "9007199254740993"),
    (KIND.Int64, -(2**63), str(-(2**63))),
    (KIND.UInt64, 2**64 - 1, str(2**64 - 1)),
    (KIND.Float, 0.5, 0.5),
    (KIND.Double, math.nan, "NaN"),
    (KIND.Double, math.inf, "Infinity"),
    (KIND.Float, -math.inf, "-Infinity"),
    (KIND.Double, -0.0, -0.0),
    (KIND.String, "Spindel läuft 机", "Spindel läuft 机"),
    (KIND.String, None, None),
    (KIND.String, "", ""),
    (KIND.DateTime, datetime(2026, 11, 22, 15, 30, 0, 123456, tzinfo=UTC), "2026-11-22T15:30:00.1234560Z"),
    (KIND.DateTime, datetime(1601, 1, 1, tzinfo=UTC), None),
    (KIND.DateTime, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), "9999-12-31T23:59:59.0000000Z"),
    (KIND.Guid, uuid.UUID("72962b91-fa75-4ae6-8d28-b404dc7daf63"), "72962b91-fa75-4ae6-8d28-b404dc7daf63"),
    (KIND.ByteString, b"\x00\xff", "AP8="),
    (KIND.ByteString, None, None),
    (KIND.NodeId, ua.NodeId(85), "i=85"),
    (KIND.NodeId, ua.NodeId(), "i=0"),
    (KIND.NodeId, ua.NodeId("a;b", 2), "nsu=urn:example:vendor;s=a;b"),
    (KIND.NodeId, ua.NodeId(b"\x01", 1, ua.NodeIdType.ByteString), "nsu=urn:example:server;b=AQ=="),
    (
        KIND.NodeId,
        ua.NodeId(uuid.UUID(int=1), 1, ua.NodeIdType.Guid),
        "nsu=urn:example:server;g=00000000-0000-0000-0000-000000000001",
    ),
    (KIND.ExpandedNodeId, ua.ExpandedNodeId(7, 0, ua.NodeIdType.Numeric, "urn:far", 3), "svr=3;nsu=urn:far;i=7"),
    (KIND.StatusCode, ua.StatusCode(ua.StatusCodes.Good), "Good"),
    (KIND.StatusCode, ua.StatusCode(ua.StatusCodes.BadSensorFailure), "BadSensorFailure"),
    (KIND.QualifiedName, ua.QualifiedName("Speed", 2), "nsu=urn:example:vendor;Speed"),
    (KIND.QualifiedName, ua.QualifiedName("Speed", 0), "Speed"),
    (KIND.LocalizedText, ua.LocalizedText("Tür", "de-DE"), {"locale": "de-DE", "text": "Tür"}),
    (KIND.LocalizedText, ua.LocalizedText(None, None), {"locale": None, "text": None}),
    (KIND.Variant, ua.Variant(ua.Variant(5, KIND.Byte), KIND.Variant).Value, 5),
    (KIND.DataValue, ua.DataValue(ua.Variant(1.5, KIND.Double), StatusCode=None), {"value": 1.5}),
]


@pytest.mark.parametrize(("kind", "value", "wanted"), CASES)
def test_scalars(kind: ua.VariantType, value: object, wanted: object) -> None:
    found = VALUES.converter(kind.value)(value)
    assert found == wanted
    assert type(found) is type(wanted)
    assert encode_value(found)


@pytest.mark.parametrize(("kind", "value", "wanted"), CASES)
def test_the_value_decides_where_a_server_sends_another_type(
    kind: ua.VariantType, value: object, wanted: object
) -> None:
    numbers = {13} if isinstance(value, int) else set()  # of a DateTime, an integer is its ticks
    for declared in set(range(1, 26)) - numbers:
        assert VALUES.converter(declared)(value) == wanted


@pytest.mark.parametrize(("kind", "value", "wanted"), CASES)
def test_arrays(kind: ua.VariantType, value: object, wanted: object) -> None:
    convert = VALUES.converter(kind.value)
    assert convert([value, value]) == [wanted, wanted]
    assert convert([]) == []
    assert convert([[value, value], [value, value]]) == [[wanted, wanted], [wanted, wanted]]
    assert convert(None) is None


@pytest.mark.parametrize(("kind", "value", "wanted"), CASES)
def test_bytes_and_values_agree(kind: ua.VariantType, value: object, wanted: object) -> None:
    if kind is KIND.Variant or value is None or wanted == "9999-12-31T23:59:59.0000000Z":
        return  # asyncua packs the last second as the end of time
    for item in (value, [value, value], []):
        packed = variant_to_binary(ua.Variant(item, kind, is_array=isinstance(item, list)))
        body = Body(packed, Nothing())
        decoded = VALUES.any(variant_from_binary(Buffer(packed)).Value)
        assert variant(body) == decoded
        assert body.position == len(packed)


def test_null_bytes_of_strings() -> None:
    assert variant(Body(bytes([12]) + b"\xff\xff\xff\xff", Nothing())) is None
    assert variant(Body(bytes([12 | 0x80]) + b"\xff\xff\xff\xff", Nothing())) is None
    assert variant(Body(bytes([0]), Nothing())) is None


def test_lone_surrogates_become_replacement_characters() -> None:
    assert VALUES.converter(12)("a\ud800b") == "a\ufffdb"
    assert VALUES.any(ua.LocalizedText("\udcff", "en")) == {"locale": "en", "text": "\ufffd"}
    packed = bytes([12]) + (2).to_bytes(4, "little") + b"a\xff"
    assert variant(Body(packed, Nothing())) == "a\ufffd"


def test_ticks_are_exact() -> None:
    convert = VALUES.converter(13)
    assert convert(133_000_000_000_000_001) == "2022-06-18T04:26:40.0000001Z"
    assert convert([0, -1, 2**63 - 1]) == [None, None, "9999-12-31T23:59:59.9999999Z"]
    assert moment(1) == "1601-01-01T00:00:00.0000001Z"
    packed = bytes([13]) + (133_000_000_000_000_001).to_bytes(8, "little")
    assert variant(Body(packed, Nothing())) == "2022-06-18T04:26:40.0000001Z"


def test_enumerations_are_numbers() -> None:
    class Mode(enum.IntEnum):
        AUTO = 1

    assert VALUES.converter(6)(Mode.AUTO) == 1
    assert type(VALUES.converter(6)(Mode.AUTO)) is int


def test_matrices_that_asyncua_filled_up_are_flat() -> None:
    assert VALUES.any([[1, 2, 3], [4, [], []]]) == [1, 2, 3, 4]
    assert VALUES.any([[1.5], [2.5, 3.5]]) == [1.5, 2.5, 3.5]
    dimensions = (2).to_bytes(4, "little") + (2).to_bytes(4, "little") + (5).to_bytes(4, "little")
    packed = bytes([3 | 0xC0]) + (3).to_bytes(4, "little") + b"\x01\x02\x03" + dimensions
    assert variant(Body(packed, Nothing())) == [1, 2, 3]


def test_known_structures_have_their_specified_names() -> None:
    assert VALUES.any(ua.Range(1.0, math.inf)) == {"Low": 1.0, "High": "Infinity"}
    unit = ua.EUInformation("urn:u", 1, ua.LocalizedText("mm"), ua.LocalizedText("millimetre", "en"))
    assert VALUES.any(unit) == {
        "NamespaceUri": "urn:u",
        "UnitId": 1,
        "DisplayName": {"locale": None, "text": "mm"},
        "Description": {"locale": "en", "text": "millimetre"},
    }
    argument = ua.Argument(Name="a", DataType=ua.NodeId(11), ValueRank=-1, ArrayDimensions=[])
    found = VALUES.any([argument])
    assert found[0]["DataType"] == "i=11"
    assert list(found[0]) == ["Name", "DataType", "ValueRank", "ArrayDimensions", "Description"]


def test_unknown_structures_are_shown_with_their_bytes() -> None:
    unknown = ua.ExtensionObject(TypeId=ua.NodeId(4711, 2), Body=b"\x01\x02")
    assert VALUES.any(unknown) == {"typeId": "nsu=urn:example:vendor;i=4711", "body": "AQI="}
    assert VALUES.any(ua.ExtensionObject()) is None


def test_what_has_no_form_is_an_error() -> None:
    with pytest.raises(DecodeError, match="Python type object"):
        VALUES.any(object())
    with pytest.raises(DecodeError, match="namespace index 9"):
        VALUES.any(ua.NodeId(1, 9))
    nested: list[object] = []
    for _ in range(200):
        nested = [nested]
    with pytest.raises(DecodeError, match="inside of each other"):
        VALUES.any(nested)
    with pytest.raises(DecodeError, match="inside of each other"):
        VALUES.any([1, nested])
    assert VALUES.any([1]) == [1]  # the depth is counted down again


def test_status_names() -> None:
    assert status_name(0x80AE_0000) == "BadConnectionClosed"
    assert status_name(0x0000_0480) == "Good"  # overflow and info bits say nothing about the name
    assert status_name(0x8FFF_0000) == "Bad0x8FFF0000"
    assert status_name(0x4FFF_0000) == "Uncertain0x4FFF0000"
    assert status_name(0x0FFF_0000) == "Good0x0FFF0000"


def test_texts_for_terminals_have_no_control_characters() -> None:
    assert shown("a\n\x1b[31m") == "a\\n\\x1b[31m"
    assert shown("Tür/机") == "Tür/机"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_decode_error(data: bytes) -> None:
    body = Body(data, Nothing())
    try:
        found = variant(body)
    except DecodeError:
        assert body.position <= len(data)
    else:
        assert encode_value(found)
