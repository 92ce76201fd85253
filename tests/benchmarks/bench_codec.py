"""Decoder and encoder alone: microseconds per value, beside asyncua's decoder and Python's json.

Run: `python -m tests.benchmarks.bench_codec`. Each figure is the best of several rounds, since what disturbs only adds.
"""

import json
import struct
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

from adapters.opcua.changes import read_changes
from gateway.model import DataMessage, Sample, SignalRef
from gateway.model.encode import Stamp, encode_samples
from gateway.model.times import iso_from_ticks

VALUES = 1000
ROUNDS = 25
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


def compare(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float]:
    """Microseconds of CPU time a value, each of its best round; they take turns, so both meet the same load."""
    best = [float("inf"), float("inf")]
    for _ in range(ROUNDS):
        for index, work in enumerate((ours, theirs)):
            begin = time.process_time()
            work()
            best[index] = min(best[index], time.process_time() - begin)
    return best[0] / VALUES * 1e6, best[1] / VALUES * 1e6


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


def decoder() -> Sequence[tuple[str, float, float]]:
    rows = []
    for name, content in {**CONTENTS, "mixed": mixed}.items():
        body = notification(content)
        found: list[object] = []
        read_changes(body, found.append)
        assert len(found) == VALUES
        figures = compare(
            lambda body=body: read_changes(body, [].append),
            lambda body=body: struct_from_binary(ua.DataChangeNotification, Buffer(body)),
        )
        rows.append((name, *figures))
    return rows


def plain_json(samples: Sequence[Sample]) -> bytes:
    """The same message as one would write it with the standard library."""
    body = [
        {"path": one.signal.path, "value": one.value, "time": iso_from_ticks(one.time)} for one in samples
    ]  # fmt: skip
    head = {"machine": "urn:maker:mill:7", "epoch": "e", "seq": 1, "taken": iso_from_ticks(TICKS)}
    return json.dumps({**head, "samples": body}).encode()


def encoder() -> Sequence[tuple[str, float, float]]:
    signals = [SignalRef(f"Monitoring/Spindle{number}/Override") for number in range(50)]
    stamp = Stamp("urn:maker:mill:7", "e", 1, TICKS)
    rows = []
    for name, content in JSON_VALUES.items():
        samples = [
            Sample(signals[number % 50], content(number), TICKS + number * 20_000)  # type: ignore[arg-type]  # JSON values
            for number in range(VALUES)
        ]
        assert json.loads(encode_samples(stamp, samples)) == json.loads(plain_json(samples))
        DataMessage.model_validate_json(encode_samples(stamp, samples))
        figures = compare(
            lambda samples=samples: encode_samples(stamp, samples), lambda samples=samples: plain_json(samples)
        )
        rows.append((name, *figures))
    return rows


def show(title: str, peer: str, rows: Sequence[tuple[str, float, float]]) -> None:
    print(f"\n| {title} | us per value | {peer} | ratio |\n|---|---|---|---|")
    for name, ours, theirs in rows:
        print(f"| {name} | {ours:.2f} | {theirs:.2f} | {ours / theirs:.3f} |")


def main() -> None:
    assert struct.calcsize("P") == 8, "figures of 64-bit computers"
    show("decoder, a notification of 1000 values", "asyncua", decoder())
    show("encoder, a message of 1000 samples", "json of the standard library", encoder())


if __name__ == "__main__":
    main()
