"""The gateway is killed while a server of another stack shows values: all arrive, or a gap names the hole."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from tests.faults.processes import Moments, kill

from .conftest import MILL, Gateway, Plant, View

KILLS = 5
NAME, PATH = "V150", "Many/V150"
FIRST = 10_000
CHUNK, INTERVAL = 50, 5
"""Values of one burst, and milliseconds between two of them at least."""


def test_a_gateway_killed_in_a_burst_misses_nothing_that_it_does_not_name(plant: Plant) -> None:
    gateway = plant.gateway("killed", queue_size="2000")
    moments = Moments(20261122)
    with plant.running(gateway) as view:
        view.until(lambda: view.of(PATH), told=gateway.told)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            shown = FIRST
            for _ in range(KILLS):
                until = time.monotonic() + moments.within(0.3, 1.5)
                while time.monotonic() < until:
                    shown = burst(pool, plant, view, shown)
                pending = pool.submit(plant.server.tell, "burst", **of(shown))
                time.sleep(moments.within(0.0, CHUNK * INTERVAL / 1000))
                kill_and_start(gateway)
                pending.result()
                shown += CHUNK
                came = len(view.of(PATH))
                until = time.monotonic() + 20
                while len(view.of(PATH)) == came:  # values go on while it starts and reconnects
                    assert time.monotonic() < until, gateway.told()
                    shown = burst(pool, plant, view, shown)
        view.until(lambda: view.of(PATH)[-1]["value"] == shown - 1, told=gateway.told)
        lost = missing(view.of(PATH), view.machine().gaps, shown)
        report = view.machine().stream.report()
    print(
        f"\nnode-opcua: {KILLS} kills, {shown - FIRST} values shown, {lost} of them named by "
        f"{len([one for one in view.machine().gaps if one['cause'] == 'connection'])} gaps, "
        f"{report.repeats} messages repeated"
    )
    assert report.complete


def of(first: int) -> dict[str, Any]:
    return {"name": NAME, "from": first, "count": CHUNK, "interval": INTERVAL}


def burst(pool: concurrent.futures.Executor, plant: Plant, view: View, first: int) -> int:
    """Let the server show the next values, and take what arrives meanwhile; the number after them."""
    pending = pool.submit(plant.server.tell, "burst", **of(first))
    while not pending.done():
        view.take(wait=0.02)
    pending.result()
    return first + CHUNK


def kill_and_start(gateway: Gateway) -> None:
    process = gateway._process
    assert process is not None
    assert gateway.running, gateway.told()
    kill(process.pid)
    process.wait(10)
    gateway.start()


def missing(came: Sequence[dict[str, Any]], gaps: Sequence[dict[str, Any]], end: int) -> int:
    """How many values are not there; each hole must be named by a gap, and what is there in order."""
    values = [(one["value"], one["time"]) for one in came if one["value"] >= FIRST]
    assert values[0][0] == FIRST
    lost = 0
    for (before, since), (after, until) in pairwise(values):
        if after == before:  # a new subscription begins with the current value, which was known
            assert since == until
            continue
        assert after > before, f"{after} came after {before}"
        if after == before + 1:
            continue
        named = [
            gap
            for gap in gaps
            if (gap["signals"] is None or PATH in gap["signals"]) and gap["begin"] <= until and gap["end"] >= since
        ]
        assert named, f"{before + 1} to {after - 1} between {since} and {until} are missing without a word: {gaps}"
        lost += after - before - 1
    assert values[-1][0] == end - 1
    assert {gap["machine"] for gap in gaps} <= {MILL}
    return lost
