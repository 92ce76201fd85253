"""What the type definitions declare for a node: instance declarations, the most special laid over the more general.

A node's *sources* are the declarations and types that speak about it, most special first: the declaration of it in the
enclosing type, that of the enclosing type's supertypes, then its own type definition, its supertypes and interfaces.
The first source that declares a child by name decides its attributes; all of them together are the child's sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from asyncua import ua

from simulators.opcua.space import HAS_INTERFACE, HAS_RULE, Id, Space

Sources: TypeAlias = tuple[Id, ...]

MANDATORY = ua.NodeId(ua.ObjectIds.ModellingRule_Mandatory)
_PLACEHOLDERS = (
    ua.NodeId(ua.ObjectIds.ModellingRule_OptionalPlaceholder),
    ua.NodeId(ua.ObjectIds.ModellingRule_MandatoryPlaceholder),
)
_STATE = ua.NodeId(ua.ObjectIds.StateType)
_TRANSITION = ua.NodeId(ua.ObjectIds.TransitionType)

_TYPE_CLASSES = (ua.NodeClass.ObjectType, ua.NodeClass.VariableType)


@dataclass(frozen=True, slots=True)
class Declaration:
    """An instance declaration.

    Attributes:
        reference: Type of the reference from its parent to it.
        type: Its type definition; None for a method.
        rule: Its modelling rule; None means that instances do not get it.
    """

    node: Id
    name: ua.QualifiedName
    node_class: ua.NodeClass
    reference: Id
    type: Id | None
    rule: Id | None

    @property
    def mandatory(self) -> bool:
        """Every instance has it."""
        return bool(self.rule == MANDATORY)

    @property
    def placeholder(self) -> bool:
        """It stands for any number of instances with names of their own."""
        return self.rule in _PLACEHOLDERS


class Types:
    """Type definitions by name, and what they declare."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self._by_name: dict[str, list[Id]] = {}
        self._data_types: dict[str, list[Id]] = {}
        self._add_ins: dict[str, list[tuple[ua.QualifiedName, Id]]] = {}
        self._declared: dict[Id, list[Declaration]] = {}
        self._index()

    def _index(self) -> None:
        for node_id in list(self.space.nodes.keys()):
            node_class = self.space.node_class(node_id)
            name = self.space.browse_name(node_id).Name
            if node_class in _TYPE_CLASSES:
                self._by_name.setdefault(name, []).append(node_id)
                default = self.space.child(node_id, "DefaultInstanceBrowseName")
                shown = self.space.attribute(default, ua.AttributeIds.Value) if default is not None else None
                if shown is not None:
                    self._add_ins.setdefault(shown.Name, []).append((shown, node_id))
            elif node_class is ua.NodeClass.DataType:
                self._data_types.setdefault(name, []).append(node_id)
        # of equal names the most special specification wins: machine tools before machinery before the base
        for found in (*self._by_name.values(), *self._data_types.values()):
            found.sort(key=lambda node_id: -node_id.NamespaceIndex)
        for pairs in self._add_ins.values():
            pairs.sort(key=lambda pair: -pair[1].NamespaceIndex)

    def named(self, name: str) -> Id:
        """The object or variable type of this browse name.

        Raises:
            LookupError: There is none.
        """
        if name not in self._by_name:
            raise LookupError(f"no type is named {name!r} in the nodesets of OPC 40501-1 and those that it needs")
        return self._by_name[name][0]

    def data_type(self, name: str) -> Id:
        """The data type of this browse name.

        Raises:
            LookupError: There is none.
        """
        if name not in self._data_types:
            raise LookupError(f"no data type is named {name!r} in the nodesets of OPC 40501-1 and those that it needs")
        return self._data_types[name][0]

    def add_in(self, name: str, type_id: Id | None) -> tuple[ua.QualifiedName, Id] | None:
        """The add-in type whose instances bear this name by default, and that name with its namespace."""
        for shown, found in self._add_ins.get(name, ()):
            if type_id is None or self.space.is_subtype(type_id, found):
                return shown, type_id or found
        return None

    def chain(self, type_id: Id) -> Sources:
        """The type, its supertypes, and the interfaces of all of them."""
        types = self.space.supertypes(type_id)
        interfaces = [
            one
            for known in types
            for found in self.space.targets(known, HAS_INTERFACE)
            for one in self.space.supertypes(found)
        ]
        return tuple(dict.fromkeys((*types, *interfaces)))

    def declared(self, source: Id) -> list[Declaration]:
        """What this declaration or type declares itself."""
        if source not in self._declared:
            self._declared[source] = [
                Declaration(
                    node=found.NodeId,
                    name=found.BrowseName,
                    node_class=self.space.node_class(found.NodeId),
                    reference=found.ReferenceTypeId,
                    type=self.space.type_of(found.NodeId),
                    rule=next(iter(self.space.targets(found.NodeId, HAS_RULE)), None),
                )
                for found in self.space.children(source)
            ]
        return self._declared[source]

    def members(self, sources: Sources) -> dict[str, list[Declaration]]:
        """All that the sources declare, by name; of each name the most special declaration first."""
        members: dict[str, list[Declaration]] = {}
        for source in sources:
            for declaration in self.declared(source):
                if declaration.rule is not None:
                    members.setdefault(declaration.name.Name, []).append(declaration)
        return members

    def sources(self, declarations: list[Declaration], type_id: Id | None = None) -> Sources:
        """Sources of a node that these declarations declare; `type_id` is a type more special than theirs."""
        special = type_id or self.most_special([found.type for found in declarations if found.type is not None])
        nodes = [found.node for found in declarations]
        return tuple(dict.fromkeys((*nodes, *(self.chain(special) if special is not None else ()))))

    def most_special(self, types: list[Id]) -> Id | None:
        """Of several types of the same node, the one that is a subtype of the others."""
        best: Id | None = None
        for type_id in types:
            if best is None or (type_id != best and self.space.is_subtype(type_id, best)):
                best = type_id
        return best

    def state(self, machine_type: Id, name: str, number: int, *, transition: bool = False) -> Id | None:
        """The node of a state (or transition) in a state machine type or its supertypes, by name, else by number."""
        kind, property_name = (_TRANSITION, "TransitionNumber") if transition else (_STATE, "StateNumber")
        numbered: Id | None = None
        for source in self.space.supertypes(machine_type):
            for found in self.space.children(source):
                type_id = self.space.type_of(found.NodeId)
                if type_id is None or not self.space.is_subtype(type_id, kind):
                    continue
                if found.BrowseName.Name == name:
                    return found.NodeId
                property_id = self.space.child(found.NodeId, property_name)
                if numbered is None and property_id is not None:
                    value = self.space.attribute(property_id, ua.AttributeIds.Value)
                    numbered = found.NodeId if value == number else None
        return numbered
