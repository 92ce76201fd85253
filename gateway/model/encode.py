"""The common JSON of a machine's stream, written fast; equal to what the pydantic models would write."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from gateway.model.messages import dump
from gateway.model.sample import Description, Event, Gap, Record, Sample, Samples
from gateway.model.times import LAST_TICKS, TICKS_PER_SECOND, iso_from_ticks
from gateway.model.values import JsonValue, json_text

_ENCODER = msgspec.json.Encoder()
_encode = _ENCODER.encode


@dataclass(frozen=True, slots=True)
class Stamp:
    """What places a message in its machine's stream."""

    machine: str
    epoch: str
    seq: int
    taken: int


def encode_record(stamp: Stamp, record: Record) -> tuple[str, bytes]:
    """The record's kind (last level of its topic) and its message in UTF-8."""
    match record:
        case Samples():
            return "data", encode_samples(stamp, record.samples)
        case Event():
            return "event", _message(stamp, "event", dump(record.event))
        case Description():
            return "description", _message(stamp, "description", dump(record.description))
        case Gap():
            return "gap", _gap(stamp, record)


def encode_samples(stamp: Stamp, samples: Iterable[Sample]) -> bytes:
    """A data message of these samples."""
    parts: list[bytes] = []
    take = parts.append
    begin, layout = 0, b""  # the second of the last sample, and all that is the same for samples within it
    for sample in samples:
        time = sample.time
        if sample.status is not None or not time:
            take(encode_sample(sample))
            continue
        fraction = time - begin
        if not (layout and 0 <= fraction < TICKS_PER_SECOND):
            if not 0 < time <= LAST_TICKS:
                take(encode_sample(sample))
                continue
            fraction = time % TICKS_PER_SECOND
            begin = time - fraction
            layout = b'%%b%%b,"time":"%b%%07dZ"}' % iso_from_ticks(begin).encode()[:-8]
        try:
            value = _encode(sample.value)
        except UnicodeEncodeError:
            value = encode_value(sample.value)
        take(layout % (sample.signal.prefix, value, fraction))
    return b'%b,"samples":[%b]}' % (_head(stamp), b",".join(parts))


def encode_sample(sample: Sample) -> bytes:
    """One sample of a data message."""
    time, status = sample.time, sample.status
    stamped = b'"%b"' % iso_from_ticks(time).encode() if time else b"null"
    return b'%b%b,"time":%b%b}' % (
        sample.signal.prefix,
        encode_value(sample.value),
        stamped,
        b"" if status is None else _remark(status),
    )


def _remark(status: str) -> bytes:
    """The members that most samples do not need."""
    quality = quality_of(status)
    marked = b"" if quality == "good" else b',"quality":"%b"' % quality.encode()
    return b'%b,"status":%b' % (marked, _encode(status))


def quality_of(status: str | None) -> str:
    """``good``, ``uncertain`` or ``bad`` by the status name (OPC 10000-4, 7.39: severity bits)."""
    if status is None or status.startswith("Good"):
        return "good"
    return "uncertain" if status.startswith("Uncertain") else "bad"


def encode_value(value: JsonValue) -> bytes:
    """A JSON value in UTF-8; lone surrogates, which UTF-8 cannot hold, become U+FFFD."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(_mended(value))


def _mended(value: JsonValue) -> JsonValue:
    match value:
        case str():
            return json_text(value)
        case list():
            return [_mended(item) for item in value]
        case dict():
            return {json_text(key): _mended(item) for key, item in value.items()}
        case _:
            return value


def _head(stamp: Stamp) -> bytes:
    return b'{"machine":%b,"epoch":%b,"seq":%d,"taken":"%b"' % (
        encode_value(stamp.machine),
        encode_value(stamp.epoch),
        stamp.seq,
        iso_from_ticks(stamp.taken).encode(),
    )


def _message(stamp: Stamp, name: str, body: JsonValue) -> bytes:
    return b'%b,"%b":%b}' % (_head(stamp), name.encode(), encode_value(body))


def _gap(stamp: Stamp, gap: Gap) -> bytes:
    body: dict[str, JsonValue] = {
        "signals": None if gap.signals is None else list(gap.signals),
        "begin": iso_from_ticks(gap.begin),
        "end": iso_from_ticks(gap.end),
        "cause": gap.cause,
    }
    if gap.detail:
        body["detail"] = gap.detail
    if gap.lost is not None:
        body["lost"] = gap.lost
    if gap.events:
        body["events"] = True
    if gap.missing is not None:
        body["missing"] = list(gap.missing)
    return b"%b,%b" % (_head(stamp), encode_value(body)[1:])
