"""From asyncua's Python values to JSON, by the rules of `adapters.opcua.forms`; nothing is ever made a text by `str()`.

A converter is chosen once per signal. Where a server sends another built-in type than it declared, the value's own
type decides. DateTimes may be given as asyncua's `datetime` or, exact to 100 ns, as ticks. What the publish engine left
`Encoded` is decoded here, with the tables of the connection, and never becomes a value of asyncua.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary

from adapters.opcua.binary import Body, Context, extension, variant
from adapters.opcua.changes import Encoded
from adapters.opcua.forms import DecodeError, localized, moment, octets, status_name
from adapters.opcua.plan import Converter
from gateway.model.values import SAFE_INTEGER as SAFE
from gateway.model.values import JsonValue, json_float, json_int, json_text

_Scalar: TypeAlias = Callable[[Any], JsonValue]

_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DEEPEST = 64
_MASKS = frozenset({"Encoding"})  # of asyncua's classes: the mask of optional fields, no field of the structure


class Values:
    """Converters of one connection."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._namespaces = context.namespaces
        self._by_type: dict[type, _Scalar] = {
            bool: bool,
            int: json_int,
            float: json_float,
            str: json_text,
            bytes: octets,
            datetime: _datetime,
            uuid.UUID: lambda value: f"{value}",
            ua.StatusCode: lambda value: status_name(value.value),
            ua.QualifiedName: self._qualified_name,
            ua.LocalizedText: lambda value: localized(value.Locale, value.Text),
            ua.ExtensionObject: self._extension,
            ua.Variant: lambda value: self.any(value.Value),
            ua.DataValue: self._data_value,
            ua.DiagnosticInfo: self._diagnostic_info,
            ua.XmlElement: lambda value: self.any(value.Value),
            Encoded: lambda value: variant(Body(value, self._context)),
        }
        self._depth = 0
        self._converters: dict[int, Converter] = {}

    def converter(self, built_in: int) -> Converter:
        """The converter of a signal whose data type is, or is derived from, this built-in type (1 to 25).

        It raises `DecodeError` for a value that has no JSON form; None stays None.
        """
        found = self._converters.get(built_in)
        if found is None:
            found = self._converters[built_in] = self._converter(built_in)
        return found

    def _converter(self, built_in: int) -> Converter:
        any_ = self.any
        match built_in:
            case 1:
                return lambda value: value if value.__class__ is bool else any_(value)
            case 2 | 3 | 4 | 5 | 6 | 7:
                return lambda value: value if value.__class__ is int and -SAFE <= value <= SAFE else any_(value)
            case 10 | 11:
                return lambda value: value if value.__class__ is float and value - value == 0.0 else any_(value)
            case 12:
                return lambda value: value if value.__class__ is str and value.isascii() else any_(value)
            case 13:
                return self._times
            case _:
                return any_

    def _times(self, value: Any) -> JsonValue:  # noqa: ANN401 - a DateTime or an array of them
        if isinstance(value, list | tuple):
            return [self._times(one) for one in value]
        return moment(value) if value.__class__ is int else self.any(value)

    def any(self, value: Any) -> JsonValue:  # noqa: ANN401 - of any type, that is the point
        """The JSON of any value of asyncua.

        Raises:
            DecodeError: It has none.
        """
        if value is None:
            return None
        scalar = self._by_type.get(value.__class__)
        if scalar is not None and value.__class__ in _FLAT:
            result: JsonValue = scalar(value)
            return result
        if self._depth >= _DEEPEST:
            raise DecodeError(f"more than {_DEEPEST} values inside of each other")
        self._depth += 1
        try:
            return self._nested(value, scalar)
        finally:
            self._depth -= 1

    def _nested(self, value: Any, scalar: _Scalar | None) -> JsonValue:  # noqa: ANN401 - as above
        if scalar is not None:
            return scalar(value)
        if isinstance(value, list | tuple):
            return self._array(value)
        if isinstance(value, ua.NodeId):
            return self._namespaces.node_text(value)
        for kind in (int, float, str, bytes):  # enumerations and asyncua's own subclasses of these
            if isinstance(value, kind):
                return self._by_type[kind](kind(value))  # type: ignore[arg-type]  # of its own kind
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self._structure(value)
        raise DecodeError(f"a value of Python type {type(value).__name__} has no JSON form")

    def _array(self, items: Any) -> JsonValue:  # noqa: ANN401 - as above
        """An array or a matrix; flat where asyncua filled up a matrix whose dimensions do not fit its values."""
        if _ragged(items):
            items = _flat(items)
        return [self.any(one) for one in items]

    def _qualified_name(self, value: Any) -> JsonValue:  # noqa: ANN401 - as above
        text = self._namespaces.name_text(value)
        return None if text is None else json_text(text)

    def _extension(self, value: Any) -> JsonValue:  # noqa: ANN401 - as above
        return extension(self._context, self._namespaces.node_text(value.TypeId), value.Body, self._depth)

    def _data_value(self, value: Any) -> JsonValue:  # noqa: ANN401 - as above
        found: dict[str, JsonValue] = {"value": self.any(value.Value)}
        if value.StatusCode is not None and value.StatusCode.value:
            found["status"] = status_name(value.StatusCode.value)
        for name, item in (
            ("sourceTime", value.SourceTimestamp),
            ("sourcePicoseconds", value.SourcePicoseconds),
            ("serverTime", value.ServerTimestamp),
            ("serverPicoseconds", value.ServerPicoseconds),
        ):
            if item is not None:
                found[name] = self.any(item)
        return found

    def _diagnostic_info(self, value: Any) -> JsonValue:  # noqa: ANN401 - as above
        names = (
            ("symbolicId", value.SymbolicId), ("namespaceUri", value.NamespaceURI), ("locale", value.Locale),
            ("localizedText", value.LocalizedText), ("additionalInfo", value.AdditionalInfo),
            ("innerStatusCode", value.InnerStatusCode), ("innerDiagnosticInfo", value.InnerDiagnosticInfo),
        )  # fmt: skip
        return {name: self.any(item) for name, item in names if item is not None}

    def _structure(self, value: Any) -> JsonValue:  # noqa: ANN401 - as above
        """A structure that asyncua decoded: of namespace 0, or registered in this process by somebody else."""
        data_type = getattr(type(value), "data_type", None)
        if data_type is not None and (data_type.NamespaceIndex or isinstance(value, ua.UaUnion)):
            encoding = ua.typeid_by_extension_objects.get(type(value), data_type)
            text = self._namespaces.node_text(encoding)
            if self._context.structure(text) is not None:
                return extension(self._context, text, struct_to_binary(value), self._depth)
        if isinstance(value, ua.UaUnion):
            raise DecodeError(f"union {type(value).__name__} has no definition on this server")
        return {
            one.name: self.any(item)
            for one in dataclasses.fields(value)
            if one.name not in _MASKS and not ((item := getattr(value, one.name)) is None and "None" in f"{one.type}")
        }


_FLAT = frozenset({bool, int, float, str, bytes, datetime, uuid.UUID})


def _datetime(value: datetime) -> JsonValue:
    aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return moment((aware - _EPOCH) // _MICROSECOND * 10)


def _ragged(items: Any) -> bool:  # noqa: ANN401 - nested lists of any type
    """Lists within lists that are no matrix: of different lengths, or beside scalars."""
    level = list(items)
    for _ in range(_DEEPEST):
        nested = [one for one in level if isinstance(one, list)]
        if not nested:
            return False
        if len(nested) != len(level) or len({len(one) for one in nested}) != 1:
            return True
        level = [leaf for one in nested for leaf in one]
    raise DecodeError(f"more than {_DEEPEST} arrays inside of each other")


def _flat(items: Any) -> list[Any]:  # noqa: ANN401 - as above
    level = list(items)
    for _ in range(_DEEPEST):
        if not any(isinstance(one, list) for one in level):
            return level
        level = [leaf for one in level for leaf in (one if isinstance(one, list) else [one])]
    raise DecodeError(f"more than {_DEEPEST} arrays inside of each other")
