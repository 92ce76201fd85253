"""A model's plain values as OPC UA variants, by the data type of their variable."""

# ruff: noqa: ANN401 - values of every data type, and asyncua's objects, pass through here
from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncua import ua

from simulators.machine import TICKS_PER_SECOND, Localized, State, Structure
from simulators.opcua.space import Id, Space

_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_UNIX_EPOCH_TICKS = 116_444_736_000_000_000
_LAST_BUILT_IN = 25
_INTEGERS = {
    ua.VariantType.SByte, ua.VariantType.Byte, ua.VariantType.Int16, ua.VariantType.UInt16, ua.VariantType.Int32,
    ua.VariantType.UInt32, ua.VariantType.Int64, ua.VariantType.UInt64,
}  # fmt: skip
_NEUTRAL = {
    ua.VariantType.Boolean: bool,
    ua.VariantType.Float: float,
    ua.VariantType.Double: float,
    ua.VariantType.String: str,
    ua.VariantType.XmlElement: str,
    ua.VariantType.ByteString: bytes,
    ua.VariantType.Guid: lambda: uuid.UUID(int=0),
    ua.VariantType.StatusCode: ua.StatusCode,
    ua.VariantType.QualifiedName: lambda: ua.QualifiedName("", 0),
    ua.VariantType.LocalizedText: lambda: ua.LocalizedText("", "en"),
}
_NUMBER, _INTEGER, _UNSIGNED = 26, 27, 28
_ENUMERATION = 29


