"""The fast encoder writes what the pydantic models read, and nothing but valid JSON in UTF-8."""

import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.model import (
    Component,
    ConditionState,
    Description,
    Event,
    EventBody,
    Gap,
    LocalizedText,
    MachineDescription,
    Sample,
    Samples,
    Signal,
    SignalRef,
    Unit,
    json_float,
    json_int,
)
from gateway.model.encode import Stamp, encode_record, encode_sample, encode_samples, quality_of
from gateway.model.messages import KINDS, dump
from gateway.model.times import LAST_TICKS, TICKS_PER_SECOND, iso_from_ticks

texts = st.text(st.characters(codec=None))
clean_texts = st.text()
floats = st.floats().map(json_float)
integers = st.integers(-(2**63), 2**64 - 1).map(json_int)
scalars = st.none() | st.booleans() | integers | floats | texts
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=8)
ticks = st.integers(0, LAST_TICKS)
statuses = st.sampled_from([None, "GoodClamped", "UncertainLastUsableValue", "BadSensorFailure"])
samples = st.builds(Sample, st.builds(SignalRef, texts), values, ticks, statuses)
stamps = st.builds(Stamp, texts, clean_texts, st.integers(1, 2**63), ticks)


@given(stamps, st.lists(samples, min_size=1))
def test_data_messages(stamp: Stamp, batch: list[Sample]) -> None:
    kind, payload = encode_record(stamp, Samples("m", batch))
    message = KINDS[kind].model_validate_json(payload)
    assert message.seq == stamp.seq
    assert message.taken == iso_from_ticks(stamp.taken)
    assert len(message.samples) == len(batch)
    for body, sample in zip(message.samples, batch, strict=True):
        assert body.value == mended(sample.value)
        assert type(body.value) is type(sample.value)
        assert body.path == mended(sample.signal.path)
        assert body.time == (iso_from_ticks(sample.time) if sample.time else None)
        assert body.status == sample.status
        assert body.quality == quality_of(sample.status)


@given(stamps, st.lists(samples, min_size=1))
def test_the_models_write_the_same_json(stamp: Stamp, batch: list[Sample]) -> None:
    kind, payload = encode_record(stamp, Samples("m", batch))
    assert json.loads(payload) == dump(KINDS[kind].model_validate_json(payload))


ranges = st.none() | st.tuples(st.integers(1, 2**53), st.integers(1, 2**53))


near = st.builds(
    lambda second, fraction: second * TICKS_PER_SECOND + fraction,
    st.sampled_from([0, 1, 13_400_000_000, 13_400_000_001, LAST_TICKS // TICKS_PER_SECOND]),
    st.sampled_from([0, 1, 5_000_000, TICKS_PER_SECOND - 1]),
)


@given(st.lists(st.tuples(near | st.sampled_from([-1, LAST_TICKS + 1, 2**63 - 1]), statuses), min_size=1))
def test_samples_of_the_same_second_and_of_others(moments: list[tuple[int, str | None]]) -> None:
    batch = [Sample(SignalRef("p"), number, time, status) for number, (time, status) in enumerate(moments)]
    payload = encode_samples(Stamp("m", "e", 1, 5), batch)
    found = [(one["value"], one["time"], one.get("status")) for one in json.loads(payload)["samples"]]
    assert found == [(one.value, iso_from_ticks(one.time) if one.time else None, one.status) for one in batch]
    alone = b",".join(encode_sample(one) for one in batch)
    assert payload.endswith(b'"samples":[%b]}' % alone)


@given(stamps, st.none() | st.lists(texts), ticks, ticks, texts, st.none() | st.integers(0, 10**9), ranges)
def test_gap_messages(
    stamp: Stamp, signals: list[str] | None, begin: int, end: int, detail: str, lost: int | None, missing: tuple | None
) -> None:
    kind, payload = encode_record(stamp, Gap("m", signals, begin, end, "connection", detail, lost, missing))
    message = KINDS[kind].model_validate_json(payload)
    assert message.begin == iso_from_ticks(begin)
    assert message.lost == lost
    assert message.missing == (None if missing is None else list(missing))
    assert message.signals == (None if signals is None else [mended(path) for path in signals])
    assert json.loads(payload) == dump(message)


def test_event_and_description_messages() -> None:
    stamp = Stamp("urn:x", "e1", 4, 10**17)
    event = EventBody(
        id="AAE=",
        type="AlertType",
        time=iso_from_ticks(10**17),
        severity=700,
        message=LocalizedText(text="Werkzeug gebrochen \ud800", locale="de"),
        condition=ConditionState(id="77aa", active=True, acked=False, retain=True),
        fields={"ErrorCode": "E-17"},
    )
    description = MachineDescription(
        id="urn:x",
        name="Mill",
        type="MachineToolType",
        source="mill",
        components=[Component(path="Monitoring/Spindle1", type="SpindleMonitoringType")],
        signals=[Signal(path="a", data_type="Double", unit=Unit(code="MMT", symbol="mm"))],
    )
    for kind, record in [("event", Event("urn:x", event)), ("description", Description("urn:x", description))]:
        told, payload = encode_record(stamp, record)
        assert told == kind
        assert json.loads(payload) == dump(KINDS[kind].model_validate_json(payload))
    assert b"\xef\xbf\xbd" in encode_record(stamp, Event("urn:x", event))[1], "a lone surrogate becomes U+FFFD"


def mended(value):
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [mended(item) for item in value]
    if isinstance(value, dict):
        return {mended(key): mended(item) for key, item in value.items()}
    return value
