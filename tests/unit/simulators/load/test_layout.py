"""The prepared encodings against asyncua's encoder."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.load.layout import GOOD_OVERFLOW, SCALARS, Kind, kind_of
from simulators.machine import Localized

KINDS = [*SCALARS, "Double[1]", "Double[7]", "Int16[3]", "UInt64[2]", "Float[4]", "Byte[5]"]
EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


def variant(kind: Kind, value: Any) -> ua.Variant:
    if kind.name == "DateTime":
        value = EPOCH + timedelta(microseconds=value // 10)
    elif isinstance(value, Localized):
        value = ua.LocalizedText(value.text, value.locale)
    return ua.Variant(value, ua.VariantType(kind.number), is_array=kind.length is not None)


def written(kind: Kind, handle: int, counter: int, ticks: int, stamps: int, *, overflow: bool) -> bytes:
    layout = kind.notification(stamps, overflow=overflow)
    content = (counter & kind.mask,) if kind.fields is None else kind.fields(counter)
    head = kind.head(stamps, overflow=overflow)
    return layout.pack(handle, head, *content, *((GOOD_OVERFLOW,) if overflow else ()), *(ticks,) * stamps)


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=25)
@given(
    handle=st.integers(0, 2**32 - 1),
    counter=st.integers(0, 2**52) | st.sampled_from([10**11, 2**24, 2**31, 2**40]),
    microseconds=st.integers(10**16, 2 * 10**16),
    stamps=st.integers(0, 2),
    overflow=st.booleans(),
)
def test_equal_to_asyncuas_encoding(
    name: str, handle: int, counter: int, microseconds: int, stamps: int, overflow: bool
) -> None:
    kind = kind_of(name)
    moment = EPOCH + timedelta(microseconds=microseconds)
    value = ua.DataValue(
        variant(kind, kind.value(counter)),
        StatusCode=ua.StatusCode(GOOD_OVERFLOW) if overflow else None,
        SourceTimestamp=moment if stamps else None,
        ServerTimestamp=moment if stamps == 2 else None,
    )
    expected = struct_to_binary(ua.MonitoredItemNotification(handle, value))
    assert written(kind, handle, counter, microseconds * 10, stamps, overflow=overflow) == expected


@pytest.mark.parametrize("name", KINDS)
def test_counts_from_nothing(name: str) -> None:
    kind = kind_of(name)
    values = [kind.value(counter) for counter in range(3)]
    assert values[0] != values[1] != values[2]
    assert struct.calcsize(kind.notification(1).format) == len(written(kind, 1, 2, 3, 1, overflow=False))


@pytest.mark.parametrize("name", ["Doubel", "String[3]", "Double[0]", "Double[10001]", "Boolean [2]", ""])
def test_unknown_types_are_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(LookupError, match=r"Double\[100\]"):
        kind_of(name)
