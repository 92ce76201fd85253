"""Data types of one connection, read from the server itself: names, built-in types, enumerations, structures.

Nothing is ever registered with asyncua, whose tables are global and keyed by name: two servers, or two specifications
on one server, have different types of equal name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from asyncua import ua

from adapters.opcua import known
from adapters.opcua.binary import BUILT_IN, Body, Decode, extension_object
from adapters.opcua.browse import HAS_SUBTYPE, Browse, Reader, content, readable
from adapters.opcua.definitions import Definition, Field, enumeration_of, structure_of
from adapters.opcua.forms import BUILT_IN_NAMES, DecodeError
from adapters.opcua.namespaces import Namespaces
from adapters.opcua.structures import Kind, Part, compile_structure
from adapters.opcua.types import HAS_PROPERTY, Name, TypeSpace, name_of
from gateway.model import JsonValue

_STRUCTURE = ua.NodeId(ua.ObjectIds.Structure)
_ENUMERATION = ua.NodeId(ua.ObjectIds.Enumeration)
_VARIANT, _EXTENSION, _INT32 = 24, 22, 6
_ABSTRACT_NUMBERS = frozenset({26, 27, 28})  # Number, Integer, UInteger: a Variant on the wire
_MOST_TYPES = 5_000


@dataclass(slots=True)
class TypeInfo:
    """One data type.

    Attributes:
        built_in: Number of the built-in type that its values have on the wire; 24 where any may come.
        enumeration: Names by number; of an option set, by the number that has this bit alone.
        definition: Of a structure, its fields with the inherited ones; None if the server does not tell.
    """

    node: ua.NodeId
    name: Name
    built_in: int = _VARIANT
    enumeration: dict[str, str] | None = None
    definition: Definition | None = None
    abstract: bool = False
    raw: Any = None


@dataclass(slots=True)
class DataTypes:
    """Data types by NodeId; also the `Context` of decoding."""

    reader: Reader
    namespaces: Namespaces
    types: TypeSpace
    infos: dict[ua.NodeId, TypeInfo] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    _encodings: dict[str, ua.NodeId] = field(default_factory=dict)
    _decoders: dict[ua.NodeId, Decode] = field(default_factory=dict)

    async def load(self, wanted: Iterable[ua.NodeId]) -> None:
        """Load these data types, and recursively those of the fields of structures."""
        level = [node for node in dict.fromkeys(wanted) if node not in self.infos and not node.is_null()]
        while level and len(self.infos) < _MOST_TYPES:
            await self.types.supertypes(level)
            above = {node for one in level for node in self.types.line(one)} - set(self.infos)
            await self._read(list(dict.fromkeys((*level, *sorted(above, key=ua.NodeId.to_string)))))
            fields = [one.data_type for node in level for one in self.fields(node)]
            level = [node for node in dict.fromkeys(fields) if node not in self.infos and not node.is_null()]

    async def load_structures(self) -> None:
        """Load every structure of the server outside of namespace 0: any of them may come in an abstract field."""
        found: dict[ua.NodeId, None] = {_STRUCTURE: None}
        level = [_STRUCTURE]
        while level and len(found) < _MOST_TYPES:
            results = await self.reader.browse([Browse(node, HAS_SUBTYPE) for node in level])
            targets = [self.namespaces.local(one.NodeId) for result in results for one in result.references]
            level = [node for node in dict.fromkeys(targets) if node is not None and node not in found]
            found.update(dict.fromkeys(level))
        await self.load(node for node in found if node.NamespaceIndex)

    async def _read(self, nodes: list[ua.NodeId]) -> None:
        attributes = (ua.AttributeIds.BrowseName, ua.AttributeIds.IsAbstract, ua.AttributeIds.DataTypeDefinition)
        answers = await self.reader.read([(node, one) for node in nodes for one in attributes])
        for index, node in enumerate(nodes):
            name, abstract, definition = answers[3 * index : 3 * index + 3]
            label = name_of(content(name)) if readable(name) else (node.NamespaceIndex, self.namespaces.node_text(node))
            self.infos[node] = TypeInfo(
                node, label, abstract=bool(content(abstract)), raw=content(definition) if readable(definition) else None
            )
        for node in nodes:
            self._describe(self.infos[node])
        await self._read_old([self.infos[node] for node in nodes])

    def _describe(self, info: TypeInfo) -> None:
        """Find the built-in type, and the names or fields that the definition gives."""
        line = self.types.line(info.node)
        info.built_in = _built_in(line)
        if isinstance(info.raw, ua.EnumDefinition):
            info.enumeration = enumeration_of(info.raw, bits=_ENUMERATION not in line)
        elif isinstance(info.raw, ua.StructureDefinition):
            encoding = info.raw.DefaultEncodingId
            if encoding is not None and not encoding.is_null():
                self._encodings[self.namespaces.node_text(encoding)] = info.node
            self._encodings[self.namespaces.node_text(info.node)] = info.node
        elif info.built_in == _EXTENSION and not info.node.NamespaceIndex:
            info.raw = known.definition(info.node)
            encoding = known.encoding(info.node)
            if encoding is not None:
                self._encodings[self.namespaces.node_text(encoding)] = info.node

    async def _read_old(self, infos: list[TypeInfo]) -> None:
        """Of servers older than OPC UA 1.04: names of enumerations from the properties of the data type."""
        enumerations = [one for one in infos if one.raw is None and _ENUMERATION in self.types.line(one.node)[1:]]
        structures = [
            one for one in infos if one.raw is None and one.built_in == _EXTENSION and one.node.NamespaceIndex
        ]
        self.problems.extend(
            f"data type {info.name[1]}: the server tells no DataTypeDefinition, its values are published undecoded, "
            "as typeId and body"
            for info in structures
            if not info.abstract
        )
        found = await self.reader.references(one.node for one in enumerations)
        owner = {
            target: info
            for info in enumerations
            for one in found[info.node].references
            if one.ReferenceTypeId == HAS_PROPERTY
            and one.BrowseName.Name in {"EnumStrings", "EnumValues"}
            and (target := self.namespaces.local(one.NodeId)) is not None
        }
        for target, value in (await self.reader.values(owner)).items():
            owner[target].enumeration = names_by_number(value)

    def fields(self, node: ua.NodeId) -> list[Field]:
        """Fields of a structure, inherited ones first."""
        info = self.infos[node]
        if info.definition is None and info.built_in == _EXTENSION:
            definitions = [self.infos[one].raw for one in self.types.line(node) if one in self.infos]
            info.definition = structure_of(definitions)
        return [] if info.definition is None else info.definition.fields

    def structure(self, encoding: str) -> Decode | None:
        """Decoder by the text of the NodeId of an encoding (or of the data type itself)."""
        node = self._encodings.get(encoding)
        return None if node is None else self._decoder(node)

    def _decoder(self, node: ua.NodeId) -> Decode | None:
        if node not in self._decoders:
            fields = self.fields(node)
            definition = self.infos[node].definition
            if definition is None:
                return None
            parts = [self._part(one, definition.kind) for one in fields]
            self._decoders[node] = compile_structure(self.infos[node].name[1], definition.kind, parts)
        return self._decoders[node]

    def _part(self, one: Field, kind: Kind) -> Part:
        subtypes = one.optional and kind in (Kind.SUBTYPED, Kind.SUBTYPED_UNION)
        info = self.infos.get(one.data_type)
        empty = info is not None and info.definition is not None and not info.definition.fields
        return Part(
            name=one.name,
            decode=lambda: self._element(one.data_type, subtypes=subtypes),
            rank=one.rank,
            optional=one.optional and kind is Kind.OPTIONAL,
            empty=empty,
        )

    def _element(self, node: ua.NodeId, *, subtypes: bool) -> Decode:
        """Decoder of one value of a data type as a field of a structure.

        Raises:
            DecodeError: The server does not define it.
        """
        info = self.infos.get(node)
        if info is None:
            raise DecodeError(f"data type {self.namespaces.semantic(node)} of a field is not defined by the server")
        if info.built_in != _EXTENSION:
            return BUILT_IN[_VARIANT if subtypes and info.abstract else info.built_in]
        if subtypes or node == _STRUCTURE:
            return extension_object
        decode = self._decoder(node)
        if decode is not None:
            return decode
        if info.abstract:
            return extension_object
        raise DecodeError(f"data type {info.name[1]} of a field has no DataTypeDefinition on the server")

    def decode(self, node: ua.NodeId, body: bytes) -> JsonValue:
        """The structure of this data type in `body`.

        Raises:
            DecodeError: It is not there, or the body is not what its definition says.
        """
        return self._element(node, subtypes=False)(Body(body, self))


def _built_in(line: list[ua.NodeId]) -> int:
    """The built-in type of a line of supertypes (OPC 10000-6, 5.1.2 and 5.1.5)."""
    for node in line:
        if node.NamespaceIndex or not isinstance(node.Identifier, int):
            continue
        if node.Identifier == _ENUMERATION.Identifier:
            return _INT32
        if node.Identifier in _ABSTRACT_NUMBERS:
            return _VARIANT
        if node.Identifier in BUILT_IN_NAMES:
            return int(node.Identifier)
    return _VARIANT


def names_by_number(value: Any) -> dict[str, str] | None:  # noqa: ANN401 - content of EnumStrings or EnumValues
    """Names by number from EnumStrings (array of LocalizedText) or EnumValues (array of EnumValueType)."""
    names: dict[str, str] = {}
    for index, one in enumerate(value if isinstance(value, list) else ()):
        if isinstance(one, ua.EnumValueType):
            names[f"{int(one.Value)}"] = one.DisplayName.Text or ""
        elif isinstance(one, ua.LocalizedText) and one.Text:
            names[f"{index}"] = one.Text
    return names or None
