"""Mutants of what OPC 40001-1, OPC 40501-1 and umati ask of every machine, whatever its types declare."""

from __future__ import annotations

import copy
from typing import Any

from asyncua import ua

from simulators.mutants.device import Change, DeviceMutant, MutationError, operated
from simulators.mutants.surgery import Surgery
from simulators.opcua.instance import Instance
from simulators.opcua.space import BASE_VARIABLE, HAS_ADD_IN, HAS_COMPONENT, HAS_PROPERTY, PROPERTY_TYPE, Id

MACHINERY = "http://opcfoundation.org/UA/Machinery/"
MACHINE_TOOL = "http://opcfoundation.org/UA/MachineTool/"
ORGANIZES = ua.NodeId(ua.ObjectIds.Organizes)
_MACHINES = 1001
_MEASURED = "Components/Coolant/Temperature"
"""A vendor's variable of the reference machine, with unit and range."""


def machines_folder(surgery: Surgery) -> Id:
    """The Machines folder (OPC 40001-1)."""
    return ua.NodeId(_MACHINES, surgery.space.index(MACHINERY))


def _node(instance: Instance, path: str) -> Id:
    return instance.entries[path].node


def _part(surgery: Surgery, instance: Instance, name: str) -> Id:
    found = surgery.space.child(_node(instance, _MEASURED), name)
    if found is None:
        raise MutationError(f"the machine's {_MEASURED} has no {name}")
    return found


def _server(number: int) -> Id:
    return ua.NodeId(number)


def _eu(surgery: Surgery, instance: Instance, **fields: Any) -> None:
    node = _part(surgery, instance, "EngineeringUnits")
    unit = copy.copy(surgery.space.attribute(node, ua.AttributeIds.Value))
    for name, value in fields.items():
        setattr(unit, name, value)
    surgery.value(node, unit)


def _object(surgery: Surgery, instance: Instance, name: str, parent: Id, kind: Id, type_id: Id) -> Id:
    shown = ua.QualifiedName(name, instance.namespace)
    return surgery.object(ua.NodeId(name, instance.namespace), parent, kind, shown, type_id)


def _machines_folder_missing(surgery: Surgery, _: Instance) -> None:
    surgery.cut(ua.NodeId(ua.ObjectIds.ObjectsFolder), machines_folder(surgery))


def _machines_folder_empty(surgery: Surgery, instance: Instance) -> None:
    surgery.cut(machines_folder(surgery), instance.node)


def _machine_elsewhere(surgery: Surgery, instance: Instance) -> None:
    kind = surgery.space.type_of(instance.node)
    objects = ua.NodeId(ua.ObjectIds.ObjectsFolder)
    assert kind is not None
    _object(surgery, instance, "Elsewhere", objects, ORGANIZES, kind)


def _twin_uri(surgery: Surgery, instance: Instance) -> None:
    kind, names = surgery.space.type_of(instance.node), instance.variables
    uri = names["Identification/ProductInstanceUri"]
    identity = instance.entries["Identification"].node
    holder = surgery.space.type_of(identity)
    assert kind is not None
    assert holder is not None
    twin = _object(surgery, instance, "Twin", machines_folder(surgery), ORGANIZES, kind)
    name, value = surgery.space.browse_name(identity), ua.Variant(uri.value.Value.Value, ua.VariantType.String)
    below = surgery.object(ua.NodeId("Twin/Identification", instance.namespace), twin, HAS_ADD_IN, name, holder)
    name = surgery.space.browse_name(uri.node)
    surgery.variable(ua.NodeId("Twin/Uri", instance.namespace), below, HAS_PROPERTY, name, PROPERTY_TYPE, value)


def _serial_number_empty(surgery: Surgery, instance: Instance) -> None:
    surgery.value(_node(instance, "Identification/SerialNumber"), "")


def _model_empty(surgery: Surgery, instance: Instance) -> None:
    surgery.value(_node(instance, "Identification/Model"), ua.LocalizedText("", "en"))


