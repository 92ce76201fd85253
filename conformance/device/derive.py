"""What the official nodesets say that a machine tool consists of: the types in scope and their members."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.device.nodeset import (
    MANDATORY,
    MANDATORY_PLACEHOLDER,
    OPTIONAL_PLACEHOLDER,
    Declared,
    Nodesets,
)
from conformance.device.snapshot import DI, ENUMERATION, MACHINE_TOOL, MACHINE_TOOL_TYPE, MACHINERY, UA

_EVENT, _INTERFACE, _FINITE_STATES, _STATE = "i=2041", "i=17602", "i=2771", "i=2307"
_PLACEHOLDERS = frozenset({MANDATORY_PLACEHOLDER, OPTIONAL_PLACEHOLDER})
_ARGUMENTS = frozenset({"InputArguments", "OutputArguments"})
_ANY_OBJECT = "i=58"
IA = "http://opcfoundation.org/UA/IA/"
JOBS = "http://opcfoundation.org/UA/Machinery/Jobs/"
ISA95 = "http://opcfoundation.org/UA/ISA95-JOBCONTROL_V2/"
_WHOLE = (MACHINE_TOOL, MACHINERY, JOBS)
"""Namespaces all of whose types that a machine can show are in scope."""

_SELECTED = (
    "BasicStacklightType", "StackElementType", "StackElementLightType", "ISA95JobOrderReceiverObjectType",
    "ISA95JobResponseProviderObjectType", "FiniteStateVariableType", "AnalogItemType", "AnalogUnitRangeType",
)  # fmt: skip
"""Types of other namespaces in scope: what OPC 40501-1 uses of them."""

_MANDATORY_ONLY = (UA, ISA95)
_SPECIFICATIONS = {
    MACHINE_TOOL: "OPC 40501-1",
    MACHINERY: "OPC 40001-1",
    JOBS: "OPC 40001-3",
    DI: "OPC 10000-100",
    IA: "OPC 10000-200",
    ISA95: "OPC 10031-4",
    UA: "OPC 10000",
}


@dataclass(frozen=True, slots=True)
class Member:
    """A member that a type declares.

    Attributes:
        path: Namespaces and names from the type's instance on.
        key: The same for ids.
        reference: Declared type of the reference to it.
        data: Its `definition`, and `data_type` and `rank` of a variable.
        other_type: Its type says something: not everything is a subtype of it.
    """

    path: tuple[tuple[str, str], ...]
    key: str
    node_class: str
    reference: str
    reference_name: str
    type_name: str
    data_type_name: str
    data: Mapping[str, Any]
    mandatory: bool
    placeholder: bool
    other_type: bool
    clause: str


@dataclass(frozen=True, slots=True)
class TypeScope:
    """A type in scope with what it declares itself."""

    id: str
    name: str
    units: tuple[str, ...]
    names: list[str]
    members: list[Member]


class Model:
    """The types in scope, by what a machine can contain.

    Attributes:
        nodesets: Where all is derived from.
        scopes: Types whose members are checked.
    """

    namespaces = (MACHINE_TOOL, MACHINERY, JOBS, ISA95, IA, DI)
    named = (MACHINE_TOOL, MACHINERY, DI, IA)

    def __init__(self, nodesets: Nodesets) -> None:
        self.nodesets = nodesets
        self.reachable = self._reachable()
        self.scopes = [self._scope(one) for one in self.reachable if self._wanted(one)]
        self._by_name = {nodesets.nodes[one].name.name: one for one in self.reachable}

    def _reachable(self) -> list[str]:
        """Types of all that can be below a machine tool."""
        nodesets = self.nodesets
        found: dict[str, None] = {}
        queue = deque([MACHINE_TOOL_TYPE])
        while queue:
            kind = queue.popleft()
            if kind in found or kind not in nodesets.nodes or _EVENT in nodesets.supertypes(kind):
                continue
            found[kind] = None
            queue.extend(nodesets.supertypes(kind))
            for member in self._below(kind):
                definition = nodesets.type_of(member.id)
                if definition is None:
                    continue
                queue.append(definition)
                if nodesets.rule_of(member.id) in _PLACEHOLDERS and definition != _ANY_OBJECT:
                    queue.extend(one.id for one in nodesets.subtypes(definition))
        found.update(dict.fromkeys(one.id for one in nodesets.nodes.values() if one.name.name in _SELECTED))
        return list(found)

    def _below(self, node: str, depth: int = 0) -> Iterator[Declared]:
        for _, member in self.nodesets.members(node):
            yield member
            if depth < 6:  # deeper than any declaration
                yield from self._below(member.id, depth + 1)

    def _wanted(self, kind: str) -> bool:
        node = self.nodesets.nodes[kind]
        if _INTERFACE in self.nodesets.supertypes(kind):
            return False
        return node.name.namespace in _WHOLE or node.name.name in _SELECTED

    def _scope(self, kind: str) -> TypeScope:
        node = self.nodesets.nodes[kind]
        names = {member.name.name for one in self.nodesets.chain(kind) for _, member in self.nodesets.members(one)}
        members = list(self._members(node, kind, (), 0))
        if node.name.namespace in _MANDATORY_ONLY:
            members = [one for one in members if one.mandatory and not one.placeholder]
        return TypeScope(kind, node.name.name, node.units, sorted(names), members)

    def _members(self, owner: Declared, node: str, way: tuple[Declared, ...], depth: int) -> Iterator[Member]:
        for reference, member in self.nodesets.members(node):
            if member.name.name in _ARGUMENTS:
                continue
            whole = (*way, member)
            if not self._told_by_types(whole):
                path = tuple((one.name.namespace, one.name.name) for one in whole)
                yield self._member(owner, reference, member, path)
            if self.nodesets.rule_of(member.id) not in _PLACEHOLDERS:
                yield from self._members(owner, member.id, whole, depth + 1)

    def _told_by_types(self, path: tuple[Declared, ...]) -> bool:
        """The type of something on the way declares the same: a declaration inside of a declaration repeats it."""
        last = path[-1]
        for at, holder in enumerate(path[:-1]):
            known = self._declared(self.nodesets.type_of(holder.id), path[at + 1 :])
            if known is not None:
                stricter = self.nodesets.rule_of(last.id) == MANDATORY != self.nodesets.rule_of(known.id)
                if not stricter and known.data_type == last.data_type:
                    return True
        return False

    def _declared(self, kind: str | None, path: tuple[Declared, ...]) -> Declared | None:
        """What a type and its supertypes declare at a path."""
        nodesets = self.nodesets
        sources = [one for one in (nodesets.chain(kind) if kind is not None else ()) if one in nodesets.nodes]
        found: list[Declared] = []
        for step in path:
            found = [one for source in sources for _, one in nodesets.members(source) if one.name == step.name]
            kinds = [nodesets.type_of(one.id) for one in found]
            chains = [known for one in kinds if one is not None for known in nodesets.chain(one)]
            sources = [*(one.id for one in found), *(one for one in chains if one in nodesets.nodes)]
        return next((one for one in found if nodesets.rule_of(one.id) == MANDATORY), next(iter(found), None))

    def _member(self, owner: Declared, reference: str, member: Declared, path: tuple[tuple[str, str], ...]) -> Member:
        nodesets = self.nodesets
        definition = nodesets.type_of(member.id)
        rule = nodesets.rule_of(member.id)
        data: dict[str, Any] = {}
        if definition is not None:
            data["definition"] = definition
        if member.node_class == "Variable":
            data |= {"data_type": member.data_type, "rank": member.rank}
        return Member(
            path=path,
            key="-".join(slug(name) for _, name in path),
            node_class=member.node_class,
            reference=reference,
            reference_name=nodesets.nodes[reference].name.name,
            type_name=nodesets.nodes[definition].name.name if definition is not None else "",
            data_type_name=nodesets.nodes[member.data_type].name.name if member.data_type in nodesets.nodes else "",
            data=data,
            mandatory=rule in {MANDATORY, MANDATORY_PLACEHOLDER},
            placeholder=rule in _PLACEHOLDERS,
            other_type=definition not in {None, _ANY_OBJECT, "i=63", "i=68"},
            clause=self.clause(owner),
        )

    @property
    def enumerations(self) -> list[str]:
        """Data types of members that enumerate."""
        used = {
            member.data["data_type"] for scope in self.scopes for member in scope.members if "data_type" in member.data
        }
        kinds = [
            one for one in used if ENUMERATION in self.nodesets.supertypes(one) and self.nodesets.nodes[one].fields
        ]
        return sorted(kinds, key=lambda one: self.nodesets.nodes[one].name.name)

    @property
    def state_machines(self) -> list[str]:
        """Types in scope with states of their own."""
        found = [one for one in self.reachable if self._wanted(one) and self.states(one)]
        return sorted(found, key=lambda one: self.nodesets.nodes[one].name.name)

    def states(self, kind: str) -> list[list[Any]]:
        """Id, name and number of the states that a state machine type declares itself."""
        nodesets = self.nodesets
        if _FINITE_STATES not in nodesets.supertypes(kind):
            return []
        found = []
        for part in nodesets.parts(kind):
            if _STATE in nodesets.supertypes(nodesets.type_of(part.id)):
                numbers = [one.number for one in nodesets.parts(part.id) if one.name.name == "StateNumber"]
                found.append([part.id, part.name.name, numbers[0] if numbers else None])
        return sorted((one for one in found if one[2] is not None), key=lambda one: one[2])

    def units(self, marks: Mapping[str, tuple[str, ...]]) -> dict[str, list[list[Any]]]:
        """What shows each unit that types in scope carry: type id, then [namespace, name] ..."""
        carriers: dict[str, list[Declared]] = {}
        for one in self.reachable:
            node = self.nodesets.nodes[one]
            if node.name.namespace in (MACHINE_TOOL, MACHINERY, JOBS):
                for unit in node.units:
                    carriers.setdefault(unit, []).append(node)
        made: dict[str, list[list[Any]]] = {}
        for unit, nodes in sorted(carriers.items()):
            if unit in marks:
                made[unit] = [self._mark(one) for one in marks[unit]]
            else:
                concrete = [one for one in nodes if not one.abstract] or nodes
                concrete = [one for one in concrete if _INTERFACE not in self.nodesets.supertypes(one.id)]
                made[unit] = [[one.id] for one in sorted(concrete, key=lambda one: one.id)]
        return {unit: found for unit, found in made.items() if found}

    def _mark(self, text: str) -> list[Any]:
        """Of `Type/Member/Member`."""
        first, *rest = text.split("/")
        holder = self._by_name[first]
        mark: list[Any] = [holder]
        sources = list(self.nodesets.chain(holder))
        for name in rest:
            declared = [
                member
                for source in sources
                if source in self.nodesets.nodes
                for _, member in self.nodesets.members(source)
                if member.name.name == name
            ]
            mark.append([declared[0].name.namespace, name])
            kinds = [self.nodesets.type_of(one.id) for one in declared]
            sources = [one.id for one in declared]
            sources += [known for kind in kinds if kind is not None for known in self.nodesets.chain(kind)]
        return mark

    def types(self, uri: str) -> dict[str, list[Any]]:
        """Name, supertype and abstractness of every type of a namespace, by id."""
        return {
            one.id: [one.name.name, next(iter(self.nodesets.supertypes(one.id)[1:]), None), one.abstract]
            for one in sorted(self.nodesets.nodes.values(), key=lambda one: (len(one.id), one.id))
            if one.name.namespace == uri and one.node_class.endswith("Type") and one.id.startswith(f"nsu={uri};")
        }

    def names(self, uri: str) -> list[str]:
        """All browse names in a namespace, placeholders left out."""
        found = {one.name.name for one in self.nodesets.nodes.values() if one.name.namespace == uri}
        return sorted(one for one in found if not one.startswith("<"))

    def used_type(self, uri: str) -> str:
        """A concrete object type of a namespace that a machine shows."""
        for one in self.reachable:
            node = self.nodesets.nodes[one]
            if node.name.namespace == uri and not node.abstract and node.node_class == "ObjectType":
                return one
        return next(iter(self.types(uri)))

    def clause(self, node: Declared) -> str:
        """Specification and clause that describe a node."""
        found = re.search(r"/docs/(?:(Part\d+)/)?([\d.]+)", node.clause)
        number = f", {found[2].strip('.')}" if found else ""
        part = f"-{found[1][4:]}" if found and found[1] else ""
        return f"{self.specification(node.name.namespace, part)}{number}"

    def specification(self, uri: str, part: str = "") -> str:
        """Name and version of the specification of a namespace."""
        return f"{_SPECIFICATIONS[uri]}{part} {self.nodesets.versions.get(uri, '')}".strip()


def slug(text: str) -> str:
    """For ids: letters, digits, hyphens."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")
