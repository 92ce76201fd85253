"""Which objects of a server are machines.

Below the Machines folder of OPC 40001-1: instances of MachineToolType and its subtypes, and every other object with an
Identification of MachineryItemIdentificationType or a subtype. Folders there are looked into. A server without that
folder, or with nothing in it: instances of MachineToolType and its subtypes anywhere below Objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from asyncua import ua

from adapters.opcua.browse import Found, Reader
from adapters.opcua.identification import identifies
from adapters.opcua.namespaces import MACHINE_TOOL, MACHINERY, Namespaces
from adapters.opcua.tree import OBJECT, Child, child_of
from adapters.opcua.types import TypeSpace

_MACHINES = 1001
_MACHINE_TOOL_TYPE = 13
_OBJECTS = ua.NodeId(ua.ObjectIds.ObjectsFolder)
_SERVER = ua.NodeId(ua.ObjectIds.Server)
_FOLDER_TYPE = ua.NodeId(ua.ObjectIds.FolderType)
_BORDERS = tuple(ua.NodeId(one) for one in (
    ua.ObjectIds.RootFolder, ua.ObjectIds.ObjectsFolder, ua.ObjectIds.TypesFolder, ua.ObjectIds.ViewsFolder,
    ua.ObjectIds.Server,
))  # fmt: skip
_DEEPEST = 8
_MOST_OBJECTS = 20_000


@dataclass(slots=True)
class Machines:
    """Machines of a server in the order of the Machines folder, and nodes that no machine contains."""

    machines: list[Child] = field(default_factory=list)
    borders: list[ua.NodeId] = field(default_factory=lambda: list(_BORDERS))
    problems: list[str] = field(default_factory=list)


async def find_machines(reader: Reader, namespaces: Namespaces, types: TypeSpace) -> Machines:
    """Find the machines of a server."""
    search = _Search(reader, namespaces, types)
    folder = namespaces.node(MACHINERY, _MACHINES)
    if folder is not None:
        search.found.borders.append(folder)
        await search.in_folder(folder)
    if not search.found.machines:
        await search.anywhere()
    return search.found


class _Search:
    def __init__(self, reader: Reader, namespaces: Namespaces, types: TypeSpace) -> None:
        self._reader = reader
        self._namespaces = namespaces
        self._types = types
        self._machine_tool = namespaces.node(MACHINE_TOOL, _MACHINE_TOOL_TYPE)
        self.found = Machines()

    async def in_folder(self, folder: ua.NodeId) -> None:
        """Machines of the Machines folder and of folders in it."""
        level, seen = [folder], {folder}
        for _ in range(_DEEPEST):
            objects = [one for one in await self._objects(level, named=level == [folder]) if one.node not in seen]
            seen.update(one.node for one in objects)
            if not objects:
                return
            parts = await self._reader.references(one.node for one in objects)
            below = [child for found in parts.values() for child in self._children(found)]
            await self._types.supertypes(one.type for one in below if one.type is not None)
            level = []
            for one in objects:
                if self._is_machine(one, self._children(parts[one.node])):
                    self.found.machines.append(one)
                elif one.type == _FOLDER_TYPE:
                    level.append(one.node)
                else:
                    self.found.problems.append(
                        f"{one.name[1]} in the Machines folder: not published: it is no MachineToolType and has no "
                        "Identification of MachineIdentificationType"
                    )

    def _is_machine(self, one: Child, parts: Iterable[Child]) -> bool:
        if self._types.is_subtype(one.type, self._machine_tool):
            return True
        return any(identifies(self._types, self._namespaces, part) for part in parts)

    async def anywhere(self) -> None:
        """Instances of MachineToolType below Objects, level by level."""
        if self._machine_tool is None:
            return
        level, seen = [_OBJECTS], {_OBJECTS, _SERVER}
        for _ in range(_DEEPEST):
            objects = [one for one in await self._objects(level) if one.node not in seen]
            seen.update(one.node for one in objects)
            machines = [one for one in objects if self._types.is_subtype(one.type, self._machine_tool)]
            self.found.machines.extend(machines)
            level = [one.node for one in objects if one not in machines]
            if not level or len(seen) > _MOST_OBJECTS:
                return

    async def _objects(self, nodes: list[ua.NodeId], *, named: bool = False) -> list[Child]:
        """The objects below these nodes, each once, with the supertypes of their types loaded."""
        found = await self._reader.references(nodes)
        if named and found[nodes[0]].fault:
            self.found.problems.append(f"the Machines folder could not be browsed: {found[nodes[0]].fault}")
        children = {child.node: child for one in found.values() for child in self._children(one)}
        await self._types.supertypes(child.type for child in children.values() if child.type is not None)
        return list(children.values())

    def _children(self, found: Found) -> list[Child]:
        children = []
        for reference in found.references:
            target = self._namespaces.local(reference.NodeId)
            if reference.ReferenceTypeId in self._types.hierarchical and target is not None:
                child = child_of(self._namespaces, target, reference)
                if child.node_class == OBJECT:
                    children.append(child)
        return children
