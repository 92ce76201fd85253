"""Rules over snapshots made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conformance.device.basics import JUDGES as BASICS
from conformance.device.declared import JUDGES, rank_fits
from conformance.device.snapshot import (
    MACHINE_TOOL,
    MACHINE_TOOL_TYPE,
    MACHINERY,
    MACHINES,
    OBJECTS,
    UA,
    Name,
    Node,
    Reading,
    Reference,
    Snapshot,
    Structure,
    Text,
    TypeNode,
)
from conformance.suite.outcome import Verdict

VENDOR = "urn:example:vendor"
TOOL = f"nsu={MACHINE_TOOL};i=50"
HAS_COMPONENT, HAS_PROPERTY = "i=47", "i=46"


def type_(key, name, above=None, kind="ObjectType", *, abstract=False):
    return TypeNode(key, Name(UA, name), kind, above, abstract)


TYPES = {
    one.id: one
    for one in (
        type_("i=33", "HierarchicalReferences", None, "ReferenceType"),
        type_("i=35", "Organizes", "i=33", "ReferenceType"),
        type_(HAS_COMPONENT, "HasComponent", "i=33", "ReferenceType"),
        type_(HAS_PROPERTY, "HasProperty", "i=33", "ReferenceType"),
        type_("i=36", "HasEventSource", "i=33", "ReferenceType"),
        type_("i=58", "BaseObjectType"),
        type_("i=61", "FolderType", "i=58"),
        type_("i=62", "BaseVariableType", None, "VariableType"),
        type_("i=63", "BaseDataVariableType", "i=62", "VariableType"),
        type_("i=68", "PropertyType", "i=62", "VariableType"),
        type_(MACHINE_TOOL_TYPE, "MachineToolType", "i=58"),
        type_(TOOL, "ToolType", "i=58"),
        type_("i=24", "BaseDataType", None, "DataType"),
        type_("i=26", "Number", "i=24", "DataType"),
        type_("i=11", "Double", "i=26", "DataType"),
        type_("i=12", "String", "i=24", "DataType"),
        type_("i=29", "Enumeration", "i=24", "DataType"),
        type_("mode", "Mode", "i=29", "DataType"),
        type_("i=884", "Range", "i=22", "DataType"),
        type_("i=22", "Structure", "i=24", "DataType"),
    )
}


def variable(key, name, value, kind="Double", data_type="i=11", **rest):
    shown = {"display": Text(name, "en"), "rank": -1, "access": 1, "user_access": 1, "type": "i=63"} | rest
    return Node(key, Name(VENDOR, name), "Variable", reading=Reading(value, kind), data_type=data_type, **shown)


def objects(key, name, kind="i=58", uri=VENDOR, **rest):
    return Node(key, Name(uri, name), "Object", Text(name, "en"), kind, **rest)


def snapshot(*below, machine=None, links=(), **rest):
    """A machine with these nodes; `links` are further references, from, to."""
    machine = machine or objects("m", "Mill", MACHINE_TOOL_TYPE)
    nodes = [
        objects(OBJECTS, "Objects", "i=61", UA, references=(Reference("i=35", MACHINES),)),
        objects(MACHINES, "Machines", "i=61", MACHINERY, references=(Reference("i=35", "m"),)),
        replace(machine, references=tuple(Reference(HAS_COMPONENT, one.id) for one in below)),
        *below,
    ]
    found = {one.id: one for one in nodes}
    for start, end in links:
        found[start] = replace(found[start], references=(*found[start].references, Reference(HAS_COMPONENT, end)))
    return Snapshot(found, TYPES, **rest)


def judge(rule, found, **parameters):
    return {**JUDGES, **BASICS}[rule](found, parameters)


SPEED = {
    "type": MACHINE_TOOL_TYPE,
    "name": "MachineToolType",
    "path": [[VENDOR, "Speed"]],
}
SHAPE = {
    **SPEED,
    "class": "Variable",
    "reference": HAS_COMPONENT,
    "definition": "i=63",
    "data_type": "i=26",
    "rank": -1,
}


def test_a_mandatory_member_is_there_missing_or_in_another_namespace():
    speed = variable("s", "Speed", 1.0)
    assert judge("model.present", snapshot(speed), **SPEED).verdict is Verdict.PASS
    missing = judge("model.present", snapshot(), **SPEED)
    assert (missing.verdict, missing.seen, missing.nodes) == (Verdict.FAIL, "Mill: has no Speed", ("Mill",))
    other = judge("model.present", snapshot(replace(speed, name=Name("urn:other", "Speed"))), **SPEED)
    assert other.verdict is Verdict.FAIL
    assert "urn:other" in other.seen
    assert other.nodes == ("Mill/Speed",)


def test_no_instance_of_a_type_is_nothing_to_judge():
    assert judge("model.present", snapshot(), **{**SPEED, "type": TOOL}).verdict is Verdict.INFORMATIONAL
    assert judge("model.shape", snapshot(), **SHAPE).verdict is Verdict.ABSENT


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"name": Name("urn:other", "Speed")}, "browse name"),
        ({"node_class": "Object"}, "class"),
        ({"type": "i=68"}, "type must be"),
        ({"data_type": "i=12"}, "data type"),
        ({"rank": 1}, "ValueRank"),
        ({"rank": None}, "ValueRank"),
    ],
)
def test_a_member_of_another_shape_is_found(change, word):
    speed = variable("s", "Speed", 1.0)
    assert judge("model.shape", snapshot(speed), **SHAPE).verdict is Verdict.PASS
    found = judge("model.shape", snapshot(replace(speed, **change)), **SHAPE)
    assert found.verdict is Verdict.FAIL
    assert word in found.seen


def test_another_reference_is_found_and_a_second_one_heals_it():
    speed = variable("s", "Speed", 1.0)
    wanted = {**SHAPE, "reference": HAS_PROPERTY}
    assert "hang on HasProperty" in judge("model.shape", snapshot(speed), **wanted).seen
    found = snapshot(speed)
    nodes = dict(found.nodes)
    nodes["m"] = replace(nodes["m"], references=(*nodes["m"].references, Reference(HAS_PROPERTY, "s")))
    assert judge("model.shape", Snapshot(nodes, TYPES), **wanted).verdict is Verdict.PASS


def test_a_vendors_member_of_the_same_name_beside_the_declared_one_is_fine():
    own = replace(variable("v", "Speed", "fast", "String", "i=12"), name=Name("urn:other", "Speed"))
    assert judge("model.shape", snapshot(variable("s", "Speed", 1.0), own), **SHAPE).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("declared", "found", "fits"),
    [(-1, -1, True), (-1, 1, False), (1, 1, True), (1, 2, False), (0, 2, True), (0, -1, False), (-3, 1, True),
     (-3, 2, False), (-2, 5, True), (-2, None, False)],
)  # fmt: skip
def test_ranks(declared, found, fits):
    assert rank_fits(declared, found) is fits


def test_a_list_that_holds_only_other_things_is_found_and_a_vendors_addition_is_not():
    place = {
        "type": MACHINE_TOOL_TYPE, "name": "MachineToolType", "path": [[VENDOR, "<Tool>"]], "class": "Object",
        "reference": HAS_COMPONENT, "definition": TOOL, "members": ["Known"], "mandatory": False,
    }  # fmt: skip
    tool, other, known = objects("t", "T1", TOOL), objects("o", "Other"), objects("k", "Known")
    assert judge("model.filled", snapshot(tool, other), **place).verdict is Verdict.PASS
    assert judge("model.filled", snapshot(other), **place).verdict is Verdict.FAIL
    assert judge("model.filled", snapshot(known), **place).verdict is Verdict.ABSENT
    assert judge("model.filled", snapshot(known), **{**place, "mandatory": True}).verdict is Verdict.FAIL


def test_enumerations():
    wanted = {"data_type": "mode", "names": {"0": "Manual", "1": "Automatic"}}
    told = {"mode": {0: "Manual", 1: "Automatic"}}
    good = variable("v", "Mode", 1, "Int32", "mode")
    assert judge("model.enumeration", snapshot(good, enumerations=told), **wanted).verdict is Verdict.PASS
    beyond = variable("v", "Mode", 7, "Int32", "mode")
    assert "7 is none" in judge("model.enumeration", snapshot(beyond, enumerations=told), **wanted).seen
    wide = variable("v", "Mode", 1, "Int64", "mode")
    assert "Int32" in judge("model.enumeration", snapshot(wide, enumerations=told), **wanted).seen
    for wrong in ({0: "Hand", 1: "Automatic"}, None):
        found = judge("model.enumeration", snapshot(good, enumerations={"mode": wrong}), **wanted)
        assert "names of its numbers" in found.seen


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("basics.no-null", {"reading": Reading(None, "")}),
        ("basics.valid", {"reading": Reading(None, "", status=0x80000000, status_name="Bad")}),
        ("basics.valid", {"reading": Reading(fault="cannot be decoded")}),
        ("basics.readable", {"access": 2}),
        ("basics.readable", {"data_type": None}),
        ("basics.user-access", {"user_access": 3}),
        ("basics.value-type", {"reading": Reading("x", "String")}),
        ("basics.value-type", {"data_type": "unknown"}),
        ("basics.value-rank", {"reading": Reading([1.0], "Double", (1,))}),
        ("basics.browse-names", {"name": Name(VENDOR, "")}),
        ("basics.browse-names", {"name": Name(VENDOR, "<Tool>")}),
        ("basics.browse-names", {"name": Name("17", "Speed")}),
        ("basics.display-names", {"display": Text("", "en")}),
        ("basics.typed", {"type": None}),
        ("basics.typed", {"type": "i=58"}),
        ("basics.locales", {"reading": Reading(Text("Halt", "de_DE."), "LocalizedText")}),
    ],
)
def test_basics_find_what_is_wrong_with_a_variable(rule, change):
    own = {"basics.locales": Reading(Text("Halt", "de-DE"), "LocalizedText")}.get(rule, Reading(1.0, "Double"))
    good = replace(variable("s", "Speed", 1.0), reading=own)
    assert judge(rule, snapshot(good)).verdict is Verdict.PASS
    found = judge(rule, snapshot(replace(good, **change)))
    assert found.verdict is Verdict.FAIL
    assert found.nodes
    assert found.nodes[0].startswith("Mill/")


def test_ranges_and_values_within_them():
    def ranged(value, low, high):
        spread = variable("r", "EURange", Structure("Range", {"Low": low, "High": high}), "ExtensionObject", "i=884")
        spread = replace(spread, name=Name(UA, "EURange"))
        return snapshot(variable("s", "Speed", value), spread, links=[("s", "r")])

    assert judge("basics.ranges", ranged(1.0, 0.0, 2.0)).verdict is Verdict.PASS
    assert judge("basics.ranges", ranged(1.0, 2.0, 0.0)).verdict is Verdict.FAIL
    assert judge("basics.within-range", ranged(1.0, 0.0, 2.0)).verdict is Verdict.PASS
    assert judge("basics.within-range", ranged(9.0, 0.0, 2.0)).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("N 51.257315 E 6.740885", True),
        ("METAV 1 A22", True),
        ("N 51.257315 E 6.740885 METAV 1 A22", True),
        ("Halle7", False),
        ("N51", False),
    ],
)
def test_locations(text, good):
    holder = objects("i", "Identification")
    place = variable("l", "Location", text, "String", "i=12")
    found = judge("basics.location", snapshot(holder, place, links=[("i", "l")]))
    assert (found.verdict is Verdict.PASS) is good


def test_a_loop_ends_and_is_found():
    found = judge("basics.loops", snapshot(objects("a", "A"), links=[("a", "m")]))
    assert found.verdict is Verdict.FAIL
    assert "leads back to Mill" in found.seen


def test_paths_of_a_looped_machine_are_bounded():
    found = snapshot(objects("a", "A"), links=[("a", "m")])
    assert found.path("a") == "Mill/A"
    assert set(found.inside) == {"m", "a"}


def test_types_that_are_their_own_supertype_do_not_hang():
    looped = {**TYPES, "x": type_("x", "X", "y"), "y": type_("y", "Y", "x")}
    assert Snapshot({}, looped).supertypes("x") == ("x", "y")


def test_machines_elsewhere_and_twins():
    stray = objects("stray", "Stray", MACHINE_TOOL_TYPE)
    assert judge("basics.machines-only-there", snapshot(stray)).verdict is Verdict.FAIL
    assert judge("basics.machines-only-there", snapshot()).verdict is Verdict.PASS
    assert judge("basics.machine-found", snapshot(machine=objects("m", "Robot"))).verdict is Verdict.FAIL


@pytest.mark.parametrize("rule", sorted({**JUDGES, **BASICS}))
def test_no_rule_breaks_on_an_empty_or_unreadable_device(rule):
    parameters = {
        "type": TOOL, "name": "ToolType", "path": [[VENDOR, "Speed"]], "class": "Variable", "reference": HAS_COMPONENT,
        "definition": TOOL, "members": [], "mandatory": True, "data_type": "mode", "states": [["a", "A", 0]],
        "marks": [[TOOL, [VENDOR, "x"]]], "namespace": VENDOR, "types": {}, "rank": -1,
        "names": {"0": "A"} if rule == "model.enumeration" else ["Model"],
    }  # fmt: skip
    unread = Node("u", Name(VENDOR, "Unread"), "Variable")
    for found in (Snapshot({}), snapshot(unread), snapshot(replace(unread, reading=Reading(fault="gone")))):
        assert judge(rule, found, **parameters).seen
