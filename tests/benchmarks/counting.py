"""What the subscriber wrote down: values, their age, and whether one is missing. After the measurement, from a file."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

Content = Callable[[bytes, bytes], Iterable[tuple[str, float, Any]]]
"""From topic and payload to signal, source time (Unix) and value."""

_LAST = re.compile(rb'"time": ?"([0-9T:.-]+)Z?[^"]*"')


def unix(text: str) -> float:
    """Unix time of an ISO text in UTC; digits beyond microseconds are cut."""
    head, _, fraction = text.rstrip("Z").partition(".")
    head = head.removesuffix("+00:00")
    return datetime.fromisoformat(f"{head}+00:00").timestamp() + float(f"0.{fraction.split('+')[0] or 0}")


@dataclass
class Tally:
    """Of one window.

    Attributes:
        values: That arrived in it.
        size: Bytes of their payloads.
        ages: Seconds from source time to arrival, of each of them (a part where there are very many).
        missing: Values that did not arrive between the first and the last of their signal.
        repeated: Values that arrived more than once.
    """

    values: int = 0
    messages: int = 0
    size: int = 0
    ages: list[float] = field(default_factory=list)
    missing: int = 0
    repeated: int = 0

    def age(self, share: float) -> float:
        """A quantile of the ages in milliseconds."""
        ordered = sorted(self.ages)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else float("nan")


def lines(file: Path) -> Iterator[tuple[float, bytes, bytes]]:
    """Arrival, topic and payload of each message."""
    with file.open("rb") as text:
        for line in text:
            at, topic, payload = line.rstrip(b"\n").split(b" ", 2)
            yield float(at), topic, payload


def tally(file: Path, begin: float, end: float, content: Content) -> Tally:
    """Count what arrived in a window; what is missing is looked for in it alone."""
    found = Tally()
    counters: dict[str, list[int]] = {}
    for at, topic, payload in lines(file):
        if not begin <= at < end:
            continue
        before = found.values
        for signal, time, value in content(topic, payload):
            found.values += 1
            counters.setdefault(signal, []).append(int(value))
            found.ages.append(at - time)
        if found.values > before:
            found.messages += 1
            found.size += len(payload)
    for seen in counters.values():
        distinct = len(set(seen))
        found.repeated += len(seen) - distinct
        found.missing += max(seen) - min(seen) + 1 - distinct
    return found


class _Sample(msgspec.Struct, gc=False):
    path: str
    time: str = ""
    value: Any = None


class _Data(msgspec.Struct, gc=False):
    machine: str
    epoch: str
    seq: int
    samples: list[_Sample] = []


_DATA = msgspec.json.Decoder(_Data)
_SECONDS: dict[str, float] = {}


def area4(topic: bytes, payload: bytes) -> Iterable[tuple[str, float, Any]]:
    """Values of this gateway's data messages."""
    if not topic.endswith(b"/data"):
        return
    message = _DATA.decode(payload)
    for sample in message.samples:
        if sample.path.startswith("Load/"):
            yield f"{message.machine}/{sample.path}", _quick(sample.time), sample.value


def _quick(text: str) -> float:
    """Unix time, with the second's part kept."""
    second = text[:19]
    if second not in _SECONDS:
        _SECONDS[second] = unix(second)
    return _SECONDS[second] + float("0" + text[19:].rstrip("Z"))


def single(_topic: bytes, payload: bytes) -> Iterable[tuple[str, float, Any]]:
    """One value a message: `{"node":..., "value":..., "time":...}`."""
    body = msgspec.json.decode(payload)
    yield body["node"], _quick(body["time"].replace("+00:00", "Z")), body["value"]


def batched(_topic: bytes, payload: bytes) -> Iterable[tuple[str, float, Any]]:
    """An array of these."""
    for body in msgspec.json.decode(payload):
        yield body["node"], _quick(body["time"]), body["value"]


def thingsboard(topic: bytes, payload: bytes) -> Iterable[tuple[str, float, Any]]:
    """Telemetry of ThingsBoard's gateway API: devices with lists of `{"ts":..., "values":{...}}`."""
    if topic != b"v1/gateway/telemetry":
        return
    for device, entries in json.loads(payload).items():
        for entry in entries:
            for key, value in entry.get("values", {}).items():
                yield f"{device}/{key}", entry["ts"] / 1000, value


def holes(file: Path) -> int:
    """Messages that are missing in the machines' streams, from the first that was seen to the last."""
    seen: dict[tuple[str, str], list[int]] = {}
    for _, topic, payload in lines(file):
        if topic.rsplit(b"/", 1)[-1] in {b"data", b"event", b"gap", b"description"} and payload:
            body = msgspec.json.decode(payload)
            seen.setdefault((body["machine"], body["epoch"]), []).append(body["seq"])
    return sum(max(numbers) - min(numbers) + 1 - len(set(numbers)) for numbers in seen.values())


def gaps(file: Path) -> int:
    """Losses that the gateway told."""
    return sum(topic.endswith(b"/gap") for _, topic, _ in lines(file))
