"""The server's address space, asked and changed synchronously: references, attributes, types, nodes."""

# ruff: noqa: ANN401 - values of every data type, and asyncua's objects, pass through here
from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from asyncua import Server, ua

Id: TypeAlias = ua.NodeId
HAS_SUBTYPE = ua.NodeId(ua.ObjectIds.HasSubtype)
HAS_TYPE = ua.NodeId(ua.ObjectIds.HasTypeDefinition)
HAS_RULE = ua.NodeId(ua.ObjectIds.HasModellingRule)
HAS_COMPONENT = ua.NodeId(ua.ObjectIds.HasComponent)
HAS_PROPERTY = ua.NodeId(ua.ObjectIds.HasProperty)
HAS_NOTIFIER = ua.NodeId(ua.ObjectIds.HasNotifier)
HAS_ADD_IN = ua.NodeId(ua.ObjectIds.HasAddIn)
HAS_INTERFACE = ua.NodeId(ua.ObjectIds.HasInterface)
HIERARCHICAL = ua.NodeId(ua.ObjectIds.HierarchicalReferences)
BASE_OBJECT = ua.NodeId(ua.ObjectIds.BaseObjectType)
BASE_VARIABLE = ua.NodeId(ua.ObjectIds.BaseDataVariableType)
PROPERTY_TYPE = ua.NodeId(ua.ObjectIds.PropertyType)

_BROWSE_ALL = int(ua.AccessLevel.CurrentRead.mask)
_READ_WRITE = int(ua.AccessLevel.CurrentRead.mask | ua.AccessLevel.CurrentWrite.mask)


