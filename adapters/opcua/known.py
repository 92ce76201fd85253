"""Definitions of namespace 0's structures for servers that do not tell them, from asyncua's own classes."""

from __future__ import annotations

import dataclasses
import functools
from enum import Enum, IntFlag
from typing import Any, get_args

from asyncua import ua
from asyncua.ua.ua_binary import get_safe_type_hints

_BUILT_IN_IDS = {kind.name: kind.value for kind in ua.VariantType if 1 <= kind.value <= 25}
_ALIASES = {"Char": 3, "CharArray": 12, "bool": 1, "int": 6, "float": 11, "str": 12, "bytes": 15, "datetime": 13,
            "UUID": 14, "BaseDataType": 24}  # fmt: skip


def definition(data_type: ua.NodeId) -> Any:  # noqa: ANN401 - asyncua's StructureDefinition is untyped to us
    """StructureDefinition of a structure of OPC 10000-5; None where asyncua has none, or one with optional fields."""
    cls = _class(data_type)
    if cls is None or issubclass(cls, ua.UaUnion):
        return None
    hints = get_safe_type_hints(cls, {"ua": ua})
    fields = []
    for one in dataclasses.fields(cls):
        found = _field(one.name, hints[one.name])
        if found is None:
            return None
        fields.append(found)
    return ua.StructureDefinition(StructureType=ua.StructureType.Structure, Fields=fields)


def encoding(data_type: ua.NodeId) -> ua.NodeId | None:
    """NodeId of the binary encoding of a structure of OPC 10000-5."""
    cls = _class(data_type)
    return None if cls is None else ua.typeid_by_extension_objects.get(cls)


def _class(data_type: ua.NodeId) -> type | None:
    if data_type in _classes():
        return _classes()[data_type]
    found = getattr(ua, ua.ObjectIdNames.get(data_type.Identifier, ""), None)  # those that only others contain
    return found if isinstance(found, type) and dataclasses.is_dataclass(found) else None


@functools.cache
def _classes() -> dict[ua.NodeId, type]:
    """Classes of asyncua by data type, of namespace 0 alone."""
    named = {one.data_type: one for one in ua.extension_objects_by_typeid.values() if hasattr(one, "data_type")}
    return {data_type: one for data_type, one in named.items() if not data_type.NamespaceIndex}


def _field(name: str, hint: Any) -> Any:  # noqa: ANN401 - a type hint
    arguments = get_args(hint)
    rank = -1
    if type(None) in arguments:
        return None
    if arguments and getattr(hint, "__origin__", None) is list:
        hint, rank = arguments[0], 1
    data_type = _data_type(hint)
    if data_type is None:
        return None
    return ua.StructureField(Name=name, DataType=data_type, ValueRank=rank, ArrayDimensions=[], IsOptional=False)


def _data_type(hint: Any) -> ua.NodeId | None:  # noqa: ANN401 - a type hint
    label = getattr(hint, "__name__", "")
    number = _BUILT_IN_IDS.get(label) or _ALIASES.get(label)
    if number is None and isinstance(hint, type) and issubclass(hint, IntFlag):
        number = _BUILT_IN_IDS[hint.datatype() if hasattr(hint, "datatype") else "UInt32"]
    elif number is None and isinstance(hint, type) and issubclass(hint, Enum):
        number = _BUILT_IN_IDS["Int32"]
    if number is None:
        number = getattr(ua.ObjectIds, label, None)
    return None if number is None else ua.NodeId(number)
