"""Looks at a device's address space, level by level, in batches, and makes a snapshot of it."""

# ruff: noqa: ANN401 - asyncua's objects come without usable annotations
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from asyncua import ua

from conformance.device.session import RefusedError, Session
from conformance.device.snapshot import (
    ENUMERATION,
    MACHINES,
    OBJECTS,
    SERVER,
    Name,
    Node,
    Reading,
    Reference,
    Snapshot,
    StateNode,
    Text,
    TypeNode,
    is_downward,
)

_TYPE_DEFINITION = ua.NodeId(ua.ObjectIds.HasTypeDefinition)
_HAS_SUBTYPE = ua.NodeId(ua.ObjectIds.HasSubtype)
_STATE_MACHINE, _STATE, _TRANSITION = "i=2771", "i=2307", "i=2310"
_INSTANCES = frozenset({"Object", "Variable", "Method"})
_LEVELS = 40
"""Deeper than any machine; a device whose nodes never end is left there."""

_SERVER = {
    "NamespaceArray": ua.ObjectIds.Server_NamespaceArray,
    "ServerArray": ua.ObjectIds.Server_ServerArray,
    "ServiceLevel": ua.ObjectIds.Server_ServiceLevel,
    "ServerStatus": ua.ObjectIds.Server_ServerStatus,
    "ServerStatus/State": ua.ObjectIds.Server_ServerStatus_State,
    "ServerStatus/StartTime": ua.ObjectIds.Server_ServerStatus_StartTime,
    "ServerStatus/CurrentTime": ua.ObjectIds.Server_ServerStatus_CurrentTime,
    "ServerStatus/BuildInfo": ua.ObjectIds.Server_ServerStatus_BuildInfo,
    "ServerCapabilities/ServerProfileArray": ua.ObjectIds.Server_ServerCapabilities_ServerProfileArray,
    "ServerCapabilities/LocaleIdArray": ua.ObjectIds.Server_ServerCapabilities_LocaleIdArray,
    "ServerCapabilities/MinSupportedSampleRate": ua.ObjectIds.Server_ServerCapabilities_MinSupportedSampleRate,
    "ServerCapabilities/MaxBrowseContinuationPoints": (
        ua.ObjectIds.Server_ServerCapabilities_MaxBrowseContinuationPoints
    ),
}
_ATTRIBUTES = {
    "reading": ua.AttributeIds.Value,
    "data_type": ua.AttributeIds.DataType,
    "rank": ua.AttributeIds.ValueRank,
    "dimensions": ua.AttributeIds.ArrayDimensions,
    "access": ua.AttributeIds.AccessLevel,
    "user_access": ua.AttributeIds.UserAccessLevel,
}


async def crawl(session: Session) -> Snapshot:
    """Everything below the Machines folder, some of what else is below Objects, the types in use, the server itself.

    Raises:
        TargetError: The device stopped answering.
    """
    await session.learn()
    work = _Crawl(session)
    limits = session.access.limits
    await work.descend([MACHINES], limits.nodes)
    await work.descend([OBJECTS], len(work.nodes) + limits.other_nodes)
    await work.describe()
    return work.snapshot(await _server(session))


async def refresh(session: Session, before: Snapshot, touched: Iterable[str]) -> Snapshot:
    """A snapshot after these nodes and types alone have changed: only they are asked again, and what is new below.

    Raises:
        TargetError: The device stopped answering.
    """
    work = _Crawl(session)
    stale = set(touched)
    work.nodes = {key: node for key, node in before.nodes.items() if key not in stale}
    work.types = {key: known for key, known in before.types.items() if key not in stale}
    await work.learn(stale & set(before.types))
    await work.again([node for key, node in before.nodes.items() if key in stale])
    await work.describe(None if stale - set(before.nodes) - set(before.types) else before)
    made = work.snapshot(before.server)
    return replace(made, nodes={key: made.nodes[key] for key in _below(made, [MACHINES, OBJECTS])})


def _below(snapshot: Snapshot, roots: Iterable[str]) -> dict[str, None]:
    found: dict[str, None] = {}
    level = [one for one in roots if one in snapshot.nodes]
    while level:
        found.update(dict.fromkeys(level))
        level = [
            child.id for one in level for _, child in snapshot.children(snapshot.nodes[one]) if child.id not in found
        ]
    return found


