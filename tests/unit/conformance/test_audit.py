"""The audit must bite: whatever is missing, late or different is found, and nothing is said of a whole delivery."""

import json

import pytest

from conformance.audit import Audit, iso, unix
from conformance.consumer import Received
from conformance.latency import Latencies

BEGIN = 1_800_000_000.0
MACHINE = "urn:m"


def message(kind: str, seq: int, at: float, **body: object) -> Received:
    stamp = {"machine": MACHINE, "epoch": "e", "seq": seq, "taken": iso(BEGIN + at - 0.5)}
    return Received(f"area4/v1/lab/urn:m/{kind}", json.dumps({**stamp, **body}).encode(), False, BEGIN + at)


def data(seq: int) -> Received:
    """Second `seq` of the audit: one value, shown a second before it arrives."""
    return message("data", seq, float(seq), samples=[{"path": "A", "value": seq, "time": iso(BEGIN + seq - 1)}])


def gap(seq: int, first: int, last: int, missing: list[int] | None = None, cause: str = "evicted") -> Received:
    body = {"signals": None, "begin": iso(BEGIN + first - 1), "end": iso(BEGIN + last - 1), "cause": cause, "lost": 2}
    return message("gap", seq, float(seq), **body, **({"missing": missing} if missing else {}))


def ledger(last: int) -> list[dict]:
    return [
        {"kind": "value", "machine": MACHINE, "path": "A", "value": n, "time": iso(BEGIN + n - 1), "quality": "good"}
        for n in range(1, last + 1)
    ]


def audited(*messages: Received) -> Audit:
    audit = Audit(BEGIN, keep=True)
    audit.take(messages)
    return audit


def test_a_whole_stream_with_repeats_is_lossless() -> None:
    report = audited(*map(data, [1, 2, 3, 2, 3, 4])).report()
    assert report.lossless
    (machine,) = report.machines
    assert (machine.stream.messages, machine.stream.repeats, machine.values) == (4, 2, 4)
    facts = report.facts()
    assert facts["lossless"] is True
    assert facts["ledger"] is None
    assert machine.from_source.percentile(50) == pytest.approx(1.0, rel=0.02)
    assert machine.from_taken.percentile(99) == pytest.approx(0.5, rel=0.02)


def test_nothing_at_all_shows_nothing() -> None:
    report = audited().report()
    assert not report.flowed
    assert not report.lossless


def test_a_hole_is_a_loss_and_a_named_one_is_an_announced_loss() -> None:
    silent = audited(data(1), data(2), data(5)).report()
    assert not silent.told_all
    assert silent.findings() == ["hole: urn:m seq 3 to 4"]
    told = audited(data(1), data(2), data(5), gap(6, 3, 4, [3, 4])).report()
    assert told.told_all
    assert not told.lossless
    assert told.facts()["announcedOnly"] is True
    assert told.facts()["machines"][0]["announcedHoles"] == [{"epoch": "e", "first": 3, "last": 4}]


def test_an_eviction_of_what_has_arrived_is_no_loss_but_any_other_gap_is() -> None:
    assert audited(data(1), data(2), gap(3, 1, 2, [1, 2])).report().lossless
    assert not audited(data(1), data(2), gap(3, 1, 2, cause="connection")).report().lossless


def test_the_ledger_knows_whether_a_gap_was_one_of_values() -> None:
    came = [data(1), data(2), gap(3, 2, 3, cause="connection")]
    assert audited(*came).report(ledger(2)).lossless
    report = audited(*came, data(4)).report([*ledger(4)])
    assert report.told_all
    assert not report.lossless
    assert [str(one.entry.value) for one in report.values.announced] == ["3"]


def test_a_gap_that_names_nothing_is_no_loss_and_one_of_events_is() -> None:
    def named(**more: object) -> Audit:
        body = {"signals": [], "begin": iso(BEGIN), "end": iso(BEGIN + 1), "cause": "connection"}
        return audited(data(1), data(2), message("gap", 3, 3.0, **body, **more))

    assert named().report().lossless
    assert not named(events=True).report().lossless


