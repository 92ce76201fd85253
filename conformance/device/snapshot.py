"""What was found in a device's address space, as plain data: no network, no OPC UA library.

Node ids are written with their namespace URI (`nsu=http://opcfoundation.org/UA/MachineTool/;i=13`, namespace 0 without:
`i=85`), so that they mean the same on every server. Times are `datetime` in UTC.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

UA = "http://opcfoundation.org/UA/"
DI = "http://opcfoundation.org/UA/DI/"
MACHINERY = "http://opcfoundation.org/UA/Machinery/"
MACHINE_TOOL = "http://opcfoundation.org/UA/MachineTool/"

OBJECTS = "i=85"
SERVER = "i=2253"
MACHINES = f"nsu={MACHINERY};i=1001"
MACHINE_TOOL_TYPE = f"nsu={MACHINE_TOOL};i=13"
HIERARCHICAL = "i=33"
HAS_SUBTYPE = "i=45"
HAS_EVENT_SOURCE = "i=36"
ENUMERATION = "i=29"

_PATH_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Name:
    """A browse name: namespace URI and name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} ({self.namespace})"


@dataclass(frozen=True, slots=True)
class Text:
    """A LocalizedText."""

    text: str | None
    locale: str | None


@dataclass(frozen=True, slots=True)
class Structure:
    """A structure: its data type (or encoding) and its fields, where they are known; else its bytes."""

    type: str
    fields: Mapping[str, Any] | None = None
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Reading:
    """The answer to a Read of a Value.

    Attributes:
        value: Plain Python; long texts and arrays are cut.
        type: Name of the built-in type as it came, `Double`; empty for Null.
        dimensions: None for a scalar; of an array, its lengths.
        status: OPC UA status code.
        status_name: Its name.
        source: Source time.
        server: Server time.
        fault: Why it cannot be read or understood at all; then nothing else holds.
    """

    value: Any = None
    type: str = ""
    dimensions: tuple[int, ...] | None = None
    status: int = 0
    status_name: str = "Good"
    source: datetime | None = None
    server: datetime | None = None
    fault: str = ""

    @property
    def good(self) -> bool:
        """The status is Good."""
        return not self.fault and self.status >> 30 == 0

    @property
    def bad(self) -> bool:
        """The status is Bad, or there is no answer."""
        return bool(self.fault) or self.status >> 30 == 2

    @property
    def null(self) -> bool:
        """There is no value."""
        return self.type == "" or self.value is None


@dataclass(frozen=True, slots=True)
class Reference:
    """A forward reference of a node."""

    type: str
    target: str


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the address space; attributes of a variable are None where they could not be read.

    Attributes:
        node_class: `Object`, `Variable`, `Method` ...
        type: Its type definition.
        rank: ValueRank.
        access: AccessLevel.
        notifier: EventNotifier of an object.
    """

    id: str
    name: Name
    node_class: str
    display: Text = Text(None, None)
    type: str | None = None
    data_type: str | None = None
    rank: int | None = None
    dimensions: tuple[int, ...] | None = None
    access: int | None = None
    user_access: int | None = None
    notifier: int | None = None
    reading: Reading | None = None
    references: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True)
class TypeNode:
    """A type of the server: of objects, variables, data or references."""

    id: str
    name: Name
    node_class: str
    supertype: str | None = None
    abstract: bool | None = None


@dataclass(frozen=True, slots=True)
class StateNode:
    """A state (or transition) as a state machine's type declares it."""

    id: str
    name: str
    number: int | None
    transition: bool = False


