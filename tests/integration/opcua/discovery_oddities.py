"""What real servers have and no specification wants: odd names, cycles, unreadable nodes, machines without identity."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from asyncua import Server, ua

from simulators.opcua.instance import Instance
from simulators.opcua.space import (
    BASE_OBJECT,
    BASE_VARIABLE,
    HAS_ADD_IN,
    HAS_COMPONENT,
    HAS_PROPERTY,
    PROPERTY_TYPE,
    Space,
)
from simulators.opcua.values import Values

ORGANIZES = ua.NodeId(ua.ObjectIds.Organizes)
JOBS = "http://opcfoundation.org/UA/Machinery/Jobs/"
MACHINE_TOOL = "http://opcfoundation.org/UA/MachineTool/"
MACHINERY = "http://opcfoundation.org/UA/Machinery/"
DI = "http://opcfoundation.org/UA/DI/"
ISA95 = "http://opcfoundation.org/UA/ISA95-JOBCONTROL_V2/"


class Yard:
    """Adds nodes in a machine's namespace."""

    def __init__(self, space: Space, namespace: int, prefix: str) -> None:
        self.space = space
        self.namespace = namespace
        self.prefix = prefix
        self.count = 0

    def fresh(self) -> ua.NodeId:
        self.count += 1
        return ua.NodeId(f"{self.prefix}-{self.count}", self.namespace)

    def object(self, parent, name, type_id=BASE_OBJECT, *, namespace=None, reference=HAS_COMPONENT, display=None):
        node = self.fresh()
        name = ua.QualifiedName(name, self.namespace if namespace is None else namespace)
        self.space.add_object(node, parent, reference, name, type_id, display=display)
        return node

    def variable(
        self, parent, name, value, kind, *, data_type=None, rank=-1, namespace=None, prop=False, dimensions=None
    ):
        node = self.fresh()
        variant = ua.Variant(value, kind, dimensions, is_array=rank > 0)
        self.space.add_variable(
            node, parent, HAS_PROPERTY if prop else HAS_COMPONENT,
            ua.QualifiedName(name, self.namespace if namespace is None else namespace),
            PROPERTY_TYPE if prop else BASE_VARIABLE,
            data_type=data_type or ua.NodeId(kind.value), rank=rank, value=ua.DataValue(variant),
        )  # fmt: skip
        return node

    def attribute(self, node, attribute, value):
        self.space.nodes[node].attributes[attribute].value = value

    def data_type(self, uri, name):
        index = self.space.index(uri)
        for node in list(self.space.nodes.keys()):
            named = node.NamespaceIndex == index and self.space.browse_name(node).Name == name
            if named and self.space.node_class(node) is ua.NodeClass.DataType:
                return node
        raise LookupError(name)


async def add_oddities(server: Server, instance: Instance) -> None:
    space = Space(server)
    await space.refresh_uris()
    yard = Yard(space, instance.namespace, "odd")
    odd = yard.object(instance.node, "Odd")
    _names(yard, odd)
    _same_names(yard, odd, instance)
    _unreadable(yard, odd)
    _descriptions(yard, odd)
    _structures(yard, odd, Values(space))
    _ways(yard, odd, instance)
    _values(yard, odd)


def _names(yard: Yard, odd: ua.NodeId) -> None:
    for name in ("a/b+#", "line\nbreak\x00", "Ünï¢ødé 机床", "100%25", "$SYS", ""):
        yard.variable(odd, name, 1, ua.VariantType.Int32)


def _same_names(yard: Yard, odd: ua.NodeId, instance: Instance) -> None:
    space = yard.space
    yard.variable(instance.entries["Monitoring/MachineTool"].node, "OperationMode", "vendor", ua.VariantType.String)
    yard.variable(odd, "Twin", 1, ua.VariantType.Int32)
    yard.variable(odd, "Twin", 2, ua.VariantType.Int32)
    yard.variable(odd, "Twin", 3, ua.VariantType.Int32, namespace=space.index(DI))


