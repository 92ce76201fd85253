"""From the variables of a machine to descriptions of signals and to what is monitored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from asyncua import ua

from adapters.opcua.browse import content, readable
from adapters.opcua.datatypes import TypeInfo, names_by_number
from adapters.opcua.forms import BUILT_IN_NAMES
from adapters.opcua.plan import SignalPlan
from adapters.opcua.space import ServerSpace
from adapters.opcua.tree import VARIABLE, Tree, TreeNode
from gateway.model import DataType, LocalizedText, Range, Signal, SignalRef, StructureField, Unit, json_float
from gateway.model.units import unit
from gateway.model.values import json_text

_READ, _WRITE, _HISTORY = 1, 2, 4  # bits of AccessLevel (OPC 10000-3, 8.57)
_ATTRIBUTES = (
    ua.AttributeIds.DataType,
    ua.AttributeIds.ValueRank,
    ua.AttributeIds.UserAccessLevel,
    ua.AttributeIds.MinimumSamplingInterval,
    ua.AttributeIds.Description,
)


@dataclass(slots=True)
class Facts:
    """What was read of one variable."""

    data_type: ua.NodeId
    rank: int = -1
    dimensions: Sequence[int] = ()
    access: int = _READ
    sampling: float | None = None
    text: ua.LocalizedText | None = None
    historizing: bool = False
    fault: str = ""


@dataclass(slots=True)
class Described:
    """Signals of one machine."""

    signals: list[Signal] = field(default_factory=list)
    plans: list[SignalPlan] = field(default_factory=list)
    data_types: list[DataType] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Describer:
    """Describes the variables of all machines of a connection."""

    def __init__(self, space: ServerSpace) -> None:
        self._reader = space.reader
        self._namespaces = space.namespaces
        self._types = space.types
        self._data_types = space.data_types
        self._values = space.values
        self._facts: dict[ua.NodeId, Facts] = {}
        self._describing: dict[ua.NodeId, Any] = {}

    async def load(self, trees: Sequence[Tree]) -> None:
        """Read all that describes the variables of these machines."""
        variables = [node for tree in trees for node in tree.nodes if node.node_class == VARIABLE]
        await self._read_facts(list(dict.fromkeys(node.node for node in variables)))
        self._describing = await self._reader.values(one for node in variables for one in node.describing.values())
        await self._data_types.load(one.data_type for one in self._facts.values())
        if any(self._open(one.data_type) for one in self._facts.values()):
            await self._data_types.load_structures()

    def _open(self, data_type: ua.NodeId) -> bool:
        """Values of any structure may come for this data type."""
        info = self._data_types.infos.get(data_type)
        return (
            info is None or info.built_in == 24 or (info.built_in == 22 and (info.abstract or info.definition is None))
        )

    async def _read_facts(self, nodes: list[ua.NodeId]) -> None:
        width = len(_ATTRIBUTES)
        answers = await self._reader.read([(node, attribute) for node in nodes for attribute in _ATTRIBUTES])
        for index, node in enumerate(nodes):
            self._facts[node] = _facts(answers[index * width : (index + 1) * width])
        more = [(node, ua.AttributeIds.ArrayDimensions) for node in nodes if self._facts[node].rank >= 0]
        more += [(node, ua.AttributeIds.Historizing) for node in nodes if self._facts[node].access & _HISTORY]
        unsure = [node for node in nodes if self._facts[node].access < 0]
        more += [(node, ua.AttributeIds.AccessLevel) for node in unsure]
        for (node, attribute), answer in zip(more, await self._reader.read(more), strict=True):
            value, facts = content(answer) if readable(answer) else None, self._facts[node]
            if attribute == ua.AttributeIds.ArrayDimensions:
                facts.dimensions = value or ()
            elif attribute == ua.AttributeIds.Historizing:
                facts.historizing = bool(value)
            else:
                facts.access = _READ if value is None else int(value)

    def describe(self, tree: Tree) -> Described:
        """Signals of one machine, in the order of its tree."""
        found = Described()
        variables = [node for node in tree.nodes if node.node_class == VARIABLE]
        names = self._type_names(variables)
        for node in variables:
            facts = self._facts[node.node]
            signal = self._signal(node, facts, names)
            found.signals.append(signal)
            if signal.quarantined:
                found.problems.append(f"{node.path}: not read: {signal.quarantined}")
                continue
            found.plans.append(self._plan(node, facts, signal))
        found.data_types = self._used_types(names)
        return found

    def _plan(self, node: TreeNode, facts: Facts, signal: Signal) -> SignalPlan:
        info = self._data_types.infos.get(facts.data_type)
        component = node.component
        return SignalPlan(
            node=node.node,
            ref=SignalRef(signal.path),
            convert=self._values.converter(24 if info is None else info.built_in),
            data_type=signal.data_type if info is None else info.name[1],
            component_type="" if component is None or component.type is None else self._types.type_name(component.type),
            minimum_sampling=facts.sampling,
            historizing=facts.historizing and bool(facts.access & _HISTORY),
        )

    def _signal(self, node: TreeNode, facts: Facts, names: dict[ua.NodeId, str]) -> Signal:
        info = self._data_types.infos.get(facts.data_type)
        text = facts.text if facts.text is not None and facts.text.Text else None
        standard = [one for one in node.declarations if self._namespaces.foundation(one.node.NamespaceIndex)]
        declaration = next(iter([*standard, *node.declarations]), None)
        signal = Signal(
            path=node.path,
            data_type=names.get(facts.data_type, "BaseDataType"),
            array_shape=_shape(facts.rank, facts.dimensions),
            unit=self._unit(node),
            range=self._range(node),
            enumeration=self._enumeration(node, info),
            text=None if text is None else LocalizedText(text=json_text(text.Text), locale=text.Locale or None),
            semantic_id=None if declaration is None else self._namespaces.semantic(declaration.node),
            access=_access(facts.access),
            vendor=not standard,
            quarantined=_quarantine(facts),
        )
        # pydantic notes for each object which fields were given; all were, and a set of 700 bytes each is too much
        object.__setattr__(signal, "__pydantic_fields_set__", _GIVEN)
        return signal

    def _property(self, node: TreeNode, *names: str) -> Any:  # noqa: ANN401 - content of a Variant
        for name in names:
            found = self._describing.get(node.describing[name]) if name in node.describing else None
            if found is not None:
                return found
        return None

    def _unit(self, node: TreeNode) -> Unit | None:
        found = self._property(node, "EngineeringUnits")
        if not isinstance(found, ua.EUInformation):
            return None
        symbol = None if found.DisplayName is None else found.DisplayName.Text
        description = None if found.Description is None else found.Description.Text
        return unit(int(found.UnitId), symbol, description, found.NamespaceUri)

    def _range(self, node: TreeNode) -> Range | None:
        found = self._property(node, "EURange", "InstrumentRange")
        if not isinstance(found, ua.Range):
            return None
        return Range(low=json_float(float(found.Low)), high=json_float(float(found.High)))

    def _enumeration(self, node: TreeNode, info: TypeInfo | None) -> dict[str, str] | None:
        names = names_by_number(self._property(node, "EnumValues", "EnumStrings"))
        if names is None and "TrueState" in node.describing:
            states = {"0": self._property(node, "FalseState"), "1": self._property(node, "TrueState")}
            names = {key: one.Text for key, one in states.items() if isinstance(one, ua.LocalizedText) and one.Text}
        return names or (info.enumeration if info is not None else None)

    def _type_names(self, variables: Sequence[TreeNode]) -> dict[ua.NodeId, str]:
        """Names of all data types of a machine; of equal ones, all but the first are named ``Name@<namespace URI>``."""
        used: dict[ua.NodeId, TypeInfo] = {}
        open_ = [self._facts[node.node].data_type for node in variables]
        while open_:
            node = open_.pop()
            info = self._data_types.infos.get(node)
            if info is not None and node not in used:
                used[node] = info
                open_.extend(one.data_type for one in self._data_types.fields(node))
        names: dict[ua.NodeId, str] = {}
        taken: set[str] = set()
        for node, info in sorted(used.items(), key=self._type_order):
            label = info.name[1] if info.name[1] not in taken else f"{info.name[1]}@{self._uri(node)}"
            taken.add(label)
            names[node] = label
        return names

    def _type_order(self, item: tuple[ua.NodeId, TypeInfo]) -> tuple[str, bool, str, str]:
        node, info = item
        foreign = not self._namespaces.foundation(node.NamespaceIndex)
        return (info.name[1], foreign, self._uri(node), node.to_string())

    def _uri(self, node: ua.NodeId) -> str:
        uris = self._namespaces.uris
        return uris[node.NamespaceIndex] if node.NamespaceIndex < len(uris) else ""

    def _used_types(self, names: dict[ua.NodeId, str]) -> list[DataType]:
        """Those that are not built in, in the order of their names."""
        found: list[DataType] = []
        for node, label in sorted(names.items(), key=lambda item: item[1]):
            info = self._data_types.infos[node]
            if not node.NamespaceIndex and node.Identifier in BUILT_IN_NAMES:
                continue
            fields = [
                StructureField(
                    name=one.name,
                    data_type=names.get(one.data_type, "BaseDataType"),
                    array_shape=_shape(one.rank, one.dimensions),
                    optional=one.optional and info.definition is not None and info.definition.kind == 1,
                )
                for one in self._data_types.fields(node)
            ]
            found.append(
                DataType(
                    name=label,
                    semantic_id=self._namespaces.semantic(node),
                    enumeration=info.enumeration,
                    fields=fields or None,
                )
            )
        return found


def _facts(answers: Sequence[Any]) -> Facts:
    data_type, rank, access, sampling, text = (content(one) if readable(one) else None for one in answers)
    facts = Facts(data_type=data_type if isinstance(data_type, ua.NodeId) else ua.NodeId(ua.ObjectIds.BaseDataType))
    if not isinstance(data_type, ua.NodeId):
        facts.fault = f"its DataType attribute could not be read: {answers[0].StatusCode.name}"
    facts.rank = -1 if rank is None else int(rank)
    facts.access = -1 if access is None else int(access)
    facts.sampling = float(sampling) if isinstance(sampling, int | float) and sampling >= 0 else None
    facts.text = text if isinstance(text, ua.LocalizedText) else None
    return facts


def _quarantine(facts: Facts) -> str | None:
    if facts.fault:
        return facts.fault
    if not facts.access & _READ:
        return f"the server does not let this user read it (UserAccessLevel {facts.access})"
    return None


_GIVEN = set(Signal.model_fields)


def _access(level: int) -> Literal["read", "read-write", "write"]:
    if level & _WRITE:
        return "read-write" if level & _READ else "write"
    return "read"


def _shape(rank: int, dimensions: Sequence[int]) -> list[int] | None:
    """None for a scalar (and where the rank allows one), else the length of each dimension, 0 where it varies."""
    if rank < 0:
        return None
    lengths = [int(length) for length in dimensions]
    return lengths if len(lengths) == max(rank, 1) or (rank == 0 and lengths) else [0] * max(rank, 1)