def test_history_is_compared_too_and_counts_no_latency() -> None:
    old = {"path": "A", "value": 2, "time": iso(BEGIN + 1), "backfilled": True}
    came = [data(1), message("data", 2, 9.0, samples=data_of(3)), message("data", 3, 9.0, samples=[old])]
    report = audited(*came).report(ledger(3))
    assert report.lossless
    (machine,) = report.machines
    assert machine.facts()["backfilled"] == report.facts()["ledger"]["backfilled"] == 1
    assert machine.from_source.count == 2
    assert not audited(*came[:2]).report(ledger(3)).told_all
    twice = audited(*came, message("data", 4, 9.0, samples=[old])).report(ledger(3))
    assert not twice.told_all


def test_what_came_too_early_and_again_is_in_order() -> None:
    report = audited(*map(data, [1, 3, 4, 2, 3, 4])).report(ledger(4))
    assert report.lossless
    assert report.facts()["machines"][0]["displaced"] == 1


def test_a_value_that_the_stream_does_not_miss_is_missed_by_the_ledger() -> None:
    came = [data(1), data(2), message("data", 3, 3.0, samples=data_of(4))]
    report = audited(*came).report(ledger(4))
    assert not report.told_all
    assert any("missing: urn:m A = 3" in line for line in report.findings())
    assert report.facts()["ledger"]["missing"] == 1


def data_of(value: int) -> list[dict]:
    return [{"path": "A", "value": value, "time": iso(BEGIN + value - 1)}]


def test_values_that_may_still_be_on_their_way_are_not_judged() -> None:
    audit = audited(*map(data, [1, 2, 3]))
    assert not audit.report(ledger(6)).lossless
    assert audit.report(ledger(6), until=BEGIN + 2.5).lossless
    assert not audit.report(ledger(6), until=BEGIN + 3.5).lossless


def test_a_late_consumer_misses_nothing_that_was_before_and_nothing_that_did_not_change() -> None:
    constant = {"kind": "value", "machine": MACHINE, "path": "B", "value": 1, "time": iso(BEGIN - 9), "quality": "good"}
    report = audited(*map(data, [3, 4])).report([constant, *ledger(4)])
    assert report.lossless
    assert report.values.expected == 2


def test_a_machine_of_the_ledger_of_which_nothing_came_is_told() -> None:
    other = [{**line, "machine": "urn:n"} for line in ledger(2)]
    report = audited(data(1)).report([*ledger(1), *other])
    assert report.unknown == ["urn:n"]
    assert not report.told_all


def test_events_are_compared_too() -> None:
    event = {"id": "AA==", "type": "T", "time": iso(BEGIN + 1.5), "severity": 5, "source": None, "message": None}
    line = {"kind": "event", "machine": MACHINE, **event}
    whole = audited(data(1), data(2), message("event", 3, 3.0, event=event))
    assert whole.report([*ledger(2), line]).lossless
    assert audited(data(1), data(2)).report([*ledger(2), line]).events


def test_what_came_late_or_differs_is_told() -> None:
    late = audited(data(1), data(3), data(2)).report()
    assert "urn:m: 1 messages came after younger ones" in late.findings()
    assert not late.told_all
    altered = audited(data(1), data(2), message("data", 2, 2.0, samples=data_of(9))).report()
    assert not altered.told_all
    unreadable = audited(data(1), Received("x/data", b"{", False, BEGIN)).report()
    assert not unreadable.told_all


def test_times_are_read_and_written() -> None:
    assert unix("2026-11-22T15:30:00.1234567Z") == pytest.approx(1795361400.1234567, abs=1e-6)
    assert iso(1795361400.25) == "2026-11-22T15:30:00.2500000Z"


def test_percentiles() -> None:
    latencies = Latencies()
    assert latencies.percentile(50) is None
    assert latencies.facts()["max"] is None
    for millisecond in range(1, 1001):
        latencies.add(millisecond / 1000)
    for percent in (1, 50, 95, 99, 99.9):
        assert latencies.percentile(percent) == pytest.approx(percent / 100, rel=0.03)
    latencies.add(-0.25)
    assert latencies.percentile(0.01) == latencies.least == -0.25
    assert latencies.percentile(100) == latencies.longest == 1.0
