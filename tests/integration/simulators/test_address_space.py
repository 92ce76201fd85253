from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asyncua import Client, ua

pytestmark = pytest.mark.asyncio(loop_scope="session")

MT = "http://opcfoundation.org/UA/MachineTool/"
DI = "http://opcfoundation.org/UA/DI/"
MACHINERY = "http://opcfoundation.org/UA/Machinery/"
UA = "http://opcfoundation.org/UA/"


async def find(client: Client, path: str) -> Any:
    """The node at a path of `uri|Name` steps below the machine."""
    machines = client.get_node(f"ns={await client.get_namespace_index(MACHINERY)};i=1001")
    node = next(iter([n for n in await machines.get_children() if (await n.read_browse_name()).Name == "Bench"]))
    for step in path.split("/") if path else []:
        name, _, kind = step.partition("@")
        uri = {"mt": MT, "di": DI, "mach": MACHINERY, "": UA, "own": "urn:example:bench:B-1"}[kind]
        node = await node.get_child(ua.QualifiedName(name, await client.get_namespace_index(uri)))
    return node


MANDATORY = [
    ("Identification@di/Manufacturer@di", ua.VariantType.LocalizedText, ua.ObjectIds.LocalizedText),
    ("Identification@di/ProductInstanceUri@di", ua.VariantType.String, ua.ObjectIds.String),
    ("Identification@di/SerialNumber@di", ua.VariantType.String, ua.ObjectIds.String),
    ("Monitoring@mt/MachineTool@mt/OperationMode@mt", ua.VariantType.Int32, None),
    ("Production@mt/ActiveProgram@mt/Name@mt", ua.VariantType.String, ua.ObjectIds.String),
    ("Production@mt/ActiveProgram@mt/NumberInList", ua.VariantType.UInt16, ua.ObjectIds.UInt16),
    ("Production@mt/ActiveProgram@mt/State@mt/CurrentState", ua.VariantType.LocalizedText, ua.ObjectIds.LocalizedText),
    ("Production@mt/ActiveProgram@mt/State@mt/CurrentState/Id", ua.VariantType.NodeId, ua.ObjectIds.NodeId),
    ("Production@mt/ActiveProgram@mt/State@mt/CurrentState/Number", ua.VariantType.UInt32, ua.ObjectIds.UInt32),
]