async def _server(session: Session) -> dict[str, Reading]:
    nodes = [(ua.NodeId(number), ua.AttributeIds.Value) for number in _SERVER.values()]
    return dict(zip(_SERVER, map(_Reader(session).reading, await session.read(nodes)), strict=True))


class _Reader:
    """Makes plain data of answers."""

    def __init__(self, session: Session) -> None:
        self.names = session.names

    def reading(self, answer: Any) -> Reading:
        if isinstance(answer, ua.DataValue):
            try:
                return self.names.reading(answer)
            except (ValueError, TypeError, AttributeError) as error:
                return Reading(fault=f"cannot be understood: {error}")
        return Reading(fault=str(answer))

    def attribute(self, answer: Any) -> Any:
        """A plain attribute; None where it could not be read."""
        found = self.reading(answer)
        return found.value if found.good else None


class _Crawl:
    def __init__(self, session: Session) -> None:
        self.session = session
        self.names = session.names
        self.reader = _Reader(session)
        self.nodes: dict[str, Node] = {}
        self.types: dict[str, TypeNode] = {}
        self.enumerations: dict[str, dict[int, str] | None] = {}
        self.states: dict[str, tuple[StateNode, ...]] = {}
        self.incomplete: list[str] = []

    def snapshot(self, server: Any) -> Snapshot:
        return Snapshot(self.nodes, self.types, self.enumerations, self.states, server, tuple(self.incomplete))

    async def again(self, nodes: list[Node]) -> None:
        """Ask nodes again, each as its parents among them tell it now, and then what is new below them."""
        ids = [self.names.node(node.id) for node in nodes]
        told: dict[str, Node] = {}
        for references in await self.session.browse(ids):
            for one in [] if isinstance(references, RefusedError) else references:
                key = self.names.id(one.NodeId)
                told[key] = self._target(one, key)
        level = [told.get(node.id, replace(node, references=())) for node in nodes]
        while level:
            level = await self._level(level)

    async def descend(self, roots: Iterable[str], most: int) -> None:
        """Browse from these nodes on; nodes that are there already are not asked again."""
        level = [node for node in await self._roots(roots) if node.id not in self.nodes]
        for _ in range(_LEVELS):
            if not level:
                return
            if len(self.nodes) + len(level) > most:
                self.incomplete.append(f"more than {most} nodes: the rest was not looked at")
                level = level[: max(0, most - len(self.nodes))]
            level = await self._level(level)
        if level:
            self.incomplete.append(f"more than {_LEVELS} levels: the rest was not looked at")

    async def _roots(self, roots: Iterable[str]) -> list[Node]:
        found = []
        for root in roots:
            try:
                node = self.names.node(root)
            except LookupError:
                continue
            name, kind, display = await self.session.read(
                [
                    (node, ua.AttributeIds.BrowseName),
                    (node, ua.AttributeIds.NodeClass),
                    (node, ua.AttributeIds.DisplayName),
                ]
            )
            if isinstance(kind, ua.DataValue) and kind.StatusCode.is_good() and self.reader.attribute(name):
                shown = self.reader.attribute(display) or Text(None, None)
                found.append(Node(root, self.reader.attribute(name), _class_name(kind.Value.Value), shown))
        return found

    async def _level(self, level: list[Node]) -> list[Node]:
        """Take one level's nodes with all that belongs to them; the nodes of the next."""
        ids = [self.names.node(node.id) for node in level]
        found = await self.session.browse(ids)
        targets: dict[str, Node] = {}
        for node, references in zip(level, found, strict=True):
            if isinstance(references, RefusedError):
                self.incomplete.append(f"{node.name.name}: {references}")
                self.nodes[node.id] = node
                continue
            seen = [(one, self.names.id(one.NodeId)) for one in references if one.IsForward]
            typed = next((target for one, target in seen if one.ReferenceTypeId == _TYPE_DEFINITION), node.type)
            kept = tuple(Reference(self.names.id(one.ReferenceTypeId), target) for one, target in seen)
            self.nodes[node.id] = replace(node, references=kept, type=typed)
            for one, target in seen:
                if not getattr(one.NodeId, "ServerIndex", 0):
                    targets.setdefault(target, self._target(one, target))
        await self._attributes([self.nodes[node.id] for node in level])
        await self.learn(reference.type for node in level for reference in self.nodes[node.id].references)
        follow = {
            reference.target: None
            for node in level
            for reference in self.nodes[node.id].references
            if self._downward(reference.type)
        }
        return [
            targets[key]
            for key in follow
            if key in targets and key not in self.nodes and key != SERVER and targets[key].node_class in _INSTANCES
        ]

    def _target(self, found: Any, key: str) -> Node:
        typed = None if found.TypeDefinition is None or found.TypeDefinition.is_null() else found.TypeDefinition
        return Node(
            id=key,
            name=self.names.name(found.BrowseName),
            node_class=_class_name(found.NodeClass),
            display=self.names.text(found.DisplayName),
            type=self.names.id(typed) if typed is not None else None,
        )

    def _downward(self, kind: str) -> bool:
        chain = set()
        current: str | None = kind
        while current is not None and current not in chain:
            chain.add(current)
            known = self.types.get(current)
            current = known.supertype if known is not None else None
        return is_downward(chain)

    async def _attributes(self, level: list[Node]) -> None:
        variables = [node for node in level if node.node_class == "Variable"]
        wanted = [(self.names.node(node.id), attribute) for node in variables for attribute in _ATTRIBUTES.values()]
        answers = iter(await self.session.read(wanted))
        for node in variables:
            found = {name: next(answers) for name in _ATTRIBUTES}
            dimensions = self.reader.attribute(found["dimensions"])
            self.nodes[node.id] = replace(
                node,
                reading=self.reader.reading(found["reading"]),
                data_type=_text(self.reader.attribute(found["data_type"])),
                rank=_whole(self.reader.attribute(found["rank"])),
                dimensions=tuple(dimensions) if isinstance(dimensions, list) else None,
                access=_whole(self.reader.attribute(found["access"])),
                user_access=_whole(self.reader.attribute(found["user_access"])),
            )
        objects = [node for node in level if node.node_class == "Object"]
        notifiers = [(self.names.node(node.id), ua.AttributeIds.EventNotifier) for node in objects]
        for node, answer in zip(objects, await self.session.read(notifiers), strict=True):
            self.nodes[node.id] = replace(node, notifier=_whole(self.reader.attribute(answer)))

    async def learn(self, wanted: Iterable[str | None]) -> None:
        """Find out names and supertypes of types, and those of their supertypes."""
        left = {one for one in wanted if one is not None and one not in self.types}
        for _ in range(_LEVELS):
            ids = {}
            for one in sorted(left):
                try:
                    ids[one] = self.names.node(one)
                except (LookupError, ua.UaError, ValueError):
                    self.types[one] = _unknown(one)
            if not ids:
                return
            above = await self.session.browse(list(ids.values()), inverse=_HAS_SUBTYPE)
            attributes = (ua.AttributeIds.BrowseName, ua.AttributeIds.NodeClass, ua.AttributeIds.IsAbstract)
            answers = iter(await self.session.read([(one, what) for one in ids.values() for what in attributes]))
            left = set()
            for key, references in zip(ids, above, strict=True):
                name, kind, abstract = next(answers), next(answers), next(answers)
                parents = [] if isinstance(references, RefusedError) else [one.NodeId for one in references]
                parent = self.names.id(parents[0]) if parents else None
                known = self.reader.attribute(name)
                self.types[key] = TypeNode(
                    id=key,
                    name=known if known is not None else _unknown(key).name,
                    node_class=_class_name(kind.Value.Value) if _good(kind) else "",
                    supertype=parent,
                    abstract=self.reader.attribute(abstract),
                )
                if parent is not None and parent not in self.types:
                    left.add(parent)

    async def describe(self, known: Snapshot | None = None) -> None:
        """The types in use, what they enumerate, their states."""
        nodes = list(self.nodes.values())
        await self.learn({one for node in nodes for one in (node.type, node.data_type)})
        if known is not None:
            self.enumerations = {key: dict(found) if found else None for key, found in known.enumerations.items()}
            self.states = dict(known.states)
        chains = Snapshot({}, self.types)
        data = {kind for node in nodes for kind in chains.supertypes(node.data_type)}
        await self._enumerated(
            sorted(one for one in data - set(self.enumerations) if one != ENUMERATION and chains.is_a(one, ENUMERATION))
        )
        machines = {kind for node in nodes for kind in chains.supertypes(node.type)}
        await self._stated(sorted(one for one in machines - set(self.states) if chains.is_a(one, _STATE_MACHINE)))

    async def _references(self, kinds: Iterable[Any]) -> list[list[Any]]:
        """Forward references of nodes; none where the device refuses."""
        found = await self.session.browse(list(kinds))
        return [[] if isinstance(one, RefusedError) else [ref for ref in one if ref.BrowseName] for one in found]

    async def _enumerated(self, kinds: list[str]) -> None:
        """Names of the values of enumerations."""
        properties: dict[str, Any] = {}
        for kind, references in zip(kinds, await self._references(map(self.names.node, kinds)), strict=True):
            self.enumerations[kind] = None
            named = {one.BrowseName.Name: one.NodeId for one in references}
            for name in ("EnumValues", "EnumStrings"):
                if name in named:
                    properties.setdefault(kind, _plain_id(named[name]))
        for kind, value in zip(properties, await self.session.values(list(properties.values())), strict=True):
            try:
                self.enumerations[kind] = _enumerated(value)
            except (AttributeError, TypeError, ValueError):
                continue

    async def _stated(self, kinds: list[str]) -> None:
        """States and transitions that state machine types declare."""
        declared = await self._references(map(self.names.node, kinds))
        await self.learn(
            {self.names.id(one.TypeDefinition) for references in declared for one in references if one.TypeDefinition}
        )
        chains = Snapshot({}, self.types)
        found: list[tuple[str, Any, bool]] = []
        for kind, references in zip(kinds, declared, strict=True):
            self.states[kind] = ()
            for one in references:
                own = self.names.id(one.TypeDefinition) if one.TypeDefinition else None
                if chains.is_a(own, _TRANSITION) or chains.is_a(own, _STATE):
                    found.append((kind, one, chains.is_a(own, _TRANSITION)))
        below = await self._references(_plain_id(one.NodeId) for _, one, _ in found)
        numbers: dict[int, Any] = {}
        for at, ((_, _, transition), references) in enumerate(zip(found, below, strict=True)):
            wanted = "TransitionNumber" if transition else "StateNumber"
            number = next((one.NodeId for one in references if one.BrowseName.Name == wanted), None)
            if number is not None:
                numbers[at] = _plain_id(number)
        values = dict(zip(numbers, await self.session.values(list(numbers.values())), strict=True))
        for at, (kind, one, transition) in enumerate(found):
            name = (one.BrowseName.Name or "")[: self.names.limits.text_characters]
            state = StateNode(self.names.id(one.NodeId), name, _whole(values.get(at)), transition)
            self.states[kind] = (*self.states[kind], state)


def _plain_id(node: Any) -> ua.NodeId:
    return ua.NodeId(node.Identifier, node.NamespaceIndex, node.NodeIdType)


def _enumerated(value: Any) -> dict[int, str] | None:
    if not isinstance(value, list):
        return None
    if value and hasattr(value[0], "DisplayName"):
        return {int(one.Value): one.DisplayName.Text or "" for one in value}
    return {number: one.Text or "" for number, one in enumerate(value)}


def _unknown(key: str) -> TypeNode:
    return TypeNode(key, Name("", key), "")


def _good(answer: Any) -> bool:
    return isinstance(answer, ua.DataValue) and answer.StatusCode.is_good() and answer.Value is not None


def _class_name(found: Any) -> str:
    try:
        return str(ua.NodeClass(found).name)
    except ValueError:
        return str(found)


def _text(found: Any) -> str | None:
    return found if isinstance(found, str) else None


def _whole(found: Any) -> int | None:
    return int(found) if isinstance(found, int) and not isinstance(found, bool) else None
