r"""The ledger: the truth that tests and audits compare with, written beside every value that a server shows.

One JSON Lines file (UTF-8) per server. A line is appended before what it says can be seen by a client, lines are
flushed with every tick of the server and when it stops. `n` counts all lines from 1. Two kinds:

    {"kind":"value","machine":"urn:example:4711","path":"Monitoring/Spindle1/Override","value":100.0,
     "time":"2026-11-22T15:30:00.1234560Z","quality":"good","n":17}
    {"kind":"event","machine":"urn:example:4711","id":"kY0rG...==","type":"AlertType","type_id":"nsu=...;i=39",
     "source":"Notification/Messages","source_name":"Messages","time":"...","severity":700,
     "message":{"locale":"en","text":"door open"},"fields":{"ErrorCode":"E42","ActiveState/Id":true},"n":18}

`machine` is the ProductInstanceUri. `path` is the shortest browse path below the machine (of equally short ones the
first in browse order): browse names joined by `/`, with `%` and `/` inside of a name written %25 and %2F. `time` is
the source time, null where there is none. `quality` is good, uncertain or bad; `status` is the OPC UA status name and
left out when it is Good. With a bad status `value` is null, as on the wire. A value whose value and status did not
change is neither shown nor written (the trigger StatusValue). Properties that describe (EngineeringUnits, EURange,
EnumStrings, InputArguments ...) have no lines. `source` of an event is a path, empty for the machine itself. `fields`
are all fields beyond those named, by browse name, a nested one's name is its path; a condition's ConditionId is the
field `ConditionId`.

Values follow the JSON of the common data model: enumerations are numbers; Int64 and UInt64 beyond 2^53, NaN, Infinity
and -Infinity are strings; Float has the value of its 32 bits; ByteString is base64; DateTime is ISO 8601 in UTC with
seven decimals and Z, the null DateTime (0 ticks) is null; NodeId is `nsu=<uri>;i=<n>`, in namespace 0 without the URI;
LocalizedText is {"locale","text"};
QualifiedName is `nsu=<uri>;Name`, in namespace 0 the name; StatusCode is its name; Guid is its text; structures are
objects by field name, optional fields that are not there are left out; arrays are arrays, matrices arrays of arrays.
"""

# ruff: noqa: ANN401 - values of every data type, and asyncua's objects, pass through here
from __future__ import annotations

import base64
import dataclasses
import json
import math
import re
import struct
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from asyncua import ua

_EXACT = 1 << 53
_NULL_TIME = datetime(1601, 1, 1, tzinfo=UTC)
"""The null DateTime: 0 ticks (OPC 10000-6, 5.4.2.6)."""

_SURROGATE = re.compile("[\ud800-\udfff]")
"""What UTF-8 cannot hold; shown as U+FFFD."""


def encode_variant(variant: ua.Variant | None, uris: Sequence[str]) -> Any:
    """The JSON value of a variant; `uris` is the server's namespace table."""
    if variant is None or variant.VariantType is ua.VariantType.Null:
        return None
    value = variant.Value
    single = variant.VariantType is ua.VariantType.Float
    if variant.is_array or isinstance(value, list):
        items = [_encode(item, uris, single=single) for item in value or ()]
        shape = list(variant.Dimensions or ())
        nested = bool(items) and isinstance(items[0], list)  # asyncua's decoder gives matrices nested
        return _shaped(items, shape) if len(shape) > 1 and not nested else items
    return _encode(value, uris, single=single)


def _shaped(items: list[Any], shape: list[int]) -> list[Any]:
    if len(shape) == 1:
        return items
    step = math.prod(shape[1:])
    return [_shaped(items[at * step : (at + 1) * step], shape[1:]) for at in range(shape[0])]


