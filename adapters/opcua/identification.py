"""Who a machine is: its Identification (OPC 40001-1, 7.3; an add-in of DI) and the identity that follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from adapters.opcua.namespaces import MACHINERY, Namespaces
from adapters.opcua.tree import OBJECT, Child, Tree, TreeNode
from adapters.opcua.types import TypeSpace
from gateway.model import JsonValue
from gateway.model.names import join_path

ITEM_IDENTIFICATION = 1004
"""MachineryItemIdentificationType, the supertype of MachineIdentificationType (OPC 40001-1)."""

NAME = "Identification"


def identifies(types: TypeSpace, namespaces: Namespaces, child: Child) -> bool:
    """This part of an object is the Identification of a machine."""
    wanted = namespaces.node(MACHINERY, ITEM_IDENTIFICATION)
    return child.node_class == OBJECT and types.is_subtype(child.type, wanted)


def identification_of(types: TypeSpace, namespaces: Namespaces, tree: Tree) -> TreeNode | None:
    """The Identification of a machine: by its type, else an object of that name."""
    objects = [node for node in tree.root.below if node.node_class == OBJECT]
    wanted = namespaces.node(MACHINERY, ITEM_IDENTIFICATION)
    typed = [node for node in objects if types.is_subtype(node.type, wanted)]
    named = [node for node in objects if node.name[1] == NAME]
    return next(iter([*(one for one in typed if one in named), *typed, *named]), None)


def identity_of(values: Mapping[str, JsonValue]) -> str | None:
    """ProductInstanceUri, else ``manufacturer/serial number`` (joined as `join_path` does); None without either."""
    uri = _text(values.get("ProductInstanceUri"))
    if uri:
        return uri
    names = [_text(values.get("Manufacturer")), _text(values.get("SerialNumber"))]
    return join_path(names) if all(names) else None


def missing(values: Iterable[str]) -> str:
    """What an identity would need, for people."""
    present = ", ".join(sorted(values)) or "nothing"
    return f"it has no ProductInstanceUri, nor both Manufacturer and SerialNumber (its Identification has: {present})"


def _text(value: JsonValue) -> str:
    if isinstance(value, dict):
        value = value.get("text")
    return value.strip() if isinstance(value, str) else ""
