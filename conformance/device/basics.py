"""Rules that hold for every machine, whatever its types declare: identity, values, units, names, the server itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from conformance.device.declared import rank_fits
from conformance.device.judged import Findings, Judge
from conformance.device.snapshot import (
    DI,
    ENUMERATION,
    MACHINE_TOOL,
    MACHINE_TOOL_TYPE,
    MACHINERY,
    MACHINES,
    OBJECTS,
    UA,
    Name,
    Node,
    Reading,
    Snapshot,
    Structure,
    Text,
)
from conformance.suite.outcome import Outcome, failed, passed

UNECE = "http://www.opcfoundation.org/UA/units/un/cefact"
_MESSAGES = f"nsu={MACHINE_TOOL};i=38"
_READ = 1
_EVENTS = 1
_OLDEST = 1900
_RUNNING = 0
_LOCALE = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")
_CODE = re.compile(r"[A-Z0-9]{1,3}")
_LOCATION = re.compile(
    r"(?=.)(N\s?-?\d{1,2}(\.\d+)?\s+E\s?-?\d{1,3}(\.\d+)?)?(\s*\S+(\s\S+)*\s+[A-Za-z0-9.-]+\s+[A-Za-z0-9.-]+)?"
)
_BUILT_IN = {
    1: "Boolean", 2: "SByte", 3: "Byte", 4: "Int16", 5: "UInt16", 6: "Int32", 7: "UInt32", 8: "Int64", 9: "UInt64",
    10: "Float", 11: "Double", 12: "String", 13: "DateTime", 14: "Guid", 15: "ByteString", 16: "XmlElement",
    17: "NodeId", 18: "ExpandedNodeId", 19: "StatusCode", 20: "QualifiedName", 21: "LocalizedText",
    22: "ExtensionObject", 23: "DataValue", 25: "DiagnosticInfo",
}  # fmt: skip
_ABSTRACT = {
    "i=24": None,
    "i=26": frozenset({"SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64", "Float", "Double"}),
    "i=27": frozenset({"SByte", "Int16", "Int32", "Int64"}),
    "i=28": frozenset({"Byte", "UInt16", "UInt32", "UInt64"}),
}
"""Abstract data types and what may carry them; None is anything."""


def machines_folder(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """The Machines folder hangs below Objects."""
    folder, objects = snapshot.nodes.get(MACHINES), snapshot.nodes.get(OBJECTS)
    if folder is None:
        return failed(f"there is no Machines folder ({MACHINES})")
    if objects is None or all(child.id != MACHINES for _, child in snapshot.children(objects)):
        return failed("no reference leads from Objects to the Machines folder", nodes=["Machines"])
    if folder.name != Name(MACHINERY, "Machines"):
        return failed(f"the Machines folder is named {folder.name}", nodes=["Machines"])
    return passed("Objects/Machines is there")


def machine_found(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """There is a machine tool below the Machines folder."""
    found = snapshot.machine_tools
    if not found:
        others = ", ".join(snapshot.type_name(one.type) for one in snapshot.machines) or "it is empty"
        return failed(f"no machine of MachineToolType is below the Machines folder: {others}")
    return passed(f"{len(found)} machine tools", nodes=[snapshot.path(one) for one in found])


def machines_only_there(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """No machine tool stands anywhere else."""
    findings = Findings(snapshot)
    listed = {one.id for one in snapshot.machines}
    for node in snapshot.nodes.values():
        if node.node_class == "Object" and snapshot.is_a(node.type, MACHINE_TOOL_TYPE):
            findings.looked += 1
            if node.id not in listed:
                findings.add(node, "a machine tool that is not directly below the Machines folder")
    return findings.outcome("there is no machine tool", "all below the Machines folder")


def unique_uris(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """Each machine has a ProductInstanceUri of its own."""
    findings = Findings(snapshot)
    seen: dict[str, Node] = {}
    for machine in snapshot.machines:
        node = _identity(snapshot, machine, "ProductInstanceUri")
        if node is None:
            continue
        findings.looked += 1
        uri = _plain(node)
        if not uri:
            findings.add(node, "is empty")
        elif uri in seen:
            findings.add(node, f"is the same as that of {seen[uri].name.name}", uri)
        else:
            seen[uri] = machine
    return findings.outcome("no machine has a ProductInstanceUri", "each is different")


def identification(snapshot: Snapshot, parameters: Mapping[str, Any]) -> Outcome:
    """Identification values are filled. Parameters: `names`."""
    findings = Findings(snapshot)
    for machine in snapshot.machine_tools:
        for name in parameters["names"]:
            node = _identity(snapshot, machine, name)
            findings.looked += 1
            if node is None:
                findings.add(machine, f"has no Identification/{name}")
            elif _plain(node) in (None, "", 0):
                findings.add(node, "is empty", node.reading.value if node.reading else "")
    return findings.outcome("there is no machine tool", "all filled")


def location(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """Location is a position, or the place at a fair, as umati reads it."""
    findings = Findings(snapshot)
    for machine in snapshot.machine_tools:
        node = _identity(snapshot, machine, "Location")
        text = _plain(node) if node is not None else None
        if node is None or not isinstance(text, str) or not text:
            continue
        findings.looked += 1
        if not _LOCATION.fullmatch(text.strip()):
            findings.add(node, "is neither `N 51.257315 E 6.740885` nor `FAIR HALL STAND`", repr(text))
    return findings.outcome("no machine tells its Location", "as umati reads it")


def construction_date(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """Year and month of construction can be true."""
    findings = Findings(snapshot)
    latest = datetime.now(UTC).year + 1
    for machine in snapshot.machines:
        for name, low, high in (("YearOfConstruction", _OLDEST, latest), ("MonthOfConstruction", 1, 12)):
            node = _identity(snapshot, machine, name)
            value = _plain(node) if node is not None else None
            if node is None or not isinstance(value, int):
                continue
            findings.looked += 1
            if not low <= value <= high:
                findings.add(node, f"is not within {low} and {high}", value)
    return findings.outcome("no machine tells it", "plausible")


def no_null(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """No value is Good and Null."""
    return _each(
        snapshot, lambda _, one: "is Good but Null" if one.reading and one.reading.good and one.reading.null else ""
    )


def valid(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """Every variable has a value that is not bad."""
    return _each(snapshot, lambda _, one: f"is {_status(one.reading)}" if one.reading and one.reading.bad else "")


def readable(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """AccessLevel allows reading, and attributes can be read."""

    def problem(_: Snapshot, node: Node) -> str:
        if node.access is None or node.data_type is None or node.rank is None:
            return "its AccessLevel, DataType or ValueRank cannot be read"
        return "" if node.access & _READ else "its AccessLevel forbids reading"

    return _each(snapshot, problem)


def user_access(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """UserAccessLevel allows nothing that AccessLevel does not."""

    def problem(_: Snapshot, node: Node) -> str:
        beyond = (node.user_access or 0) & ~(node.access or 0) & 0b11
        return f"UserAccessLevel {node.user_access} goes beyond AccessLevel {node.access}" if beyond else ""

    return _each(snapshot, problem)


def value_type(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """A value comes as its DataType says."""

    def problem(snapshot: Snapshot, node: Node) -> str:
        reading = node.reading
        if reading is None or reading.bad or reading.null:
            return ""
        wanted = _carriers(snapshot, node.data_type)
        if wanted is not None and reading.type not in wanted:
            return f"a {snapshot.type_name(node.data_type)} comes as {reading.type}"
        return ""

    return _each(snapshot, problem)


def _carriers(snapshot: Snapshot, data_type: str | None) -> frozenset[str] | None:
    for kind in snapshot.supertypes(data_type):
        if kind == ENUMERATION:
            return frozenset({"Int32"})
        if kind in _ABSTRACT:
            return _ABSTRACT[kind] if kind == data_type or kind != "i=24" else frozenset()
        if kind.startswith("i=") and kind[2:].isdigit() and int(kind[2:]) in _BUILT_IN:
            return frozenset({_BUILT_IN[int(kind[2:])]})
    return frozenset()


def value_rank(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """A value is a scalar or an array as its ValueRank says."""

    def problem(_: Snapshot, node: Node) -> str:
        reading = node.reading
        if reading is None or reading.bad or reading.null or node.rank is None:
            return ""
        found = -1 if reading.dimensions is None else len(reading.dimensions)
        if node.rank == 0 and found == -1:
            return "ValueRank 0 asks for an array, the value is a scalar"
        return "" if rank_fits(node.rank, found) else f"ValueRank {node.rank}, but the value has rank {found}"

    return _each(snapshot, problem)


def units(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """UnitId is the UNECE code's characters, packed (OPC 10000-8, 5.6.4.3)."""

    def problem(fields: Mapping[str, Any]) -> str:
        uri, number = fields.get("NamespaceUri"), fields.get("UnitId")
        if uri != UNECE:
            return "" if uri else "its NamespaceUri is empty"
        if not isinstance(number, int) or number <= 0:
            return f"UnitId {number} is no UNECE code"
        code = number.to_bytes(4, "big").lstrip(b"\0").decode("latin-1")
        return "" if _CODE.fullmatch(code) else f"UnitId {number} is no UNECE code: {code!r}"

    return _properties(snapshot, "EngineeringUnits", problem)


