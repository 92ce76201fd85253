"""Builds a machine's instances: what the types declare as they declare it, the rest as a vendor's addition."""

# ruff: noqa: ANN401 - values of every data type, and asyncua's objects, pass through here
from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from asyncua import ua

from simulators.machine import Machine, MethodPoint, Part, Point, State
from simulators.opcua import paths
from simulators.opcua.describe import Describer
from simulators.opcua.instance import DESCRIBING, Entry, Instance, Variable
from simulators.opcua.space import (
    BASE_OBJECT,
    BASE_VARIABLE,
    HAS_COMPONENT,
    HAS_NOTIFIER,
    HAS_PROPERTY,
    PROPERTY_TYPE,
    Id,
    Space,
)
from simulators.opcua.types import Declaration, Types
from simulators.opcua.values import Values, datetime_from_ticks

_LOG = logging.getLogger(__name__)
_MACHINES = 1001
_MACHINERY = "http://opcfoundation.org/UA/Machinery/"
_ORGANIZES = ua.NodeId(ua.ObjectIds.Organizes)
_STATE_MACHINE = ua.NodeId(ua.ObjectIds.StateMachineType)
_STATE_VARIABLES = {"CurrentState": False, "LastTransition": True}
_SERVER = ua.NodeId(ua.ObjectIds.Server)
_CONCRETE = {"MachineryItemIdentificationType": "MachineryComponentIdentificationType"}
"""Abstract types of mandatory objects, and what OPC 40001-1 (9.3) has for components in their place."""


class BuildError(Exception):
    """A machine model does not fit the companion specifications; the text says where."""


class Builder:
    """Makes the nodes of machines."""

    def __init__(self, space: Space, types: Types, values: Values) -> None:
        self.space = space
        self.types = types
        self.values = values
        self.describe = Describer(space, types, values)

    def build(self, machine: Machine, namespace: int, now: int) -> Instance:
        """Make the machine below the Machines folder with all its initial values.

        Raises:
            BuildError: The model names a type, a data type or a value that the specifications do not allow there.
        """
        type_id = self._type(machine.type, machine.name)
        root = ua.NodeId(machine.name, namespace)
        name = ua.QualifiedName(machine.name, namespace)
        folder = ua.NodeId(_MACHINES, self.space.index(_MACHINERY))
        self.space.add_object(root, folder, _ORGANIZES, name, type_id)
        instance = Instance(machine, root, namespace)
        instance.entries[""] = Entry(root, "", self.types.chain(type_id), "")
        self.extend(instance, machine.parts, machine.points, now)
        for method in machine.methods:
            self._method(instance, method)
        self._notifiers(instance)
        if instance.neutral:
            _LOG.info("%s: the model gives no value for what is mandatory, neutral ones are shown: %s",
                      machine.name, ", ".join(instance.neutral))  # fmt: skip
        return instance

    def extend(self, instance: Instance, parts: Iterable[Part], points: Iterable[Point], now: int) -> list[Variable]:
        """Add objects and variables; return the new variables."""
        before = set(instance.variables)
        work = _Work(self, instance, {part.path: part for part in parts}, now)
        for path in work.parts:
            work.node(path)
        for point in points:
            work.point(point)
        work.mandatory()
        work.share()
        work.versions()
        self._shown(instance)
        return [variable for path, variable in instance.variables.items() if path not in before]

    def remove(self, instance: Instance, path: str) -> list[Variable]:
        """Remove the object at `path` and all below it; return the variables that are gone."""
        below = f"{path}/"
        gone = [key for key in instance.entries if key == path or key.startswith(below)]
        variables = [instance.variables.pop(key) for key in gone if key in instance.variables]
        for key in sorted(gone, key=len, reverse=True):
            entry = instance.entries.pop(key)
            for child in list(self.space.children(entry.node)):
                if child.ReferenceTypeId == HAS_PROPERTY and self.space.exists(child.NodeId):
                    self.space.remove(child.NodeId)
            instance.writable.pop(entry.node, None)
            if self.space.exists(entry.node):
                self.space.remove(entry.node)
        return variables

    def _type(self, name: str, where: str) -> Id:
        try:
            return self.types.named(name)
        except LookupError as fault:
            raise BuildError(f"{where}: {fault}") from fault

    def _method(self, instance: Instance, method: MethodPoint) -> None:
        work = _Work(self, instance, {}, 0)
        parent = work.node(paths.parent_of(method.path))
        name = paths.name_of(method.path)
        declared = self.types.members(parent.sources).get(name, [])
        node = ua.NodeId(f"{instance.machine.name}/{method.path}", instance.namespace)
        if declared:
            self.space.add_method(node, parent.node, declared[0].reference, declared[0].name, method.text)
        else:
            self.space.add_method(
                node, parent.node, HAS_COMPONENT, ua.QualifiedName(name, instance.namespace), method.text
            )
        self.describe.arguments(node, method, declared)
        instance.methods[node] = method.path

    def _notifiers(self, instance: Instance) -> None:
        """Events go from Messages to the machine to the Server: bits and references say so."""
        nodes = [_SERVER, instance.node]
        messages = instance.entries.get("Notification/Messages")
        if messages is not None:
            nodes.append(messages.node)
        for above, below in pairwise(nodes):
            self.space.add_reference(above, HAS_NOTIFIER, below)
        for node in nodes:
            bit = ua.Variant(1, ua.VariantType.Byte)
            self.space.nodes[node].attributes[ua.AttributeIds.EventNotifier].value = ua.DataValue(bit)

    def _shown(self, instance: Instance) -> None:
        """Give every variable the shortest path on which a client finds it."""
        shown: dict[Id, str] = {instance.node: ""}
        queue = deque([instance.node])
        while queue:
            node = queue.popleft()
            for child in self.space.children(node):
                if child.NodeId not in shown and child.NodeId.NamespaceIndex == instance.namespace:
                    shown[child.NodeId] = paths.join(shown[node], child.BrowseName.Name)
                    queue.append(child.NodeId)
        instance.shown_objects = shown
        for variable in instance.variables.values():
            variable.shown = shown[variable.node]


