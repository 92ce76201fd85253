"""The machines of a server, found by the Machines folder of OPC 40001-1 and by their types, ready to be monitored."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from asyncua import Client, ua

from adapters.opcua.browse import Reader, content, readable
from adapters.opcua.conditions import ConditionBook
from adapters.opcua.datatypes import DataTypes
from adapters.opcua.events import load_events
from adapters.opcua.forms import DecodeError, shown
from adapters.opcua.identification import identification_of, identity_of, missing
from adapters.opcua.lacks import lacks_of
from adapters.opcua.limits import OperationLimits
from adapters.opcua.machines import find_machines
from adapters.opcua.namespaces import Namespaces
from adapters.opcua.plan import Discovery, MachinePlan
from adapters.opcua.signals import Describer
from adapters.opcua.space import ServerSpace
from adapters.opcua.tree import OBJECT, VARIABLE, Tree, TreeNode, Walker
from adapters.opcua.types import TypeSpace
from adapters.opcua.values import Values
from gateway.model import Component, JsonValue, MachineDescription

_SERVER = ua.NodeId(ua.ObjectIds.Server)
_NAMESPACE_ARRAY = ua.NodeId(ua.ObjectIds.Server_NamespaceArray)
_SUBSCRIBE_TO_EVENTS = 1  # bit of EventNotifier (OPC 10000-3, 8.59)


async def discover(
    client: Client, *, source: str, limits: OperationLimits, book: ConditionBook | None = None
) -> Discovery:
    """Find all machines of the server behind this connected client and all that they offer.

    One bad node never fails the rest: it stands in `problems`.

    Args:
        client: Connected.
        source: Name of the configured source.
        limits: Operations in one call.
        book: Conditions that were of interest before; without one, no events are prepared.

    Raises:
        ua.UaError: The server refused a whole service.
        ConnectionError: The connection was lost.
    """
    reader = Reader(client, limits)
    (table,) = await reader.read([(_NAMESPACE_ARRAY, ua.AttributeIds.Value)])
    namespaces = Namespaces(content(table) if readable(table) else ())
    types = TypeSpace(reader, namespaces)
    data_types = DataTypes(reader, namespaces, types)
    space = ServerSpace(reader, namespaces, types, data_types, Values(data_types))
    discovery = Discovery([], namespaces=namespaces.uris, space=space)
    if not readable(table):
        discovery.problems.append(f"the server's NamespaceArray could not be read: {table.StatusCode.name}")
    await types.load_references()
    found = await find_machines(reader, namespaces, types)
    discovery.problems.extend(found.problems)
    if found.machines:
        trees = await Walker(reader, namespaces, types).walk(found.machines, found.borders)
        await _Builder(space, source).build(trees, discovery)
    if book is not None and discovery.machines:
        discovery.events = await load_events(reader, namespaces, types, space.values, discovery.machines, book)
    types.forget_declarations()
    discovery.problems = [shown(one) for one in discovery.problems]
    return discovery


class _Builder:
    """Makes plans of machines from their trees."""

    def __init__(self, space: ServerSpace, source: str) -> None:
        self._reader = space.reader
        self._namespaces = space.namespaces
        self._types = space.types
        self._data_types = space.data_types
        self._values = space.values
        self._source = source
        self._describer = Describer(space)

    async def build(self, trees: Sequence[Tree], discovery: Discovery) -> None:
        """Add a plan for each machine that can be told from all others."""
        await self._describer.load(trees)
        identities = {tree.root.node: identification_of(self._types, self._namespaces, tree) for tree in trees}
        variables = [one for node in identities.values() if node is not None for one in _variables(node)]
        values = await self._reader.values(one.node for one in variables)
        notifiers = await self._reader.read([(tree.root.node, ua.AttributeIds.EventNotifier) for tree in trees])
        known: dict[str, str] = {}
        discovery.problems.extend(self._data_types.problems)
        for tree, notifier in zip(trees, notifiers, strict=True):
            await asyncio.sleep(0)  # describing a machine takes some ms: let the publish loop of others in between
            name = tree.root.name[1]
            identification = self._identification(identities[tree.root.node], values, tree)
            identity = identity_of(identification)
            if identity is None:
                discovery.problems.append(f"machine {name}: not published: {missing(identification)}")
                continue
            if identity in known:
                discovery.problems.append(
                    f"machine {name}: not published: it has the identity {identity!r} of machine {known[identity]}; "
                    "give each machine a ProductInstanceUri of its own"
                )
                continue
            known[identity] = name
            events = bool(int(content(notifier) or 0) & _SUBSCRIBE_TO_EVENTS) if readable(notifier) else False
            discovery.machines.append(self._plan(tree, identity, identification, discovery, events=events))

    def _identification(
        self, node: TreeNode | None, values: dict[ua.NodeId, object], tree: Tree
    ) -> dict[str, JsonValue]:
        found: dict[str, JsonValue] = {}
        for one in _variables(node) if node is not None else ():
            if one.node not in values:
                continue
            try:
                found[one.names[-1]] = self._values.any(values[one.node])
            except DecodeError as fault:
                tree.problems.append(f"{one.path}: {fault}")
        return found

    def _plan(
        self, tree: Tree, identity: str, identification: dict[str, JsonValue], discovery: Discovery, *, events: bool
    ) -> MachinePlan:
        described = self._describer.describe(tree)
        name = tree.root.name[1]
        discovery.problems.extend(f"machine {name}: {one}" for one in (*tree.problems, *described.problems))
        description = MachineDescription(
            id=identity,
            name=name,
            type=self._type_name(tree.root),
            type_id=self._namespaces.semantic(tree.root.type),
            source=self._source,
            identification=identification,
            components=[self._component(node) for node in tree.nodes[1:] if node.node_class == OBJECT],
            signals=described.signals,
            data_types=described.data_types,
            lacks=lacks_of(self._types, tree),
        )
        objects = {node.node: node.path for node in tree.nodes if node.node_class == OBJECT}
        notifier = tree.root.node if events else _SERVER
        return MachinePlan(tree.root.node, description, described.plans, objects, notifier, tree.also)

    def _component(self, node: TreeNode) -> Component:
        display = node.display if node.display and node.display != node.name[1] else None
        declared = any(self._namespaces.foundation(one.node.NamespaceIndex) for one in node.declarations)
        return Component(
            path=node.path,
            type=self._type_name(node),
            type_id=self._namespaces.semantic(node.type),
            name=display,
            vendor=not declared,
        )

    def _type_name(self, node: TreeNode) -> str:
        return "BaseObjectType" if node.type is None else self._types.type_name(node.type)


def _variables(node: TreeNode) -> list[TreeNode]:
    return [one for one in node.below if one.node_class == VARIABLE]
