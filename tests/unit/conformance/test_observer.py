import json

from conformance.consumer import Received
from conformance.observer import Observer

STAMP = {"machine": "urn:m", "epoch": "e", "taken": "2026-01-01T00:00:00.0000000Z"}


def message(kind: str, seq: int, retained: bool = False, **body: object) -> Received:
    payload = json.dumps({**STAMP, "seq": seq, **body}).encode()
    return Received(f"area4/v1/lab/urn:m/{kind}", payload, retained, 0.0)


def alarm(seq: int, retain: bool) -> Received:
    condition = {"id": "c1", "active": retain, "retain": retain}
    return message("event", seq, event={"id": str(seq), "type": "AlertType", "severity": 5, "condition": condition})


def test_values_alarms_gaps_and_states_are_followed() -> None:
    observer = Observer(keep=True)
    sample = {"path": "A", "value": 1, "time": None}
    gap = {"signals": None, "begin": STAMP["taken"], "end": STAMP["taken"], "cause": "connection"}
    messages = [
        message("description", 1, True, description={"name": "Mill", "signals": [{"path": "A", "dataType": "Int32"}]}),
        message("data", 7, samples=[sample, sample]),
        message("data", 7, samples=[sample, sample]),
        alarm(8, retain=True),
        message("gap", 9, **gap),
    ]
    assert observer.take(messages) == 3
    machine = observer.machines["urn:m"]
    assert machine.count == 2
    assert machine.values["A"]["value"] == 1
    assert list(machine.conditions) == ["c1"]
    assert machine.stream.report().gaps == {"connection": 1}
    assert machine.stream.report().complete
    assert len(observer.delivered["urn:m", "A"]) == 2
    assert observer.take([alarm(10, retain=False)]) == 1
    assert not machine.conditions


def data(seq: int, value: int, *, epoch: str = "e", backfilled: bool = False) -> Received:
    sample = {"path": "A", "value": value, "time": None, **({"backfilled": True} if backfilled else {})}
    body = {**STAMP, "epoch": epoch, "seq": seq, "samples": [sample]}
    return Received("area4/v1/lab/urn:m/data", json.dumps(body).encode(), False, 0.0)


def values(observer: Observer) -> list[int]:
    return [json.loads(entry.value) for entry in observer.delivered["urn:m", "A"]]


def test_messages_are_put_into_their_place_by_epoch_and_seq() -> None:
    observer = Observer(keep=True)
    observer.take([data(7, 7), data(9, 9), data(10, 10), data(8, 8), data(9, 9), data(10, 10)])
    assert values(observer) == [7, 8, 9, 10]
    assert observer.machines["urn:m"].values["A"]["value"] == 10
    assert observer.machines["urn:m"].stream.report().complete
    observer.take([data(1, 1, epoch="f"), data(2, 2, epoch="f")])
    assert values(observer) == [7, 8, 9, 10, 1, 2]
    assert observer.machines["urn:m"].values["A"]["value"] == 2


def test_backfilled_values_are_kept_apart_and_are_not_the_current_ones() -> None:
    observer = Observer(keep=True)
    observer.take([data(1, 1), data(2, 5), data(3, 3, backfilled=True), data(4, 4, backfilled=True), data(5, 6)])
    machine = observer.machines["urn:m"]
    assert values(observer) == [1, 5, 6]
    assert [entry.value for entry in observer.backfilled["urn:m", "A"]] == ["3", "4"]
    assert (machine.count, machine.backfilled) == (5, 2)
    observer.take([data(6, 4, backfilled=True)])
    assert machine.values["A"]["value"] == 6


def test_states_of_machines_and_gateways() -> None:
    observer = Observer()
    states = [
        {"machine": "urn:m", "state": "silent", "since": STAMP["taken"]},
        {"gateway": "g", "state": "offline", "version": "1"},
    ]
    observer.take(Received("x/status", json.dumps(state).encode(), True, 0.0) for state in states)
    assert observer.machines["urn:m"].status == states[0]
    assert observer.gateways["g"] == states[1]


def test_what_cannot_be_understood_is_told() -> None:
    observer = Observer()
    observer.take([Received("x/data", b"\xff", False, 0.0), Received("x/data", b"{}", False, 0.0), message("other", 1)])
    assert len(observer.unreadable) == 3


def test_an_empty_message_says_nothing() -> None:
    observer = Observer()
    assert observer.take([Received("area4/v1/lab/_gateway/g/status", b"", False, 0.0)]) == 0
    assert observer.unreadable == []