class _Work:
    """One round of adding nodes to an instance."""

    def __init__(self, builder: Builder, instance: Instance, parts: Mapping[str, Part], now: int) -> None:
        self.builder = builder
        self.space = builder.space
        self.types = builder.types
        self.values = builder.values
        self.describe = builder.describe
        self.instance = instance
        self.parts = parts
        self.now = now
        self.fresh: list[str] = []

    def id(self, path: str) -> Id:
        """NodeId of the node at `path`."""
        return ua.NodeId(f"{self.instance.machine.name}/{path}", self.instance.namespace)

    def node(self, path: str) -> Entry:
        """The object (or variable) at `path`; made with all above it where it is not yet there."""
        if path in self.instance.entries:
            return self.instance.entries[path]
        parent = self.node(paths.parent_of(path))
        name = paths.name_of(path)
        part = self.parts.get(path)
        wanted = self.builder._type(part.type, path) if part is not None and part.type is not None else None
        members = self.types.members(parent.sources)
        declared = [one for one in members.get(name, []) if not one.placeholder]
        if declared and declared[0].node_class is ua.NodeClass.Variable:
            return self.variable(path, parent, declared, Point(path, None), wanted, neutral=True)
        return self._object(path, parent, declared or self._placeholder(members, wanted), wanted, part)

    def _placeholder(self, members: Mapping[str, list[Declaration]], wanted: Id | None) -> list[Declaration]:
        """The placeholder that an object (or variable) of this type fills."""
        wanted_class = self.space.node_class(wanted) if wanted is not None else ua.NodeClass.ObjectType
        fits = ua.NodeClass.Variable if wanted_class is ua.NodeClass.VariableType else ua.NodeClass.Object
        open_ = [found for found in members.values() if found[0].placeholder and found[0].node_class is fits]
        if wanted is None:
            return open_[0] if len(open_) == 1 and not self._abstract(open_[0][0].type) else []
        special = self.types.most_special(
            [
                found[0].type
                for found in open_
                if found[0].type is not None and self.space.is_subtype(wanted, found[0].type)
            ]
        )
        return next((found for found in open_ if found[0].type == special), []) if special is not None else []

    def _abstract(self, type_id: Id | None) -> bool:
        return type_id is None or bool(self.space.attribute(type_id, ua.AttributeIds.IsAbstract))

    def _object(
        self, path: str, parent: Entry, declared: list[Declaration], wanted: Id | None, part: Part | None
    ) -> Entry:
        if wanted is not None and self.space.node_class(wanted) is ua.NodeClass.VariableType:
            return self.variable(path, parent, declared, Point(path, None), wanted, neutral=True)
        key = self._shared_key(parent, declared)
        if key is not None and key in self.instance.shared:
            known = self.instance.shared[key]
            self.space.add_reference(parent.node, declared[0].reference, known.node)
            self.instance.entries[path] = known
            return known
        name = ua.QualifiedName(paths.name_of(path), self.instance.namespace)
        reference, scope = HAS_COMPONENT, parent.scope
        add_in = self.types.add_in(name.Name, wanted) if not declared else None
        if declared:
            reference = declared[0].reference
            scope = path if declared[0].placeholder else parent.scope
            name = name if declared[0].placeholder else declared[0].name
        elif add_in is not None:
            name, wanted = add_in
            reference = ua.NodeId(ua.ObjectIds.HasAddIn)
        sources = self.types.sources(declared, wanted)
        types = [one.type for one in declared if one.type is not None]
        type_id = wanted or self.types.most_special(types) or BASE_OBJECT
        if wanted is None and self.space.browse_name(type_id).Name in _CONCRETE:
            type_id = wanted = self.types.named(_CONCRETE[self.space.browse_name(type_id).Name])
            sources = self.types.sources(declared, wanted)
        if self._abstract(type_id):
            raise BuildError(f"{path}: {self.space.browse_name(type_id).Name} is abstract, name one of its subtypes")
        node = self.id(path)
        self.space.add_object(node, parent.node, reference, name, type_id, display=part.name if part else None)
        entry = Entry(node, path, sources or self.types.chain(type_id), scope)
        self._register(path, entry)
        if key is not None:
            self.instance.shared[key] = entry
        return entry

    def _shared_key(self, parent: Entry, declared: list[Declaration]) -> tuple[str, Id] | None:
        """Key of an instance that the enclosing type declares once and shows in several places."""
        if not declared or declared[0].placeholder:
            return None
        above = [
            one
            for one in self.space.references(declared[0].node, forward=False)
            if one.ReferenceTypeId in self.space.members_of
        ]
        return (parent.scope, declared[0].node) if len(above) > 1 else None

    def _register(self, path: str, entry: Entry) -> None:
        self.instance.entries[path] = entry
        self.fresh.append(path)

    def point(self, point: Point) -> None:
        """Make the variable of a point."""
        part = self.parts.get(point.path)
        wanted = self.builder._type(part.type, point.path) if part is not None and part.type is not None else None
        if point.path in self.instance.variables:
            self._replace(point)
            return
        parent = self.node(paths.parent_of(point.path))
        members = self.types.members(parent.sources)
        declared = [one for one in members.get(paths.name_of(point.path), []) if not one.placeholder]
        if not declared:
            holders = [
                one for one in members.values() if one[0].placeholder and one[0].node_class is ua.NodeClass.Variable
            ]
            declared = holders[0] if len(holders) == 1 else []
        if declared and declared[0].node_class is not ua.NodeClass.Variable:
            raise BuildError(f"{point.path} is declared as {declared[0].node_class.name}, the model gives it a value")
        self.variable(point.path, parent, declared, point, wanted)

    def _replace(self, point: Point) -> None:
        """A point whose variable exists already, made for one below it or as part of a state."""
        variable = self.instance.variables[point.path]
        variable.value = self._value(point, variable.data_type, variable.rank)
        self.space.nodes[variable.node].attributes[ua.AttributeIds.Value].value = variable.value
        if point.path in self.instance.neutral:
            self.instance.neutral.remove(point.path)

    def variable(
        self,
        path: str,
        parent: Entry,
        declared: list[Declaration],
        point: Point,
        wanted: Id | None = None,
        *,
        neutral: bool = False,
    ) -> Entry:
        """Make a variable; `neutral` where the model gives no value for it."""
        data_type, rank = self._declared_data(declared, point)
        name = ua.QualifiedName(paths.name_of(path), self.instance.namespace)
        reference, type_id, scope = HAS_COMPONENT, wanted or self.describe.vendor_type(point), parent.scope
        if declared:
            types = [one.type for one in declared if one.type is not None]
            reference, type_id = declared[0].reference, wanted or self.types.most_special(types) or BASE_VARIABLE
            name = name if declared[0].placeholder else declared[0].name
            scope = path if declared[0].placeholder else parent.scope
        data_type = self.values.concrete(data_type, _sample(point.initial))[1]
        value = self._neutral(data_type, rank) if neutral else self._value(point, data_type, rank)
        node = self.id(path)
        self.space.add_variable(
            node, parent.node, reference, name, type_id, data_type=data_type, rank=rank, value=value,
            writable=point.writable, text=point.text,
        )  # fmt: skip
        sources = self.types.sources(declared, wanted) or self.types.chain(type_id)
        entry = Entry(node, path, sources, scope, variable=True)
        variable = Variable(node, path, "", data_type, rank, value, point.writable)
        variable.describing = type_id == PROPERTY_TYPE and name.Name in DESCRIBING
        self._register(path, entry)
        self.instance.variables[path] = variable
        if point.writable:
            self.instance.writable[node] = variable
        if neutral:
            self.instance.neutral.append(path)
        self.describe.unit_and_range(entry, point)
        self._state(entry, parent, variable, point.initial)
        return entry

    def _declared_data(self, declared: list[Declaration], point: Point) -> tuple[Id, int]:
        """Data type and ValueRank of a variable."""
        named = self._named_data_type(point) if point.data_type is not None else None
        if not declared:
            if named is None and point.initial is None:
                raise BuildError(f"{point.path} is a vendor's addition without a value: its data type must be named")
            guessed = self.values.concrete(ua.NodeId(ua.ObjectIds.BaseDataType), _sample(point.initial))[1]
            return named or guessed, _depth(point.initial)
        declared_type = self.space.attribute(declared[0].node, ua.AttributeIds.DataType)
        if declared_type.is_null():  # as the importer leaves BaseDataType
            declared_type = ua.NodeId(ua.ObjectIds.BaseDataType)
        rank = int(self.space.attribute(declared[0].node, ua.AttributeIds.ValueRank))
        if named is not None and self.space.is_subtype(named, declared_type):
            declared_type = named
        return declared_type, rank if rank >= -1 else _depth(point.initial)

    def _named_data_type(self, point: Point) -> Id:
        try:
            return self.types.data_type(point.data_type or "")
        except LookupError as fault:
            raise BuildError(f"{point.path}: {fault}") from fault

    def _value(self, point: Point, data_type: Id, rank: int) -> ua.DataValue:
        status = ua.StatusCode(point.status)
        try:
            variant = ua.Variant(None) if status.is_bad() else self.values.variant(point.initial, data_type, rank)
        except ValueError as fault:
            raise BuildError(f"{point.path}: {fault}") from fault
        return self._stamped(variant, status)

    def _neutral(self, data_type: Id, rank: int) -> ua.DataValue:
        return self._stamped(self.values.neutral(data_type, rank), ua.StatusCode())

    def _stamped(self, variant: ua.Variant, status: ua.StatusCode) -> ua.DataValue:
        moment = datetime_from_ticks(self.now)
        return ua.DataValue(variant, status, SourceTimestamp=moment, ServerTimestamp=moment)

    def _state(self, entry: Entry, parent: Entry, variable: Variable, initial: Any) -> None:
        """Give CurrentState and LastTransition their Id and Number, and a state where the model names none."""
        name = paths.name_of(entry.path)
        machine_type = self.space.type_of(parent.node)
        if (
            name not in _STATE_VARIABLES
            or machine_type is None
            or not self.space.is_subtype(machine_type, _STATE_MACHINE)
        ):
            return
        variable.state_machine, variable.transition = machine_type, _STATE_VARIABLES[name]
        for part_name in ("Id", "Number"):
            path = paths.join(entry.path, part_name)
            declared = self.types.members(entry.sources).get(part_name, [])
            self.variable(path, entry, declared, Point(path, None), neutral=True)
            variable.parts[part_name] = self.instance.variables[path]
            self.instance.neutral.remove(path)
        state = initial if isinstance(initial, State) else self.describe.first_state(machine_type)
        if state is None or (initial is None and variable.transition):
            return
        for part, value in self.describe.state_values(variable, state):
            part.value = self._stamped(value, ua.StatusCode())
            self.space.nodes[part.node].attributes[ua.AttributeIds.Value].value = part.value

    def mandatory(self) -> None:
        """Make what the declarations demand and the model does not name; of a complete machine, what they offer."""
        queue = deque(self.fresh if self.fresh and "" in self.instance.entries else ())
        queue.appendleft("")
        while queue:
            path = queue.popleft()
            entry = self.instance.entries[path]
            present = {child.BrowseName.Name for child in self.space.children(entry.node)}
            for name, declared in self.types.members(entry.sources).items():
                wanted = any(one.mandatory for one in declared) or self._offered(declared)
                if name in present or not wanted or declared[0].placeholder:
                    continue
                below = paths.join(path, name)
                if declared[0].node_class is ua.NodeClass.Method:
                    self.builder._method(self.instance, MethodPoint(below))
                elif declared[0].node_class is ua.NodeClass.Variable:
                    self.variable(below, entry, declared, Point(below, None), neutral=True)
                    queue.append(below)
                else:
                    self.node(below)
                    queue.append(below)

    def _offered(self, declared: list[Declaration]) -> bool:
        """An optional member that a complete machine shows: companion specifications', of a type that can be."""
        if not self.instance.machine.complete or not any(one.node.NamespaceIndex for one in declared):
            return False
        # of namespace 0 the server has PropertyType as abstract
        return not any(
            one.type is not None and one.type.NamespaceIndex and self._abstract(one.type) for one in declared
        )

    def versions(self) -> None:
        """Give the lists whose content changes the NodeVersion that they declare."""
        text, string = ua.Variant("1", ua.VariantType.String), ua.NodeId(ua.ObjectIds.String)
        for entry in list(self.instance.entries.values()):
            declared = self.types.members(entry.sources)
            found = declared.get("NodeVersion", [])
            holds = any(one[0].placeholder for one in declared.values())
            if found and holds and self.space.child(entry.node, "NodeVersion") is None:
                self.describe.add_property(entry.node, found[0].name, string, text)

    def share(self) -> None:
        """Show what a type declares once in all the places where it declares it, as far as those exist."""
        for path, entry in list(self.instance.entries.items()):
            present = {child.BrowseName.Name for child in self.space.children(entry.node)}
            for name, declared in self.types.members(entry.sources).items():
                key = self._shared_key(entry, declared) if name not in present else None
                if key is not None and key in self.instance.shared:
                    self.node(paths.join(path, name))


def _sample(value: Any) -> Any:
    while isinstance(value, list | tuple):
        value = value[0] if value else None
    return value


def _depth(value: Any) -> int:
    depth = 0
    while isinstance(value, list | tuple):
        depth += 1
        value = value[0] if value else None
    return depth or -1
