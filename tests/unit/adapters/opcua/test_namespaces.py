from __future__ import annotations

import pytest
from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st

from adapters.opcua.identification import identity_of
from adapters.opcua.namespaces import UA, Namespaces, UnknownNamespaceError
from gateway.model.names import split_path

TABLE = Namespaces([UA, "urn:example:server", "http://opcfoundation.org/UA/DI/"])
REORDERED = Namespaces([UA, "http://opcfoundation.org/UA/DI/", "urn:example:server"])


def test_texts_do_not_depend_on_the_order_of_the_table() -> None:
    assert TABLE.node_text(ua.NodeId(5, 2)) == REORDERED.node_text(ua.NodeId(5, 1))
    assert TABLE.semantic(ua.NodeId(58)) == "nsu=http://opcfoundation.org/UA/;i=58"
    assert TABLE.node("http://opcfoundation.org/UA/DI/", 5) == ua.NodeId(5, 2)
    assert TABLE.node("urn:absent", 5) is None


def test_expanded_node_ids_become_local_ones() -> None:
    far = ua.ExpandedNodeId(7, 0, ua.NodeIdType.Numeric, "urn:example:server", 0)
    assert TABLE.local(far) == ua.NodeId(7, 1)
    assert TABLE.local(ua.ExpandedNodeId(7, 0, ua.NodeIdType.Numeric, "urn:absent", 0)) is None
    assert TABLE.local(ua.ExpandedNodeId(7, 0, ua.NodeIdType.Numeric, None, 2)) is None


def test_foundation_namespaces() -> None:
    assert [TABLE.foundation(index) for index in (0, 1, 2, 3)] == [True, False, True, False]


def test_indexes_without_uri_never_leave() -> None:
    with pytest.raises(UnknownNamespaceError, match="index 3"):
        TABLE.node_text(ua.NodeId(1, 3))
    with pytest.raises(UnknownNamespaceError):
        TABLE.name_text(ua.QualifiedName("x", 3))
    assert TABLE.semantic(ua.NodeId(1, 3)) is None


@given(st.text(min_size=1).filter(str.strip), st.text(min_size=1).filter(str.strip))
def test_identities_of_manufacturer_and_serial_number_are_reversible(maker: str, serial: str) -> None:
    values = {"Manufacturer": {"locale": "en", "text": maker}, "SerialNumber": serial, "ProductInstanceUri": " "}
    identity = identity_of(values)
    assert identity is not None
    assert split_path(identity) == [maker.strip(), serial.strip()]


def test_identities() -> None:
    assert identity_of({"ProductInstanceUri": " urn:x ", "SerialNumber": "1"}) == "urn:x"
    assert identity_of({"SerialNumber": "1"}) is None
    assert identity_of({"Manufacturer": {"locale": "en", "text": None}, "SerialNumber": "1"}) is None
    assert identity_of({}) is None
