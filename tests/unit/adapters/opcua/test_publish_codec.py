from __future__ import annotations

import contextlib
import struct
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary
from hypothesis import given
from hypothesis import strategies as st

from adapters.opcua.decode import MalformedError, decode, decode_republished
from adapters.opcua.dispatch import Dispatcher, Item, status_text
from adapters.opcua.plan import SignalPlan
from adapters.opcua.publish import PublishEngine, distance, following
from gateway.model import Gap, Samples, SignalRef
from gateway.model.times import iso_from_ticks


def response(sequence: int, *notifications: Any, subscription: int = 7) -> Any:
    answer = ua.PublishResponse()
    answer.Parameters.SubscriptionId = subscription
    answer.Parameters.AvailableSequenceNumbers = [sequence]
    answer.Parameters.NotificationMessage.SequenceNumber = sequence
    answer.Parameters.NotificationMessage.NotificationData = list(notifications)
    return answer


def changes(*values: Any) -> Any:
    moment = datetime(2026, 11, 22, 15, 30, 0, 123456, tzinfo=UTC)
    return ua.DataChangeNotification(
        MonitoredItems=[
            ua.MonitoredItemNotification(handle, ua.DataValue(ua.Variant(value), SourceTimestamp=moment))
            for handle, value in enumerate(values)
        ]
    )


def test_reads_values_with_handle_time_and_status() -> None:
    found = decode(struct_to_binary(response(3, changes(1.5, "text"))))
    assert (found.subscription, found.sequence, found.available, found.keep_alive) == (7, 3, (3,), False)
    assert [(handle, value, status) for handle, value, _, status in found.values] == [(0, 1.5, 0), (1, "text", 0)]
    assert iso_from_ticks(found.values[0][2]) == "2026-11-22T15:30:00.1234560Z"


@pytest.mark.parametrize("empty", [[], None])
def test_an_empty_and_a_null_array_are_a_keep_alive(empty: Any) -> None:
    answer = response(4)
    answer.Parameters.NotificationMessage.NotificationData = empty
    found = decode(struct_to_binary(answer))
    assert found.keep_alive
    assert found.sequence == 4


def test_a_fault_names_its_status() -> None:
    fault = ua.ServiceFault()
    fault.ResponseHeader.ServiceResult = ua.StatusCode(ua.StatusCodes.BadNoSubscription)
    assert decode(struct_to_binary(fault)).fault == "BadNoSubscription"


def test_a_header_with_diagnostics_is_skipped() -> None:
    answer = response(5, changes(1))
    answer.ResponseHeader.StringTable = ["one", "two"]
    answer.ResponseHeader.ServiceDiagnostics = ua.DiagnosticInfo(SymbolicId=1, AdditionalInfo="why")
    assert decode(struct_to_binary(answer)).sequence == 5


def test_an_undecodable_notification_is_known_by_its_number() -> None:
    body = bytearray(struct_to_binary(response(6, changes(1.5, 2.5))))
    position = body.index(b"\x0b" + struct.pack("<d", 1.5))  # the type of the first Variant
    body[position] = 0x3D
    found = decode(bytes(body))
    assert found.sequence == 6
    assert found.undecodable


def test_a_status_change_is_read() -> None:
    change = ua.StatusChangeNotification(Status=ua.StatusCode(ua.StatusCodes.BadTimeout))
    assert decode(struct_to_binary(response(7, change))).status == "BadTimeout"


def test_a_republished_message_is_read() -> None:
    answer = ua.RepublishResponse()
    answer.NotificationMessage.SequenceNumber = 8
    answer.NotificationMessage.NotificationData = [changes(1)]
    found = decode_republished(struct_to_binary(answer))
    assert (found.sequence, found.values[0][1]) == (8, 1)


@given(st.integers(0, 400), st.binary(max_size=20))
def test_damage_never_escapes(position: int, damage: bytes) -> None:
    body = bytearray(struct_to_binary(response(9, changes(1.5, "text", [1, 2]))))
    body[position : position + len(damage)] = damage
    with contextlib.suppress(MalformedError):
        found = decode(bytes(body))
        assert found.fault is not None or 0 <= found.sequence < 2**32


@given(st.lists(st.integers(0, 2**32 - 1), max_size=20), st.integers(0, 2**32 - 1))
def test_the_request_is_what_asyncua_would_write(numbers: list[int], handle: int) -> None:
    engine = PublishEngine.__new__(PublishEngine)
    token = ua.NodeId(b"secret token", 1, ua.NodeIdType.ByteString)
    connection: Any = SimpleNamespace(client=SimpleNamespace(uaclient=SimpleNamespace(session=None)), on_lost=None)
    connection.client.uaclient.session = SimpleNamespace(authentication_token=token)
    engine.__init__(connection, 7, keep_alive=1, window=2, unacknowledged=4)  # type: ignore[misc]
    body = Buffer(engine.request(handle, numbers))
    found = struct_from_binary(ua.PublishRequest, body)
    assert len(body) == 0
    assert found.RequestHeader.AuthenticationToken == token
    assert found.RequestHeader.RequestHandle == handle
    assert found.RequestHeader.TimeoutHint == 0
    told = found.Parameters.SubscriptionAcknowledgements or []
    assert [(one.SubscriptionId, one.SequenceNumber) for one in told] == [(7, number) for number in numbers]


def test_sequence_numbers_go_round_without_zero() -> None:
    last = 2**32 - 1
    assert following(last) == 1
    assert distance(1, last) < 0
    assert distance(last, 1) == 1
    assert distance(5, 5) == 0
    assert distance(5, 9) == 4
    assert distance(5, 4) == -1


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, None),
        (0x480, None),
        (0x80310000, "BadNoCommunication"),
        (0x80310480, "BadNoCommunication"),
        (0x40F20000, "UncertainOverRange"),
        (0x00300000, "GoodClamped"),
        (0x8FFF0000, "Bad0x8FFF0000"),
    ],
)
def test_status_names(code: int, text: str | None) -> None:
    assert status_text(code) == text


def test_a_value_that_cannot_be_converted_is_told_and_takes_no_other_with_it() -> None:
    def refuse(_value: Any) -> Any:
        raise ValueError("no JSON for this")

    dispatcher = Dispatcher()
    bucket = dispatcher.bucket("m")
    for path, convert in (("a", refuse), ("b", lambda value: value)):
        dispatcher.items.append(Item(SignalPlan(ua.NodeId(1), SignalRef(path), convert, "Double", "T"), bucket))
    notification = changes(ua.NodeId(85), 2)
    records, count = dispatcher.records([decode(struct_to_binary(response(1, notification)))], 5)
    gap, samples = records
    assert isinstance(gap, Gap)
    assert (gap.signals, gap.cause, gap.begin, gap.lost) == (["a"], "undecodable", 5, 1)
    assert isinstance(samples, Samples)
    assert [(one.signal.path, one.value) for one in samples.samples] == [("b", 2)]
    assert count == 2
