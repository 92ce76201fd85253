"""Alarms that ended while nobody listened are told as ended, and only those."""

from adapters.opcua.conditions import ConditionBook
from gateway.model import ConditionState, Event, EventBody

TIME = "2026-01-01T00:00:00.0000000Z"


def event(identity: str, *, retain: bool = True, machine: str = "m", branch: str | None = None) -> Event:
    condition = ConditionState(id=identity, active=retain, acked=False, retain=retain, branch=branch)
    return Event(machine, EventBody(id="AA==", type="AlertType", time=TIME, severity=5, condition=condition))


def test_what_a_refresh_does_not_tell_has_ended() -> None:
    book = ConditionBook()
    for identity in ("door", "oil", "tool"):
        book.take(event(identity))
    book.take(event("tool", retain=False))
    book.begin_refresh(["m"])
    assert book.refreshing("m")
    book.take(event("door"))
    (ended,) = book.end_refresh(["m"], TIME)
    assert ended.machine == "m"
    assert ended.event.condition is not None
    assert (ended.event.condition.id, ended.event.condition.retain) == ("oil", False)
    assert ended.event.refresh
    assert ended.event.id != "AA=="
    assert not book.refreshing("m")
    assert len(book) == 1


def test_a_refresh_of_one_notifier_says_nothing_of_other_machines() -> None:
    book = ConditionBook()
    book.take(event("door", machine="other"))
    book.begin_refresh(["m"])
    assert not book.refreshing("other")
    assert book.end_refresh(["m"], TIME) == []
    assert len(book) == 1


def test_an_end_without_a_begin_says_nothing() -> None:
    book = ConditionBook()
    book.take(event("door"))
    assert book.end_refresh(["m"], TIME) == []


def test_branches_and_plain_events_do_not_count() -> None:
    book = ConditionBook()
    book.take(event("door", branch="b1"))
    book.take(Event("m", EventBody(id="AA==", type="NotificationEventType", time=TIME, severity=5)))
    assert len(book) == 0


def test_repeated_ends_of_one_condition_have_different_ids() -> None:
    book = ConditionBook()
    identities = set()
    for time in (TIME, "2026-01-01T00:00:01.0000000Z"):
        book.take(event("door"))
        book.begin_refresh(["m"])
        identities |= {one.event.id for one in book.end_refresh(["m"], time)}
    assert len(identities) == 2
