from __future__ import annotations

import json
import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.consumer import Received
from conformance.gateway.readers import ReaderError, reader
from conformance.observer import Observer

MACHINE = "urn:works:machine:1"


def read(name: str, topic: str, payload: bytes | str | dict[str, Any]) -> list[dict[str, Any]]:
    content = json.dumps(payload).encode() if isinstance(payload, dict) else payload
    raw = content.encode() if isinstance(content, str) else content
    return samples(reader(name, [MACHINE]).read(Received(topic, raw, False, 0.0)))


def samples(messages: list[Received]) -> list[dict[str, Any]]:
    observer = Observer(keep=True)
    observer.take(messages)
    assert not observer.unreadable
    return [one for message in messages for one in json.loads(message.payload)["samples"]]


def test_unknown_formats_are_named() -> None:
    with pytest.raises(ReaderError, match=r"'morse'.*area4, pubsub-json, sparkplug-b, umati"):
        reader("morse", [])


def test_our_own_messages_pass_as_they_are() -> None:
    message = Received("area4/v1/lab/m/data", b"{}", False, 1.0)
    assert reader("area4", [MACHINE]).read(message) == [message]


class TestPubSub:
    """OPC 10000-14, 7.2.5 and Annex A.3."""

    def test_a_key_frame_with_data_values(self) -> None:
        body = {
            "MessageType": "ua-data", "PublisherId": "gw", "Messages": [{
                "DataSetWriterName": MACHINE, "MessageType": "ua-keyframe", "Timestamp": "2026-01-01T00:00:00Z",
                "Payload": {
                    "Monitoring.MachineTool.FeedOverride": {"Value": 80.5, "SourceTimestamp": "2026-01-01T00:00:00.5Z"},
                    "Probe/Large": {"UaType": 8, "Value": "9223372036854775807"},
                    "Temperature": {"Status": {"Code": 2156724224, "Symbol": "BadSensorFailure"}},
                },
            }],
        }  # fmt: skip
        assert read("pubsub-json", "opcua/json/data/gw/1", body) == [
            {"path": "Monitoring/MachineTool/FeedOverride", "value": 80.5, "time": "2026-01-01T00:00:00.5000000Z"},
            {"path": "Probe/Large", "value": "9223372036854775807", "time": "2026-01-01T00:00:00.0000000Z"},
            {
                "path": "Temperature",
                "value": None,
                "time": "2026-01-01T00:00:00.0000000Z",
                "quality": "bad",
                "status": "BadSensorFailure",
            },
        ]

    def test_a_message_without_headers_and_the_deprecated_encoding(self) -> None:
        body = {"Payload": {"A": 1, "B": {"Value": {"Type": 11, "Body": 2.5}, "StatusCode": 1073741824}}}
        assert read("pubsub-json", "opcua/json/data/gw", body) == [
            {"path": "A", "value": 1, "time": None},
            {"path": "B", "value": 2.5, "time": None, "quality": "uncertain"},
        ]

    @pytest.mark.parametrize("kind", ["ua-keepalive", "ua-event"])
    def test_what_is_no_data_is_passed_over(self, kind: str) -> None:
        assert read("pubsub-json", "opcua/json/data/gw", {"MessageType": kind, "Payload": {"A": 1}}) == []

    def test_what_is_no_json_comes_back_for_the_check_of_json(self) -> None:
        message = Received("opcua/json/data/gw", b"{NaN", False, 0.0)
        assert reader("pubsub-json", [MACHINE]).read(message) == [message]


