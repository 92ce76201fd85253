"""Changes of a running server's address space that are taken back exactly."""

# ruff: noqa: ANN401 - values of every data type, and asyncua's objects, pass through here
from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from asyncua import ua

from simulators.opcua.space import HAS_TYPE, Id, Space


@dataclass(slots=True)
class _Saved:
    data: Any
    values: dict[ua.AttributeIds, Any]
    references: list[ua.ReferenceDescription]


class Surgery:
    """Every operation saves what it touches first; `undo` puts it back.

    Attributes:
        space: The server's address space.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self._saved: dict[Id, _Saved] = {}
        self._new: list[Id] = []

    @property
    def touched(self) -> tuple[str, ...]:
        """The nodes that were changed or made, with their namespace URIs."""
        return tuple(self.space.text(node) for node in (*self._saved, *self._new))

    def undo(self) -> None:
        """Put everything back."""
        for node in self._new:
            if self.space.exists(node):
                self.space.remove(node)
        for node, saved in self._saved.items():
            self.space.nodes[node] = saved.data
            saved.data.references[:] = saved.references
            for attribute in list(saved.data.attributes):
                if attribute not in saved.values:
                    del saved.data.attributes[attribute]
                else:
                    saved.data.attributes[attribute].value = saved.values[attribute]
        self._saved.clear()
        self._new.clear()

    def touch(self, node: Id) -> Any:
        """Save a node before it is changed; what asyncua keeps of it."""
        data = self.space.nodes[node]
        if node not in self._saved:
            values = {key: found.value for key, found in data.attributes.items()}
            self._saved[node] = _Saved(data, values, [copy.copy(one) for one in data.references])
        return data

    def write(self, node: Id, attribute: ua.AttributeIds, variant: ua.Variant, status: int = 0) -> None:
        """Set an attribute."""
        data = self.touch(node)
        before = data.attributes[attribute].value
        made = ua.DataValue(variant, ua.StatusCode(status))
        if before is not None:
            made = ua.DataValue(
                variant,
                ua.StatusCode(status),
                SourceTimestamp=before.SourceTimestamp,
                ServerTimestamp=before.ServerTimestamp,
            )
        data.attributes[attribute].value = made

    def value(self, node: Id, value: Any, kind: ua.VariantType | None = None, status: int = 0) -> None:
        """Set a variable's value, of the built-in type that it has unless told otherwise."""
        before = self.space.nodes[node].attributes[ua.AttributeIds.Value].value
        known = before.Value.VariantType if before is not None and before.Value is not None else None
        variant = ua.Variant(None) if value is None else ua.Variant(value, kind or known)
        self.write(node, ua.AttributeIds.Value, variant, status)

    def parents(self, node: Id) -> list[Id]:
        """From where references lead down to it."""
        above = self.space.references(node, forward=False)
        return list(dict.fromkeys(one.NodeId for one in above if one.ReferenceTypeId in self.space.members_of))

    def cut(self, parent: Id, child: Id) -> None:
        """Take all references between two nodes away."""
        for one, other in ((parent, child), (child, parent)):
            data = self.touch(one)
            data.references[:] = [back for back in data.references if back.NodeId != other]

    def refer(self, parent: Id, child: Id, kind: Id) -> None:
        """Let the reference from parent to child be of another type."""
        for one, other in ((parent, child), (child, parent)):
            for reference in self.touch(one).references:
                if reference.NodeId == other and reference.ReferenceTypeId in self.space.members_of:
                    reference.ReferenceTypeId = kind

    def rename(self, node: Id, name: ua.QualifiedName) -> None:
        """Give a node another browse name, wherever it is told."""
        self.write(node, ua.AttributeIds.BrowseName, ua.Variant(name, ua.VariantType.QualifiedName))
        for reference in self._towards(node):
            reference.BrowseName = name

    def display(self, node: Id, name: ua.LocalizedText) -> None:
        """Give a node another display name, wherever it is told."""
        self.write(node, ua.AttributeIds.DisplayName, ua.Variant(name, ua.VariantType.LocalizedText))
        for reference in self._towards(node):
            reference.DisplayName = name

    def untype(self, node: Id) -> None:
        """Take a node's type definition away."""
        data = self.touch(node)
        data.references[:] = [one for one in data.references if one.ReferenceTypeId != HAS_TYPE or not one.IsForward]
        for reference in self._towards(node):
            reference.TypeDefinition = ua.NodeId()

    def link(self, parent: Id, kind: Id, child: Id) -> None:
        """Add a reference."""
        self.touch(parent)
        self.touch(child)
        self.space.add_reference(parent, kind, child)

    def object(self, node: Id, parent: Id, kind: Id, name: ua.QualifiedName, type_id: Id) -> Id:
        """Add an object."""
        self.touch(parent)
        self.touch(type_id)
        self.space.add_object(node, parent, kind, name, type_id)
        self._new.append(node)
        return node

    def variable(self, node: Id, parent: Id, kind: Id, name: ua.QualifiedName, type_id: Id, value: ua.Variant) -> Id:
        """Add a variable; its data type is the built-in type of its value."""
        self.touch(parent)
        self.touch(type_id)
        data_type, shown = ua.NodeId(value.VariantType.value), ua.DataValue(value)
        self.space.add_variable(node, parent, kind, name, type_id, data_type=data_type, rank=-1, value=shown)
        self._new.append(node)
        return node

    def retype(self, node: Id, kind: Id) -> None:
        """Give a node another type definition."""
        for reference in self.touch(node).references:
            if reference.ReferenceTypeId == HAS_TYPE and reference.IsForward:
                reference.NodeId = kind
        for reference in self._towards(node):
            reference.TypeDefinition = kind

    def data_type(self, node: Id, kind: Id) -> None:
        """Give a variable another data type; its value stays."""
        self.write(node, ua.AttributeIds.DataType, ua.Variant(kind, ua.VariantType.NodeId))

    def rank(self, node: Id, rank: int) -> None:
        """Give a variable another ValueRank; its value stays."""
        self.write(node, ua.AttributeIds.ValueRank, ua.Variant(rank, ua.VariantType.Int32))

    def _towards(self, node: Id) -> Iterable[ua.ReferenceDescription]:
        for other in list(dict.fromkeys(one.NodeId for one in self.space.nodes[node].references)):
            if self.space.exists(other):
                yield from (one for one in self.touch(other).references if one.NodeId == node)
