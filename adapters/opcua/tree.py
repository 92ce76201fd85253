"""All nodes of the machines, found level by level, each with its path, its type and what the standards say about it.

A node reached on two paths keeps the shortest one, of equally long ones the first in the order of texts. A machine is
never entered from another one.

Two siblings whose browse names differ in the namespace alone: the one of an OPC Foundation namespace (else the one
whose namespace URI is first in the order of texts) keeps the name, others are named ``name@<namespace URI>``. What is
still the same gets ``#2``, ``#3`` and so on, in the order of the NodeIds' texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from asyncua import ua

from adapters.opcua.browse import Reader
from adapters.opcua.namespaces import Namespaces
from adapters.opcua.types import HAS_INTERFACE, HAS_PROPERTY, Declaration, Name, Sources, TypeSpace, name_of
from gateway.model.names import join_path

OBJECT, VARIABLE, METHOD = 1, 2, 4
_CLASSES = frozenset({OBJECT, VARIABLE, METHOD})
_PROPERTY_TYPE = ua.NodeId(ua.ObjectIds.PropertyType)
_MOST_NODES = 100_000  # per server; a machine tool has a few hundred
_DEEPEST = 32

DESCRIBING = frozenset({
    "AxisDefinition", "AxisScaleType", "DefaultInstanceBrowseName", "Definition", "EngineeringUnits",
    "EnumDictionaryEntries", "EnumStrings", "EnumValues", "EUNumberRange", "EURange", "FalseState", "InputArguments",
    "InstrumentNumberRange", "InstrumentRange", "NodeVersion", "OutputArguments", "TrueState", "ValuePrecision",
    "XAxisDefinition", "YAxisDefinition", "ZAxisDefinition",
})  # fmt: skip
"""Properties that describe a node, whatever their namespace (OPC 40501-1 has an EngineeringUnits of its own)."""


@dataclass(slots=True)
class Child:
    """A reference from a node to one of its parts."""

    node: ua.NodeId
    name: Name
    node_class: int
    type: ua.NodeId | None
    display: str | None
    property: bool


@dataclass(slots=True)
class TreeNode:
    """An object or variable of a machine.

    Attributes:
        path: Below the machine; "" is the machine.
        declarations: Of it in the enclosing types, most derived first; empty for a vendor's addition.
        describing: Its describing properties by name.
        component: The object that it belongs to; itself for an object.
    """

    node: ua.NodeId
    path: str
    names: tuple[str, ...]
    name: Name
    node_class: int
    type: ua.NodeId | None
    display: str | None
    declarations: Sequence[Declaration] = ()
    sources: Sources = ()
    describing: dict[str, ua.NodeId] = field(default_factory=dict)
    children: list[Child] = field(default_factory=list)
    below: list[TreeNode] = field(default_factory=list)
    component: TreeNode | None = None


@dataclass(slots=True)
class Tree:
    """One machine."""

    root: TreeNode
    nodes: list[TreeNode]
    problems: list[str] = field(default_factory=list)
    also: dict[str, str] = field(default_factory=dict)


class Walker:
    """Walks through machines, side by side."""

    def __init__(self, reader: Reader, namespaces: Namespaces, types: TypeSpace) -> None:
        self._reader = reader
        self._namespaces = namespaces
        self._types = types
        self._interfaces: dict[ua.NodeId, list[ua.NodeId]] = {}
        self._total = 0

    async def walk(self, roots: Sequence[Child], borders: Iterable[ua.NodeId]) -> list[Tree]:
        """The trees of these machines; nodes of `borders` are not entered.

        Types that turn up are loaded, and every node knows its sources at the end.
        """
        trees = [Tree(_root(root), []) for root in roots]
        closed = set(borders) | {root.node for root in roots}
        levels = [[tree.root] for tree in trees]
        seen = [{tree.root.node: ""} for tree in trees]
        for tree in trees:
            tree.nodes.append(tree.root)
        for _ in range(_DEEPEST):
            if not any(levels) or self._total > _MOST_NODES:
                break
            await self._fill([(tree, node) for tree, level in zip(trees, levels, strict=True) for node in level])
            levels = [
                self._descend(tree, level, known, closed)
                for tree, level, known in zip(trees, levels, seen, strict=True)
            ]
        if any(levels):
            for tree, level in zip(trees, levels, strict=True):
                if level:
                    limit = f"{_DEEPEST} levels or {_MOST_NODES} nodes"
                    tree.problems.append(f"{level[0].path}: what is below it was not read, beyond {limit}")
        await self._types.load(node.type for tree in trees for node in tree.nodes if node.type is not None)
        await self._types.load(one for found in self._interfaces.values() for one in found)
        for tree in trees:
            self._declare(tree)
        return trees

    async def _fill(self, nodes: Sequence[tuple[Tree, TreeNode]]) -> None:
        """Browse these nodes and note their parts."""
        found = await self._reader.references(node.node for _, node in nodes)
        for tree, node in nodes:
            result = found[node.node]
            if result.fault:
                tree.problems.append(f"{node.path or 'its root'}: what is below could not be browsed: {result.fault}")
            for reference in result.references:
                child = self._child(node, reference)
                if child is not None:
                    node.children.append(child)

    def _child(self, node: TreeNode, reference: ua.ReferenceDescription) -> Child | None:
        target = self._namespaces.local(reference.NodeId)
        if target is None:
            return None
        if reference.ReferenceTypeId == HAS_INTERFACE:
            self._interfaces.setdefault(node.node, []).append(target)
            return None
        if reference.ReferenceTypeId not in self._types.hierarchical or int(reference.NodeClass) not in _CLASSES:
            return None
        return child_of(self._namespaces, target, reference)

    def _descend(
        self, tree: Tree, level: Sequence[TreeNode], seen: dict[ua.NodeId, str], closed: set[ua.NodeId]
    ) -> list[TreeNode]:
        """The next level: parts that are new, in the order of their paths."""
        found: list[TreeNode] = []
        for node in level:
            for label, child in self._labelled(tree, node):
                if child.property and child.name[1] in DESCRIBING:
                    node.describing.setdefault(child.name[1], child.node)
                elif child.node_class != METHOD and child.node not in closed:
                    names = (*node.names, label)
                    found.append(_tree_node(child, names, node))
        fresh: list[TreeNode] = []
        for one in sorted(found, key=lambda one: one.path):
            if one.node in seen:
                tree.also[one.path] = seen[one.node]
                continue
            seen[one.node] = one.path
            fresh.append(one)
        self._total += len(fresh)
        tree.nodes.extend(fresh)
        return [one for one in fresh if one.type != _PROPERTY_TYPE]

    def _labelled(self, tree: Tree, node: TreeNode) -> list[tuple[str, Child]]:
        """The parts of a node, each once, with the name that it has in paths."""
        parts = {child.node: child for child in node.children}
        by_name: dict[str, list[Child]] = {}
        for child in parts.values():
            by_name.setdefault(child.name[1], []).append(child)
        labelled: list[tuple[str, Child]] = []
        used: set[str] = set(by_name)
        for name, children in by_name.items():
            if len(children) == 1:
                labelled.append((name, children[0]))
                continue
            for label, child in self._distinct(name, sorted(children, key=self._order), used):
                labelled.append((label, child))
                if label != name and child.node_class != METHOD:
                    tree.problems.append(
                        f"{join_path((*node.names, label))}: named so because another node has the path "
                        f"{join_path((*node.names, name))} too"
                    )
        return labelled

    def _distinct(self, name: str, children: Sequence[Child], used: set[str]) -> list[tuple[str, Child]]:
        labels = [name]
        for child in children[1:]:
            wanted = f"{name}@{self._uri(child)}" if child.name[0] != children[0].name[0] else name
            label, number = wanted, 2
            while label in used:
                label, number = f"{wanted}#{number}", number + 1
            used.add(label)
            labels.append(label)
        return list(zip(labels, children, strict=True))

    def _uri(self, child: Child) -> str:
        index = child.name[0]
        return self._namespaces.uris[index] if index < len(self._namespaces.uris) else f"unknown namespace {index}"

    def _order(self, child: Child) -> tuple[bool, str, str]:
        return (not self._namespaces.foundation(child.name[0]), self._uri(child), child.node.to_string())

    def _declare(self, tree: Tree) -> None:
        """Give every node the declarations that it is an instance of, parents before their parts."""
        tree.root.sources = self._sources(tree.root, ())
        for parent in tree.nodes:
            members = self._types.members(parent.sources) if parent.below else {}
            for node in parent.below:
                declared = members.get(node.name) or self._placeholder(members, node)
                node.declarations = [one for one in declared if one.node_class == node.node_class]
                node.sources = self._sources(node, node.declarations)

    def _sources(self, node: TreeNode, declarations: Sequence[Declaration]) -> Sources:
        chain = self._types.chain(node.type) if node.type is not None else ()
        interfaces = [up for one in self._interfaces.get(node.node, ()) for up in self._types.chain(one)]
        return tuple(dict.fromkeys((*(one.node for one in declarations), *chain, *interfaces)))

    def _placeholder(self, members: dict[Name, list[Declaration]], node: TreeNode) -> list[Declaration]:
        """The most special placeholder that this node fills by its type."""
        fits = [found for found in members.values() if fills(self._types, found[0], node.node_class, node.type)]
        for found in fits:
            if all(self._types.is_subtype(found[0].type, other[0].type) for other in fits):
                return found
        return []


def fills(types: TypeSpace, declaration: Declaration, node_class: int, type_id: ua.NodeId | None) -> bool:
    """A node of this class and type is an instance of that placeholder."""
    return (
        declaration.placeholder
        and declaration.node_class == node_class
        and (declaration.type is None or types.is_subtype(type_id, declaration.type))
    )


def child_of(namespaces: Namespaces, target: ua.NodeId, reference: ua.ReferenceDescription) -> Child:
    """A part of a node as its reference describes it."""
    type_id = namespaces.local(reference.TypeDefinition)
    type_id = None if type_id is None or type_id.is_null() else type_id
    display = reference.DisplayName.Text if reference.DisplayName is not None else None
    is_property = reference.ReferenceTypeId == HAS_PROPERTY or type_id == _PROPERTY_TYPE
    return Child(target, name_of(reference.BrowseName), int(reference.NodeClass), type_id, display, is_property)


def _root(child: Child) -> TreeNode:
    node = TreeNode(child.node, "", (), child.name, child.node_class, child.type, child.display)
    node.component = node
    return node


def _tree_node(child: Child, names: tuple[str, ...], above: TreeNode) -> TreeNode:
    node = TreeNode(child.node, join_path(names), names, child.name, child.node_class, child.type, child.display)
    node.component = node if child.node_class == OBJECT else above.component
    above.below.append(node)
    return node
