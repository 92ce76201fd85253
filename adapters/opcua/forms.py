"""JSON forms of OPC UA's built-in types that JSON lacks; close to the VerboseEncoding of OPC 10000-6, 5.4.

- DateTime: ISO 8601 in UTC with 7 decimals; the null DateTime (0 ticks or less, OPC 10000-6, 5.4.2.6) is null.
- StatusCode: its name, ``Good`` included; one without a name is ``Bad0x80FF0000``, always with its severity in front.
- LocalizedText: always an object with both ``locale`` and ``text``; what is null there is null here.
- ByteString: base64. Guid: lower case with hyphens. NodeId and QualifiedName: `adapters.opcua.namespaces`.
- A Variant is its content. An absent optional field of a structure is left out. A union is an object with one field.
- A structure whose definition is not known: ``{"typeId": ..., "body": <base64>}``.
"""

from __future__ import annotations

import base64

from asyncua import ua
from asyncua.ua.status_codes import code_to_name_doc

from gateway.model.times import iso_from_ticks
from gateway.model.values import JsonValue, json_text

_INFO_BITS = 0xFFFF


class DecodeError(ValueError):
    """A value has no JSON form: it is malformed, or of a kind that is not known; the text says what and where."""


def shown(text: str) -> str:
    """A text that may hold names of a server, safe for logs and terminals: control characters are escaped."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def moment(ticks: int) -> str | None:
    """A DateTime from its 100 ns ticks since 1601."""
    return iso_from_ticks(ticks) if ticks > 0 else None


def status_name(code: int) -> str:
    """Name of a status code, its lower half (structure and info bits) left aside."""
    known = code_to_name_doc.get(code & ~_INFO_BITS)
    if known is not None:
        return str(known[0])
    severity = "Bad" if code >= 0x8000_0000 else "Uncertain" if code >= 0x4000_0000 else "Good"
    return f"{severity}0x{code & 0xFFFF_FFFF:08X}"


def octets(value: bytes) -> str:
    """A ByteString."""
    return base64.b64encode(value).decode()


def localized(locale: str | None, text: str | None) -> JsonValue:
    """A LocalizedText."""
    return {
        "locale": None if locale is None else json_text(locale),
        "text": None if text is None else json_text(text),
    }


def opaque(type_text: str | None, body: bytes | None) -> JsonValue:
    """An ExtensionObject whose structure is not known."""
    return {"typeId": type_text, "body": None if body is None else octets(body)}


def shaped(flat: list[JsonValue], dimensions: list[int]) -> list[JsonValue]:
    """A matrix as nested arrays, last dimension innermost; flat where the dimensions do not fit the values."""
    size = 1
    for length in dimensions:
        size *= max(length, 0)
    if len(dimensions) < 2 or size != len(flat) or not size:
        return flat
    for length in reversed(dimensions[1:]):
        flat = [flat[start : start + length] for start in range(0, len(flat), length)]
    return flat


BUILT_IN_NAMES: dict[int, str] = {kind.value: kind.name for kind in ua.VariantType if 1 <= kind.value <= 25}
"""Names of the built-in types by their number."""
