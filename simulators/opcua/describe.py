"""What describes variables and methods: units, ranges, arguments, states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncua import ua

from simulators.machine import Argument, MethodPoint, Point, State
from simulators.opcua.instance import Entry, Variable
from simulators.opcua.space import BASE_VARIABLE, HAS_PROPERTY, PROPERTY_TYPE, Id, Space
from simulators.opcua.types import Declaration, Types
from simulators.opcua.values import Values

if TYPE_CHECKING:
    from simulators.machine import Unit

UNECE = "http://www.opcfoundation.org/UA/units/un/cefact"
"""Namespace of the units of UNECE Recommendation 20 (OPC 10000-8, 5.6.4.3)."""

_INITIAL_STATE = ua.NodeId(ua.ObjectIds.InitialStateType)
_STATE = ua.NodeId(ua.ObjectIds.StateType)
_UNITS = ua.NodeId(ua.ObjectIds.EUInformation)
_RANGE = ua.NodeId(ua.ObjectIds.Range)
_ARGUMENT = ua.NodeId(ua.ObjectIds.Argument)


def unit_id(code: str) -> int:
    """UnitId of a UNECE common code: its characters packed big-endian."""
    return int.from_bytes(code.encode("ascii"), "big")


def eu_information(unit: Unit) -> ua.EUInformation:
    """The unit as a client reads it."""
    return ua.EUInformation(
        NamespaceUri=UNECE,
        UnitId=unit_id(unit.code),
        DisplayName=ua.LocalizedText(unit.symbol, "en"),
        Description=ua.LocalizedText(unit.description, "en"),
    )


class Describer:
    """Adds describing properties."""

    def __init__(self, space: Space, types: Types, values: Values) -> None:
        self.space = space
        self.types = types
        self.values = values

    def vendor_type(self, point: Point) -> Id:
        """Variable type of a vendor's addition."""
        ranged = point.low is not None and point.high is not None
        if point.unit is not None:
            return ua.NodeId(ua.ObjectIds.AnalogUnitRangeType if ranged else ua.ObjectIds.AnalogUnitType)
        return ua.NodeId(ua.ObjectIds.AnalogItemType) if ranged else BASE_VARIABLE

    def unit_and_range(self, entry: Entry, point: Point) -> None:
        """EngineeringUnits and EURange, where the point has them."""
        if point.unit is not None:
            self._property(entry, "EngineeringUnits", _UNITS, eu_information(point.unit))
        if point.low is not None and point.high is not None:
            self._property(entry, "EURange", _RANGE, ua.Range(float(point.low), float(point.high)))

    def _property(self, entry: Entry, name: str, data_type: Id, value: object) -> None:
        declared = self.types.members(entry.sources).get(name, [])
        browse_name = declared[0].name if declared else ua.QualifiedName(name, 0)
        self.add_property(entry.node, browse_name, data_type, ua.Variant(value, ua.VariantType.ExtensionObject))

    def add_property(self, parent: Id, name: ua.QualifiedName, data_type: Id, value: ua.Variant, rank: int = -1) -> Id:
        """Add a describing property."""
        node = ua.NodeId(f"{parent.Identifier}/{name.Name}", parent.NamespaceIndex)
        self.space.add_variable(
            node, parent, HAS_PROPERTY, name, PROPERTY_TYPE, data_type=data_type, rank=rank, value=ua.DataValue(value)
        )
        return node

    def arguments(self, method: Id, point: MethodPoint, declared: list[Declaration]) -> None:
        """InputArguments and OutputArguments: the model's, else as declared."""
        for name, arguments in (("InputArguments", point.inputs), ("OutputArguments", point.outputs)):
            values = [self._argument(argument) for argument in arguments] or self._declared_arguments(declared, name)
            if values:
                variant = ua.Variant(values, ua.VariantType.ExtensionObject, is_array=True)
                self.add_property(method, ua.QualifiedName(name, 0), _ARGUMENT, variant, rank=1)

    def _argument(self, argument: Argument) -> ua.Argument:
        made = ua.Argument()
        made.Name = argument.name
        made.DataType = self.types.data_type(argument.data_type)
        made.ValueRank = -1
        made.Description = ua.LocalizedText(argument.text, "en")
        return made

    def _declared_arguments(self, declared: list[Declaration], name: str) -> list[ua.Argument]:
        for declaration in declared:
            node = self.space.child(declaration.node, name)
            if node is not None:
                return list(self.space.attribute(node, ua.AttributeIds.Value) or ())
        return []

    def first_state(self, machine_type: Id) -> State | None:
        """The state in which a state machine of this type begins, else the one with the lowest number."""
        states: list[tuple[bool, int, str]] = []
        for source in self.space.supertypes(machine_type):
            for found in self.space.children(source):
                kind = self.space.type_of(found.NodeId)
                if kind is None or not self.space.is_subtype(kind, _STATE):
                    continue
                number = self.space.child(found.NodeId, "StateNumber")
                value = self.space.attribute(number, ua.AttributeIds.Value) if number is not None else None
                states.append((kind != _INITIAL_STATE, int(value or 0), found.BrowseName.Name))
        if not states:
            return None
        _, number_, name = min(states)
        return State(name, number_)

    def state_values(self, variable: Variable, state: State) -> list[tuple[Variable, ua.Variant]]:
        """What CurrentState (or LastTransition), its Id and its Number show for a state.

        Raises:
            ValueError: The state machine's type has no such state.
        """
        assert variable.state_machine is not None
        node = self.types.state(variable.state_machine, state.name, state.number, transition=variable.transition)
        if node is None:
            kind = "transition" if variable.transition else "state"
            raise ValueError(
                f"{variable.path}: {self.space.browse_name(variable.state_machine).Name} has no {kind} "
                f"{state.name!r} (number {state.number})"
            )
        number = variable.parts["Number"]
        return [
            (variable, ua.Variant(ua.LocalizedText(state.name, "en"), ua.VariantType.LocalizedText)),
            (variable.parts["Id"], ua.Variant(node, ua.VariantType.NodeId)),
            (number, ua.Variant(int(state.number), self.values.built_in(number.data_type))),
        ]