def _encode(value: Any, uris: Sequence[str], *, single: bool = False) -> Any:  # noqa: C901, PLR0911 - a table
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, int):
        return str(int(value)) if abs(value) > _EXACT else int(value)
    if isinstance(value, float):
        return _float(struct.unpack("<f", struct.pack("<f", value))[0] if single else value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime):
        return iso(value) if value.replace(tzinfo=value.tzinfo or UTC) > _NULL_TIME else None
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, ua.NodeId):
        return node_id_text(value, uris)
    if isinstance(value, ua.LocalizedText):
        return {"locale": value.Locale, "text": value.Text}
    if isinstance(value, ua.QualifiedName):
        return f"nsu={uris[value.NamespaceIndex]};{value.Name}" if value.NamespaceIndex else value.Name
    if isinstance(value, ua.StatusCode):
        return value.name
    if isinstance(value, ua.Variant):
        return encode_variant(value, uris)
    if isinstance(value, list | tuple):
        return [_encode(item, uris) for item in value]
    if dataclasses.is_dataclass(value):
        return _structure(value, uris)
    raise TypeError(f"{type(value).__name__} has no JSON in the ledger: {value!r}")


def _structure(value: Any, uris: Sequence[str]) -> dict[str, Any]:
    made = {}
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        if field.name in ("Encoding", "TypeId") or (item is None and "Optional" in str(field.type)):
            continue
        made[field.name] = _encode(item, uris, single="Float" in str(field.type))
    return made


def _float(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def node_id_text(node_id: ua.NodeId, uris: Sequence[str]) -> str:
    """`nsu=<uri>;i=<n>`; in namespace 0 `i=<n>`."""
    plain = str(ua.NodeId(node_id.Identifier, 0, node_id.NodeIdType).to_string())
    return f"nsu={uris[node_id.NamespaceIndex]};{plain}" if node_id.NamespaceIndex else plain


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with seven decimals and Z."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    utc = aware.astimezone(UTC)
    return f"{utc.year:04}-{utc.month:02}-{utc.day:02}T{utc:%H:%M:%S.%f}0Z"


def quality_of(status: ua.StatusCode) -> str:
    """The quality by the severity bits of a status (OPC 10000-4, 7.39)."""
    return ("good", "uncertain", "bad", "bad")[status.value >> 30]


def same(old: ua.DataValue | None, new: ua.DataValue) -> bool:
    """Whether value and status are equal; NaN equals NaN."""
    if old is None or old.StatusCode != new.StatusCode:
        return False
    if old.Value == new.Value:
        return True
    return bool(encode_variant(old.Value, ()) == encode_variant(new.Value, ())) if _nan(old.Value) else False


def _nan(variant: ua.Variant | None) -> bool:
    items = variant.Value if variant is not None else None
    flat = items if isinstance(items, list) else [items]
    return any(isinstance(item, float) and math.isnan(item) for item in flat)


class Ledger:
    """Appends to the file; without a file it only counts."""

    def __init__(self, path: Path | None, uris: Sequence[str]) -> None:
        self.uris = uris
        self.count = 0
        self._file: TextIO | None = path.open("a", encoding="utf-8") if path is not None else None

    def value(self, machine: str, path: str, value: ua.DataValue) -> None:
        """A variable is about to show this value."""
        status = value.StatusCode
        line: dict[str, Any] = {
            "kind": "value",
            "machine": machine,
            "path": path,
            "value": encode_variant(value.Value, self.uris),
            "time": iso(value.SourceTimestamp) if value.SourceTimestamp is not None else None,
            "quality": quality_of(status),
        }
        if status.value:
            line["status"] = status.name
        self._write(line)

    def event(self, machine: str, head: Mapping[str, Any], fields: Mapping[str, ua.Variant]) -> None:
        """An event is about to be emitted; `head` is what stands beside its fields, ready for JSON."""
        encoded = {name: encode_variant(variant, self.uris) for name, variant in fields.items()}
        self._write({"kind": "event", "machine": machine, **head, "fields": encoded})

    def _write(self, line: dict[str, Any]) -> None:
        self.count += 1
        line["n"] = self.count
        if self._file is not None:
            self._file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n")

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Flush and close."""
        if self._file is not None:
            self._file.close()
            self._file = None
