"""What the type definitions make mandatory (ModellingRule) and a machine does not have."""

from __future__ import annotations

from adapters.opcua.tree import Tree, TreeNode, fills
from adapters.opcua.types import Declaration, TypeSpace
from gateway.model import Lack
from gateway.model.names import join_path


def lacks_of(types: TypeSpace, tree: Tree) -> list[Lack]:
    """Missing mandatory nodes below all that is there, in the order of the tree; of a missing node only itself."""
    return [lack for node in tree.nodes for lack in _below(types, node)]


def _below(types: TypeSpace, node: TreeNode) -> list[Lack]:
    if not node.sources:
        return []
    present = {child.name for child in node.children}
    found = []
    for name, declarations in types.members(node.sources).items():
        first = declarations[0]
        if (first.mandatory and name not in present) or (
            first.mandatory_placeholder and not _filled(types, first, node)
        ):
            path = join_path((*node.names, name[1]))
            found.append(Lack(path=path, required_by=types.type_name(first.owner)))
    return sorted(found, key=lambda lack: lack.path)


def _filled(types: TypeSpace, placeholder: Declaration, node: TreeNode) -> bool:
    return any(fills(types, placeholder, child.node_class, child.type) for child in node.children)
