"""Mutants of the information model, generated with the checks that they break (device-model.toml).

Each line names an operation on the first machine of the server that has what it is about: a member of an instance of a
type is removed, renamed, retyped, hung on another reference; a value leaves its enumeration; a state disagrees with
its number; a type of the server is changed.
"""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from typing import Any

from asyncua import ua

from simulators.mutants.device import Change, DeviceMutant, MutationError, operated
from simulators.mutants.surgery import Surgery
from simulators.opcua.instance import Instance
from simulators.opcua.space import Id

Row = Mapping[str, Any]


def node_id(surgery: Surgery, text: str) -> Id:
    """Of `nsu=<uri>;i=<n>` or `i=<n>`."""
    if not text.startswith("nsu="):
        return ua.NodeId.from_string(text)
    uri, _, rest = text[4:].rpartition(";")
    return ua.NodeId.from_string(f"ns={surgery.space.index(uri)};{rest}")


def instances(surgery: Surgery, instance: Instance, kind: Id) -> Iterator[Id]:
    """Nodes of the machine of a type or its subtypes, from the machine downwards."""
    space = surgery.space
    seen = {instance.node}
    queue = [instance.node]
    while queue:
        node = queue.pop(0)
        found = space.type_of(node)
        if found is not None and space.exists(found) and space.is_subtype(found, kind):
            yield node
        for child in space.children(node):
            if child.NodeId not in seen and space.exists(child.NodeId):
                seen.add(child.NodeId)
                queue.append(child.NodeId)


def member(surgery: Surgery, node: Id, uri: str, name: str) -> Id | None:
    """The child with a browse name."""
    index = surgery.space.index(uri)
    wanted = ua.QualifiedName(name, index)
    return next((one.NodeId for one in surgery.space.children(node) if one.BrowseName == wanted), None)


def _find(surgery: Surgery, instance: Instance, row: Row) -> tuple[Id, Id]:
    """The first place in the machine of what a row is about: who holds it, and itself."""
    for start in instances(surgery, instance, node_id(surgery, row["type"])):
        found = _down(surgery, start, row["path"])
        if found is not None:
            return found
    raise MutationError(f"no {row['name']} of the machine has {'/'.join(name for _, name in row['path'])}")


def _down(surgery: Surgery, start: Id, path: list[list[str]]) -> tuple[Id, Id] | None:
    holder, node = start, start
    for uri, name in path:
        below = member(surgery, node, uri, name)
        if below is None:
            return None
        holder, node = node, below
    return holder, node


def _remove(surgery: Surgery, instance: Instance, row: Row) -> None:
    surgery.cut(*_find(surgery, instance, row))


def _rename(surgery: Surgery, instance: Instance, row: Row) -> None:
    _, node = _find(surgery, instance, row)
    surgery.rename(node, ua.QualifiedName(row["path"][-1][1], instance.namespace))


def _refer(surgery: Surgery, instance: Instance, row: Row) -> None:
    holder, node = _find(surgery, instance, row)
    surgery.refer(holder, node, node_id(surgery, row["to"]))


def _retype(surgery: Surgery, instance: Instance, row: Row) -> None:
    surgery.retype(_find(surgery, instance, row)[1], node_id(surgery, row["to"]))


def _data_type(surgery: Surgery, instance: Instance, row: Row) -> None:
    surgery.data_type(_find(surgery, instance, row)[1], node_id(surgery, row["to"]))


def _rank(surgery: Surgery, instance: Instance, row: Row) -> None:
    surgery.rank(_find(surgery, instance, row)[1], row["to"])


def _unfill(surgery: Surgery, instance: Instance, row: Row) -> None:
    definition, to = node_id(surgery, row["definition"]), node_id(surgery, row["to"])
    space = surgery.space
    for start in instances(surgery, instance, node_id(surgery, row["type"])):
        holder = _down(surgery, start, row["path"][:-1])
        below = [one.NodeId for one in space.children(holder[1])] if holder is not None else []
        fitting = [
            one for one in below if (kind := space.type_of(one)) is not None and space.is_subtype(kind, definition)
        ]
        if fitting:
            for one in fitting:
                surgery.retype(one, to)
            return
    raise MutationError(f"no {row['name']} of the machine holds anything")


