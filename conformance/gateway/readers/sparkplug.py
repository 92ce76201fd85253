"""Sparkplug B 3.0: births, data and deaths in Protocol Buffers (the wire format is read here, without a library)."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from conformance.consumer import Received
from conformance.gateway.readers.base import Foreign, ReaderError, path_of

_DATA = frozenset({"NBIRTH", "DBIRTH", "NDATA", "DDATA"})
_TIMESTAMP, _METRICS = 1, 2
_NAME, _ALIAS, _TIME, _TYPE, _HISTORICAL, _NULL, _PROPERTIES = 1, 2, 3, 4, 5, 7, 9
_INT, _LONG, _FLOAT, _DOUBLE, _BOOLEAN, _STRING, _BYTES = 10, 11, 12, 13, 14, 15, 16
_SIGNED = {1: 8, 2: 16, 3: 32, 4: 64}
"""Data types Int8 to Int64, with their bits: negative ones come as two's complement."""

_SAFE = 2**53
_GOOD_QUALITY = 192


class SparkplugReader(Foreign):
    """`spBv1.0/group/NDATA/node` and `spBv1.0/group/DDATA/node/device`; the device is the machine."""

    topics = ("spBv1.0/#",)
    carries = frozenset({"time", "quality"})

    def __init__(self, machines: Sequence[str]) -> None:
        super().__init__(machines)
        self._names: dict[tuple[str, int], str] = {}

    def read(self, message: Received) -> list[Received]:
        """The metrics of a birth or data message as a data message."""
        levels = message.topic.split("/")
        if len(levels) < 4 or levels[2] not in _DATA:
            return []
        origin = "/".join(levels[3:])
        try:
            fields = list(_fields(message.payload))
            samples = [one for number, raw in fields if number == _METRICS for one in self._metric(origin, raw)]
        except (ReaderError, ValueError, IndexError, struct.error):
            return [message]
        taken = next((_moment(raw) for number, raw in fields if number == _TIMESTAMP), None)
        return [self.data(message, levels[-1], str(taken), samples)] if samples else []

    def _metric(self, origin: str, raw: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - bytes, checked
        parts = dict(_fields(_bytes(raw)))
        alias = parts.get(_ALIAS)
        if _NAME in parts:
            name = _bytes(parts[_NAME]).decode()
            if alias is not None:
                self._names[origin, alias] = name
        else:
            name = self._names.get((origin, alias or 0), "")
        if not name or name.startswith(("bdSeq", "Node Control/", "Device Control/")):
            return
        sample: dict[str, Any] = {"path": path_of(name), "value": _value(parts), "time": _moment(parts.get(_TIME))}
        quality = _quality(parts.get(_PROPERTIES))
        if quality not in (None, _GOOD_QUALITY):
            sample["quality"] = "bad" if not quality else "uncertain"
        if parts.get(_HISTORICAL):
            sample["backfilled"] = True
        yield sample


def _value(parts: dict[int, Any]) -> Any:  # noqa: ANN401 - of every type
    kind = parts.get(_TYPE, 0)
    if parts.get(_NULL):
        return None
    if _INT in parts or _LONG in parts:
        number = int(parts.get(_INT, parts.get(_LONG, 0)))
        bits = _SIGNED.get(kind)
        if bits is not None and number >> (bits - 1) & 1:
            number = (number & (1 << bits) - 1) - (1 << bits)
        return number if -_SAFE <= number <= _SAFE else str(number)
    if _FLOAT in parts:
        return struct.unpack("<f", parts[_FLOAT])[0]
    if _DOUBLE in parts:
        return struct.unpack("<d", parts[_DOUBLE])[0]
    if _BOOLEAN in parts:
        return bool(parts[_BOOLEAN])
    if _STRING in parts:
        return _bytes(parts[_STRING]).decode()
    if _BYTES in parts:
        return base64.b64encode(_bytes(parts[_BYTES])).decode()
    return None


def _quality(raw: Any) -> int | None:  # noqa: ANN401 - bytes, checked
    """The property `Quality` of a metric (Sparkplug 3.0, 6.4.8.2): keys and values side by side."""
    if raw is None:
        return None
    keys, values = [], []
    for number, part in _fields(_bytes(raw)):
        if number == 1:
            keys.append(_bytes(part).decode())
        elif number == 2:
            values.append(dict(_fields(_bytes(part))))
    for key, value in zip(keys, values, strict=False):
        if key == "Quality":
            return int(value.get(3, 0))
    return None


def _moment(milliseconds: Any) -> str | None:  # noqa: ANN401 - a number, or nothing
    if not isinstance(milliseconds, int):
        return None
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}0000Z"


def _bytes(raw: Any) -> bytes:  # noqa: ANN401 - checked here
    if not isinstance(raw, bytes):
        raise ReaderError("a field has another wire type than the specification says")
    return raw


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Number and content of each field: an integer, or bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            length, at = _varint(data, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ReaderError(f"wire type {wire} is not used by Sparkplug")
        if at + length > len(data):
            raise ReaderError("a field is longer than its message")
        yield number, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        digit = data[at]
        value |= (digit & 127) << shift
        at, shift = at + 1, shift + 7
        if digit < 128:
            return value & 2**64 - 1, at
        if shift > 63:
            raise ReaderError("an integer has more than ten bytes")
