"""Rules that hold a device's nodes against what the official types declare; their parameters are generated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from conformance.device.judged import Findings, Judge
from conformance.device.snapshot import Name, Node, Reference, Snapshot, Text
from conformance.suite.outcome import Outcome, absent, informational, passed

_ANY, _SCALAR_OR_ONE, _ARRAY = -2, -3, 0
_INT32 = "Int32"


def present(snapshot: Snapshot, parameters: Mapping[str, Any]) -> Outcome:
    """Every instance of a type has a member.

    Parameters: `type` id and `name`; `path`: names from the instance to the member, as [namespace, name]. Where a
    member on the way is missing, which is another check's matter, nothing is said.
    """
    *way, last = (Name(*one) for one in parameters["path"])
    findings = Findings(snapshot)
    for instance in snapshot.instances.get(parameters["type"], ()):
        for holder in _follow(snapshot, instance, way):
            findings.looked += 1
            found = [child for _, child in snapshot.named(holder, last.name)]
            if not any(child.name == last for child in found):
                if found:
                    findings.add(found[0], f"is named in {found[0].name.namespace}, not in {last.namespace}")
                else:
                    findings.add(holder, f"has no {last.name}")
    if not findings.looked:
        return informational(f"there is no {parameters['name']}")
    return findings.outcome("", f"each has its {last.name}")


def shape(snapshot: Snapshot, parameters: Mapping[str, Any]) -> Outcome:
    """A member, wherever it is there, is what its declaration says.

    Parameters: those of `present`, and as declared: `class`, `reference`, `definition` (type definition; none for a
    method), `data_type` and `rank` of a variable. Subtypes of what is declared conform.
    """
    *way, last = (Name(*one) for one in parameters["path"])
    findings = Findings(snapshot)
    for instance in snapshot.instances.get(parameters["type"], ()):
        for holder in _follow(snapshot, instance, way):
            children: dict[str, tuple[Node, list[Reference]]] = {}
            for reference, child in snapshot.named(holder, last.name):
                children.setdefault(child.id, (child, []))[1].append(reference)
            # a vendor's own member of the same name stands beside the declared one
            exact = [one for one in children.values() if one[0].name == last]
            for child, references in exact or children.values():
                findings.looked += 1
                for problem, seen in _misshapen(snapshot, child, references, last, parameters):
                    findings.add(child, problem, seen)
    return findings.outcome(f"no {parameters['name']} has a {last.name}", "as declared")


def _misshapen(
    snapshot: Snapshot, node: Node, references: Sequence[Reference], name: Name, parameters: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    if node.name != name:
        yield f"its browse name must stand in {name.namespace}", node.name.namespace
    if node.node_class != parameters["class"]:
        yield f"must be of class {parameters['class']}", node.node_class
        return
    wanted = parameters["reference"]
    if not any(snapshot.is_a(one.type, wanted) for one in references):
        yield f"must hang on {_called(snapshot, wanted)}", snapshot.type_name(references[0].type)
    definition = parameters.get("definition")
    if definition is not None and not snapshot.is_a(node.type, definition):
        yield f"its type must be {_called(snapshot, definition)} or a subtype", snapshot.type_name(node.type)
    data_type = parameters.get("data_type")
    if data_type is not None and not snapshot.is_a(node.data_type, data_type):
        yield f"its data type must be {_called(snapshot, data_type)} or a subtype", snapshot.type_name(node.data_type)
    rank = parameters.get("rank")
    if rank is not None and not rank_fits(rank, node.rank):
        yield f"its ValueRank must be {rank}", str(node.rank)


def rank_fits(declared: int, found: int | None) -> bool:
    """Whether an instance may have this ValueRank (OPC 10000-3, 5.6.2): the same, or one that is narrower."""
    if found is None:
        return False
    if declared == _ANY:
        return True
    if declared == _SCALAR_OR_ONE:
        return found in {_SCALAR_OR_ONE, -1, 1}
    if declared == _ARRAY:
        return found >= _ARRAY
    return found == declared


def filled(snapshot: Snapshot, parameters: Mapping[str, Any]) -> Outcome:
    """What a placeholder stands for is of the placeholder's type.

    Parameters: those of `shape`, the last name of the path being the placeholder's; `members`: names that the holder's
    type declares besides; `mandatory`: at least one must be there. A vendor may add objects of other types, but not
    have these alone.
    """
    way = [Name(*one) for one in parameters["path"][:-1]]
    findings = Findings(snapshot)
    for instance in snapshot.instances.get(parameters["type"], ()):
        for holder in _follow(snapshot, instance, way):
            others = [
                child
                for reference, child in snapshot.children(holder)
                if child.node_class == parameters["class"]
                and child.name.name not in parameters["members"]
                and snapshot.is_a(reference.type, parameters["reference"])
            ]
            fitting = [child for child in others if snapshot.is_a(child.type, parameters["definition"])]
            kind = _called(snapshot, parameters["definition"])
            if fitting:
                findings.looked += len(fitting)
            elif others:
                findings.add(
                    holder, f"holds {len(others)} nodes, none of type {kind}", snapshot.type_name(others[0].type)
                )
            elif parameters["mandatory"]:
                findings.add(holder, f"holds no {kind}")
    return findings.outcome(f"no {parameters['name']} holds any", "of the declared type")


def enumeration(snapshot: Snapshot, parameters: Mapping[str, Any]) -> Outcome:
    """Variables of an enumeration have a value of it, as Int32, and the device tells the official names.

    Parameters: `data_type`; `names` by number (as text).
    """
    names = {int(number): name for number, name in parameters["names"].items()}
    findings = Findings(snapshot)
    for node in snapshot.typed.get(parameters["data_type"], ()):
        reading = node.reading
        if reading is None or reading.bad or reading.null:
            continue
        findings.looked += 1
        if reading.type != _INT32:
            findings.add(node, "an enumeration comes as Int32 (OPC 10000-6, 5.2.4)", reading.type)
        values = reading.value if isinstance(reading.value, list) else [reading.value]
        own = snapshot.enumerations.get(node.data_type or "") or names
        for value in values:
            if value not in names and value not in own:
                findings.add(node, f"{value!r} is none of its values 0 to {max(names)}", value)
    told = snapshot.enumerations.get(parameters["data_type"])
    if parameters["data_type"] in snapshot.enumerations and told != names:
        wrong = sorted(number for number in {*names, *(told or {})} if (told or {}).get(number) != names.get(number))
        findings.add(parameters["data_type"], f"the names of its numbers {wrong} are not the official ones", told)
    return findings.outcome("no variable has this data type", "all within the enumeration")


def states(snapshot: Snapshot, parameters: Mapping[str, Any]) -> Outcome:
    """CurrentState names a state of its type, and Id and Number belong together.

    Parameters: `type`; `states`: [id, name, number] as the official type declares them.
    """
    official = {one[0]: (one[1], one[2]) for one in parameters["states"]}
    findings = Findings(snapshot)
    for machine in snapshot.instances.get(parameters["type"], ()):
        declared = dict(official)
        for kind in snapshot.supertypes(machine.type):
            for state in snapshot.states.get(kind, ()):
                if not state.transition and state.id not in official:
                    declared[state.id] = (state.name, state.number if state.number is not None else -1)
        current = snapshot.child(machine, "CurrentState")
        if current is None or current.reading is None or current.reading.bad:
            continue
        findings.looked += 1
        for problem, seen in _misstated(snapshot, current, declared):
            findings.add(current, problem, seen)
    told = {
        one.id: one for kind in (parameters["type"],) for one in snapshot.states.get(kind, ()) if not one.transition
    }
    for key, (name, number) in official.items():
        if told and (key not in told or (told[key].name, told[key].number) != (name, number)):
            seen = f"{told[key].name} {told[key].number}" if key in told else "missing"
            findings.add(key, f"the type's state {name} has the number {number}", seen)
    return findings.outcome("there is no state machine of this type", "names, ids and numbers agree")


def _misstated(snapshot: Snapshot, current: Node, declared: Mapping[str, tuple[str, int]]) -> Iterator[tuple[str, str]]:
    parts = {name: snapshot.child(current, name) for name in ("Id", "Number")}
    values = {name: one.reading.value for name, one in parts.items() if one is not None and one.reading is not None}
    state = str(values.get("Id"))
    if state not in declared:
        yield "its Id is no state of its type", state
        return
    name, number = declared[state]
    if "Number" in values and values["Number"] != number:
        yield f"the state {name} has the number {number}", str(values["Number"])
    shown = current.reading.value if current.reading is not None else None
    others = {other for other, _ in declared.values()} - {name}
    if isinstance(shown, Text) and shown.text in others:
        yield f"it shows another state than its Id, {name}", str(shown.text)


def unit(snapshot: Snapshot, parameters: Mapping[str, Any]) -> Outcome:
    """The device has what a conformance unit is about.

    Parameters: `marks`: each a type, followed by names as [namespace, name]; any one of them shows the unit.
    """
    for kind, *path in parameters["marks"]:
        for instance in snapshot.instances.get(kind, ()):
            found = next(iter(_follow(snapshot, instance, [Name(*one) for one in path])), None)
            if found is not None:
                return passed(f"{snapshot.path(found)} is there", nodes=[snapshot.path(found)])
    return absent("nothing of it is there")


def types(snapshot: Snapshot, parameters: Mapping[str, Any]) -> Outcome:
    """The types of a namespace that the device uses are the official ones, and abstract ones have no instances.

    Parameters: `namespace`; `types`: by id, [name, supertype, abstract].
    """
    findings = Findings(snapshot)
    head = f"nsu={parameters['namespace']};"
    official = parameters["types"]
    for kind in snapshot.types.values():
        if not kind.id.startswith(head):
            continue
        findings.looked += 1
        if kind.id not in official:
            findings.add(kind.id, f"{kind.name.name} is no type of {parameters['namespace']}", kind.name.name)
            continue
        name, supertype, _ = official[kind.id]
        if (kind.name.namespace, kind.name.name) != (parameters["namespace"], name):
            findings.add(kind.id, f"the type is named {name}", kind.name)
        if kind.supertype != supertype:
            findings.add(kind.id, f"{name} is a subtype of {_called(snapshot, supertype)}", kind.supertype)
    for node in snapshot.inside.values():
        if node.type in official and official[node.type][2]:
            findings.add(node, f"{official[node.type][0]} is abstract and has no instances of its own", node.type)
    return findings.outcome("no type of it is used", "as published")


def names(snapshot: Snapshot, parameters: Mapping[str, Any]) -> Outcome:
    """Browse names in a specification's namespace are names of the specification.

    Parameters: `namespace`; `names`.
    """
    findings = Findings(snapshot)
    known = frozenset(parameters["names"])
    for node in snapshot.inside.values():
        if node.name.namespace == parameters["namespace"]:
            findings.looked += 1
            if node.name.name not in known:
                findings.add(node, f"{node.name.name} is no name of {parameters['namespace']}", node.name.name)
    return findings.outcome("no browse name stands in it", "names of the specification")


def _follow(snapshot: Snapshot, start: Node, way: Sequence[Name]) -> list[Node]:
    found = [start]
    for name in way:
        found = [child for node in found for _, child in snapshot.named(node, name.name) if child.name == name]
    return list({node.id: node for node in found}.values())


def _called(snapshot: Snapshot, type_id: str) -> str:
    return snapshot.type_name(type_id)


JUDGES: dict[str, Judge] = {
    "model.present": present,
    "model.shape": shape,
    "model.filled": filled,
    "model.enumeration": enumeration,
    "model.states": states,
    "model.unit": unit,
    "model.types": types,
    "model.names": names,
}
