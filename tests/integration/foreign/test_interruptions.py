"""A server of another stack that goes away and comes back: stopped, restarted with other namespaces, killed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from .conftest import MILL, POOR, Gateway, Plant, View, unix, waited

MODE = "Monitoring/MachineTool/OperationMode"
WITHIN = 5.0
"""Seconds after which values flow again once the server is back, on a computer that has time for it."""


@pytest.fixture(scope="module")
def gateway(plant: Plant) -> Gateway:
    return plant.gateway("gateway")


@pytest.fixture(scope="module")
def view(plant: Plant, gateway: Gateway) -> Iterator[View]:
    with plant.running(gateway) as made:
        made.until(lambda: made.of(MODE) and made.machine(POOR).values, told=gateway.told)
        yield made


class Outage(NamedTuple):
    """The last moment at which the server served, the first at which it serves again, and `waited` then."""

    left: float
    back: float
    waited: float


def leave_and_return(plant: Plant, view: View, leave: Callable[[], None], *options: str) -> Outage:
    """Let the server go away and come back."""
    left = time.time()
    leave()
    view.until(lambda: {state(view, MILL), state(view, POOR)} == {"offline"})
    plant.server.start(*options)
    return Outage(left, time.time(), waited())


def state(view: View, machine: str) -> str:
    return str((view.machine(machine).status or {}).get("state"))


def assert_flows_again(view: View, plant: Plant, value: int, outage: Outage) -> None:
    """A value that the server shows since it is back has arrived in time, and every machine is heard."""
    plant.server.tell("set", name="OperationMode", value=value)
    view.until(lambda: view.of(MODE)[-1]["value"] == value)
    assert time.time() - outage.back - (waited() - outage.waited) < WITHIN
    view.until(lambda: {state(view, MILL), state(view, POOR)} == {"online"})


def assert_outage_is_named(view: View, machine: str, outage: Outage) -> None:
    """One gap covers everything from when the server left until it was back."""

    def naming() -> list[dict]:
        # The end is of the server's clock, which it may show rounded to the second.
        return [
            gap
            for gap in view.machine(machine).gaps
            if unix(gap["begin"]) <= outage.left and unix(gap["end"]) >= outage.back - 1.0
        ]

    view.until(naming, told=lambda: f"gaps: {view.machine(machine).gaps}, outage: {outage}")
    (gap,) = naming()
    assert gap["cause"] == "connection"
    assert gap["signals"] is None


def shown(view: View, machine: str) -> str:
    """All that consumers know of a machine, to be compared."""
    description = view.machine(machine).description
    assert description is not None
    return json.dumps(description, sort_keys=True)


def test_another_order_of_namespaces_after_a_restart_changes_nothing_for_consumers(
    view: View, plant: Plant, gateway: Gateway
) -> None:
    before = {machine: shown(view, machine) for machine in (MILL, POOR)}
    paths, namespace, gaps = set(view.samples), plant.server.namespace, len(view.machine().gaps)
    outage = leave_and_return(plant, view, plant.server.stop, "--shift-namespaces")
    assert plant.server.namespace == namespace + 1
    assert_flows_again(view, plant, 11, outage)
    for machine in (MILL, POOR):
        assert_outage_is_named(view, machine, outage)
        assert shown(view, machine) == before[machine]
    assert len([gap for gap in view.machine().gaps[gaps:] if gap["cause"] == "connection"]) == 1
    view.until(lambda: len(view.of("Many/V199")) == 2)
    assert set(view.samples) == paths
    assert set(view.observer.machines) == {MILL, POOR}
    plant.server.tell("burst", name="V010", **{"from": 500, "count": 50})
    view.until(lambda: view.of("Many/V010")[-1]["value"] == 549)
    assert [one["value"] for one in view.of("Many/V010")] == [10, 10, *range(500, 550)]
    assert gateway.running


def test_a_killed_server_is_told_at_once_and_read_again_when_it_is_back(view: View, plant: Plant) -> None:
    plant.server.tell("burst", name="V011", **{"from": 600, "count": 50})
    view.until(lambda: view.of("Many/V011")[-1]["value"] == 649)
    seen = len(view.of("Many/V011"))
    outage = leave_and_return(plant, view, plant.server.kill)
    assert_flows_again(view, plant, 12, outage)
    for machine in (MILL, POOR):
        assert_outage_is_named(view, machine, outage)
    view.until(lambda: len(view.of("Many/V011")) > seen)
    assert view.of("Many/V011")[seen:][0]["value"] == 11  # what the server shows after its restart


def test_each_message_came_once_and_in_order_through_all_of_it(view: View, plant: Plant) -> None:
    for machine in (MILL, POOR):
        report = view.machine(machine).stream.report()
        assert report.complete
        assert len(report.epochs) == 1
    (session,) = plant.server.tell("sessions")["sessions"]
    assert session["mode"] == "SignAndEncrypt"
