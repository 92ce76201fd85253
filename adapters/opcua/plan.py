"""What discovery hands to the publish engine: machines with their signals, in the server's NodeIds.

NodeIds and namespace indexes live here and never leave the adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from asyncua import ua

from gateway.model import JsonValue, MachineDescription, SignalRef

if TYPE_CHECKING:
    from adapters.opcua.events import EventReader
    from adapters.opcua.space import ServerSpace

Converter: TypeAlias = Callable[[Any], JsonValue]
"""From an `adapters.opcua.changes.Encoded`, or from asyncua's Python value, to its JSON value; None stays None."""


@dataclass(slots=True)
class SignalPlan:
    """One variable to monitor.

    Attributes:
        node: The variable.
        ref: The signal as samples name it.
        convert: To JSON.
        data_type: Name of its data type, for overrides.
        component_type: Browse name of the type of the nearest component above it, for overrides per type.
        minimum_sampling: MinimumSamplingInterval in milliseconds where the server states one.
        historizing: The server keeps its history and lets it be read.
    """

    node: ua.NodeId
    ref: SignalRef
    convert: Converter
    data_type: str
    component_type: str
    minimum_sampling: float | None = None
    historizing: bool = False


@dataclass(slots=True)
class MachinePlan:
    """One machine that was found.

    Attributes:
        node: The machine object.
        description: As it is published.
        signals: What is monitored.
        objects: Path by node of the machine (path "") and of every object below it, to place events.
        notifier: Where its events are subscribed: the machine if it is an event notifier, else the Server object.
        also: Further paths of nodes that are reached on several ones, with the path that they are published by.
    """

    node: ua.NodeId
    description: MachineDescription
    signals: list[SignalPlan]
    objects: Mapping[ua.NodeId, str] = field(default_factory=dict)
    notifier: ua.NodeId | None = None
    also: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Discovery:
    """All machines of a server, and what stands in the way of reading more of them.

    Attributes:
        machines: In the order of the Machines folder.
        problems: Sentences for people, each naming the node by path: what was skipped and why.
        namespaces: The server's NamespaceArray at that time.
        space: What else the connection knows of its server.
        events: What to subscribe for events and how to read them; None without machines.
    """

    machines: list[MachinePlan]
    problems: list[str] = field(default_factory=list)
    namespaces: tuple[str, ...] = ()
    space: ServerSpace | None = None
    events: EventReader | None = None
