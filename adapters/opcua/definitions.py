"""DataTypeDefinitions as they are used here: fields of structures with inherited ones, names of enumerations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asyncua import ua

from adapters.opcua.structures import Kind


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a structure.

    Attributes:
        optional: It may be missing; in a structure with subtyped values: a subtype of its data type may come.
    """

    name: str
    data_type: ua.NodeId
    rank: int = -1
    dimensions: tuple[int, ...] = ()
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Definition:
    """A structured data type."""

    kind: Kind
    fields: list[Field]


def structure_of(line: Sequence[Any]) -> Definition | None:
    """Definition of a structure from those of itself and its supertypes, most derived first; None if it has none.

    A server may list inherited fields in each definition or leave them out: both are understood by their names.
    """
    if not line or not isinstance(line[0], ua.StructureDefinition):
        return None
    fields: list[Field] = []
    for definition in reversed(line):
        if not isinstance(definition, ua.StructureDefinition):
            continue
        own = [_field(one) for one in definition.Fields or ()]
        names = {one.name for one in own}
        fields = [one for one in fields if one.name not in names] + own
    return Definition(Kind(int(line[0].StructureType)), fields)


def _field(one: Any) -> Field:  # noqa: ANN401 - asyncua's StructureField is untyped to us
    return Field(
        name="" if one.Name is None else str(one.Name),
        data_type=one.DataType,
        rank=int(one.ValueRank),
        dimensions=tuple(int(length) for length in one.ArrayDimensions or ()),
        optional=bool(one.IsOptional),
    )


def enumeration_of(definition: Any, *, bits: bool) -> dict[str, str]:  # noqa: ANN401 - asyncua's EnumDefinition
    """Names by number; of an option set (`bits`) the numbers are those with the named bit alone."""
    names: dict[str, str] = {}
    for one in definition.Fields or ():
        value = int(one.Value)
        if bits and not 0 <= value < 64:
            continue
        names[f"{1 << value if bits else value}"] = one.Name or (one.DisplayName.Text or "")
    return names