def _unreadable(yard: Yard, odd: ua.NodeId) -> None:
    hidden = yard.variable(odd, "Hidden", 1, ua.VariantType.Int32)
    yard.attribute(hidden, ua.AttributeIds.UserAccessLevel, ua.DataValue(ua.Variant(0, ua.VariantType.Byte)))
    broken = yard.variable(odd, "Broken", 1, ua.VariantType.Int32)
    bad = ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadDeviceFailure))
    yard.attribute(broken, ua.AttributeIds.DataType, bad)
    # a reference to a node that is not there, and one to a node on another server
    missing = ua.ReferenceDescription(
        ReferenceTypeId=HAS_COMPONENT, IsForward=True, NodeId=ua.NodeId("missing", yard.namespace),
        BrowseName=ua.QualifiedName("Missing", yard.namespace), DisplayName=ua.LocalizedText("Missing"),
        NodeClass=ua.NodeClass.Object, TypeDefinition=BASE_OBJECT,
    )  # fmt: skip
    yard.space.nodes[odd].references.append(missing)
    historic = yard.variable(odd, "Historic", 1.0, ua.VariantType.Double)
    yard.attribute(historic, ua.AttributeIds.UserAccessLevel, ua.DataValue(ua.Variant(7, ua.VariantType.Byte)))
    yard.attribute(historic, ua.AttributeIds.Historizing, ua.DataValue(ua.Variant(True)))
    yard.attribute(historic, ua.AttributeIds.MinimumSamplingInterval, ua.DataValue(ua.Variant(250.0)))


def _descriptions(yard: Yard, odd: ua.NodeId) -> None:
    percent = yard.variable(odd, "Percent", 1.0, ua.VariantType.Double)
    loose = ua.EUInformation(NamespaceUri="", UnitId=0, DisplayName=ua.LocalizedText("%"))
    yard.variable(percent, "EngineeringUnits", loose, ua.VariantType.ExtensionObject, namespace=0, prop=True)
    wide = ua.Range(Low=float("-inf"), High=5.0)
    yard.variable(percent, "EURange", wide, ua.VariantType.ExtensionObject, namespace=0, prop=True)
    door = yard.variable(odd, "Door", True, ua.VariantType.Boolean)
    for name, text in (("FalseState", "closed"), ("TrueState", "open")):
        yard.variable(door, name, ua.LocalizedText(text, "en"), ua.VariantType.LocalizedText, namespace=0, prop=True)
    lamp = yard.variable(odd, "Lamp", 1, ua.VariantType.UInt32)
    names = [ua.LocalizedText(text, "en") for text in ("off", "on", "blinking")]
    yard.variable(lamp, "EnumStrings", names, ua.VariantType.LocalizedText, rank=1, namespace=0, prop=True)
    gear = yard.variable(odd, "Gear", 10, ua.VariantType.Int32)
    values = [
        ua.EnumValueType(Value=10, DisplayName=ua.LocalizedText("low")),
        ua.EnumValueType(Value=-5, DisplayName=ua.LocalizedText("reverse")),
    ]
    yard.variable(gear, "EnumValues", values, ua.VariantType.ExtensionObject, rank=1, namespace=0, prop=True)


def _structures(yard: Yard, odd: ua.NodeId, values: Values) -> None:
    for uri, name in ((JOBS, "JobsIrregularity"), (MACHINE_TOOL, "ToolIrregularity")):
        data_type = yard.data_type(uri, "ProcessIrregularity")
        yard.variable(odd, name, 1, ua.VariantType.Int32, data_type=data_type)
    order = yard.data_type(ISA95, "ISA95JobOrderAndStateDataType")
    fields = {
        "JobOrder": {
            "JobOrderID": "J-1",
            "StartTime": "2026-11-22T15:30:00+00:00",
            "Priority": 3,
            "JobOrderParameters": [{"ID": "speed", "Value": 1.5}, {"ID": "count", "Value": 2**60}],
        },
        "State": [{"StateNumber": 3, "StateText": "running"}],
    }
    variant = values.variant([fields], order, 1)
    yard.variable(odd, "Orders", variant.Value, ua.VariantType.ExtensionObject, data_type=order, rank=1)
    anything = ua.NodeId(ua.ObjectIds.BaseDataType)
    yard.variable(odd, "Anything", variant.Value[0], ua.VariantType.ExtensionObject, data_type=anything)
    unknown = ua.ExtensionObject(TypeId=ua.NodeId(4711, yard.namespace), Body=b"\x01\x02")
    yard.variable(odd, "Unknown", unknown, ua.VariantType.ExtensionObject, data_type=ua.NodeId(22))