class Space:
    """A thin synchronous view of asyncua's address space."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.nodes = server.iserver.aspace
        self._manage = server.iserver.node_mgt_service
        self.uris: list[str] = []
        self._subtypes: dict[Id, frozenset[Id]] = {}
        self.members_of = (
            self.subtypes(HIERARCHICAL)
            - self.subtypes(HAS_SUBTYPE)
            - self.subtypes(ua.NodeId(ua.ObjectIds.HasEventSource))
        )

    async def refresh_uris(self) -> None:
        """Read the namespace table."""
        self.uris = list(await self.server.get_namespace_array())

    def index(self, uri: str) -> int:
        """Index of a namespace."""
        return self.uris.index(uri)

    def text(self, node_id: Id) -> str:
        """NodeId with its namespace URI, as `nsu=<uri>;i=<n>`; namespace 0 without."""
        plain = ua.NodeId(node_id.Identifier, 0, node_id.NodeIdType).to_string()
        return f"nsu={self.uris[node_id.NamespaceIndex]};{plain}" if node_id.NamespaceIndex else str(plain)

    def exists(self, node_id: Id) -> bool:
        """Whether such a node is there."""
        return node_id in self.nodes

    def attribute(self, node_id: Id, attribute: ua.AttributeIds) -> Any:
        """Value of an attribute; None where it has none."""
        node = self.nodes.get(node_id)
        found = node.attributes.get(attribute) if node is not None else None
        if found is None or found.value is None or found.value.Value is None:
            return None
        return found.value.Value.Value

    def browse_name(self, node_id: Id) -> ua.QualifiedName:
        """Its browse name."""
        return self.attribute(node_id, ua.AttributeIds.BrowseName)

    def node_class(self, node_id: Id) -> ua.NodeClass:
        """Its node class."""
        return ua.NodeClass(self.attribute(node_id, ua.AttributeIds.NodeClass))

    def references(self, node_id: Id, *, forward: bool = True) -> Iterator[ua.ReferenceDescription]:
        """All references of a node in one direction."""
        for reference in list(self.nodes[node_id].references):
            if reference.IsForward is forward:
                yield reference

    def targets(self, node_id: Id, reference_type: Id, *, forward: bool = True) -> list[Id]:
        """Targets of the references of exactly this type."""
        return [
            found.NodeId
            for found in self.references(node_id, forward=forward)
            if found.ReferenceTypeId == reference_type
        ]

    def children(self, node_id: Id) -> Iterator[ua.ReferenceDescription]:
        """Hierarchical references downwards, those of events left out."""
        return (found for found in self.references(node_id) if found.ReferenceTypeId in self.members_of)

    def child(self, node_id: Id, name: str) -> Id | None:
        """The child of this name, whatever its namespace."""
        return next((found.NodeId for found in self.children(node_id) if found.BrowseName.Name == name), None)

    def type_of(self, node_id: Id) -> Id | None:
        """Its type definition."""
        return next(iter(self.targets(node_id, HAS_TYPE)), None)

    def supertypes(self, type_id: Id) -> list[Id]:
        """The type, its supertype, and so on."""
        chain: list[Id] = []
        current: Id | None = type_id
        while current is not None:
            chain.append(current)
            current = next(iter(self.targets(current, HAS_SUBTYPE, forward=False)), None)
        return chain

    def is_subtype(self, type_id: Id, base: Id) -> bool:
        """Whether it is the type or one of its subtypes."""
        return base in self.supertypes(type_id)

    def subtypes(self, type_id: Id) -> frozenset[Id]:
        """The type and everything below it; kept, for reference types do not change."""
        if type_id not in self._subtypes:
            found = {type_id}
            for below in self.targets(type_id, HAS_SUBTYPE):
                found |= self.subtypes(below)
            self._subtypes[type_id] = frozenset(found)
        return self._subtypes[type_id]

    def add_object(
        self, node_id: Id, parent: Id, reference: Id, name: ua.QualifiedName, type_id: Id, **kw: Any
    ) -> None:
        """Add an object; `display` is its display name, `text` its description."""
        attributes = ua.ObjectAttributes()
        attributes.EventNotifier = 0
        self._add(node_id, parent, reference, name, type_id, attributes, ua.NodeClass.Object, **kw)

    def add_object_type(self, node_id: Id, supertype: Id, name: ua.QualifiedName) -> None:
        """Add a concrete subtype of an object type."""
        attributes = ua.ObjectTypeAttributes()
        attributes.IsAbstract = False
        self._add(node_id, supertype, HAS_SUBTYPE, name, ua.NodeId(), attributes, ua.NodeClass.ObjectType)

    def add_method(self, node_id: Id, parent: Id, reference: Id, name: ua.QualifiedName, text: str = "") -> None:
        """Add a method."""
        attributes = ua.MethodAttributes()
        attributes.Executable = attributes.UserExecutable = True
        self._add(node_id, parent, reference, name, ua.NodeId(), attributes, ua.NodeClass.Method, text=text)

    def add_variable(
        self,
        node_id: Id,
        parent: Id,
        reference: Id,
        name: ua.QualifiedName,
        type_id: Id,
        *,
        data_type: Id,
        rank: int,
        value: ua.DataValue,
        writable: bool = False,
        text: str = "",
    ) -> None:
        """Add a variable with its value."""
        attributes = ua.VariableAttributes()
        attributes.DataType = data_type
        attributes.ValueRank = ua.ValueRank(rank) if rank <= 4 and rank >= -3 else rank
        attributes.ArrayDimensions = [0] * rank if rank > 0 else []
        attributes.AccessLevel = attributes.UserAccessLevel = _READ_WRITE if writable else _BROWSE_ALL
        attributes.MinimumSamplingInterval = 0.0
        attributes.Historizing = False
        attributes.Value = ua.Variant(None)
        self._add(node_id, parent, reference, name, type_id, attributes, ua.NodeClass.Variable, text=text)
        self.nodes[node_id].attributes[ua.AttributeIds.Value].value = value

    def _add(
        self,
        node_id: Id,
        parent: Id,
        reference: Id,
        name: ua.QualifiedName,
        type_id: Id,
        attributes: Any,
        node_class: ua.NodeClass,
        *,
        display: str | None = None,
        text: str = "",
    ) -> None:
        attributes.DisplayName = ua.LocalizedText(display or name.Name)
        attributes.Description = ua.LocalizedText(text, "en") if text else ua.LocalizedText()
        item = ua.AddNodesItem()
        item.RequestedNewNodeId = node_id
        item.ParentNodeId = parent
        item.ReferenceTypeId = reference
        item.BrowseName = name
        item.NodeClass = node_class
        item.NodeAttributes = attributes
        item.TypeDefinition = type_id
        self._manage.add_nodes([item])[0].StatusCode.check()

    def add_reference(self, source: Id, reference: Id, target: Id) -> None:
        """Add a reference in both directions."""
        for start, end, forward in ((source, target, True), (target, source, False)):
            item = ua.AddReferencesItem()
            item.SourceNodeId, item.TargetNodeId = start, end
            item.ReferenceTypeId, item.IsForward = reference, forward
            item.TargetNodeClass = ua.NodeClass.Unspecified
            self._manage.add_references([item])[0].check()

    def remove(self, node_id: Id) -> None:
        """Remove a node, every reference to it, and whatever waits for its changes."""
        node = self.nodes[node_id]
        for reference in node.references:
            other = self.nodes.get(reference.NodeId)
            if other is not None:
                other.references[:] = [back for back in other.references if back.NodeId != node_id]
        for attribute in node.attributes.values():
            for handle in attribute.datachange_callbacks:
                self.nodes._handle_to_attribute_map.pop(handle, None)
        del self.nodes[node_id]
