"""Which fields of events are asked for: explicit select clauses from the server's own event types.

Some servers refuse where-clauses (Sinumerik), so there are none. All fields of every event type outside of namespace 0
and of its supertypes are selected, and those of conditions and transitions; a server answers null for what an event
does not have (OPC 10000-4, 7.22.3). A server that refuses so many clauses gets the base selection.
"""

from __future__ import annotations

from dataclasses import dataclass

from asyncua import ua

from adapters.opcua.browse import HAS_SUBTYPE, Browse, Reader
from adapters.opcua.namespaces import Namespaces
from adapters.opcua.tree import OBJECT, VARIABLE
from adapters.opcua.types import Declaration, TypeSpace, name_of
from gateway.model.names import join_path

BASE_EVENT = ua.NodeId(ua.ObjectIds.BaseEventType)
CONDITION = ua.NodeId(ua.ObjectIds.ConditionType)
_ALWAYS = (
    BASE_EVENT,
    CONDITION,
    ua.NodeId(ua.ObjectIds.AcknowledgeableConditionType),
    ua.NodeId(ua.ObjectIds.AlarmConditionType),
    ua.NodeId(ua.ObjectIds.TransitionEventType),
)
CONDITION_ID = "ConditionId"
_DEEPEST = 3
_MOST_CLAUSES = 400
_BASE_FIELDS = frozenset({
    "EventId", "EventType", "SourceNode", "SourceName", "Time", "Message", "Severity",
    "ConditionName", "BranchId", "Retain", "EnabledState/Id", "Comment", "AckedState/Id", "ConfirmedState/Id",
    "ActiveState/Id",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Clause:
    """One selected field: the type that declares it, its browse names below that type, and its name for consumers."""

    name: str
    type: ua.NodeId
    path: tuple[tuple[int, str], ...]

    def operand(self) -> ua.SimpleAttributeOperand:
        """As it stands in an event filter; without path: the NodeId of the condition itself (OPC 10000-9, 5.5.2)."""
        return ua.SimpleAttributeOperand(
            TypeDefinitionId=self.type,
            BrowsePath=[ua.QualifiedName(text, index) for index, text in self.path],
            AttributeId=ua.AttributeIds.Value if self.path else ua.AttributeIds.NodeId,
        )


@dataclass(frozen=True, slots=True)
class EventTypes:
    """The event types of a server, and what to select of their events.

    Attributes:
        clauses: All fields.
        base: The few that a server must have for the alarms to be understood.
        conditions: The condition types.
    """

    clauses: tuple[Clause, ...]
    base: tuple[Clause, ...]
    conditions: frozenset[ua.NodeId]
    types: TypeSpace

    def known(self, event_type: ua.NodeId) -> bool:
        """The server had this event type when its types were read."""
        return event_type in self.types.names

    def name(self, event_type: ua.NodeId) -> str:
        """Browse name of an event type."""
        return self.types.type_name(event_type)


async def load_event_types(reader: Reader, namespaces: Namespaces, types: TypeSpace) -> EventTypes:
    """Browse the server's event types and what they declare."""
    found = await _descendants(reader, namespaces, types)
    chosen = [*_ALWAYS, *(node for node in found if node.NamespaceIndex)]
    await types.load([*chosen, *found])
    clauses: dict[str, Clause] = {CONDITION_ID: Clause(CONDITION_ID, CONDITION, ())}
    for event_type in chosen:
        for source in reversed(types.chain(event_type)):
            for declaration in types.declared(source):
                _select(types, source, declaration, (), clauses)
    selected = tuple(clauses.values())[:_MOST_CLAUSES]
    base = tuple(clause for clause in selected if clause.name in _BASE_FIELDS | {CONDITION_ID})
    conditions = frozenset(node for node in found if types.is_subtype(node, CONDITION)) | {CONDITION}
    return EventTypes(selected, base, conditions, types)


async def _descendants(reader: Reader, namespaces: Namespaces, types: TypeSpace) -> list[ua.NodeId]:
    """All subtypes of BaseEventType, the nearest first; their names become known."""
    found: dict[ua.NodeId, None] = {BASE_EVENT: None}
    level = [BASE_EVENT]
    while level:
        results = await reader.browse([Browse(node, HAS_SUBTYPE) for node in level])
        level = []
        for result in results:
            for reference in result.references:
                node = namespaces.local(reference.NodeId)
                if node is not None and node not in found:
                    types.names[node] = name_of(reference.BrowseName)
                    found[node] = None
                    level.append(node)
    return list(found)


def _select(
    types: TypeSpace,
    owner: ua.NodeId,
    declaration: Declaration,
    above: tuple[tuple[int, str], ...],
    clauses: dict[str, Clause],
) -> None:
    """Add the field of a declaration and those below it."""
    path = (*above, declaration.name)
    if declaration.rule is None or declaration.placeholder or len(path) > _DEEPEST:
        return
    name = join_path(text for _, text in path)
    if declaration.node_class == VARIABLE:
        clauses.setdefault(name, Clause(name, owner, path))
    if declaration.node_class in (VARIABLE, OBJECT):
        for below in types.declared(declaration.node):
            _select(types, owner, below, path, clauses)