@dataclass(frozen=True)
class Snapshot:
    """A device's address space at one time.

    Attributes:
        nodes: All that was found, by id.
        types: Every type that a node or reference uses, with all its supertypes.
        enumerations: Names by number of enumerations in use, by data type; None where the server does not tell them.
        states: What state machine types declare themselves (not what they inherit), by type.
        server: Readings of what the server says of itself, by browse path below Server.
        incomplete: Why it is not all, in sentences; empty if it is.
    """

    nodes: Mapping[str, Node]
    types: Mapping[str, TypeNode] = field(default_factory=dict)
    enumerations: Mapping[str, Mapping[int, str] | None] = field(default_factory=dict)
    states: Mapping[str, tuple[StateNode, ...]] = field(default_factory=dict)
    server: Mapping[str, Reading] = field(default_factory=dict)
    incomplete: tuple[str, ...] = ()

    def supertypes(self, type_id: str | None) -> tuple[str, ...]:
        """The type, its supertype, and so on."""
        if type_id is None:
            return ()
        chain = self._chains.get(type_id)
        if chain is None:
            found: dict[str, None] = {}
            current: str | None = type_id
            while current is not None and current not in found:
                found[current] = None
                known = self.types.get(current)
                current = known.supertype if known is not None else None
            chain = self._chains[type_id] = tuple(found)
        return chain

    @cached_property
    def _chains(self) -> dict[str, tuple[str, ...]]:
        return {}

    def is_a(self, type_id: str | None, base: str) -> bool:
        """Whether a type is another one or one of its subtypes."""
        return base in self.supertypes(type_id)

    @cached_property
    def downward(self) -> frozenset[str]:
        """Hierarchical reference types; those between types, and those that tell the way of events, are left out."""
        return frozenset(one for one in self.types if is_downward(self.supertypes(one)))

    def children(self, node: Node) -> Iterator[tuple[Reference, Node]]:
        """What hangs below a node, each child once for each reference to it."""
        for reference in node.references:
            child = self.nodes.get(reference.target)
            if child is not None and reference.type in self.downward:
                yield reference, child

    @cached_property
    def _named(self) -> dict[str, dict[str, list[tuple[Reference, Node]]]]:
        return {}

    def named(self, node: Node, name: str) -> list[tuple[Reference, Node]]:
        """The children of this name, whatever their namespace."""
        known = self._named.get(node.id)
        if known is None:
            known = self._named[node.id] = {}
            for reference, child in self.children(node):
                known.setdefault(child.name.name, []).append((reference, child))
        return known.get(name, [])

    def child(self, node: Node, name: str) -> Node | None:
        """The child of this name, whatever its namespace."""
        return next((child for _, child in self.named(node, name)), None)

    @cached_property
    def machines(self) -> tuple[Node, ...]:
        """Objects below the Machines folder."""
        folder = self.nodes.get(MACHINES)
        if folder is None:
            return ()
        found = {child.id: child for _, child in self.children(folder) if child.node_class == "Object"}
        return tuple(found.values())

    @cached_property
    def machine_tools(self) -> tuple[Node, ...]:
        """Those of them that are machine tools (OPC 40501-1)."""
        return tuple(one for one in self.machines if self.is_a(one.type, MACHINE_TOOL_TYPE))

    @cached_property
    def paths(self) -> Mapping[str, str]:
        """Browse path of every node: of a machine its name, then what is below it; others from Objects on."""
        found: dict[str, str] = {}
        for machine in self.machines:
            self._walk(found, machine.id, machine.name.name)
        self._walk(found, MACHINES, "Machines")
        self._walk(found, OBJECTS, "Objects")
        return found

    def _walk(self, found: dict[str, str], start: str, path: str) -> None:
        if start not in self.nodes or start in found:
            return
        found[start] = path
        queue = deque([start])
        while queue:
            above = queue.popleft()
            for _, child in self.children(self.nodes[above]):
                if child.id not in found:
                    found[child.id] = f"{found[above]}/{child.name.name}"[:_PATH_CHARACTERS]
                    queue.append(child.id)

    def path(self, node: Node | str) -> str:
        """Browse path of a node; its id where it has none."""
        key = node if isinstance(node, str) else node.id
        return self.paths.get(key, key)

    @cached_property
    def inside(self) -> Mapping[str, Node]:
        """All nodes at and below the machines, by id."""
        found: dict[str, Node] = {}
        queue = deque(self.machines)
        while queue:
            node = queue.popleft()
            if node.id not in found:
                found[node.id] = node
                queue.extend(child for _, child in self.children(node))
        return found

    @cached_property
    def instances(self) -> Mapping[str, tuple[Node, ...]]:
        """The nodes at and below the machines by type, each also under all supertypes of its own."""
        found: dict[str, list[Node]] = {}
        for node in self.inside.values():
            for known in self.supertypes(node.type):
                found.setdefault(known, []).append(node)
        return {key: tuple(nodes) for key, nodes in found.items()}

    @cached_property
    def typed(self) -> Mapping[str, tuple[Node, ...]]:
        """Variables at and below the machines by data type, each also under all supertypes of its own."""
        found: dict[str, list[Node]] = {}
        for node in self.inside.values():
            for known in self.supertypes(node.data_type):
                found.setdefault(known, []).append(node)
        return {key: tuple(nodes) for key, nodes in found.items()}

    @property
    def variables(self) -> Iterator[Node]:
        """Variables at and below the machines."""
        return (node for node in self.inside.values() if node.node_class == "Variable")

    def type_name(self, type_id: str | None) -> str:
        """A type's name for people."""
        known = self.types.get(type_id) if type_id is not None else None
        return known.name.name if known is not None else str(type_id or "none")


def is_downward(chain: Collection[str]) -> bool:
    """Whether a reference type with these supertypes leads from a node to what belongs to it."""
    return HIERARCHICAL in chain and HAS_SUBTYPE not in chain and HAS_EVENT_SOURCE not in chain
