from __future__ import annotations

import base64
import json
import math
import struct
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st

from simulators.ledger import Ledger, encode_variant, iso, quality_of, same

URIS = ["http://opcfoundation.org/UA/", "urn:app", "http://example.com/"]
INTEGERS = {
    ua.VariantType.SByte: (-(2**7), 2**7 - 1),
    ua.VariantType.Byte: (0, 2**8 - 1),
    ua.VariantType.Int16: (-(2**15), 2**15 - 1),
    ua.VariantType.UInt16: (0, 2**16 - 1),
    ua.VariantType.Int32: (-(2**31), 2**31 - 1),
    ua.VariantType.UInt32: (0, 2**32 - 1),
    ua.VariantType.Int64: (-(2**63), 2**63 - 1),
    ua.VariantType.UInt64: (0, 2**64 - 1),
}
MOMENTS = st.integers(1, 250_000_000_000 * 10**6).map(
    lambda microseconds: datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
)


def through_json(value: Any) -> Any:
    """What a reader of the file gets; strict JSON, no NaN."""
    return json.loads(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())


@given(
    st.sampled_from(sorted(INTEGERS, key=lambda kind: kind.value)).flatmap(
        lambda kind: st.tuples(st.just(kind), st.integers(*INTEGERS[kind]))
    )
)
def test_integers_are_exact(given_: tuple[ua.VariantType, int]) -> None:
    kind, number = given_
    found = through_json(encode_variant(ua.Variant(number, kind), URIS))
    assert int(found) == number
    assert isinstance(found, str) is (abs(number) > 2**53)


@given(st.floats())
def test_doubles_are_exact(number: float) -> None:
    found = through_json(encode_variant(ua.Variant(number, ua.VariantType.Double), URIS))
    back = float(found)
    assert struct.pack("<d", back) == struct.pack("<d", number) or (math.isnan(back) and math.isnan(number))
    assert isinstance(found, str) is (not math.isfinite(number))


@given(st.floats(width=32))
def test_floats_have_the_value_of_their_32_bits(number: float) -> None:
    found = through_json(encode_variant(ua.Variant(number, ua.VariantType.Float), URIS))
    assert struct.pack("<f", float(found)) == struct.pack("<f", number) or math.isnan(number)


def test_a_float_that_is_no_float32_is_rounded_as_on_the_wire() -> None:
    assert encode_variant(ua.Variant(0.1, ua.VariantType.Float), URIS) == 0.10000000149011612


@given(st.binary())
def test_byte_strings(data: bytes) -> None:
    found = through_json(encode_variant(ua.Variant(data, ua.VariantType.ByteString), URIS))
    assert base64.b64decode(found, validate=True) == data


def test_the_null_moment_is_null() -> None:
    null = datetime(1601, 1, 1, tzinfo=UTC)
    assert encode_variant(ua.Variant(null, ua.VariantType.DateTime), URIS) is None


@given(st.text())
def test_texts(text: str) -> None:
    assert through_json(encode_variant(ua.Variant(text, ua.VariantType.String), URIS)) == text
    named = ua.Variant(ua.LocalizedText(text, "de-DE"), ua.VariantType.LocalizedText)
    assert through_json(encode_variant(named, URIS)) == {"locale": "de-DE", "text": text}


def test_what_utf8_cannot_hold_is_replaced() -> None:
    assert encode_variant(ua.Variant("a\ud800b", ua.VariantType.String), URIS) == "a\ufffdb"


@given(MOMENTS)
def test_times(moment: datetime) -> None:
    text = iso(moment)
    assert len(text) == 28
    assert text.endswith("0Z")
    assert datetime.fromisoformat(text[:-2] + "+00:00") == moment
    assert iso(moment.replace(tzinfo=None)) == text
    assert encode_variant(ua.Variant(moment, ua.VariantType.DateTime), URIS) == text


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 2]))
def test_node_ids(number: int, index: int) -> None:
    found = encode_variant(ua.Variant(ua.NodeId(number, index), ua.VariantType.NodeId), URIS)
    assert found == (f"i={number}" if index == 0 else f"nsu={URIS[index]};i={number}")


