"""A server's namespace table: NodeIds and qualified names as texts that hold on every server."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from asyncua import ua

from adapters.opcua.forms import DecodeError

UA = "http://opcfoundation.org/UA/"
DI = "http://opcfoundation.org/UA/DI/"
MACHINERY = "http://opcfoundation.org/UA/Machinery/"
MACHINE_TOOL = "http://opcfoundation.org/UA/MachineTool/"


class UnknownNamespaceError(DecodeError):
    """A namespace index that the server's NamespaceArray does not have."""


class Namespaces:
    """NamespaceArray of one connection."""

    def __init__(self, uris: Sequence[str | None]) -> None:
        self.uris: tuple[str, ...] = tuple(uri or "" for uri in uris) or (UA,)
        self._index = {uri: index for index, uri in reversed(list(enumerate(self.uris)))}

    def uri(self, index: int) -> str:
        """The URI at `index`.

        Raises:
            UnknownNamespaceError: There is none.
        """
        if 0 <= index < len(self.uris):
            return self.uris[index]
        raise UnknownNamespaceError(
            f"namespace index {index} is not in the server's NamespaceArray, which has {len(self.uris)} entries"
        )

    def index(self, uri: str) -> int | None:
        """The index of `uri` on this server."""
        return self._index.get(uri)

    def node(self, uri: str, identifier: int) -> ua.NodeId | None:
        """A numeric NodeId of a specification; None if the server does not have its namespace."""
        index = self._index.get(uri)
        return None if index is None else ua.NodeId(identifier, index)

    def foundation(self, index: int) -> bool:
        """The namespace is one of the OPC Foundation's."""
        return 0 <= index < len(self.uris) and self.uris[index].startswith(UA)

    def local(self, node: ua.NodeId) -> ua.NodeId | None:
        """A possibly expanded NodeId as a plain one of this server; None if it is on another one or unknown."""
        if not isinstance(node, ua.ExpandedNodeId):
            return node
        if node.ServerIndex:
            return None
        index = self._index.get(node.NamespaceUri) if node.NamespaceUri else node.NamespaceIndex
        return None if index is None else ua.NodeId(node.Identifier, index, node.NodeIdType)

    def node_text(self, node: ua.NodeId) -> str:
        """``nsu=<URI>;i=85``, in namespace 0 ``i=85``, on another server ``svr=<index>;...``; null is ``i=0``.

        Raises:
            UnknownNamespaceError: Its index is not in the table.
        """
        identifier = node.Identifier
        match node.NodeIdType:
            case ua.NodeIdType.String:
                text = f"s={identifier or ''}"
            case ua.NodeIdType.Guid:
                text = f"g={identifier}"
            case ua.NodeIdType.ByteString:
                text = f"b={base64.b64encode(identifier or b'').decode()}"
            case _:
                text = f"i={identifier}"
        return self.place(
            text, node.NamespaceIndex, getattr(node, "NamespaceUri", None), getattr(node, "ServerIndex", 0)
        )

    def place(self, identifier: str, index: int, uri: str | None = None, server: int = 0) -> str:
        """An identifier such as ``i=85`` with its namespace, as `node_text`."""
        if not uri and index:
            uri = self.uri(index)
        return f"{f'svr={server};' if server else ''}{f'nsu={uri};' if uri else ''}{identifier}"

    def semantic(self, node: ua.NodeId | None) -> str | None:
        """A type or declaration, always with its namespace: ``nsu=<URI>;i=<id>``; None if it has none."""
        if node is None or not 0 <= node.NamespaceIndex < len(self.uris):
            return None
        text = self.node_text(node)
        return text if node.NamespaceIndex else f"nsu={UA};{text}"

    def name_text(self, name: ua.QualifiedName) -> str | None:
        """``nsu=<URI>;Name``, in namespace 0 ``Name``; None for the null name.

        Raises:
            UnknownNamespaceError: Its index is not in the table.
        """
        return self.named(name.Name, name.NamespaceIndex)

    def named(self, name: str | None, index: int) -> str | None:
        """A name with its namespace, as `name_text`."""
        return f"nsu={self.uri(index)};{name or ''}" if index else name
