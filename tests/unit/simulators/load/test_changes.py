"""The changes of a while as a notification, decoded by asyncua."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.load.changes import Schedule, Writer
from simulators.load.layout import GOOD_OVERFLOW, kind_of

BEGIN = 134_273_754_000_000_000
EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
SECOND = 10_000_000


def moment(ticks: int) -> datetime:
    return EPOCH + timedelta(microseconds=ticks // 10)


def decoded(body: bytes) -> list[ua.MonitoredItemNotification]:
    buffer = Buffer(body)
    found = struct_from_binary(ua.DataChangeNotification, buffer)
    assert len(buffer) == 0
    return found.MonitoredItems


@settings(max_examples=50)
@given(
    signals=st.integers(1, 9),
    monitored=st.sets(st.integers(0, 8)),
    cuts=st.lists(st.integers(0, 40), max_size=6),
    flags=st.tuples(st.integers(1, 60), st.integers(0, 12)),
    stamps=st.integers(0, 2),
)
def test_every_change_of_a_monitored_signal_once_and_in_order(
    signals: int, monitored: set[int], cuts: list[int], flags: tuple[int, int], stamps: int
) -> None:
    kinds = [kind_of("Int64" if at % 2 else "Double") for at in range(signals)]
    schedule = Schedule(signals, 1000.0, 1, BEGIN)
    writer = Writer(kinds)
    wanted = sorted(at for at in monitored if at < signals)
    for signal in wanted:
        writer.attach(signal, 100 + signal, stamps)
    flagged = range(flags[0], flags[0] + flags[1])
    first, notes, counted = 1, [], 0
    for length in cuts:
        block = writer.write(schedule, first, first + length - 1, flagged)
        notes += decoded(block.body)
        counted += writer.count(first, first + length - 1)
        assert block.values == writer.count(first, first + length - 1)
        first += length
    expected = [change for change in range(1, first) if (change - 1) % signals in wanted]
    assert counted == len(notes) == len(expected)
    for note, change in zip(notes, expected, strict=True):
        signal = (change - 1) % signals
        assert note.ClientHandle == 100 + signal
        assert note.Value.Value.Value == (change - 1) // signals + 1 == schedule.counter(signal, change)
        assert note.Value.StatusCode.value == (GOOD_OVERFLOW if change in flagged else 0)
        time = moment(BEGIN + change * 10_000)
        assert note.Value.SourceTimestamp == (time if stamps else None)
        assert note.Value.ServerTimestamp == (time if stamps == 2 else None)


def test_a_detached_signal_is_written_no_more() -> None:
    writer = Writer([kind_of("Double")] * 3)
    for signal in range(3):
        writer.attach(signal, signal, 1)
    writer.detach(1)
    writer.detach(1)
    block = writer.write(Schedule(3, 1000.0, 1, BEGIN), 1, 6, range(0))
    assert [note.ClientHandle for note in decoded(block.body)] == [0, 2, 0, 2]
    assert writer.monitored == 2


def test_changes_are_due_evenly() -> None:
    schedule = Schedule(10, 100.0, 1, BEGIN)
    assert schedule.due(BEGIN) == 0
    assert schedule.due(BEGIN + SECOND) == 100
    assert schedule.due(BEGIN + SECOND // 2 + 1) == 50
    assert schedule.time(50) == BEGIN + SECOND // 2


def test_a_new_rate_counts_on_from_where_the_old_one_was() -> None:
    schedule = Schedule(10, 100.0, 1, BEGIN)
    schedule.set_rate(1000.0, BEGIN + SECOND)
    assert schedule.due(BEGIN + SECOND) == 100
    assert schedule.due(BEGIN + 2 * SECOND) == 1100
    schedule.set_rate(0.0, BEGIN + 2 * SECOND)
    assert schedule.due(BEGIN + 9 * SECOND) == 1100
    schedule.set_rate(10.0, BEGIN + 10 * SECOND)
    assert schedule.due(BEGIN + 11 * SECOND) == 1110


def test_changes_from_before_a_new_rate_are_not_in_the_future() -> None:
    schedule = Schedule(4, 1000.0, 1, BEGIN)
    writer = Writer([kind_of("Int64")] * 4)
    for signal in range(4):
        writer.attach(signal, signal, 1)
    now = BEGIN + SECOND
    schedule.set_rate(10.0, now)
    notes = decoded(writer.write(schedule, 990, schedule.due(now), range(0)).body)
    assert len(notes) == 11
    assert all(note.Value.SourceTimestamp <= moment(now) for note in notes)
    later = decoded(writer.write(schedule, 999, 1002, range(0)).body)
    assert [note.Value.SourceTimestamp for note in later][1:] == [
        moment(now), moment(now + SECOND // 10), moment(now + SECOND // 5)
    ]  # fmt: skip


def test_without_a_rate_each_take_makes_a_burst() -> None:
    schedule = Schedule(5, None, 20, BEGIN)
    assert schedule.elastic
    assert [schedule.take(BEGIN + 1), schedule.take(BEGIN + 2), schedule.due(BEGIN + 3)] == [20, 40, 40]
    assert schedule.time(40) == BEGIN + 2


@pytest.mark.parametrize("rate", [3.0, 7777.0, 99_999.0])
def test_the_rate_is_what_whole_ticks_allow(rate: float) -> None:
    schedule = Schedule(1, rate, 1, BEGIN)
    assert schedule.rate == pytest.approx(rate, rel=0.01)
    assert schedule.due(BEGIN + 10 * SECOND) == int(schedule.rate * 10)