def datetime_from_ticks(ticks: int) -> datetime:
    """UTC time of OPC UA ticks; asyncua's times end at the microsecond."""
    return _EPOCH + timedelta(microseconds=ticks // 10)


def ticks_from_datetime(moment: datetime) -> int:
    """OPC UA ticks of a UTC time."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1) * 10


def ticks_from_unix(seconds: float) -> int:
    """OPC UA ticks of a Unix time."""
    return _UNIX_EPOCH_TICKS + int(seconds * TICKS_PER_SECOND)


class Values:
    """Makes variants, and neutral ones where a model gives none."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self._built_in: dict[Id, tuple[ua.VariantType, Id]] = {}
        self._definitions: dict[Id, list[Any]] = {}

    def built_in(self, data_type: Id, value: Any = None) -> ua.VariantType:
        """The built-in type that carries a data type; `value` decides where the data type is abstract."""
        return self.concrete(data_type, value)[0]

    def concrete(self, data_type: Id, value: Any = None) -> tuple[ua.VariantType, Id]:
        """The built-in type, and the data type itself or, where it is abstract, a concrete one for this value."""
        if data_type not in self._built_in:
            for known in self.space.supertypes(data_type):
                if known.NamespaceIndex or not isinstance(known.Identifier, int) or known.Identifier > _ENUMERATION:
                    continue
                if known.Identifier == _ENUMERATION:
                    self._built_in[data_type] = (ua.VariantType.Int32, data_type)
                    break
                if known.Identifier in (_NUMBER, _INTEGER, _UNSIGNED, int(ua.VariantType.Variant.value)):
                    return _guess(known.Identifier, value)
                self._built_in[data_type] = (ua.VariantType(known.Identifier), data_type)
                break
            else:
                return _guess(int(ua.VariantType.Variant.value), value)
        return self._built_in[data_type]

    def variant(self, value: Any, data_type: Id, rank: int = -1) -> ua.Variant:
        """The variant of a value.

        Raises:
            ValueError: The value does not fit the data type.
        """
        kind, concrete = self.concrete(data_type, _first(value))
        if isinstance(value, list | tuple):
            return self._array(list(value), kind, concrete)
        if rank >= 1 and value is None:
            return ua.Variant([], kind, is_array=True)
        return ua.Variant(self._scalar(value, kind, concrete), kind)

    def _array(self, items: list[Any], kind: ua.VariantType, data_type: Id) -> ua.Variant:
        shape: list[int] = []
        level: Any = items
        while isinstance(level, list):
            shape.append(len(level))
            level = level[0] if level else None
        flat = _flatten(items)
        converted = [self._scalar(item, kind, data_type) for item in flat]
        if len(shape) > 1:
            return ua.Variant(converted, kind, Dimensions=shape, is_array=True)
        return ua.Variant(converted, kind, is_array=True)

    def _scalar(self, value: Any, kind: ua.VariantType, data_type: Id) -> Any:
        try:
            return self._convert(value, kind, data_type)
        except (TypeError, OverflowError, AttributeError, ValueError) as fault:
            if isinstance(value, Structure | Mapping) and isinstance(fault, ValueError):
                raise  # it names the field
            raise ValueError(
                f"{value!r} is no value of data type {self.space.browse_name(data_type).Name} ({kind.name})"
            ) from fault

    def _convert(self, value: Any, kind: ua.VariantType, data_type: Id) -> Any:  # noqa: C901, PLR0911 - a table of types
        if kind is ua.VariantType.Boolean:
            return bool(value)
        if kind in _INTEGERS:
            return int(value)
        if kind in (ua.VariantType.Float, ua.VariantType.Double):
            return float(value)
        if kind is ua.VariantType.LocalizedText:
            return _localized(value)
        if kind is ua.VariantType.DateTime:
            return _moment(value)
        if kind is ua.VariantType.ExtensionObject:
            return self.structure(value, data_type)
        if kind is ua.VariantType.NodeId:
            return self._node_id(value)
        if kind is ua.VariantType.Guid:
            return value if isinstance(value, uuid.UUID) else uuid.UUID(str(value))
        if kind is ua.VariantType.QualifiedName:
            return value if isinstance(value, ua.QualifiedName) else ua.QualifiedName(value, 0)
        if kind is ua.VariantType.StatusCode:
            return ua.StatusCode(value if isinstance(value, int) else getattr(ua.StatusCodes, value))
        if kind is ua.VariantType.ByteString:
            return None if value is None else bytes(value)
        if value is not None and not isinstance(value, str):
            raise TypeError
        return value

    def _node_id(self, value: Any) -> Id:
        if value is None:
            return ua.NodeId()
        if isinstance(value, ua.NodeId):
            return value
        if value.startswith("nsu="):
            uri, _, identifier = value[4:].partition(";")
            return ua.NodeId.from_string(f"ns={self.space.index(uri)};{identifier}")
        return ua.NodeId.from_string(value)

    def structure(self, value: Any, data_type: Id) -> Any:
        """An instance of asyncua's class for a structured data type.

        Raises:
            ValueError: A field is unknown, or its value does not fit.
        """
        if value is None or not isinstance(value, Structure | Mapping):
            return value if value is not None else self._class(data_type)()
        fields = value.fields if isinstance(value, Structure) else value
        made = self._class(data_type)()
        declared = {field.Name: field for field in self._fields(data_type)}
        for name, item in fields.items():
            if name not in declared:
                allowed = ", ".join(declared) or "none"
                raise ValueError(
                    f"{self.space.browse_name(data_type).Name} has no field {name!r}; its fields are: {allowed}"
                )
            field = declared[name]
            setattr(made, name, self._field(item, field))
        return made

    def _class(self, data_type: Id) -> Any:
        if not data_type.NamespaceIndex:
            return getattr(ua, self.space.browse_name(data_type).Name)
        return ua.get_type(data_type)

    def _field(self, item: Any, field: Any) -> Any:
        if item is None and field.IsOptional:
            return None
        kind, data_type = self.concrete(field.DataType, _first(item))
        if kind is ua.VariantType.Variant or field.DataType == ua.NodeId(ua.ObjectIds.BaseDataType):
            return self.variant(item, field.DataType)
        if field.ValueRank >= 1:
            return [self._scalar(one, kind, data_type) for one in item or ()]
        converted = self._scalar(item, kind, data_type)
        enumeration = ua.enums_by_datatype.get(data_type)
        return enumeration(converted) if enumeration is not None else converted

    def _fields(self, data_type: Id) -> Sequence[Any]:
        if data_type not in self._definitions:
            definition = self.space.attribute(data_type, ua.AttributeIds.DataTypeDefinition)
            inherited = next(iter(self.space.supertypes(data_type)[1:]), None)
            own = list(getattr(definition, "Fields", None) or ())
            names = {field.Name for field in own}
            base = [] if inherited is None or inherited.NamespaceIndex == 0 else self._fields(inherited)
            self._definitions[data_type] = [field for field in base if field.Name not in names] + own
        return self._definitions[data_type]

    def neutral(self, data_type: Id, rank: int) -> ua.Variant:
        """A valid value of a data type for a variable whose model says nothing."""
        kind, concrete = self.concrete(data_type)
        if rank >= 1:
            return ua.Variant([], kind, is_array=True)
        if kind in _INTEGERS:
            return ua.Variant(self._first_enumerated(concrete), kind)
        if kind in _NEUTRAL:
            return ua.Variant(_NEUTRAL[kind](), kind)
        return ua.Variant(self._convert(None, kind, concrete), kind)

    def _first_enumerated(self, data_type: Id) -> int:
        definition = self.space.attribute(data_type, ua.AttributeIds.DataTypeDefinition)
        fields = getattr(definition, "Fields", None)
        if not fields or not hasattr(fields[0], "Value"):
            return 0
        return min(int(field.Value) for field in fields)


def _guess(abstract: int, value: Any) -> tuple[ua.VariantType, Id]:
    """A concrete data type for a value whose data type is abstract."""
    kind = ua.VariantType.Double
    if abstract == _UNSIGNED:
        kind = ua.VariantType.UInt64 if isinstance(value, int) and value >= 1 << 32 else ua.VariantType.UInt32
    elif isinstance(value, bool):
        kind = ua.VariantType.Boolean
    elif isinstance(value, int) or abstract == _INTEGER:
        kind = ua.VariantType.Int32 if value is None or -(1 << 31) <= value < 1 << 31 else ua.VariantType.Int64
    elif isinstance(value, str):
        kind = ua.VariantType.String
    elif isinstance(value, bytes):
        kind = ua.VariantType.ByteString
    elif isinstance(value, Localized | State):
        kind = ua.VariantType.LocalizedText
    return kind, ua.NodeId(kind.value)


def _localized(value: Any) -> ua.LocalizedText:
    if isinstance(value, State):
        return ua.LocalizedText(value.name, "en")
    if isinstance(value, Localized):
        return ua.LocalizedText(value.text, value.locale)
    if isinstance(value, ua.LocalizedText):
        return value
    if value is not None and not isinstance(value, str):
        raise TypeError
    return ua.LocalizedText(value, "en" if value is not None else None)


def _moment(value: Any) -> datetime:
    if value is None:
        return _EPOCH
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    return datetime_from_ticks(int(value))


def _flatten(items: list[Any]) -> list[Any]:
    if items and isinstance(items[0], list):
        return [one for item in items for one in _flatten(item)]
    return items


def _first(value: Any) -> Any:
    while isinstance(value, list | tuple):
        value = value[0] if value else None
    return value