def _location_free_text(surgery: Surgery, instance: Instance) -> None:
    surgery.value(_node(instance, "Identification/Location"), "Halle7")


def _month_13(surgery: Surgery, instance: Instance) -> None:
    surgery.value(_node(instance, "Identification/MonthOfConstruction"), 13)


def _good_null(surgery: Surgery, instance: Instance) -> None:
    surgery.value(_node(instance, _MEASURED), None)


def _bad_value(surgery: Surgery, instance: Instance) -> None:
    surgery.value(_node(instance, _MEASURED), None, status=ua.StatusCodes.BadSensorFailure)


def _unreadable(surgery: Surgery, instance: Instance) -> None:
    surgery.write(_node(instance, _MEASURED), ua.AttributeIds.AccessLevel, ua.Variant(0, ua.VariantType.Byte))


def _user_access_wider(surgery: Surgery, instance: Instance) -> None:
    surgery.write(_node(instance, _MEASURED), ua.AttributeIds.UserAccessLevel, ua.Variant(3, ua.VariantType.Byte))


def _text_for_number(surgery: Surgery, instance: Instance) -> None:
    surgery.value(_node(instance, _MEASURED), "warm", ua.VariantType.String)


def _array_for_scalar(surgery: Surgery, instance: Instance) -> None:
    surgery.value(_node(instance, _MEASURED), [20.0, 21.0])


def _unit_id_unset(surgery: Surgery, instance: Instance) -> None:
    _eu(surgery, instance, UnitId=-1)


def _unit_without_symbol(surgery: Surgery, instance: Instance) -> None:
    _eu(surgery, instance, DisplayName=ua.LocalizedText())


def _range_upside_down(surgery: Surgery, instance: Instance) -> None:
    surgery.value(_part(surgery, instance, "EURange"), ua.Range(60.0, 0.0))


def _beyond_range(surgery: Surgery, instance: Instance) -> None:
    surgery.value(_node(instance, _MEASURED), 1000.0)


def _namespace_twice(surgery: Surgery, _: Instance) -> None:
    uris = surgery.space.uris
    surgery.value(_server(ua.ObjectIds.Server_NamespaceArray), [*uris, uris[-1]])


def _namespace_misspelt(surgery: Surgery, _: Instance) -> None:
    uris = [one.rstrip("/") if one.endswith("/MachineTool/") else one for one in surgery.space.uris]
    surgery.value(_server(ua.ObjectIds.Server_NamespaceArray), uris)


def _no_profiles(surgery: Surgery, _: Instance) -> None:
    surgery.value(_server(ua.ObjectIds.Server_ServerCapabilities_ServerProfileArray), [])


def _build_info_empty(surgery: Surgery, _: Instance) -> None:
    node = _server(ua.ObjectIds.Server_ServerStatus_BuildInfo)
    info = copy.copy(surgery.space.attribute(node, ua.AttributeIds.Value))
    info.ProductName = ""
    surgery.value(node, info)


def _server_failed(surgery: Surgery, _: Instance) -> None:
    surgery.value(_server(ua.ObjectIds.Server_ServerStatus_State), 1)


def _browse_name_empty(surgery: Surgery, instance: Instance) -> None:
    surgery.rename(_node(instance, _MEASURED), ua.QualifiedName("", instance.namespace))


def _placeholder_name(surgery: Surgery, instance: Instance) -> None:
    surgery.rename(_node(instance, "Equipment/Tools/T1"), ua.QualifiedName("<Tool>", instance.namespace))


def _sibling_name(surgery: Surgery, instance: Instance) -> None:
    surgery.rename(_node(instance, "Components/Coolant/Pressures"), ua.QualifiedName("Temperature", instance.namespace))


def _display_name_empty(surgery: Surgery, instance: Instance) -> None:
    surgery.display(_node(instance, _MEASURED), ua.LocalizedText())