async def test_the_machine_is_what_the_specifications_declare(stage: Any, connect: Callable[..., Any]) -> None:
    stage.shown.paused = True
    client = await connect(stage.url)

    for path, kind, data_type in MANDATORY:
        node = await find(client, path)
        value = await node.read_data_value()
        assert value.StatusCode.is_good(), path
        assert value.Value.VariantType is kind, path
        assert value.SourceTimestamp is not None, path
        if data_type is not None:
            assert await node.read_data_type() == ua.NodeId(data_type), path
    machine = await find(client, "")
    assert await machine.read_type_definition() == ua.NodeId(13, await client.get_namespace_index(MT))
    for name, kind in (("Equipment@mt", 12), ("Notification@mt", 7), ("Monitoring@mt", 14), ("Production@mt", 21)):
        node = await find(client, name)
        assert (await node.read_type_definition()).Identifier == kind
    # state: the Id is a node of the state machine's type
    state = await (await find(client, "Production@mt/ActiveProgram@mt/State@mt/CurrentState/Id")).read_value()
    assert (await client.get_node(state).read_browse_name()).Name == "Running"

    # references: Identification and building blocks are add-ins, properties are properties
    references = {
        r.BrowseName.Name: r.ReferenceTypeId.Identifier
        for r in await machine.get_references(direction=ua.BrowseDirection.Forward)
    }
    assert references["Identification"] == ua.ObjectIds.HasAddIn
    assert references["Components"] == ua.ObjectIds.HasAddIn
    assert references["Monitoring"] == ua.ObjectIds.HasComponent
    assert references["Messages"] == ua.ObjectIds.HasNotifier
    # what the type declares once is one node in both places
    blocks = await find(client, "MachineryBuildingBlocks@mach/MachineryItemState@mach")
    assert blocks == await find(client, "Monitoring@mt/MachineTool@mt/MachineryItemState@mach")

    # placeholders and vendor's additions
    spindle = await find(client, "Monitoring@mt/Spindle1@own")
    assert (await spindle.read_type_definition()).Identifier == 22
    assert (await spindle.read_display_name()).Text == "Main spindle"
    speed = await find(client, "Monitoring@mt/Spindle1@own/Speed@own")
    assert await speed.read_type_definition() == ua.NodeId(ua.ObjectIds.AnalogUnitRangeType)
    unit = await (await speed.get_child("0:EngineeringUnits")).read_value()
    assert (unit.UnitId, unit.NamespaceUri) == (5394509, "http://www.opcfoundation.org/UA/units/un/cefact")
    assert await (await speed.get_child("0:EURange")).read_value() == ua.Range(0.0, 12000.0)
    wear = await find(client, "Equipment@mt/Tools@mt/T1@own/ToolLife@mt/Wear@own")
    assert (await wear.read_type_definition()).Identifier == 61
    unit = await (
        await wear.get_child(ua.QualifiedName("EngineeringUnits", await client.get_namespace_index(MT)))
    ).read_value()
    assert unit.UnitId == 5066068
    component = await find(client, "Components@mach/Coolant@own/Identification@di")
    component_type = client.get_node(await component.read_type_definition())
    assert (await component_type.read_browse_name()).Name == "MachineryComponentIdentificationType"

    # every variable has a valid value or says why not
    instance = stage.instance
    for variable in instance.variables.values():
        value = await client.get_node(variable.node).read_data_value(raise_on_bad_status=False)
        assert value.StatusCode.is_good() or variable.path == "Components/Coolant/Probe", variable.path
    assert "Monitoring/Channel1/ChannelMode" in stage.built
    assert "neutral ones are shown" in stage.built

    # who the server is
    info = await client.get_node(ua.NodeId(ua.ObjectIds.Server_ServerStatus_BuildInfo)).read_value()
    assert info.ProductUri == "urn:area4:simulators"
    assert (await client.get_namespace_array())[1] == "urn:example:server"


async def test_several_machines_in_one_server(stage: Any, connect: Callable[..., Any]) -> None:
    client = await connect(stage.url)
    machines = client.get_node(f"ns={await client.get_namespace_index(MACHINERY)};i=1001")
    names = {(await node.read_browse_name()).Name for node in await machines.get_children()}
    assert names == {"Bench", "One", "Two"}
    assert stage.server.uris() == ["urn:example:bench:B-1", "urn:example:bench:1", "urn:example:bench:2"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"part": ("Monitoring/Spindle9", "SpindelType")}, "no type is named 'SpindelType'"),
        ({"point": ("Odd/X", 1, "Doble")}, "no data type is named 'Doble'"),
        ({"point": ("Odd/X", "text", "Double")}, "no value of data type Double"),
        ({"part": ("Notification/Prognoses/P1", "PrognosisType")}, "is abstract"),
    ],
)
async def test_a_model_that_does_not_fit_is_refused_with_its_path(
    stage: Any, bench: Any, change: dict[str, Any], text: str
) -> None:
    from simulators.machine import Part, Point
    from simulators.opcua.builder import BuildError

    part, point = change.get("part"), change.get("point")

    class Wrong(bench.BenchMachine):  # type: ignore[misc, name-defined]
        @property
        def parts(self) -> Any:
            return (*super().parts, *([Part(*part)] if part else []))

        @property
        def points(self) -> Any:
            return (*super().points, *([Point(*point)] if point else []))

    machine = Wrong("Wrong", "W-1")
    namespace = await stage.server.server.register_namespace(machine.namespace)
    builder = stage.shown.builder
    await builder.space.refresh_uris()
    try:
        with pytest.raises(BuildError, match=text):
            builder.build(machine, namespace, stage.server.runner.clock.now())
    finally:
        for node in [found for found in builder.space.nodes.keys() if found.NamespaceIndex == namespace]:  # noqa: SIM118 - no dict
            builder.space.remove(node)
