"""What a machine of another stack shows arrives at the broker: every class of value, every name, every change."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from .conftest import MILL, POOR, Gateway, Plant, View, unix

LIMIT = 40
"""Operations in one call that server.mjs takes."""

QUEUE = 300
"""Values of a signal that the gateway lets the server keep."""

UNREADABLE = {"Many/V020", "Many/V120"}


@pytest.fixture(scope="module")
def gateway(plant: Plant) -> Gateway:
    return plant.gateway("gateway", queue_size=str(QUEUE))


@pytest.fixture(scope="module")
def view(plant: Plant, gateway: Gateway) -> Iterator[View]:
    """A consumer that has got every signal once."""
    with plant.running(gateway) as made:
        made.until(lambda: len(made.machine().signals) > 200, told=gateway.told)
        made.until(lambda: set(made.machine().signals) - UNREADABLE <= set(made.machine().values), told=gateway.told)
        made.until(lambda: len(made.machine(POOR).values) == 2, told=gateway.told)
        yield made


class Case(NamedTuple):
    """A value: what the server shows first, what it is told to show then, and what the consumer must get."""

    name: str
    path: str
    first: Any
    told: Any
    then: Any
    status: str | None = None
    first_status: str | None = None


def extra(name: str, first: Any, told: Any, then: Any, **more: str) -> Case:
    return Case(name, "Besonderes/" + name.replace("/", "%2F"), first, told, then, **more)


JOB = {
    "jobOrderID": "B-2", "description": [{"text": "Welle"}, {"text": "shaft", "locale": "en"}], "priority": -1,
    "workMasterID": [{"ID": "WM-8"}, {"ID": "WM-9"}],
}  # fmt: skip
CASES = [
    Case("OperationMode", "Monitoring/MachineTool/OperationMode", 1, 2, 2),
    Case("Name", "Production/ActiveProgram/Name", "bohren.nc", 'Öl "µ" \\ 🙂 \u0000.nc', 'Öl "µ" \\ 🙂 \u0000.nc'),
    Case("NumberInList", "Production/ActiveProgram/NumberInList", 0, 65535, 65535),
    extra("Größe µ/Werkzeug+#1", 1.5, -0.1, -0.1),
    extra("tab\tand\u0001control", "ok", "", ""),
    extra("温度", 20.25, 1e30, 1.0000000150474662e30),  # a Float: the number that single precision holds
    extra("Int64", 17, [0x80000000, 0], "-9223372036854775808"),
    extra("UInt64", "18446744073709551615", [0x00200000, 0], 2**53),
    extra("NotANumber", "NaN", 5e-324, 5e-324),
    extra("Infinite", "Infinity", "-Infinity", "-Infinity"),
    extra("Array", [1.0, 2.5, "NaN"], ["Infinity", -0.5], ["Infinity", -0.5]),
    extra("Empty", [], [-(2**31), 2**31 - 1], [-(2**31), 2**31 - 1]),
    extra("Matrix", [[1, 2, 3], [4, 5, 6]], [6, 5, 4, 3, 2, "NaN"], [[6, 5, 4], [3, 2, "NaN"]]),
    extra("Bytes", "AAEC/w==", "/w==", "/w=="),
    extra("Text", {"text": "Öl prüfen", "locale": "de-DE"}, {"text": "给油", "locale": "zh"},
          {"text": "给油", "locale": "zh"}),
    extra("Date", "2026-01-02T03:04:05.6780000Z", "1970-01-01T00:00:00.001Z", "1970-01-01T00:00:00.0010000Z"),
    extra("Bad", None, 7.0, 7.0, first_status="BadSensorFailure"),
    extra("Uncertain", 2.0, 3.0, 3.0, status="UncertainSensorNotAccurate", first_status="UncertainLastUsableValue"),
    extra("Job",
          {"JobOrderID": "A-1", "Description": [{"locale": None, "text": "Flansch"}], "Priority": 3,
           "WorkMasterID": [{"ID": "WM-7", "Description": {"locale": None, "text": "Programm"}}]},
          JOB,
          {"JobOrderID": "B-2", "Priority": -1,
           "Description": [{"locale": None, "text": "Welle"}, {"locale": "en", "text": "shaft"}],
           "WorkMasterID": [{"ID": "WM-8"}, {"ID": "WM-9"}]}),
]  # fmt: skip

IDS = [case.name.encode("unicode_escape").decode() for case in CASES]


def quality(status: str | None) -> str:
    return next((one for one in ("uncertain", "bad") if (status or "").lower().startswith(one)), "good")


def assert_sample(sample: dict[str, Any], value: object, status: str | None) -> None:
    assert sample["value"] == value
    assert sample.get("status") == status
    assert sample.get("quality", "good") == quality(status)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_each_class_of_value_arrives_as_it_is_shown(view: View, case: Case) -> None:
    assert_sample(view.of(case.path)[0], case.first, case.first_status)
    assert view.of(case.path)[0]["time"] is not None


@pytest.fixture(scope="module")
def changed(view: View, plant: Plant) -> datetime:
    """Every point was told to change, the first at this time and each a second later than the one before."""
    begin = datetime(2026, 3, 4, 5, 6, 7, 89_000, UTC)
    for number, case in enumerate(CASES):
        at = begin + timedelta(seconds=number)
        plant.server.tell("set", name=case.name, value=case.told, status=case.status or "Good", time=at.isoformat())
    view.until(
        lambda: all(len(view.of(case.path)) == 2 for case in CASES),
        told=lambda: f"{ {case.name: view.of(case.path) for case in CASES if len(view.of(case.path)) != 2} }",
    )
    return begin


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_each_change_arrives_with_its_value_source_time_and_quality(view: View, changed: datetime, case: Case) -> None:
    sample = view.of(case.path)[1]
    assert_sample(sample, case.then, case.status)
    at = changed + timedelta(seconds=CASES.index(case))
    assert sample["time"] == f"{at:%Y-%m-%dT%H:%M:%S}.0890000Z"


def test_no_value_and_a_status_of_its_own_arrive_too(view: View, plant: Plant, changed: datetime) -> None:
    path = "Besonderes/Infinite"
    for status in ("BadNoCommunication", "UncertainInitialValue", "GoodLocalOverride"):
        plant.server.tell("set", name="Infinite", status=status, **({} if status[0] == "B" else {"value": 4.5}))
    view.until(lambda: len(view.of(path)) == 5)
    bad, uncertain, good = view.of(path)[2:]
    assert_sample(bad, None, "BadNoCommunication")
    assert_sample(uncertain, 4.5, "UncertainInitialValue")
    assert_sample(good, 4.5, "GoodLocalOverride")


def test_each_value_of_a_burst_arrives_in_its_order(view: View, plant: Plant) -> None:
    path = "Many/V007"
    begin = time.time()
    plant.server.tell("burst", name="V007", **{"from": 1000, "count": 200})
    view.until(lambda: len(view.of(path)) == 201)
    assert [one["value"] for one in view.of(path)] == [7, *range(1000, 1200)]
    times = [unix(one["time"]) for one in view.of(path)[1:]]
    assert times == sorted(times)
    assert begin - 0.001 <= times[0] <= times[-1] <= time.time()
    assert {gap["cause"] for gap in view.machine().gaps} == {"quarantined"}


def test_changes_of_many_signals_at_once_arrive_for_each(view: View, plant: Plant) -> None:
    names = [f"V{number:03d}" for number in range(30, 80)]
    for value in (-1, -2):
        for name in names:
            plant.server.tell("set", name=name, value=value)
    view.until(lambda: all(len(view.of(f"Many/{name}")) == 3 for name in names))
    for name in names:
        assert [one["value"] for one in view.of(f"Many/{name}")] == [int(name[1:]), -1, -2]


def test_names_unsafe_in_topics_stand_in_paths_as_they_are(view: View) -> None:
    signals = view.machine().signals
    assert {"Besonderes/Größe µ%2FWerkzeug+#1", "Besonderes/tab\tand\x01control", "Besonderes/温度"} <= set(signals)
    assert all(signals[path]["vendor"] for path in signals if path.startswith("Besonderes/"))
    assert view.topics >= {f"area4/v1/foreign/{machine}/data" for machine in (MILL, POOR)}
    assert all(topic.isascii() and topic.isprintable() and not set(topic) & set("+# ") for topic in view.topics)


def test_the_limit_of_40_operations_a_call_is_kept_and_every_signal_comes(view: View, plant: Plant) -> None:
    calls = plant.server.tell("calls")
    assert calls["refused"] == 0
    for service in ("ReadRequest", "BrowseRequest", "CreateMonitoredItemsRequest"):
        assert 1 < calls["largest"][service] <= LIMIT
    assert all(count <= LIMIT for count in calls["largest"].values())
    for number in range(200):
        path = f"Many/V{number:03d}"
        if path not in UNREADABLE:
            assert view.of(path)[0]["value"] == number


def test_nodes_that_cannot_be_read_are_named_and_the_others_flow(view: View, gateway: Gateway) -> None:
    machine = view.machine()
    quarantined = {path: one["quarantined"] for path, one in machine.signals.items() if "quarantined" in one}
    assert set(quarantined) == UNREADABLE
    assert "UserAccessLevel" in quarantined["Many/V020"]
    assert "BadNodeIdUnknown" in quarantined["Many/V120"]
    assert not UNREADABLE & set(machine.values)
    assert machine.gaps[0]["cause"] == "quarantined"
    assert machine.gaps[0]["signals"] == ["Many/V120"]
    assert machine.status is not None
    assert machine.status["state"] == "online"
    page = gateway.get("/")
    assert "degraded" in page
    assert "Many/V120" in page


def test_a_node_that_only_has_a_bad_status_says_so(view: View) -> None:
    (sample,) = view.of("Besonderes/Locked")
    assert_sample(sample, None, "BadNotReadable")


def test_a_machine_without_its_mandatory_nodes_is_published_with_its_lacks(view: View) -> None:
    poor = view.machine(POOR)
    assert poor.description is not None
    assert poor.description["name"] == "PoorMill"
    assert poor.description["type"] == "MachineToolType"
    assert {one["path"]: one["requiredBy"] for one in poor.description["lacks"]} == dict.fromkeys(
        ("Equipment", "Monitoring", "Notification", "Production", "Identification/Manufacturer"), "MachineToolType"
    )
    assert {path: one["value"] for path, one in poor.values.items()} == {
        "Identification/ProductInstanceUri": POOR,
        "Identification/SerialNumber": "POOR",
    }
    assert poor.status is not None
    assert poor.status["state"] == "online"
    mill = view.machine().description
    assert mill is not None
    assert "Identification/Manufacturer" not in {one["path"] for one in mill.get("lacks", [])}


def test_types_of_the_standards_are_described_whatever_the_stack(view: View) -> None:
    signals, description = view.machine().signals, view.machine().description
    assert description is not None
    mode = signals["Monitoring/MachineTool/OperationMode"]
    assert mode["enumeration"]["1"] == "Automatic"
    assert mode["semanticId"].startswith("nsu=http://opcfoundation.org/UA/MachineTool/;i=")
    assert signals["Besonderes/Matrix"]["arrayShape"] == [2, 3]
    assert signals["Besonderes/Array"]["arrayShape"] == [0]
    assert signals["Besonderes/Job"]["dataType"] == "ISA95JobOrderDataType"
    (job,) = (one for one in description["dataTypes"] if one["name"] == "ISA95JobOrderDataType")
    assert {"JobOrderID", "WorkMasterID", "Priority"} <= {one["name"] for one in job["fields"]}


def test_more_values_at_once_than_the_servers_queue_are_a_named_gap(view: View, plant: Plant) -> None:
    path = "Many/V008"
    plant.server.tell("burst", name="V008", **{"from": 1000, "count": QUEUE + 100})
    view.until(lambda: len(view.machine().gaps) == 2 and view.of(path)[-1]["value"] == 1000 + QUEUE + 99)
    gap = view.machine().gaps[-1]
    assert gap["cause"] == "queue-overflow"
    assert gap["signals"] == [path]
    assert [one["value"] for one in view.of(path)] == [8, *range(1100, 1100 + QUEUE)]


def test_no_message_is_missing_altered_or_late(view: View) -> None:
    for identity in (MILL, POOR):
        report = view.machine(identity).stream.report()
        assert report.complete
        assert len(report.epochs) == 1
