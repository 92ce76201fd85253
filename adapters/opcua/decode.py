"""From the body of a PublishResponse to its values.

The frame of the message (OPC 10000-4, 5.14.5.2) is walked here with fixed structs, so a notification that cannot be
decoded is still known by subscription and sequence number, and can be asked for again. Every length is checked
against what is there before anything is read by it. Values are read by `adapters.opcua.changes`, events by asyncua.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary

from adapters.opcua.changes import Value, read_changes
from gateway.model.times import UNIX_EPOCH_TICKS


@dataclass(slots=True)
class PublishResult:
    """What a PublishResponse or a RepublishResponse says.

    Attributes:
        fault: Name of the status with which the server refused the request; everything else is then empty.
        sequence: Of a keep-alive: the number that the next data will have.
        time: When the server sent it, in ticks.
        keep_alive: It carries no notification.
        available: Sequence numbers that the server can send again.
        refused: Status codes of acknowledgements that the server did not accept.
        values: In the order of the message.
        events: Client handle and the selected fields.
        status: Of a StatusChangeNotification, by name.
        undecodable: Why a part could not be decoded; `values` and `events` are then not complete.
    """

    fault: str | None = None
    subscription: int = 0
    sequence: int = 0
    time: int = 0
    keep_alive: bool = False
    available: tuple[int, ...] = ()
    refused: int = 0
    values: list[Value] = field(default_factory=list)
    events: list[tuple[int, list[ua.Variant]]] = field(default_factory=list)
    status: str | None = None
    undecodable: str | None = None


Decoder: TypeAlias = Callable[[bytes], PublishResult]

_PLAIN_HEADER = struct.Struct("<qII")
_PLAIN_REST = frozenset({b"\0\xff\xff\xff\xff\0\0\0", b"\0\0\0\0\0\0\0\0"})
_U32 = struct.Struct("<I")
_I32 = struct.Struct("<i")
_MESSAGE = struct.Struct("<Iqi")  # sequence number, publish time, count of notifications
_TYPE_ID = struct.Struct("<BBH")

_PUBLISH_RESPONSE = ua.ObjectIds.PublishResponse_Encoding_DefaultBinary
_REPUBLISH_RESPONSE = ua.ObjectIds.RepublishResponse_Encoding_DefaultBinary
_SERVICE_FAULT = ua.ObjectIds.ServiceFault_Encoding_DefaultBinary
_DATA_CHANGE = ua.ObjectIds.DataChangeNotification_Encoding_DefaultBinary
_EVENTS = ua.ObjectIds.EventNotificationList_Encoding_DefaultBinary
_STATUS_CHANGE = ua.ObjectIds.StatusChangeNotification_Encoding_DefaultBinary

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_NAIVE = datetime(1970, 1, 1)  # noqa: DTZ001 - asyncua gives the ends of its range without a zone
_BAD = 0x80000000


class MalformedError(Exception):
    """The message does not follow OPC 10000-6; nothing of it is used."""


def decode(body: bytes) -> PublishResult:
    """The body of a PublishResponse or of a ServiceFault.

    Raises:
        MalformedError: Even the frame is damaged.
    """
    return _decode(body, _PUBLISH_RESPONSE)


def decode_republished(body: bytes) -> PublishResult:
    """The body of a RepublishResponse; it does not name its subscription.

    Raises:
        MalformedError: Even the frame is damaged.
    """
    return _decode(body, _REPUBLISH_RESPONSE)


def _decode(data: bytes, expected: int) -> PublishResult:
    result = PublishResult()
    try:
        encoding, namespace, kind = _TYPE_ID.unpack_from(data)
        if (encoding, namespace) != (1, 0) or kind not in {expected, _SERVICE_FAULT}:
            raise MalformedError(f"a message of type {encoding}/{namespace}/{kind} came instead")
        position, code = _response_header(data, _TYPE_ID.size)
        if kind == _SERVICE_FAULT or code & _BAD:
            result.fault = ua.StatusCode(code).name
            return result
        if expected == _PUBLISH_RESPONSE:
            position = _publish_frame(data, position, result)
        position = _notification_message(data, position, result)
        if expected == _PUBLISH_RESPONSE:
            codes, position = _numbers(data, position)
            result.refused = sum(1 for code in codes if code & _BAD)
    except (struct.error, IndexError) as problem:
        raise MalformedError(f"the message ends within its frame ({problem})") from problem
    return result


def _response_header(data: bytes, position: int) -> tuple[int, int]:
    """End of the ResponseHeader, and its service result."""
    _, _, code = _PLAIN_HEADER.unpack_from(data, position)
    rest = position + _PLAIN_HEADER.size
    # no diagnostics, no string table, no additional header: what servers send
    if data[rest : rest + 8] in _PLAIN_REST:
        return rest + 8, code
    buffer = Buffer(data, position)
    try:
        struct_from_binary(ua.ResponseHeader, buffer)
    except Exception as problem:
        raise MalformedError(f"the response header cannot be decoded ({problem})") from problem
    return buffer.cur_pos, code


def _publish_frame(data: bytes, position: int, result: PublishResult) -> int:
    (result.subscription,) = _U32.unpack_from(data, position)
    result.available, position = _numbers(data, position + 4)
    return position + 1  # MoreNotifications


def _numbers(data: bytes, position: int) -> tuple[tuple[int, ...], int]:
    """An array of UInt32 and its end."""
    (count,) = _I32.unpack_from(data, position)
    position += 4
    if count <= 0:
        return (), position
    if count * 4 > len(data) - position:
        raise MalformedError(f"an array announces {count} numbers, which the message does not hold")
    return struct.unpack_from(f"<{count}I", data, position), position + 4 * count


def _notification_message(data: bytes, position: int, result: PublishResult) -> int:
    result.sequence, result.time, count = _MESSAGE.unpack_from(data, position)
    position += _MESSAGE.size
    result.keep_alive = count <= 0
    for _ in range(max(count, 0)):
        encoding, namespace, kind = _TYPE_ID.unpack_from(data, position)
        (length,) = _I32.unpack_from(data, position + 5)
        begin = position + 9
        if (encoding, namespace, data[position + 4]) != (1, 0, 1) or not 0 <= length <= len(data) - begin:
            raise MalformedError("a notification is no extension object of OPC UA's own types, or is cut off")
        position = begin + length
        body = Buffer(data, begin, length)
        try:
            _notification(kind, body, result)
        except Exception as problem:  # noqa: BLE001 - whatever a decoder fails with, this message is asked again
            result.undecodable = f"{type(problem).__name__}: {problem}"
    return position


def _notification(kind: int, body: Buffer, result: PublishResult) -> None:
    if kind == _DATA_CHANGE:
        read_changes(bytes(body.read(len(body))), result.values.append)
    elif kind == _EVENTS:
        for event in struct_from_binary(ua.EventNotificationList, body).Events or ():
            result.events.append((event.ClientHandle, event.EventFields))
    elif kind == _STATUS_CHANGE:
        result.status = struct_from_binary(ua.StatusChangeNotification, body).Status.name
    else:
        raise MalformedError(f"a notification of unknown type i={kind}")


def ticks(moment: datetime | None) -> int:
    """OPC UA ticks of asyncua's time (which has microseconds); 0 for None and for the smallest moment."""
    if moment is None:
        return 0
    passed = moment - (_EPOCH if moment.tzinfo is not None else _EPOCH_NAIVE)
    return max(0, ((passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds) * 10 + UNIX_EPOCH_TICKS)
