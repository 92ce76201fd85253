from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from asyncua import Client, ua

from adapters.opcua.discovery import discover
from adapters.opcua.limits import OperationLimits, read_limits
from adapters.opcua.plan import Discovery, MachinePlan
from gateway.model import Component, Signal
from gateway.model.encode import encode_value
from gateway.model.messages import dump

PLANT = Path(__file__).with_name("discovery_plant.py")
MACHINE_TOOL = "nsu=http://opcfoundation.org/UA/MachineTool/"
ISA95 = "nsu=http://opcfoundation.org/UA/ISA95-JOBCONTROL_V2/"


@pytest.fixture(autouse=True)
def only_standard_types(monkeypatch: pytest.MonkeyPatch) -> None:
    """asyncua has one table of structures for the whole process: here without what another test left in it."""
    for table in (ua.extension_objects_by_typeid, ua.extension_objects_by_datatype):
        for node in [one for one in table if one.NamespaceIndex]:
            monkeypatch.delitem(table, node)


@asynccontextmanager
async def plant(**wanted: object) -> AsyncIterator[Client]:
    """A client of a server process with that plant."""
    async with plant_and_ledger(**wanted) as (client, _):
        yield client


@asynccontextmanager
async def plant_and_ledger(**wanted: object) -> AsyncIterator[tuple[Client, dict[str, dict[str, object]]]]:
    """The same with the values of the machines, as the simulators' ledger writes them."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PLANT), json.dumps(wanted),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**22, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = int(await asyncio.wait_for(process.stdout.readline(), 60))
        ledger = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
        async with Client(f"opc.tcp://127.0.0.1:{port}/", timeout=30) as client:
            yield client, ledger
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 20)
        except TimeoutError:
            process.kill()
            await process.wait()


_FOUND: dict[str, Discovery] = {}
_VALUES: dict[str, object] = {}
YARD = {"machines": 2, "oddities": True, "other": True}


async def found_in(**wanted: object) -> Discovery:
    """What is discovered in such a plant; each plant is looked at once, with the values of its first machine."""
    key = json.dumps(wanted, sort_keys=True)
    if key not in _FOUND:
        async with plant(**wanted) as client:
            _FOUND[key] = await discover(client, source="hall", limits=await read_limits(client))
            for plan in _FOUND[key].machines[0].signals if wanted == YARD else ():
                value = await client.get_node(plan.node).read_data_value(raise_on_bad_status=False)
                _VALUES[plan.ref.path] = plan.convert(value.Value.Value)
    return _FOUND[key]


def signals(machine: MachinePlan) -> dict[str, Signal]:
    return {signal.path: signal for signal in machine.description.signals}


def components(machine: MachinePlan) -> dict[str, Component]:
    return {one.path: one for one in machine.description.components}


def named(discovery: Discovery, name: str) -> MachinePlan:
    return next(one for one in discovery.machines if one.description.name == name)


async def test_a_full_machine_tool() -> None:
    discovery = await found_in()
    (machine,) = discovery.machines
    description = machine.description
    assert discovery.problems == []
    assert description.id == "urn:example:works:M-0:machine"
    assert (description.type, description.type_id) == ("MachineToolType", f"{MACHINE_TOOL};i=13")
    assert description.source == "hall"
    assert description.identification["Manufacturer"] == {"locale": "en", "text": "Example Works"}
    assert description.identification["YearOfConstruction"] == 2024
    found = signals(machine)
    assert len(found) > 190
    assert len(machine.signals) == len(found)

    mode = found["Monitoring/MachineTool/OperationMode"]
    assert (mode.data_type, mode.semantic_id, mode.vendor) == ("MachineOperationMode", f"{MACHINE_TOOL};i=263", False)
    assert mode.enumeration is not None
    assert mode.enumeration["1"] == "Automatic"
    override = found["Monitoring/Spindle1/Override"]
    assert override.unit is not None
    assert (override.unit.code, override.unit.symbol, override.unit.ucum) == ("P1", "%", "%")
    assert override.range is not None
    assert (override.range.low, override.range.high) == (50.0, 120.0)
    assert found["Monitoring/MachineTool/FeedOverride"].access == "read-write"
    axis = found["Axes/X/Position"]
    assert (axis.vendor, axis.semantic_id, axis.data_type) == (True, None, "Double")
    assert found["Axes/Row"].array_shape == [0]
    assert found["Axes/Matrix"].array_shape == [0, 0]
    assert found["Production/ActiveProgram/State/CurrentState/Id"].semantic_id == f"{MACHINE_TOOL};i=6037"
    assert not [path for path in found if path.endswith(("EngineeringUnits", "EURange", "InputArguments"))]

    parts = components(machine)
    assert parts["Monitoring/Spindle1"].type == "SpindleMonitoringType"
    assert parts["Monitoring/Spindle1"].type_id == f"{MACHINE_TOOL};i=22"
    assert parts["Monitoring/Spindle1"].name == "Main spindle"
    assert [path for path, one in parts.items() if one.type == "SpindleMonitoringType"] == [
        "Monitoring/Spindle1", "Monitoring/Spindle2",
    ]  # fmt: skip
    assert parts["Axes"].vendor
    assert not parts["Monitoring/Stacklight"].vendor
    assert set(machine.objects.values()) == {"", *parts}
    plans = {one.ref.path: one for one in machine.signals}
    assert plans["Monitoring/Spindle1/Override"].component_type == "SpindleMonitoringType"
    assert plans["Monitoring/Spindle1/Override"].minimum_sampling == 0.0


async def test_a_node_reached_on_two_paths_has_the_shorter_one() -> None:
    (machine,) = (await found_in()).machines
    found = signals(machine)
    assert "MachineryBuildingBlocks/MachineryItemState/CurrentState" in found
    assert "Monitoring/MachineTool/MachineryItemState/CurrentState" not in found
    assert len({one.node for one in machine.signals}) == len(machine.signals)
    building_block = "MachineryBuildingBlocks/MachineryItemState"
    assert machine.also["Monitoring/MachineTool/MachineryItemState"] == building_block


async def test_missing_mandatory_nodes_are_named() -> None:
    gone = (
        "Identification/SerialNumber", "Monitoring/MachineTool/OperationMode", "Notification",
        "Production/ActiveProgram/State/CurrentState", "Monitoring/Spindle2/IsRotating", "Production/ProductionPlan",
    )  # fmt: skip
    discovery = await found_in(remove=gone)
    (machine,) = discovery.machines
    lacks = {one.path: one.required_by for one in machine.description.lacks}
    assert lacks == {
        "Identification/SerialNumber": "MachineToolType",
        "Monitoring/MachineTool/OperationMode": "MachineToolType",
        "Notification": "MachineToolType",
        "Production/ActiveProgram/State/CurrentState": "MachineToolType",
        "Monitoring/Spindle2/IsRotating": "SpindleMonitoringType",
    }
    assert machine.description.id == "urn:example:works:M-0:machine"


async def test_a_mandatory_placeholder_wants_at_least_one() -> None:
    (machine,) = (await found_in()).machines
    lacks = [(one.path, one.required_by) for one in machine.description.lacks]
    assert lacks == [("Production/ProductionPlan/Job1/ProductionPrograms/<OrderedObject>", "ProductionJobListType")]


async def test_odd_names_are_told_apart_and_kept() -> None:
    discovery = await found_in(**YARD)
    machine = named(discovery, "Machine0")
    found = signals(machine)
    for path in ("Odd/a%2Fb+#", "Odd/line\nbreak\x00", "Odd/Ünï¢ødé 机床", "Odd/100%2525", "Odd/$SYS", "Odd/"):
        assert path in found
    own = "@urn:example:works:M-0"
    assert found["Monitoring/MachineTool/OperationMode"].data_type == "MachineOperationMode"
    assert found[f"Monitoring/MachineTool/OperationMode{own}"].vendor
    assert found["Odd/Twin"].vendor  # of DI's namespace by name alone, declared nowhere
    assert {path for path in found if path.startswith("Odd/Twin")} == {"Odd/Twin", f"Odd/Twin{own}", f"Odd/Twin{own}#2"}
    told = [one for one in discovery.problems if "Odd/Twin" in one]
    assert len(told) == 2


async def test_cycles_and_other_machines_are_not_entered() -> None:
    discovery = await found_in(**YARD)
    first, second = named(discovery, "Machine0"), named(discovery, "Machine1")
    assert not {one.node for one in first.signals} & {one.node for one in second.signals}
    assert not [path for path in signals(first) if path.startswith(("Odd/Machine", "Odd/Monitoring", "Odd/Server"))]
    assert "Monitoring/Spindle1/Override" in signals(first)


async def test_what_cannot_be_read_is_described_and_named_but_not_planned() -> None:
    discovery = await found_in(**YARD)
    machine = named(discovery, "Machine0")
    found, planned = signals(machine), {one.ref.path: one for one in machine.signals}
    for path in ("Odd/Hidden", "Odd/Broken"):
        assert found[path].quarantined
        assert path not in planned
        assert any(path in one for one in discovery.problems)
    assert "BadDeviceFailure" in (found["Odd/Broken"].quarantined or "")
    assert any("Odd/Missing" in one and "BadNodeId" in one for one in discovery.problems)
    historic = planned["Odd/Historic"]
    assert (historic.historizing, historic.minimum_sampling) == (True, 250.0)
    assert found["Odd/Historic"].access == "read-write"
    assert len(planned) > 200


async def test_descriptions_of_every_kind() -> None:
    found = signals(named(await found_in(**YARD), "Machine0"))
    percent = found["Odd/Percent"]
    assert percent.unit is not None
    assert dump(percent.unit) == {"symbol": "%"}
    assert percent.range is not None
    assert (percent.range.low, percent.range.high) == ("-Infinity", 5.0)
    assert found["Odd/Door"].enumeration == {"0": "closed", "1": "open"}
    assert found["Odd/Lamp"].enumeration == {"0": "off", "1": "on", "2": "blinking"}
    assert found["Odd/Gear"].enumeration == {"10": "low", "-5": "reverse"}


async def test_data_types_of_equal_name_are_told_apart() -> None:
    machine = named(await found_in(**YARD), "Machine0")
    found = signals(machine)
    jobs, tools = found["Odd/JobsIrregularity"], found["Odd/ToolIrregularity"]
    assert jobs.data_type != tools.data_type
    assert {jobs.data_type.partition("@")[0], tools.data_type.partition("@")[0]} == {"ProcessIrregularity"}
    types = {one.name: one for one in machine.description.data_types}
    assert types[jobs.data_type].semantic_id.startswith("nsu=http://opcfoundation.org/UA/Machinery/Jobs/;")
    assert types[tools.data_type].semantic_id == f"{MACHINE_TOOL};i=62"


async def test_values_of_all_signals_become_json() -> None:
    machine = named(await found_in(**YARD), "Machine0")
    values = _VALUES
    assert set(values) == {one.ref.path for one in machine.signals}
    assert all(encode_value(value) for value in values.values())
    (order,) = values["Odd/Orders"]
    assert order["JobOrder"]["JobOrderID"] == "J-1"
    assert order["JobOrder"]["StartTime"] == "2026-11-22T15:30:00.0000000Z"
    assert [one["Value"] for one in order["JobOrder"]["JobOrderParameters"]] == [1.5, str(2**60)]
    assert order["State"][0]["StateNumber"] == 3
    assert "EndTime" not in order["JobOrder"]
    assert values["Odd/Anything"] == order
    assert values["Odd/Unknown"] == {"typeId": "nsu=urn:example:works:M-0;i=4711", "body": "AQI="}
    assert values["Odd/Cube"] == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    assert values["Odd/Where"] == "nsu=urn:example:works:M-0;s=x"
    assert values["Odd/Big"] == str(2**63 - 1)
    assert values["Axes/X/Ratio"] == "NaN"
    assert values["Axes/Matrix"] == [[1.0, 2.0], [3.0, 4.0]]
    types = {one.name: one for one in machine.description.data_types}
    assert types["ISA95JobOrderAndStateDataType"].semantic_id == f"{ISA95};i=3015"
    fields = {one.name: one for one in types["ISA95JobOrderDataType"].fields or ()}
    assert fields["StartTime"].optional
    assert not fields["JobOrderID"].optional


async def test_paths_and_values_are_those_of_the_ledger() -> None:
    async with plant_and_ledger() as (client, ledger):
        discovery = await discover(client, source="hall", limits=await read_limits(client))
        (machine,) = discovery.machines
        found = {}
        for plan in machine.signals:
            value = await client.get_node(plan.node).read_data_value(raise_on_bad_status=False)
            found[plan.ref.path] = plan.convert(value.Value.Value)
    assert found.keys() == ledger["Machine0"].keys()
    assert found == ledger["Machine0"]


async def test_an_old_server_without_definitions() -> None:
    async with plant(oddities=True, old=True) as client:
        discovery = await discover(client, source="hall", limits=await read_limits(client))
        machine = named(discovery, "Machine0")
        (plan,) = [one for one in machine.signals if one.ref.path == "Odd/Orders"]
        value = (await client.get_node(plan.node).read_data_value()).Value.Value
        (order,) = plan.convert(value)
    assert order["typeId"].startswith(ISA95)
    assert base64.b64decode(order["body"], validate=True) == value[0].Body
    assert any("ISA95JobOrderAndStateDataType" in one and "DataTypeDefinition" in one for one in discovery.problems)
    mode = signals(machine)["Monitoring/MachineTool/OperationMode"]
    assert (mode.data_type, mode.enumeration and mode.enumeration["1"]) == ("MachineOperationMode", "Automatic")


async def test_a_vendors_subtype_and_its_notifier() -> None:
    discovery = await found_in(**YARD)
    special = named(discovery, "Special")
    assert special.description.type == "WorksMachineType"
    assert special.description.type_id.startswith("nsu=urn:example:works:M-0;")
    assert special.notifier == special.node
    assert named(discovery, "Machine0").notifier is not None
    lacks = {one.path for one in special.description.lacks}
    assert {"Equipment", "Monitoring", "Production", "Notification", "Identification/Manufacturer"} <= lacks


async def test_other_machinery_by_its_identification() -> None:
    discovery = await found_in(**YARD)
    ids = {one.description.name: one.description.id for one in discovery.machines}
    assert ids == {
        "Machine0": "urn:example:works:M-0:machine",
        "Machine1": "urn:example:works:M-1:machine",
        "Special": "urn:example:special",
        "Robot": "urn:example:robot",
        "Press": "A%2FB Works/7",
        "Saw": "urn:example:saw",
    }
    robot = named(discovery, "Robot")
    assert signals(robot)["Speed"].vendor
    assert signals(robot)["Identification/ProductInstanceUri"].vendor is False
    told = "\n".join(discovery.problems)
    assert "machine Copy: not published: it has the identity 'urn:example:robot' of machine Robot" in told
    assert "machine Nameless: not published" in told
    assert "Shelf in the Machines folder: not published" in told


async def test_without_entries_in_the_machines_folder_types_decide() -> None:
    discovery = await found_in(machines=2, unlisted=True)
    assert [one.description.name for one in discovery.machines] == ["Machine0", "Machine1"]


async def test_a_server_without_companion_specifications_has_no_machines() -> None:
    discovery = await found_in(nodesets=False, machines=0)
    assert discovery.machines == []
    assert discovery.problems == []
    assert discovery.namespaces[0] == "http://opcfoundation.org/UA/"


async def test_limits_of_few_items_a_call() -> None:
    async with plant(limit=40) as client:
        limits = await read_limits(client)
        assert (limits.nodes_per_read, limits.nodes_per_browse) == (40, 40)
        stated = await discover(client, source="hall", limits=limits)
        unstated = await discover(client, source="hall", limits=OperationLimits())
    assert len(stated.machines[0].signals) > 190
    assert dump(stated.machines[0].description) == dump(unstated.machines[0].description)


async def test_the_order_of_namespaces_does_not_matter() -> None:
    one = await found_in(**YARD)
    other = await found_in(**YARD, fillers=5, late_fillers=3)
    assert one.namespaces != other.namespaces
    assert [dump(machine.description) for machine in one.machines] == [
        dump(machine.description) for machine in other.machines
    ]
    assert one.problems == other.problems


async def test_nothing_is_registered_with_asyncua() -> None:
    before = (dict(ua.extension_objects_by_typeid), dict(ua.enums_by_datatype), set(dir(ua)))
    await found_in(**YARD)
    assert before == (dict(ua.extension_objects_by_typeid), dict(ua.enums_by_datatype), set(dir(ua)))
