"""What a machine looks like in the address space once it is built: its objects, variables and methods by path."""

from __future__ import annotations

from dataclasses import dataclass, field

from asyncua import ua

from simulators.machine import Machine
from simulators.opcua.space import Id
from simulators.opcua.types import Sources

DESCRIBING = frozenset({
    "DefaultInstanceBrowseName", "Definition", "EngineeringUnits", "EnumStrings", "EnumValues", "EUNumberRange",
    "EURange", "FalseState", "InputArguments", "InstrumentNumberRange", "InstrumentRange", "NodeVersion",
    "OutputArguments", "TrueState", "ValuePrecision",
})  # fmt: skip
"""Properties that describe a variable, a method or an object; they are no values of the machine."""


@dataclass(slots=True)
class Entry:
    """A node of the machine with what its types declare for it.

    Attributes:
        path: As the model writes it.
        scope: Path of the nearest placeholder's instance above it, inside of which declarations are its own.
    """

    node: Id
    path: str
    sources: Sources
    scope: str
    variable: bool = False


@dataclass(slots=True)
class Variable:
    """A variable of the machine.

    Attributes:
        path: As the model writes it.
        shown: The shortest browse path from the machine, as a client that browses finds it; the ledger's path.
        state_machine: Type of the state machine whose CurrentState or LastTransition it is.
        parts: Of such a variable, its properties Id and Number.
    """

    node: Id
    path: str
    shown: str
    data_type: Id
    rank: int
    value: ua.DataValue
    writable: bool = False
    state_machine: Id | None = None
    transition: bool = False
    parts: dict[str, Variable] = field(default_factory=dict)
    describing: bool = False


@dataclass(slots=True)
class Instance:
    """One machine in the address space."""

    machine: Machine
    node: Id
    namespace: int
    entries: dict[str, Entry] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    methods: dict[Id, str] = field(default_factory=dict)
    writable: dict[Id, Variable] = field(default_factory=dict)
    shared: dict[tuple[str, Id], Entry] = field(default_factory=dict)
    shown_objects: dict[Id, str] = field(default_factory=dict)
    neutral: list[str] = field(default_factory=list)

    @property
    def uri(self) -> str:
        """ProductInstanceUri, which names the machine in the ledger."""
        found = self.variables.get("Identification/ProductInstanceUri")
        value = found.value.Value.Value if found is not None else None
        return str(value) if value else self.machine.name