def _ways(yard: Yard, odd: ua.NodeId, instance: Instance) -> None:
    space = yard.space
    space.add_reference(odd, ORGANIZES, instance.node)
    space.add_reference(odd, ORGANIZES, instance.entries["Monitoring"].node)
    space.add_reference(odd, ORGANIZES, ua.NodeId(ua.ObjectIds.Server))
    folder = ua.NodeId(1001, space.index(MACHINERY))
    for child in list(space.children(folder)):
        if child.NodeId != instance.node:
            space.add_reference(odd, ORGANIZES, child.NodeId)
    tool = ua.NodeId(13, space.index(MACHINE_TOOL))
    subtype = yard.fresh()
    space.add_object_type(subtype, tool, ua.QualifiedName("WorksMachineType", yard.namespace))
    machine = yard.object(folder, "Special", subtype, reference=ORGANIZES)
    identification = yard.object(
        machine,
        "Identification",
        ua.NodeId(11, space.index(MACHINE_TOOL)),
        namespace=space.index(DI),
        reference=HAS_ADD_IN,
    )
    yard.variable(
        identification,
        "ProductInstanceUri",
        "urn:example:special",
        ua.VariantType.String,
        namespace=space.index(DI),
        prop=True,
    )
    yard.attribute(machine, ua.AttributeIds.EventNotifier, ua.DataValue(ua.Variant(1, ua.VariantType.Byte)))


def _values(yard: Yard, odd: ua.NodeId) -> None:
    yard.variable(odd, "Cube", [1, 2, 3, 4, 5, 6, 7, 8], ua.VariantType.Int16, rank=3, dimensions=[2, 2, 2])
    yard.variable(odd, "Where", ua.NodeId("x", yard.namespace), ua.VariantType.NodeId)
    yard.variable(odd, "Big", 2**63 - 1, ua.VariantType.Int64)


async def add_other_machinery(server: Server, space: Space) -> None:
    yard = Yard(space, await server.register_namespace("urn:example:other"), "other")
    await space.refresh_uris()
    folder = ua.NodeId(1001, space.index(MACHINERY))
    di = space.index(DI)

    def machine(name: str, values: dict[str, str], parent: Any = folder, *, identified: bool = True) -> None:
        node = yard.object(parent, name, reference=ORGANIZES, display=f"The {name}")
        yard.variable(node, "Speed", 1.0, ua.VariantType.Double)
        if not identified:
            return
        kind = ua.NodeId(1012, space.index(MACHINERY))
        identification = yard.object(node, "Identification", kind, namespace=di, reference=HAS_ADD_IN)
        for key, value in values.items():
            if key == "Manufacturer":
                localized = ua.LocalizedText(value, "en")
                yard.variable(identification, key, localized, ua.VariantType.LocalizedText, namespace=di, prop=True)
            else:
                yard.variable(identification, key, value, ua.VariantType.String, namespace=di, prop=True)

    machine("Robot", {"ProductInstanceUri": "urn:example:robot"})
    machine("Press", {"ProductInstanceUri": "  ", "Manufacturer": "A/B Works", "SerialNumber": "7"})
    machine("Copy", {"ProductInstanceUri": "urn:example:robot"})
    machine("Nameless", {"Manufacturer": "A/B Works"})
    machine("Shelf", {}, identified=False)
    hall = yard.object(folder, "Hall", ua.NodeId(ua.ObjectIds.FolderType), reference=ORGANIZES)
    machine("Saw", {"ProductInstanceUri": "urn:example:saw"}, hall)


async def remove_nodes(server: Server, instance: Instance, paths: Iterable[str]) -> None:
    space = Space(server)
    for path in paths:
        entries = [entry for key, entry in instance.entries.items() if key == path or key.startswith(f"{path}/")]
        for entry in reversed(entries):
            for child in list(space.children(entry.node)):
                if space.exists(child.NodeId) and child.NodeId.NamespaceIndex == instance.namespace:
                    space.remove(child.NodeId)
            if space.exists(entry.node):
                space.remove(entry.node)


async def unlist(server: Server, instances: Iterable[Instance]) -> None:
    """Move the machines out of the Machines folder, into a folder of the vendor's."""
    space = Space(server)
    await space.refresh_uris()
    folder = ua.NodeId(1001, space.index(MACHINERY))
    nodes = [instance.node for instance in instances]
    listed = space.nodes[folder].references
    listed[:] = [one for one in listed if one.NodeId not in nodes]
    for node in nodes:
        back = space.nodes[node].references
        back[:] = [one for one in back if one.NodeId != folder]
    yard = Yard(space, nodes[0].NamespaceIndex, "hall")
    hall = yard.object(
        ua.NodeId(ua.ObjectIds.ObjectsFolder), "Hall", ua.NodeId(ua.ObjectIds.FolderType), reference=ORGANIZES
    )
    for node in nodes:
        space.add_reference(hall, ORGANIZES, node)


async def forget_definitions(server: Server) -> None:
    """As servers before OPC UA 1.04: no data type tells its definition."""
    space = Space(server)
    for node in list(space.nodes.keys()):
        if node.NamespaceIndex and space.node_class(node) is ua.NodeClass.DataType:
            space.nodes[node].attributes.pop(ua.AttributeIds.DataTypeDefinition, None)
