"""What one connection knows of its server's address space, for those who read values and events of it."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.opcua.browse import Reader
from adapters.opcua.datatypes import DataTypes
from adapters.opcua.namespaces import Namespaces
from adapters.opcua.types import TypeSpace
from adapters.opcua.values import Values


@dataclass(frozen=True, slots=True)
class ServerSpace:
    """Made by `discover`; nothing of it holds on another connection.

    Attributes:
        reader: Bulk Browse and Read.
        types: Type definitions that were loaded.
        data_types: Data types that were loaded, and decoders of their structures.
        values: Converters to JSON; `values.any` takes whatever a Variant holds.
    """

    reader: Reader
    namespaces: Namespaces
    types: TypeSpace
    data_types: DataTypes
    values: Values