def _value(surgery: Surgery, instance: Instance, row: Row) -> None:
    wanted = node_id(surgery, row["data_type"])
    for variable in instance.variables.values():
        if variable.data_type == wanted:
            surgery.value(variable.node, row["to"], ua.VariantType.Int32)
            return
    raise MutationError(f"no variable of the machine has the data type {row['data_type']}")


def _enumeration(surgery: Surgery, _: Instance, row: Row) -> None:
    space = surgery.space
    data_type = node_id(surgery, row["data_type"])
    for name in ("EnumStrings", "EnumValues"):
        node = space.child(data_type, name)
        if node is None:
            continue
        names = copy.deepcopy(space.attribute(node, ua.AttributeIds.Value))
        if name == "EnumStrings":
            names[0] = ua.LocalizedText(row["to"], "en")
        else:
            names[0].DisplayName = ua.LocalizedText(row["to"], "en")
        surgery.value(node, names)
        return
    raise MutationError(f"the data type {row['data_type']} does not tell its names")


def _state_part(surgery: Surgery, instance: Instance, row: Row, part: str) -> Id:
    for start in instances(surgery, instance, node_id(surgery, row["type"])):
        current = surgery.space.child(start, "CurrentState")
        found = surgery.space.child(current, part) if current is not None else None
        if found is not None:
            return found
    raise MutationError(f"the machine has no state machine of type {row['type']} with {part}")


def _state_number(surgery: Surgery, instance: Instance, row: Row) -> None:
    surgery.value(_state_part(surgery, instance, row, "Number"), row["to"])


def _state_id(surgery: Surgery, instance: Instance, row: Row) -> None:
    surgery.value(_state_part(surgery, instance, row, "Id"), node_id(surgery, row["to"]))


def _without(surgery: Surgery, instance: Instance, row: Row) -> None:
    for kind, *path in row["marks"]:
        for start in list(instances(surgery, instance, node_id(surgery, kind))):
            found = _down(surgery, start, path)
            if found is None:
                continue
            holder, node = found
            for parent in [holder] if path else surgery.parents(node):
                surgery.cut(parent, node)


def _foreign_name(surgery: Surgery, instance: Instance, row: Row) -> None:
    for variable in instance.variables.values():
        name = surgery.space.browse_name(variable.node)
        if name.NamespaceIndex == instance.namespace:
            surgery.rename(variable.node, ua.QualifiedName(name.Name, surgery.space.index(row["to"])))
            return
    raise MutationError("the machine has no addition of its vendor")


def _type_name(surgery: Surgery, _: Instance, row: Row) -> None:
    node = node_id(surgery, row["type"])
    surgery.rename(node, ua.QualifiedName(row["to"], node.NamespaceIndex))


_OPERATIONS: dict[str, Callable[[Surgery, Instance, Row], None]] = {
    "remove": _remove,
    "rename": _rename,
    "refer": _refer,
    "retype": _retype,
    "data-type": _data_type,
    "rank": _rank,
    "unfill": _unfill,
    "value": _value,
    "enumeration": _enumeration,
    "state-number": _state_number,
    "state-id": _state_id,
    "without": _without,
    "foreign-name": _foreign_name,
    "type-name": _type_name,
}


def _change(row: Row) -> Change:
    def change(surgery: Surgery, instance: Instance) -> None:
        _OPERATIONS[row["operation"]](surgery, instance, row)

    return change


def _mutants() -> tuple[DeviceMutant, ...]:
    text = files("simulators.mutants").joinpath("device-model.toml").read_text(encoding="utf-8")
    return tuple(
        DeviceMutant(
            row["id"],
            row["title"],
            row["breaks"],
            row["source"],
            operated(_change(row)),
        )
        for row in tomllib.loads(text)["mutant"]
    )


MUTANTS = _mutants()