class TestUmati:
    TOPIC = "umati/v2/works/gw/MachineToolType/nsu=http:_2F_2Fexample.com_2Fm;i=1"

    def test_a_tree_then_only_what_changed(self) -> None:
        own = reader("umati", [MACHINE])
        tree = {
            "Identification": {"ProductInstanceUri": MACHINE, "Manufacturer": {"locale": "de", "text": "Söhne"}},
            "Monitoring": {"<MonitoredElement>": {"Spindle1": {"$TypeDefinition": "nsu=x;i=1", "Override": 90}}},
            "Load": {"value": 3, "properties": {"EURange": 5}},
        }
        first = samples(own.read(Received(self.TOPIC, json.dumps(tree).encode(), True, 0.0)))
        assert {one["path"]: one["value"] for one in first} == {
            "Identification/ProductInstanceUri": MACHINE,
            "Identification/Manufacturer": {"locale": "de", "text": "Söhne"},
            "Monitoring/Spindle1/Override": 90,
            "Load": 3,
            "Load/EURange": 5,
        }
        tree["Load"]["value"] = 4  # type: ignore[index]
        assert [
            one["value"] for one in samples(own.read(Received(self.TOPIC, json.dumps(tree).encode(), True, 0.0)))
        ] == [4]
        assert own.read(Received(self.TOPIC, json.dumps(tree).encode(), True, 0.0)) == []

    @pytest.mark.parametrize("topic", ["umati/v2/works/gw/list/MachineToolType", "umati/v2/works/gw/clientOnline"])
    def test_lists_and_flags_are_passed_over(self, topic: str) -> None:
        assert read("umati", topic, b"[]") == []


def varint(value: int) -> bytes:
    found = bytearray()
    while True:
        value, digit = divmod(value, 128)
        found.append(digit | (128 if value else 0))
        if not value:
            return bytes(found)


def field(number: int, content: bytes | float) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    if isinstance(content, float):
        return varint(number << 3 | 1) + struct.pack("<d", content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def metric(name: str, kind: int, *parts: bytes) -> bytes:
    return field(2, field(1, name.encode()) + field(3, 1_767_225_600_500) + field(4, kind) + b"".join(parts))


class TestSparkplug:
    """Sparkplug 3.0, 6.4: the fields of a metric by number."""

    TOPIC = f"spBv1.0/works/DDATA/edge/{MACHINE}"

    @given(st.integers(-(2**63), 2**63 - 1))
    def test_signed_integers(self, value: int) -> None:
        (one,) = read("sparkplug-b", self.TOPIC, metric("A", 4, field(11, value & 2**64 - 1)))
        assert int(one["value"]) == value
        assert isinstance(one["value"], str) == (abs(value) > 2**53)

    @given(st.floats(allow_nan=False))
    def test_doubles(self, value: float) -> None:
        (one,) = read("sparkplug-b", self.TOPIC, metric("A", 10, field(13, value)))
        assert one["value"] == value or math.isinf(value)

    @given(st.text())
    def test_texts(self, text: str) -> None:
        (one,) = read("sparkplug-b", self.TOPIC, metric("A", 12, field(15, text.encode())))
        assert one["value"] == text

    def test_times_nulls_and_quality(self) -> None:
        quality = field(9, field(1, b"Quality") + field(2, field(1, 3) + field(3, 500)))
        one, two = read(
            "sparkplug-b", self.TOPIC, metric("A", 3, field(10, 2**32 - 1)) + metric("B", 3, field(7, 1), quality)
        )
        assert one == {"path": "A", "value": -1, "time": "2026-01-01T00:00:00.5000000Z"}
        assert (two["value"], two["quality"]) == (None, "uncertain")

    def test_aliases_of_a_birth(self) -> None:
        own = reader("sparkplug-b", [MACHINE])
        birth = Received(
            f"spBv1.0/works/DBIRTH/edge/{MACHINE}", field(2, field(1, b"A") + field(2, 7) + field(10, 1)), False, 0.0
        )
        assert [one["path"] for one in samples(own.read(birth))] == ["A"]
        data = Received(self.TOPIC, field(2, field(2, 7) + field(10, 5)), False, 0.0)
        assert [(one["path"], one["value"]) for one in samples(own.read(data))] == [("A", 5)]

    @given(st.binary(max_size=200))
    def test_whatever_comes_it_ends(self, payload: bytes) -> None:
        message = Received(self.TOPIC, payload, False, 0.0)
        found = reader("sparkplug-b", [MACHINE]).read(message)
        assert found in ([], [message]) or json.loads(found[0].payload)["machine"] == MACHINE