def unit_names(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """Units have a symbol for people."""

    def problem(fields: Mapping[str, Any]) -> str:
        shown = fields.get("DisplayName")
        return "" if isinstance(shown, Text) and shown.text else "its DisplayName is empty"

    return _properties(snapshot, "EngineeringUnits", problem)


def ranges(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """EURange has its low end below its high end."""

    def problem(fields: Mapping[str, Any]) -> str:
        low, high = fields.get("Low"), fields.get("High")
        if not isinstance(low, float | int) or not isinstance(high, float | int):
            return "has no ends"
        return "" if low < high else f"runs from {low:g} to {high:g}"

    return _properties(snapshot, "EURange", problem)


def within_range(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """Values keep to their EURange."""
    findings = Findings(snapshot)
    for node in snapshot.variables:
        spread = snapshot.child(node, "EURange")
        fields = _fields(spread) if spread is not None else {}
        low, high = fields.get("Low"), fields.get("High")
        if node.reading is None or not node.reading.good or low is None or high is None:
            continue
        findings.looked += 1
        values = node.reading.value if isinstance(node.reading.value, list) else [node.reading.value]
        for value in values:
            if isinstance(value, float | int) and low < high and not low <= value <= high:
                findings.add(node, f"{value:g} is outside of {low:g} to {high:g}", value)
    return findings.outcome("no variable has a range", "all within")


def namespace_array(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """The namespace table can be used."""
    uris = _server(snapshot, "NamespaceArray")
    if not isinstance(uris, list) or not uris:
        return failed("NamespaceArray cannot be read or is empty")
    if uris[0] != UA:
        return failed(f"namespace 0 is {uris[0]!r}")
    wrong = [index for index, uri in enumerate(uris) if not isinstance(uri, str) or not uri]
    if wrong:
        return failed(f"the namespaces {wrong} have no URI")
    twice = sorted({uri for uri in uris if uris.count(uri) > 1})
    return failed(f"stand twice: {', '.join(twice)}") if twice else passed(f"{len(uris)} namespaces, each once")


def namespaces(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """The companion specifications' namespaces are there, spelled as published."""
    uris = _server(snapshot, "NamespaceArray") or []
    missing = [uri for uri in (DI, MACHINERY, MACHINE_TOOL) if uri not in uris]
    return failed(f"missing: {', '.join(missing)}") if missing else passed("DI, Machinery and MachineTool are there")


def server_profiles(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """ServerProfileArray names profiles."""
    found = _server(snapshot, "ServerCapabilities/ServerProfileArray")
    if not isinstance(found, list) or not found:
        return failed("ServerProfileArray is empty or cannot be read")
    wrong = [one for one in found if not isinstance(one, str) or not one.startswith("http")]
    return failed(f"{wrong[0]!r} is no URI of a profile") if wrong else passed(f"{len(found)} profiles: {found[0]} ...")


def build_info(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """BuildInfo says what the product is."""
    found = _server(snapshot, "ServerStatus/BuildInfo")
    fields = found.fields if isinstance(found, Structure) and found.fields is not None else {}
    empty = [name for name in ("ProductName", "ManufacturerName", "SoftwareVersion") if not fields.get(name)]
    return failed(f"BuildInfo has no {', '.join(empty)}") if empty else passed(f"{fields['ProductName']}")


def server_status(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """The server says that it runs, and that it started before now."""
    state = _server(snapshot, "ServerStatus/State")
    start, now = _server(snapshot, "ServerStatus/StartTime"), _server(snapshot, "ServerStatus/CurrentTime")
    if state != _RUNNING:
        return failed(f"ServerStatus/State is {state}, while it serves")
    if not isinstance(start, datetime) or not isinstance(now, datetime) or start > now:
        return failed(f"it started at {start} and has {now} now")
    return passed(f"running since {start:%F %T}")


def browse_names(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """Every node has a browse name, no placeholder's, in a namespace that there is."""
    findings = Findings(snapshot)
    for node in snapshot.inside.values():
        findings.looked += 1
        if not node.name.name:
            findings.add(node, "its browse name is empty")
        elif node.name.name.startswith("<") and node.name.name.endswith(">") and "=" not in node.name.name:
            findings.add(node, "has the name of a placeholder", node.name)
        elif node.name.namespace.isdigit():
            findings.add(node, "its browse name is in a namespace that the table does not have", node.name)
    return findings.outcome("there is no machine", "all named")


def siblings(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """No two nodes with one parent have the same browse name (OPC 10000-3, 6.2.6)."""
    findings = Findings(snapshot)
    for node in snapshot.inside.values():
        seen: dict[Name, str] = {}
        for _reference, child in snapshot.children(node):
            findings.looked += 1
            if seen.setdefault(child.name, child.id) != child.id:
                findings.add(child, "has the browse name of its sibling", child.name)
    return findings.outcome("there is no machine", "all different")


def display_names(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """Every node has a display name."""
    findings = Findings(snapshot)
    for node in snapshot.inside.values():
        findings.looked += 1
        if not node.display.text:
            findings.add(node, "its DisplayName is empty")
    return findings.outcome("there is no machine", "all have one")


def own_ids(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """Instances have NodeIds in a namespace of the vendor."""
    findings = Findings(snapshot)
    for node in snapshot.inside.values():
        findings.looked += 1
        if node.id.startswith(f"nsu={UA}") or not node.id.startswith("nsu="):
            findings.add(node, "its NodeId is in a namespace of the OPC Foundation")
    return findings.outcome("there is no machine", "in the vendor's namespaces")


def typed(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """Every object and variable has a type definition that the server knows."""
    findings = Findings(snapshot)
    for node in snapshot.inside.values():
        if node.node_class not in {"Object", "Variable"}:
            continue
        findings.looked += 1
        root = "i=58" if node.node_class == "Object" else "i=62"
        if node.type is None:
            findings.add(node, "has no type definition")
        elif not snapshot.is_a(node.type, root):
            findings.add(node, f"its type definition is no type of a {node.node_class.lower()}", node.type)
    return findings.outcome("there is no machine", "all typed")


def loops(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """No node is its own ancestor."""
    findings = Findings(snapshot)
    done: set[str] = set()
    for machine in snapshot.machines:
        path: dict[str, Iterator[Any]] = {machine.id: snapshot.children(machine)}
        while path:
            above, left = next(reversed(path.items()))
            step = next(left, None)
            if step is None:
                done.add(above)
                del path[above]
                continue
            child = step[1]
            findings.looked += 1
            if child.id in path:
                findings.add(above, f"leads back to {snapshot.path(child)}, which it is below")
            elif child.id not in done:
                path[child.id] = snapshot.children(child)
    return findings.outcome("there is no machine", "a tree")


def locales(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """Locales of texts are written as RFC 3066 says, `de-DE`."""
    findings = Findings(snapshot)
    for node in snapshot.variables:
        for text in _texts(node.reading):
            findings.looked += 1
            if text.locale and not _LOCALE.fullmatch(text.locale):
                findings.add(node, f"the locale {text.locale!r} is none", text.text)
    return findings.outcome("there is no localised text", "all well formed")


def notifiers(snapshot: Snapshot, _: Mapping[str, Any]) -> Outcome:
    """Messages can be subscribed to."""
    findings = Findings(snapshot)
    for node in snapshot.instances.get(_MESSAGES, ()):
        findings.looked += 1
        if not (node.notifier or 0) & _EVENTS:
            findings.add(node, "EventNotifier does not allow to subscribe to events", node.notifier)
    return findings.outcome("no machine has Messages", "all notify")


def _each(snapshot: Snapshot, problem: Any) -> Outcome:  # noqa: ANN401 - (snapshot, node) -> text
    findings = Findings(snapshot)
    for node in snapshot.variables:
        findings.looked += 1
        found = problem(snapshot, node)
        if found:
            findings.add(node, found, node.reading.value if node.reading is not None else "")
    return findings.outcome("there is no variable", "all as expected")


def _properties(snapshot: Snapshot, name: str, problem: Any) -> Outcome:  # noqa: ANN401 - fields -> text
    findings = Findings(snapshot)
    for node in snapshot.variables:
        if node.name != Name(UA, name) or node.reading is None or node.reading.bad:
            continue
        findings.looked += 1
        found = problem(_fields(node))
        if found:
            findings.add(node, found)
    return findings.outcome(f"no variable has {name}", "all as expected")


def _fields(node: Node) -> Mapping[str, Any]:
    value = node.reading.value if node.reading is not None else None
    return value.fields if isinstance(value, Structure) and value.fields is not None else {}


def _identity(snapshot: Snapshot, machine: Node, name: str) -> Node | None:
    holder = snapshot.child(machine, "Identification")
    return snapshot.child(holder, name) if holder is not None else None


def _plain(node: Node) -> Any:  # noqa: ANN401 - a value
    value = node.reading.value if node.reading is not None else None
    value = value.text if isinstance(value, Text) else value
    return value.strip() if isinstance(value, str) else value


def _status(reading: Reading | None) -> str:
    return "" if reading is None else reading.fault or reading.status_name


def _server(snapshot: Snapshot, path: str) -> Any:  # noqa: ANN401 - a value
    found = snapshot.server.get(path)
    return found.value if found is not None and found.good else None


def _texts(reading: Reading | None) -> Iterator[Text]:
    values = reading.value if reading is not None and isinstance(reading.value, list) else [reading and reading.value]
    return (one for one in values if isinstance(one, Text))


JUDGES: dict[str, Judge] = {
    f"basics.{name}": judge
    for name, judge in {
        "machines-folder": machines_folder,
        "machine-found": machine_found,
        "machines-only-there": machines_only_there,
        "unique-uris": unique_uris,
        "identification": identification,
        "location": location,
        "construction-date": construction_date,
        "no-null": no_null,
        "valid": valid,
        "readable": readable,
        "user-access": user_access,
        "value-type": value_type,
        "value-rank": value_rank,
        "units": units,
        "unit-names": unit_names,
        "ranges": ranges,
        "within-range": within_range,
        "namespace-array": namespace_array,
        "namespaces": namespaces,
        "server-profiles": server_profiles,
        "build-info": build_info,
        "server-status": server_status,
        "browse-names": browse_names,
        "siblings": siblings,
        "display-names": display_names,
        "own-ids": own_ids,
        "typed": typed,
        "loops": loops,
        "locales": locales,
        "notifiers": notifiers,
    }.items()
}