def _foreign_id(surgery: Surgery, instance: Instance) -> None:
    owner = _node(instance, "Components/Coolant")
    node = ua.NodeId(99_999, surgery.space.index(MACHINE_TOOL))
    name = ua.QualifiedName("Level", instance.namespace)
    surgery.variable(node, owner, HAS_COMPONENT, name, BASE_VARIABLE, ua.Variant(1.0, ua.VariantType.Double))


def _untyped(surgery: Surgery, instance: Instance) -> None:
    surgery.untype(_node(instance, "Components/Coolant"))


def _loop(surgery: Surgery, instance: Instance) -> None:
    surgery.link(_node(instance, "Components/Coolant"), HAS_COMPONENT, instance.node)


def _locale_word(surgery: Surgery, instance: Instance) -> None:
    text = ua.LocalizedText("Works", "deutsch (Deutschland)")
    surgery.value(_node(instance, "Identification/Manufacturer"), text)


def _messages_silent(surgery: Surgery, instance: Instance) -> None:
    node = _node(instance, "Notification/Messages")
    surgery.write(node, ua.AttributeIds.EventNotifier, ua.Variant(0, ua.VariantType.Byte))


_TABLE: dict[str, tuple[str, str, str, Change]] = {
    "machines-folder-missing": (
        "No Machines folder below Objects",
        "No reference leads from Objects to the Machines folder, so a client that browses comes to none.",
        "OPC 40001-1 1.04, 10",
        _machines_folder_missing,
    ),
    "machines-folder-empty": (
        "The Machines folder is empty",
        "The machine is there, but no reference leads from the Machines folder to it: a client finds none.",
        "OPC 40501-1 1.02, 8.1",
        _machines_folder_empty,
    ),
    "machine-elsewhere": (
        "A machine tool outside of the Machines folder",
        "A second machine tool hangs below Objects and not below the Machines folder.",
        "umati showcase rules",
        _machine_elsewhere,
    ),
    "twin-uri": (
        "Two machines with one ProductInstanceUri",
        "A second machine has the same ProductInstanceUri as the first: a consumer takes them for one.",
        "OPC 40001-1 1.04, 8.6",
        _twin_uri,
    ),
    "serial-number-empty": (
        "An empty SerialNumber",
        "The node is there, as its type demands, but its value is an empty text.",
        "OPC 40001-1 1.04, 8.2",
        _serial_number_empty,
    ),
    "model-empty": (
        "An empty Model",
        "The nameplate has the node Model without a text.",
        "umati showcase rules",
        _model_empty,
    ),
    "location-free-text": (
        "A Location of another form",
        "Location is a word that tells neither position nor place.",
        "umati showcase rules",
        _location_free_text,
    ),
    "month-13": (
        "Built in the thirteenth month",
        "MonthOfConstruction is 13.",
        "OPC 40001-1 1.04, 8.2",
        _month_13,
    ),
    "good-null": (
        "Null with Good",
        "A variable has no value, and its status is Good.",
        "OPC 10000-4 1.05, 7.11",
        _good_null,
    ),
    "bad-value": (
        "A value that is bad all the time",
        "A variable's status is BadSensorFailure.",
        "umati showcase rules",
        _bad_value,
    ),
    "unreadable": (
        "A variable that nobody may read",
        "AccessLevel of a variable is 0.",
        "OPC 10000-3 1.05, 5.6.2",
        _unreadable,
    ),
    "user-access-wider": (
        "UserAccessLevel beyond AccessLevel",
        "UserAccessLevel allows to write what AccessLevel allows to read only.",
        "OPC 10000-3 1.05, 5.6.2",
        _user_access_wider,
    ),
    "text-for-number": (
        "A text in place of a number",
        'A variable of data type Double has the value "warm".',
        "OPC 10000-3 1.05, 5.6.2",
        _text_for_number,
    ),
    "array-for-scalar": (
        "An array in place of a scalar",
        "A variable of ValueRank -1 has an array as its value.",
        "OPC 10000-3 1.05, 5.6.2",
        _array_for_scalar,
    ),
    "unit-id-unset": (
        "A unit without its number",
        "EngineeringUnits names the UNECE namespace, but its UnitId is -1: a program cannot know the unit.",
        "OPC 10000-8 1.05, 5.6.4.3",
        _unit_id_unset,
    ),
    "unit-without-symbol": (
        "A unit without its symbol",
        "The DisplayName of a unit is empty.",
        "OPC 10000-8 1.05, 5.6.4.3",
        _unit_without_symbol,
    ),
    "range-upside-down": (
        "A range upside down",
        "EURange runs from 60 to 0.",
        "OPC 10000-8 1.05, 5.6.2",
        _range_upside_down,
    ),
    "beyond-range": (
        "A value beyond its range",
        "A temperature of 1000 degrees with a range up to 60.",
        "OPC 10000-8 1.05, 5.6.2",
        _beyond_range,
    ),
    "namespace-twice": (
        "A namespace twice",
        "A URI stands twice in NamespaceArray: browse names of one specification have two indexes.",
        "OPC 10000-5 1.05, 6.3.1",
        _namespace_twice,
    ),
    "namespace-misspelt": (
        "The MachineTool namespace without its last slash",
        "NamespaceArray has the URI without it: clients that look for the published one find no machine tool.",
        "OPC 40501-1 1.02, 13.1",
        _namespace_misspelt,
    ),
    "no-profiles": (
        "No profile is named",
        "ServerProfileArray is empty: a client cannot know what the server conforms to.",
        "OPC 10000-5 1.05, 6.3.2",
        _no_profiles,
    ),
    "build-info-empty": (
        "A product without a name",
        "BuildInfo has an empty ProductName.",
        "OPC 10000-5 1.05, 12.4",
        _build_info_empty,
    ),
    "server-failed": (
        "A server that says it failed",
        "ServerStatus.State is Failed while everything works.",
        "OPC 10000-5 1.05, 12.10",
        _server_failed,
    ),
    "browse-name-empty": (
        "An empty browse name",
        "A variable has a browse name without text: nobody can name a path to it.",
        "OPC 10000-3 1.05, 5.2.4",
        _browse_name_empty,
    ),
    "placeholder-name": (
        "The name of a placeholder",
        "A tool is named <Tool>, as the type's placeholder for tools.",
        "OPC 10000-3 1.05, 5.2.4",
        _placeholder_name,
    ),
    "sibling-name": (
        "Two siblings with one name",
        "Two variables of a component are named Temperature.",
        "OPC 10000-3 1.05, 6.2.6",
        _sibling_name,
    ),
    "display-name-empty": (
        "An empty display name",
        "A variable has nothing that a person could be shown.",
        "OPC 10000-3 1.05, 5.2.5",
        _display_name_empty,
    ),
    "foreign-id": (
        "An instance with a NodeId of the specification",
        "A variable of the machine has a NodeId in the namespace of MachineTool.",
        "umati showcase rules",
        _foreign_id,
    ),
    "untyped": (
        "An object without a type",
        "An object of the machine has no HasTypeDefinition reference.",
        "OPC 10000-3 1.05, 5.5.1",
        _untyped,
    ),
    "loop": (
        "A component that contains its machine",
        "A reference leads from a component back to the machine: clients that follow it never end.",
        "OPC 10000-3 1.05, 7.3",
        _loop,
    ),
    "locale-word": (
        "A locale that is none",
        "The locale of a text is `deutsch (Deutschland)`.",
        "OPC 10000-3 1.05, 8.4",
        _locale_word,
    ),
    "messages-silent": (
        "Messages that nobody can subscribe to",
        "EventNotifier of Messages is 0.",
        "OPC 40501-1 1.02, 8.6.2",
        _messages_silent,
    ),
}
"""Title, what it breaks, source, how."""

MUTANTS: tuple[DeviceMutant, ...] = tuple(
    DeviceMutant(f"device.basics.{key}", title, breaks, source, operated(change))
    for key, (title, breaks, source, change) in _TABLE.items()
)
