"""What asyncua decodes, as the plain data of a snapshot."""

# ruff: noqa: ANN401 - values of every data type pass through here
from __future__ import annotations

import base64
import dataclasses
import enum
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from asyncua import ua

from conformance.device.access import Limits
from conformance.device.snapshot import UA, Name, Reading, Structure, Text

_DEPTH = 8
_LETTERS = {int: "i", str: "s", uuid.UUID: "g", bytes: "b"}


class Names:
    """Writes node ids and browse names with the namespace URIs of one server."""

    def __init__(self, uris: Sequence[str], limits: Limits) -> None:
        self.uris = tuple(uris)
        self.limits = limits

    def id(self, node: ua.NodeId) -> str:
        """A node id with its namespace URI; one of no known namespace keeps its index (`ns=7;i=1`)."""
        identifier: Any = node.Identifier
        letter = next((letter for kind, letter in _LETTERS.items() if isinstance(identifier, kind)), "s")
        text = base64.b64encode(identifier).decode() if isinstance(identifier, bytes) else str(identifier)
        own = getattr(node, "NamespaceUri", None)
        index = int(node.NamespaceIndex)
        if own:
            return f"nsu={own};{letter}={text}"
        if index == 0:
            return f"{letter}={text}"
        return f"nsu={self.uris[index]};{letter}={text}" if index < len(self.uris) else f"ns={index};{letter}={text}"

    def node(self, text: str) -> ua.NodeId:
        """The server's own node id of one that `id` wrote.

        Raises:
            LookupError: The server has no such namespace.
        """
        if not text.startswith("nsu="):
            return ua.NodeId.from_string(text)
        for index, uri in enumerate(self.uris):
            head = f"nsu={uri};"
            if text.startswith(head):
                return ua.NodeId.from_string(f"ns={index};{text[len(head) :]}")
        raise LookupError(f"the server has no namespace of {text}")

    def name(self, found: ua.QualifiedName | None) -> Name:
        """A browse name; a null one is empty, one of no known namespace has its index."""
        if found is None:
            return Name("", "")
        index = int(found.NamespaceIndex or 0)
        uri = UA if index == 0 else self.uris[index] if index < len(self.uris) else str(index)
        return Name(uri, (found.Name or "")[: self.limits.text_characters])

    def text(self, found: ua.LocalizedText | None) -> Text:
        """A LocalizedText."""
        if found is None:
            return Text(None, None)
        text = found.Text
        return Text(text[: self.limits.text_characters] if text is not None else None, found.Locale)

    def reading(self, data: ua.DataValue) -> Reading:
        """The answer to a Read."""
        status = data.StatusCode if data.StatusCode is not None else ua.StatusCode()
        variant = data.Value
        kind, dimensions, value = "", None, None
        if variant is not None and variant.VariantType is not ua.VariantType.Null:
            kind = getattr(variant.VariantType, "name", str(variant.VariantType))
            value = self.plain(variant.Value)
            if variant.is_array or isinstance(variant.Value, list):
                dimensions = tuple(variant.Dimensions or ()) or (len(variant.Value or ()),)
        return Reading(
            value=value,
            type=kind,
            dimensions=dimensions,
            status=status.value,
            status_name=status.name,
            source=_utc(data.SourceTimestamp),
            server=_utc(data.ServerTimestamp),
        )

    def plain(self, value: Any, depth: int = 0) -> Any:  # noqa: C901, PLR0911 - a table of types
        """A value without anything of the library's."""
        if depth > _DEPTH:
            return "..."
        if isinstance(value, enum.Enum):
            return value.value
        if isinstance(value, str | bytes):
            return value[: self.limits.text_characters]
        if isinstance(value, ua.NodeId):
            return self.id(value)
        if isinstance(value, ua.QualifiedName):
            return self.name(value)
        if isinstance(value, ua.LocalizedText):
            return self.text(value)
        if isinstance(value, ua.StatusCode):
            return int(value.value)
        if isinstance(value, datetime):
            return _utc(value)
        if isinstance(value, list | tuple):
            return [self.plain(one, depth + 1) for one in value[: self.limits.array_elements]]
        if isinstance(value, ua.Variant):
            return self.plain(value.Value, depth + 1)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self._structure(value, depth)
        return value

    def _structure(self, value: Any, depth: int) -> Structure:
        if type(value) is ua.ExtensionObject:
            return Structure(self.id(value.TypeId), body=(value.Body or b"")[: self.limits.text_characters])
        fields = {
            one.name: self.plain(getattr(value, one.name), depth + 1)
            for one in dataclasses.fields(value)
            if one.name not in {"TypeId", "Encoding", "data_type"}
        }
        kind = getattr(value, "data_type", None)
        return Structure(self.id(kind) if isinstance(kind, ua.NodeId) else type(value).__name__, fields)


def _utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
