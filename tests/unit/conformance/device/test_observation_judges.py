"""The judges over an observation, without any network: each thing that is wrong is found, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conformance.device.behaviour import events, values
from conformance.device.behaviour.observation import Event, Observation, Seen
from conformance.device.snapshot import Name, Node, Reading, Snapshot, Text
from conformance.suite.outcome import Verdict

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
SPEED = Node("ns=1;i=1", Name("urn:x", "Speed"), "Variable", data_type="enum")
SNAPSHOT = Snapshot({SPEED.id: SPEED}, enumerations={"enum": {0: "Off", 1: "On"}})


def seen(value: Any, seconds: float = 0.0, **more: Any) -> Seen:
    named: dict[str, Any] = {"type": "Int32", "source": NOW + timedelta(seconds=seconds), **more}
    return Seen(SPEED.id, Reading(value, **named), NOW)


def told(**fields: Any) -> Event:
    usual = {
        "EventId": b"1", "EventType": "i=2041", "SourceNode": "i=2253", "SourceName": "Server", "Time": NOW,
        "ReceiveTime": NOW, "Message": Text("Something", "en"), "Severity": 1,
    }  # fmt: skip
    return Event({**usual, **fields}, NOW)


@pytest.mark.parametrize(
    ("judge", "right", "wrong"),
    [
        (values.not_null, [seen(1)], [seen(None, type="")]),
        (values.source_time, [seen(1)], [seen(1, source=None)]),
        (values.not_in_future, [seen(1, 4)], [seen(1, 6)]),
        (values.known_type, [seen(1), seen(0)], [seen(1), seen(0, type="Double")]),
        (values.in_order, [seen(1), seen(0, 1)], [seen(1), seen(0, -1)]),
        (values.not_frozen, [seen(1), seen(0, 1)], [seen(1), seen(0)]),
        (values.in_enumeration, [seen(1)], [seen(2)]),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_values(judge: Any, right: list[Seen], wrong: list[Seen]) -> None:
    assert judge(Observation(SNAPSHOT, tuple(right)), {}).verdict is Verdict.PASS
    bad = judge(Observation(SNAPSHOT, tuple(wrong)), {})
    assert bad.verdict is Verdict.FAIL
    assert bad.evidence
    assert judge(Observation(SNAPSHOT), {}).verdict is Verdict.ABSENT


@pytest.mark.parametrize(
    ("judge", "wrong"),
    [
        (events.severity, {"Severity": 0}),
        (events.severity, {"Severity": 1001}),
        (events.severity, {"Severity": None}),
        (events.message, {"Message": Text("", "en")}),
        (events.times, {"Time": NOW + timedelta(seconds=6), "ReceiveTime": NOW + timedelta(seconds=6)}),
        (events.times, {"ReceiveTime": NOW - timedelta(seconds=1)}),
        (events.times, {"Time": None}),
        (events.source, {"SourceName": ""}),
        (events.source, {"SourceNode": SPEED.id, "SourceName": "another"}),
        (events.identity, {"EventId": b""}),
        (events.typed, {"EventType": "i=0"}),
    ],
)
def test_events(judge: Any, wrong: dict[str, Any]) -> None:
    assert judge(Observation(SNAPSHOT, events=(told(),)), {}).verdict is Verdict.PASS
    assert judge(Observation(SNAPSHOT, events=(told(**wrong),)), {}).verdict is Verdict.FAIL
    assert judge(Observation(SNAPSHOT), {}).verdict is Verdict.ABSENT


def test_two_events_with_one_id() -> None:
    found = events.identity(Observation(SNAPSHOT, events=(told(), told(EventId=b"2"), told())), {})
    assert found.verdict is Verdict.FAIL
    assert "3 events have 2 EventIds" in found.seen


@pytest.mark.parametrize(
    ("active", "acked", "retain", "verdict"),
    [
        (True, True, True, Verdict.PASS),
        (False, False, True, Verdict.PASS),
        (False, True, False, Verdict.PASS),
        (True, True, False, Verdict.FAIL),
        (False, False, False, Verdict.FAIL),
        (False, True, True, Verdict.FAIL),
    ],
)
def test_retain(active: bool, acked: bool, retain: bool, verdict: Verdict) -> None:
    event = told(**{"ActiveState/Id": active, "AckedState/Id": acked, "Retain": retain})
    assert events.retain(Observation(SNAPSHOT, events=(event,)), {}).verdict is verdict


def test_a_condition_that_is_told_again_without_a_change() -> None:
    came = told(**{"ActiveState/Id": True, "AckedState/Id": False, "Retain": True, "ConditionName": "A"})
    acked = told(**{"ActiveState/Id": True, "AckedState/Id": True, "Retain": True, "ConditionName": "A"})
    other = told(**{"ActiveState/Id": True, "AckedState/Id": False, "Retain": True, "ConditionName": "B"})
    assert events.change(Observation(SNAPSHOT, events=(came, other, acked)), {}).verdict is Verdict.PASS
    assert events.change(Observation(SNAPSHOT, events=(came, other)), {}).verdict is Verdict.ABSENT
    again = events.change(Observation(SNAPSHOT, events=(came, other, came)), {})
    assert (again.verdict, "A is told again" in again.seen) == (Verdict.FAIL, True)


def test_bad_values_are_not_held_against_what_good_ones_must_have() -> None:
    bad = seen(None, type="", status=0x80000000, status_name="Bad", source=None)
    for judge in (values.not_null, values.source_time):
        assert judge(Observation(SNAPSHOT, (bad,)), {}).verdict is Verdict.PASS
