"""Decoder and encoder alone, beside asyncua's decoder and Python's json."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

from adapters.opcua.changes import read_changes
from gateway.model import DataMessage, Sample, SignalRef
from gateway.model.encode import Stamp, encode_samples
from gateway.model.times import iso_from_ticks

pytestmark = pytest.mark.benchmark
VALUES = 1000
MOMENT = datetime(2026, 11, 22, 15, 30, 0, 123456, tzinfo=UTC)
TICKS = 134_273_754_001_234_567

CONTENTS: dict[str, Callable[[int], ua.Variant]] = {
    "Double": lambda number: ua.Variant(number + 0.5, ua.VariantType.Double),
    "Int32": lambda number: ua.Variant(number, ua.VariantType.Int32),
    "Boolean": lambda number: ua.Variant(number % 2 == 0, ua.VariantType.Boolean),
    "String": lambda number: ua.Variant(f"O{number:04d}.MPF", ua.VariantType.String),
    "DateTime": lambda _number: ua.Variant(MOMENT, ua.VariantType.DateTime),
    "Double[100]": lambda number: ua.Variant([number + 0.5] * 100, ua.VariantType.Double),
    "LocalizedText": lambda number: ua.Variant(ua.LocalizedText(f"state {number % 5}", "en")),
}

JSON_VALUES: dict[str, Callable[[int], object]] = {
    "float": lambda number: number + 0.5,
    "int": lambda number: number,
    "bool": lambda number: number % 2 == 0,
    "None": lambda _number: None,
    "ASCII text": lambda number: f"O{number:04d}.MPF",
    "other text": lambda number: f"Späneförderer {number}",
    "array of 100": lambda number: [number + 0.5] * 100,
}


def notification(content: Callable[[int], ua.Variant]) -> bytes:
    """A DataChangeNotification as servers send it: value, status, source time."""
    items = [
        ua.MonitoredItemNotification(
            handle, ua.DataValue(content(handle), ua.StatusCode(0), SourceTimestamp=MOMENT)
        )
        for handle in range(VALUES)
    ]  # fmt: skip
    return bytes(struct_to_binary(ua.DataChangeNotification(MonitoredItems=items)))


def mixed(number: int) -> ua.Variant:
    """A machine tool: mostly numbers, some states and names, all in turns."""
    kinds = ("Double", "Double", "Int32", "Double", "Boolean", "Double", "String", "Int32", "Double", "DateTime")
    return CONTENTS[kinds[number % len(kinds)]](number)


def plain_json(samples: Sequence[Sample]) -> bytes:
    """The same message as one would write it with the standard library."""
    body = [
        {"path": one.signal.path, "value": one.value, "time": iso_from_ticks(one.time)} for one in samples
    ]  # fmt: skip
    head = {"machine": "urn:maker:mill:7", "epoch": "e", "seq": 1, "taken": iso_from_ticks(TICKS)}
    return json.dumps({**head, "samples": body}).encode()


ALL = {**CONTENTS, "mixed": mixed}


def told(benchmark, label: str) -> None:
    benchmark.extra_info.update(label=label, count=VALUES, per="value")


@pytest.mark.parametrize("name", ALL)
def test_decoder(benchmark, name: str) -> None:
    body = notification(ALL[name])
    found: list[object] = []
    read_changes(body, found.append)
    assert len(found) == VALUES
    told(benchmark, f"decoder, {name}")
    benchmark(lambda: read_changes(body, [].append))


def test_asyncuas_decoder(benchmark) -> None:
    body = notification(mixed)
    told(benchmark, "asyncua's decoder, mixed")
    found = benchmark(lambda: struct_from_binary(ua.DataChangeNotification, Buffer(body)))
    assert len(found.MonitoredItems) == VALUES


def samples_of(name: str) -> list[Sample]:
    signals = [SignalRef(f"Monitoring/Spindle{number}/Override") for number in range(50)]
    return [
        Sample(signals[number % 50], JSON_VALUES[name](number), TICKS + number * 20_000) for number in range(VALUES)
    ]


STAMP = Stamp("urn:maker:mill:7", "e", 1, TICKS)


@pytest.mark.parametrize("name", JSON_VALUES)
def test_encoder(benchmark, name: str) -> None:
    samples = samples_of(name)
    assert json.loads(encode_samples(STAMP, samples)) == json.loads(plain_json(samples))
    DataMessage.model_validate_json(encode_samples(STAMP, samples))
    told(benchmark, f"encoder, {name}")
    benchmark(lambda: encode_samples(STAMP, samples))


def test_json_of_the_standard_library(benchmark) -> None:
    samples = samples_of("float")
    told(benchmark, "json of the standard library, float")
    text = benchmark(lambda: plain_json(samples))
    assert len(json.loads(text)["samples"]) == VALUES
