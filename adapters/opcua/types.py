"""The server's own type definitions: supertypes, and what each type declares for its instances (OPC 10000-3, 6.2).

A node's *sources* are the declarations and types that speak about it, most derived first: the declaration of it in the
enclosing type, that in the enclosing type's supertypes, then its own type definition with supertypes and interfaces.
Of all sources that declare a child by its browse name, the first decides its modelling rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from asyncua import ua

from adapters.opcua.browse import HAS_SUBTYPE, Browse, Found, Reader, content, readable
from adapters.opcua.namespaces import Namespaces

Sources: TypeAlias = tuple[ua.NodeId, ...]
Name: TypeAlias = tuple[int, str]
"""Browse name: namespace index and text."""

HIERARCHICAL = ua.NodeId(ua.ObjectIds.HierarchicalReferences)
HAS_INTERFACE = ua.NodeId(ua.ObjectIds.HasInterface)
HAS_PROPERTY = ua.NodeId(ua.ObjectIds.HasProperty)
_HAS_EVENT_SOURCE = ua.NodeId(ua.ObjectIds.HasEventSource)
_HAS_RULE = ua.NodeId(ua.ObjectIds.HasModellingRule)
_MANDATORY = ua.NodeId(ua.ObjectIds.ModellingRule_Mandatory)
_OPTIONAL_PLACEHOLDER = ua.NodeId(ua.ObjectIds.ModellingRule_OptionalPlaceholder)
_MANDATORY_PLACEHOLDER = ua.NodeId(ua.ObjectIds.ModellingRule_MandatoryPlaceholder)

_MOST_NODES = 50_000  # of type definitions and declarations; the largest companion specifications have a tenth
_DEEPEST = 64  # supertypes of a type, levels of reference types


@dataclass(frozen=True, slots=True)
class Declaration:
    """An instance declaration of a type.

    Attributes:
        type: Its type definition; None for a method.
        rule: Its modelling rule; None means that instances do not get it.
        owner: The type that declares it.
    """

    node: ua.NodeId
    name: Name
    node_class: int
    type: ua.NodeId | None
    rule: ua.NodeId | None
    owner: ua.NodeId

    @property
    def mandatory(self) -> bool:
        """Every instance has it."""
        return bool(self.rule == _MANDATORY)

    @property
    def placeholder(self) -> bool:
        """It stands for any number of instances with names of their own."""
        return self.rule in (_OPTIONAL_PLACEHOLDER, _MANDATORY_PLACEHOLDER)

    @property
    def mandatory_placeholder(self) -> bool:
        """It stands for at least one instance."""
        return bool(self.rule == _MANDATORY_PLACEHOLDER)


@dataclass(slots=True)
class _Raw:
    """A type or a declaration as it was browsed."""

    owner: ua.NodeId
    children: list[ua.ReferenceDescription] = field(default_factory=list)
    rule: ua.NodeId | None = None


class TypeSpace:
    """Type definitions that the server's machines use; loaded once per connection, in a few calls."""

    def __init__(self, reader: Reader, namespaces: Namespaces) -> None:
        self._reader = reader
        self._namespaces = namespaces
        self.hierarchical: set[ua.NodeId] = set()
        self.names: dict[ua.NodeId, Name] = {}
        self.problems: list[str] = []
        self._supertype: dict[ua.NodeId, ua.NodeId | None] = {}
        self._interfaces: dict[ua.NodeId, list[ua.NodeId]] = {}
        self._raw: dict[ua.NodeId, _Raw] = {}
        self._declared: dict[ua.NodeId, list[Declaration]] = {}
        self._chains: dict[ua.NodeId, Sources] = {}

    def forget_declarations(self) -> None:
        """Keep only which type is a subtype of which, once the instances are known: a megabyte for each server."""
        self._raw.clear()
        self._declared.clear()
        self._chains.clear()
        self._interfaces.clear()

    async def load_references(self) -> None:
        """Find out which reference types lead from a whole to its parts, vendors' own ones included."""
        whole = await self._subtypes(HIERARCHICAL)
        events = await self._subtypes(_HAS_EVENT_SOURCE)
        self.hierarchical = whole - events - {HAS_SUBTYPE}

    async def _subtypes(self, top: ua.NodeId) -> set[ua.NodeId]:
        found, level = {top}, [top]
        for _ in range(_DEEPEST):
            results = await self._reader.browse([Browse(node, HAS_SUBTYPE) for node in level])
            targets = [self._namespaces.local(one.NodeId) for result in results for one in result.references]
            level = [node for node in dict.fromkeys(targets) if node is not None and node not in found]
            if not level:
                break
            found.update(level)
        return found

    async def supertypes(self, types: Iterable[ua.NodeId]) -> None:
        """Load the supertypes of these types, without their declarations."""
        level = [node for node in dict.fromkeys(types) if node not in self._supertype]
        for _ in range(_DEEPEST):
            if not level:
                return
            results = await self._reader.browse([Browse(node, HAS_SUBTYPE, inverse=True) for node in level])
            for node, result in zip(level, results, strict=True):
                self._supertype[node] = self._take_supertype(result)
            above = [self._supertype[node] for node in level]
            level = [node for node in dict.fromkeys(above) if node is not None and node not in self._supertype]

    def _take_supertype(self, result: Found) -> ua.NodeId | None:
        for reference in result.references:
            node = self._namespaces.local(reference.NodeId)
            if node is not None:
                self.names[node] = name_of(reference.BrowseName)
                return node
        return None

    async def load(self, types: Iterable[ua.NodeId]) -> None:
        """Load these types with supertypes, interfaces and all that they declare."""
        wanted = list(dict.fromkeys(types))
        while wanted:
            await self.supertypes(wanted)
            chains = [node for one in wanted for node in self.line(one)]
            level = [(node, node) for node in dict.fromkeys(chains) if node not in self._raw]
            wanted = await self._load_declarations(level)
        await self._read_names()

    async def _read_names(self) -> None:
        """Browse names of types that no other type named."""
        nodes = [node for node, raw in self._raw.items() if raw.owner == node and node not in self.names]
        answers = await self._reader.read([(node, ua.AttributeIds.BrowseName) for node in nodes])
        for node, answer in zip(nodes, answers, strict=True):
            if readable(answer):
                self.names[node] = name_of(content(answer))

    async def _load_declarations(self, level: list[tuple[ua.NodeId, ua.NodeId]]) -> list[ua.NodeId]:
        """Browse types and all declarations below them; the interfaces that turn up are to be loaded next."""
        interfaces: list[ua.NodeId] = []
        while level and len(self._raw) < _MOST_NODES:
            found = await self._reader.references([node for node, _ in level])
            below: dict[ua.NodeId, ua.NodeId] = {}
            for node, owner in level:
                raw = self._raw[node] = _Raw(owner)
                for reference in found[node].references:
                    self._take(node, raw, reference, interfaces, below)
            level = [(node, owner) for node, owner in below.items() if node not in self._raw]
        return [node for node in dict.fromkeys(interfaces) if node not in self._raw]

    def _take(
        self,
        node: ua.NodeId,
        raw: _Raw,
        reference: ua.ReferenceDescription,
        interfaces: list[ua.NodeId],
        below: dict[ua.NodeId, ua.NodeId],
    ) -> None:
        target = self._namespaces.local(reference.NodeId)
        if target is None:
            return
        if reference.ReferenceTypeId == _HAS_RULE:
            raw.rule = target
        elif reference.ReferenceTypeId == HAS_INTERFACE:
            self.names[target] = name_of(reference.BrowseName)
            self._interfaces.setdefault(node, []).append(target)
            interfaces.append(target)
        elif reference.ReferenceTypeId in self.hierarchical and int(reference.NodeClass) in (1, 2, 4):
            raw.children.append(reference)
            below.setdefault(target, raw.owner)

    def line(self, type_id: ua.NodeId) -> list[ua.NodeId]:
        """The type and its supertypes; a cycle ends it."""
        line: list[ua.NodeId] = []
        node: ua.NodeId | None = type_id
        while node is not None and node not in line and len(line) < _DEEPEST:
            line.append(node)
            node = self._supertype.get(node)
        return line

    def is_subtype(self, type_id: ua.NodeId | None, of: ua.NodeId | None) -> bool:
        """The type is `of` or one of its subtypes."""
        return type_id is not None and of is not None and of in self.line(type_id)

    def chain(self, type_id: ua.NodeId) -> Sources:
        """The type, its supertypes, then the interfaces of all of them with their supertypes."""
        if type_id not in self._chains:
            line = self.line(type_id)
            interfaces = [up for node in line for one in self._interfaces.get(node, ()) for up in self.line(one)]
            self._chains[type_id] = tuple(dict.fromkeys((*line, *interfaces)))
        return self._chains[type_id]

    def declared(self, source: ua.NodeId) -> list[Declaration]:
        """What this type or declaration declares itself."""
        if source not in self._declared:
            raw = self._raw.get(source)
            found = [self._declaration(raw, reference) for reference in raw.children] if raw is not None else []
            self._declared[source] = [one for one in found if one is not None]
        return self._declared[source]

    def _declaration(self, above: _Raw, reference: ua.ReferenceDescription) -> Declaration | None:
        node = self._namespaces.local(reference.NodeId)
        raw = self._raw.get(node)
        if node is None or raw is None:
            return None
        type_id = self._namespaces.local(reference.TypeDefinition)
        return Declaration(
            node=node,
            name=name_of(reference.BrowseName),
            node_class=int(reference.NodeClass),
            type=None if type_id is None or type_id.is_null() else type_id,
            rule=raw.rule,
            owner=above.owner,
        )

    def members(self, sources: Sources) -> dict[Name, list[Declaration]]:
        """All that the sources declare for instances, by browse name; the most derived declaration first."""
        members: dict[Name, list[Declaration]] = {}
        for source in sources:
            for declaration in self.declared(source):
                if declaration.rule is not None:
                    members.setdefault(declaration.name, []).append(declaration)
        return members

    def type_name(self, type_id: ua.NodeId) -> str:
        """Browse name of a type; its NodeId's text where the server did not tell one."""
        if type_id in self.names:
            return self.names[type_id][1]
        return self._namespaces.semantic(type_id) or "unknown type"


def name_of(name: ua.QualifiedName) -> Name:
    """A browse name as it is compared."""
    return (name.NamespaceIndex, "" if name.Name is None else str(name.Name))
