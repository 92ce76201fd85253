"""The comparison itself must bite: every kind of damage is found, and nothing is said of a whole delivery."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.delivery import Entry, Gap, compare, compare_events, read_ledger, values_by_signal

SIGNAL = ("urn:m", "A/B")
BEGIN = {"urn:m": "2026-01-01T00:00:03.0000000Z"}


def entry(number: int, **more: object) -> Entry:
    return Entry.of({"value": number, "time": f"2026-01-01T00:00:{number:02d}.0000000Z", **more})


SHOWN = [entry(n) for n in range(10)]


def test_a_whole_delivery_from_the_current_value_on_is_complete() -> None:
    report = compare({SIGNAL: SHOWN}, {SIGNAL: SHOWN[2:]}, due_from=BEGIN)
    assert report.complete
    assert report.expected == report.delivered == 8


@pytest.mark.parametrize("index", range(3, 10))
def test_one_missing_value_is_found(index: int) -> None:
    came = [value for value in SHOWN[2:] if value != SHOWN[index]]
    report = compare({SIGNAL: SHOWN}, {SIGNAL: came}, due_from=BEGIN)
    assert [difference.entry for difference in report.missing] == [SHOWN[index]]
    assert not report.complete


def test_a_delivery_that_starts_too_late_is_found() -> None:
    report = compare({SIGNAL: SHOWN}, {SIGNAL: SHOWN[6:]}, due_from=BEGIN)
    assert [difference.entry for difference in report.missing] == SHOWN[4:6]
    assert compare({SIGNAL: SHOWN}, {SIGNAL: SHOWN[4:]}, due_from=BEGIN).complete


def test_nothing_delivered_is_found() -> None:
    report = compare({SIGNAL: SHOWN}, {}, due_from=BEGIN)
    assert report.never == [SIGNAL]
    assert len(report.missing) == 6


def test_a_constant_signal_of_which_nothing_came_is_found() -> None:
    report = compare({SIGNAL: SHOWN[:1]}, {}, due_from=BEGIN)
    assert report.never == [SIGNAL]
    assert not report.complete


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": 99},
        {"time": "2026-01-01T00:00:05.0000001Z"},
        {"quality": "bad", "status": "BadNotConnected"},
        {"value": "5"},
    ],
)
def test_a_wrong_value_time_or_quality_is_found(wrong: dict) -> None:
    came = [*SHOWN[2:5], entry(5, **wrong), *SHOWN[6:]]
    report = compare({SIGNAL: SHOWN}, {SIGNAL: came}, due_from=BEGIN)
    assert [str(difference)[:5] for difference in report.wrong] == ["wrong"]
    assert len(report.missing) == 1


def test_another_order_is_found() -> None:
    came = [*SHOWN[2:5], SHOWN[6], SHOWN[5], *SHOWN[7:]]
    report = compare({SIGNAL: SHOWN}, {SIGNAL: came}, due_from=BEGIN)
    assert report.disordered == [SIGNAL]


def test_true_is_not_one_and_a_value_twice_is_wrong() -> None:
    report = compare({SIGNAL: [entry(1, value=True)]}, {SIGNAL: [entry(1, value=1)]}, due_from=BEGIN)
    assert report.wrong
    twice = compare({SIGNAL: SHOWN}, {SIGNAL: [*SHOWN, SHOWN[-1]]}, due_from=BEGIN)
    assert len(twice.wrong) == 1


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.data())
def test_any_suffix_is_complete_and_any_damage_is_found(numbers: list[int], data: st.DataObject) -> None:
    shown = [
        Entry.of({"value": value, "time": f"2026-01-01T00:00:{index:02d}.0000000Z"})
        for index, value in enumerate(numbers)
    ]
    start = data.draw(st.integers(0, len(shown) - 1))
    due = {"urn:m": shown[start].time or ""}
    assert compare({SIGNAL: shown}, {SIGNAL: shown[start:]}, due_from=due).complete
    lost = data.draw(st.integers(start, len(shown) - 1))
    came = shown[start:lost] + shown[lost + 1 :]
    report = compare({SIGNAL: shown}, {SIGNAL: came}, due_from=due)
    assert report.complete == (lost == start and lost + 1 < len(shown))


def gap(first: int, last: int, signals: list[str] | None = None, machine: str = "urn:m") -> Gap:
    times = [f"2026-01-01T00:00:{second:02d}.0000000Z" for second in (first, last)]
    return Gap.of({"machine": machine, "signals": signals, "begin": times[0], "end": times[1], "cause": "connection"})


@pytest.mark.parametrize("signals", [None, ["A/B"], ["X", "A/B"]])
def test_what_a_gap_names_is_announced_and_not_missing(signals: list[str] | None) -> None:
    report = compare({SIGNAL: SHOWN}, {SIGNAL: [*SHOWN[2:5], *SHOWN[7:]]}, due_from=BEGIN, gaps=[gap(5, 6, signals)])
    assert [difference.entry for difference in report.announced] == SHOWN[5:7]
    assert report.complete
    assert (report.expected, report.delivered, len(report.missing)) == (8, 6, 0)


@pytest.mark.parametrize(
    "other", [gap(6, 9), gap(1, 4), gap(5, 5, ["A/C"]), gap(5, 5, []), gap(5, 5, machine="urn:n")], ids=str
)
def test_a_gap_of_something_else_excuses_nothing(other: Gap) -> None:
    report = compare({SIGNAL: SHOWN}, {SIGNAL: [*SHOWN[2:5], *SHOWN[6:]]}, due_from=BEGIN, gaps=[other])
    assert [difference.entry for difference in report.missing] == [SHOWN[5]]
    assert not report.complete


def test_a_signal_that_was_only_there_during_an_announced_loss_may_stay_unknown() -> None:
    shown = SHOWN[4:7]
    report = compare({SIGNAL: shown}, {}, due_from=BEGIN, gaps=[gap(4, 6)])
    assert report.complete
    assert len(report.announced) == 3
    for named in (gap(4, 5), gap(4, 6, ["A/C"]), gap(4, 6, machine="urn:other")):
        assert compare({SIGNAL: shown}, {}, due_from=BEGIN, gaps=[named]).never == [SIGNAL]


def test_an_unfinished_last_line_ends_its_own_file_only(tmp_path: Path) -> None:
    killed, next_run = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    killed.write_text('{"kind":"value","n":1}\n{"kind":"val')
    next_run.write_text('{"kind":"value","n":1}\n')
    assert len(list(read_ledger([killed, next_run]))) == 2


def test_a_value_without_a_time_is_never_excused() -> None:
    shown = [*SHOWN[:5], entry(5, time=None), *SHOWN[6:]]
    report = compare({SIGNAL: shown}, {SIGNAL: [*SHOWN[2:5], *SHOWN[6:]]}, due_from=BEGIN, gaps=[gap(0, 9)])
    assert len(report.missing) == 1


def test_the_current_value_again_after_a_gap_is_a_repeat_and_without_a_gap_wrong() -> None:
    came = [*SHOWN[2:5], SHOWN[4], *SHOWN[5:]]
    after = compare({SIGNAL: SHOWN}, {SIGNAL: came}, due_from=BEGIN, gaps=[gap(4, 5)])
    assert (after.repeated, after.complete) == (1, True)
    assert compare({SIGNAL: SHOWN}, {SIGNAL: came}, due_from=BEGIN).wrong
    invented = compare({SIGNAL: SHOWN}, {SIGNAL: [*came, entry(42)]}, due_from=BEGIN, gaps=[gap(0, 59)])
    assert [difference.entry for difference in invented.wrong] == [entry(42)]


def test_a_gap_excuses_no_other_order() -> None:
    came = [*SHOWN[2:5], SHOWN[8], SHOWN[7], SHOWN[9]]
    report = compare({SIGNAL: SHOWN}, {SIGNAL: came}, due_from=BEGIN, gaps=[gap(5, 6)])
    assert report.disordered == [SIGNAL]


@given(st.sets(st.integers(4, 9)), st.integers(0, 9), st.integers(0, 9))
def test_every_missing_value_is_either_announced_or_missing(lost: set[int], begin: int, end: int) -> None:
    came = [value for number, value in enumerate(SHOWN) if number not in lost]
    report = compare({SIGNAL: SHOWN}, {SIGNAL: came}, due_from=BEGIN, gaps=[gap(begin, end)])
    assert {one.entry for one in report.announced} == {SHOWN[n] for n in lost if begin <= n <= end}
    assert {one.entry for one in report.missing} == {SHOWN[n] for n in lost if not begin <= n <= end}
    assert report.complete == all(begin <= n <= end for n in lost)


def test_a_gap_of_events_excuses_no_value() -> None:
    named = Gap.of({"machine": "urn:m", "signals": [], "events": True, "begin": "2026", "end": "2027", "cause": "x"})
    assert named.events
    report = compare({SIGNAL: SHOWN}, {SIGNAL: [*SHOWN[2:5], *SHOWN[6:]]}, due_from=BEGIN, gaps=[named])
    assert [difference.entry for difference in report.missing] == [SHOWN[5]]


def test_history_closes_a_hole_beside_younger_values() -> None:
    live, old = [*SHOWN[2:4], *SHOWN[7:]], SHOWN[4:7]
    report = compare({SIGNAL: SHOWN}, {SIGNAL: live}, due_from=BEGIN, backfilled={SIGNAL: old})
    assert report.complete
    assert (report.expected, report.delivered, report.backfilled) == (8, 8, 3)
    assert compare({SIGNAL: SHOWN}, {SIGNAL: live}, due_from=BEGIN).missing


def test_history_alone_is_a_delivery_too() -> None:
    report = compare({SIGNAL: SHOWN[4:7]}, {}, due_from=BEGIN, backfilled={SIGNAL: SHOWN[4:7]})
    assert report.complete
    assert report.delivered == 3


@pytest.mark.parametrize(
    ("old", "finding"),
    [
        ([SHOWN[4], SHOWN[6]], "missing"),
        ([SHOWN[4], SHOWN[6], SHOWN[5]], "disordered"),
        ([*SHOWN[4:7], SHOWN[6]], "wrong"),
        ([*SHOWN[3:7]], "wrong"),
        ([*SHOWN[4:8]], "wrong"),
        ([*SHOWN[4:6], entry(6, value=99)], "wrong"),
        ([*SHOWN[4:6], entry(6, status="BadNoData")], "wrong"),
    ],
    ids=["missing", "order", "twice", "told-before", "told-live", "value", "status"],
)
def test_damage_to_what_history_brought_is_found(old: list[Entry], finding: str) -> None:
    live = [*SHOWN[2:4], *SHOWN[7:]]
    report = compare({SIGNAL: SHOWN}, {SIGNAL: live}, due_from=BEGIN, backfilled={SIGNAL: old}, gaps=[gap(0, 0)])
    assert getattr(report, finding)
    assert not report.complete


def test_a_consumer_that_comes_while_history_is_read_misses_nothing() -> None:
    report = compare(
        {SIGNAL: SHOWN}, {SIGNAL: SHOWN[7:]}, due_from={"urn:m": SHOWN[7].time or ""}, backfilled={SIGNAL: SHOWN[5:7]}
    )
    assert report.complete
    assert report.expected == 3


def test_a_source_that_begins_anew_tells_current_values_again_also_of_signals_with_history() -> None:
    live = [*SHOWN[2:5], SHOWN[4], *SHOWN[5:]]
    anew = gap(4, 5, ["A/C"])._replace(resubscribed=True)
    report = compare({SIGNAL: SHOWN}, {SIGNAL: live}, due_from=BEGIN, gaps=[anew])
    assert (report.complete, report.repeated) == (True, 1)
    assert compare({SIGNAL: SHOWN}, {SIGNAL: live}, due_from=BEGIN, gaps=[anew._replace(resubscribed=False)]).wrong


@given(st.sets(st.integers(3, 9)), st.data())
def test_any_part_from_history_is_complete_and_any_damage_to_it_is_found(old: set[int], data: st.DataObject) -> None:
    live = [value for number, value in enumerate(SHOWN[2:], 2) if number not in old]
    filled = [SHOWN[number] for number in sorted(old)]
    assert compare({SIGNAL: SHOWN}, {SIGNAL: live}, due_from=BEGIN, backfilled={SIGNAL: filled}).complete
    if filled:
        lost = data.draw(st.integers(0, len(filled) - 1))
        damaged = filled[:lost] + filled[lost + 1 :]
        assert not compare({SIGNAL: SHOWN}, {SIGNAL: live}, due_from=BEGIN, backfilled={SIGNAL: damaged}).complete
    shuffled = data.draw(st.permutations(filled))
    report = compare({SIGNAL: SHOWN}, {SIGNAL: live}, due_from=BEGIN, backfilled={SIGNAL: shuffled})
    assert report.complete == (shuffled == filled)


def test_ledger_files(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    line = {"kind": "value", "machine": "urn:m", "path": "A/B", "value": 1, "time": None, "quality": "good", "n": 1}
    path.write_text(json.dumps(line) + "\n" + json.dumps({"kind": "event", "machine": "urn:m"}) + "\n" + '{"kind": "va')
    assert values_by_signal(read_ledger([path])) == {SIGNAL: [Entry("1", None, "good", None)]}
    path.write_text("nonsense\n")
    with pytest.raises(ValueError, match=r"ledger\.jsonl:1"):
        list(read_ledger([path]))


EVENT = {
    "kind": "event",
    "machine": "urn:m",
    "id": "AA==",
    "type": "AlertType",
    "time": "2026-01-01T00:00:05.0000000Z",
    "severity": 700,
    "source": "Notification/Messages",
    "message": {"locale": "en", "text": "door open"},
}
TOLD = {**{name: EVENT[name] for name in ("machine", "id", "type", "time", "severity", "source", "message")}}


def test_events_that_arrive_as_they_were_are_fine() -> None:
    assert compare_events([EVENT], [TOLD, TOLD], due_from=BEGIN) == []


def test_a_missing_event_is_found_once_it_is_due() -> None:
    assert "missing event" in compare_events([EVENT], [], due_from=BEGIN)[0]
    assert compare_events([EVENT], [], due_from={"urn:m": "2026-01-01T00:00:05.0000000Z"}) == []


def test_an_event_is_excused_by_a_gap_of_all_signals_or_of_events_only() -> None:
    assert compare_events([EVENT], [], due_from=BEGIN, gaps=[gap(4, 6)]) == []
    assert compare_events([EVENT], [], due_from=BEGIN, gaps=[gap(4, 6, ["A/B"])._replace(events=True)]) == []
    assert compare_events([EVENT], [], due_from=BEGIN, gaps=[gap(6, 7, [])._replace(events=True)])
    assert compare_events([EVENT], [], due_from=BEGIN, gaps=[gap(4, 6, ["A/B"])])
    assert compare_events([EVENT], [], due_from=BEGIN, gaps=[gap(6, 7)])


@pytest.mark.parametrize(
    ("name", "value"),
    [("severity", 1), ("type", "X"), ("time", None), ("source", None), ("message", {"locale": "en", "text": "else"})],
)
def test_an_event_that_differs_is_found(name: str, value: object) -> None:
    findings = compare_events([EVENT], [{**TOLD, name: value}], due_from=BEGIN)
    assert len(findings) == 1
    assert name in findings[0]


def test_an_event_that_was_never_shown_is_found() -> None:
    findings = compare_events([EVENT], [TOLD, {**TOLD, "id": "BB=="}], due_from=BEGIN)
    assert "never shown" in findings[0]