def test_the_other_kinds() -> None:
    assert (
        encode_variant(ua.Variant(ua.NodeId("a;b", 2), ua.VariantType.NodeId), URIS) == "nsu=http://example.com/;s=a;b"
    )
    assert encode_variant(ua.Variant(ua.QualifiedName("Name", 2)), URIS) == "nsu=http://example.com/;Name"
    assert encode_variant(ua.Variant(ua.QualifiedName("Name", 0)), URIS) == "Name"
    assert encode_variant(ua.Variant(ua.StatusCode(ua.StatusCodes.BadOutOfRange)), URIS) == "BadOutOfRange"
    number = uuid.uuid4()
    assert encode_variant(ua.Variant(number, ua.VariantType.Guid), URIS) == str(number)
    assert encode_variant(ua.Variant(None), URIS) is None
    assert encode_variant(None, URIS) is None
    assert encode_variant(ua.Variant(None, ua.VariantType.String), URIS) is None
    assert encode_variant(ua.Variant(ua.Range(1.0, math.inf)), URIS) == {"Low": 1.0, "High": "Infinity"}
    assert encode_variant(ua.Variant(ua.ServerState.Failed, ua.VariantType.Int32), URIS) == 1
    assert type(encode_variant(ua.Variant(ua.ServerState.Failed, ua.VariantType.Int32), URIS)) is int


@given(st.lists(st.integers(0, 9), min_size=24, max_size=24))
def test_matrices_are_arrays_of_arrays(numbers: list[int]) -> None:
    flat = ua.Variant(numbers, ua.VariantType.Byte, Dimensions=[2, 3, 4], is_array=True)
    found = encode_variant(flat, URIS)
    assert [one for plane in found for row in plane for one in row] == numbers
    assert [len(found), len(found[0]), len(found[0][0])] == [2, 3, 4]
    nested = ua.Variant(found, ua.VariantType.Byte, Dimensions=[2, 3, 4], is_array=True)
    assert encode_variant(nested, URIS) == found


def test_an_unknown_kind_of_value_is_an_error() -> None:
    with pytest.raises(TypeError, match="object has no JSON"):
        encode_variant(ua.Variant(object(), ua.VariantType.String), URIS)


@pytest.mark.parametrize(
    ("code", "quality"),
    [(0, "good"), (0x00960000, "good"), (0x40000000, "uncertain"), (0x808C0000, "bad"), (0x480, "good")],
)
def test_quality(code: int, quality: str) -> None:
    assert quality_of(ua.StatusCode(code)) == quality


def _value(value: Any, kind: ua.VariantType, code: int = 0) -> ua.DataValue:
    return ua.DataValue(ua.Variant(value, kind), ua.StatusCode(code))


def test_same_value_and_status_is_no_change() -> None:
    double = ua.VariantType.Double
    assert same(_value(1.0, double), _value(1.0, double))
    assert same(_value(math.nan, double), _value(float("nan"), double))
    assert not same(_value(1.0, double), _value(1.0, double, 0x40000000))
    assert not same(_value(math.nan, double), _value(1.0, double))
    assert not same(None, _value(1.0, double))
    assert not same(_value([1.0, math.nan], double), _value([2.0, math.nan], double))


def test_the_file_has_a_line_for_each_value_and_event(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.jsonl", URIS)
    moment = datetime(2026, 11, 22, 15, 30, tzinfo=UTC) + timedelta(microseconds=5)
    ledger.value("urn:m", "A/B", ua.DataValue(ua.Variant(1.5), ua.StatusCode(), SourceTimestamp=moment))
    ledger.value("urn:m", "Ä", ua.DataValue(ua.Variant(None), ua.StatusCode(ua.StatusCodes.BadSensorFailure)))
    ledger.event("urn:m", {"id": "eA=="}, {"Retain": ua.Variant(True)})
    ledger.flush()
    first, second, third = (json.loads(line) for line in (tmp_path / "l.jsonl").read_text("utf-8").splitlines())
    assert first == {"kind": "value", "machine": "urn:m", "path": "A/B", "value": 1.5,
                     "time": "2026-11-22T15:30:00.0000050Z", "quality": "good", "n": 1}  # fmt: skip
    assert second == {"kind": "value", "machine": "urn:m", "path": "Ä", "value": None, "time": None, "quality": "bad",
                      "status": "BadSensorFailure", "n": 2}  # fmt: skip
    assert third == {"kind": "event", "machine": "urn:m", "id": "eA==", "fields": {"Retain": True}, "n": 3}
    ledger.close()
