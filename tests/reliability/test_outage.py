"""A broker away for an hour, the real gateway at 2,000 values a second; what is live while the backlog drains."""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import pytest

from conformance.consumer import Received
from conformance.observer import MachineView, Observer
from gateway.cli.lab import MachineSpec
from simulators.broker import Limits
from tests.faults.processes import resident_bytes

from .plant import COUNTING, Plant, running

SECONDS = float(os.environ.get("AREA4_SOAK_OUTAGE_SECONDS", "3600"))
SIGNALS = 100
LOAD = f"{SIGNALS}x1000"
MACHINES = tuple(MachineSpec(name, f"{COUNTING}:{name}", name, seed) for seed, name in
                 enumerate(("first", "second", "third")))  # fmt: skip
LIVE = 2.0
"""Seconds after which a value is not live any more."""

FLAT = 20_000_000
"""Bytes by which the gateway may grow, compared with when all that is bounded is full."""

THIRD_UP = 'area4_link_up{kind="source",name="third"}'

REVIVED = 10.0
"""Seconds before the end of the outage at which the third machine's server is started again."""

FULL = 60.0
"""Seconds of the outage after which its memory has what it will have: 8 MB of messages."""


class Late(NamedTuple):
    """When the gateway took a message, and how many seconds later it came."""

    taken: float
    seconds: float


@dataclass(frozen=True)
class Figures:
    """What was measured.

    Attributes:
        backlog: Messages that waited when the broker came back.
        memory: Resident bytes of the gateway early in the outage.
        grown: By how much it grew from then to the end of the outage.
        draining: By how much it grew from then at most while the backlog drained.
        live: By machine: seconds after the broker's return at which it was live again.
        latest: The most that a message of the third machine was late after the broker's return.
    """

    backlog: float
    memory: int
    grown: int
    draining: int
    live: dict[str, float]
    latest: float

    def row(self) -> str:
        """For docs/reliability.md."""
        drained = max(self.live[name] for name in ("first", "second"))
        return (
            f"| {SECONDS:.0f} s | {self.backlog:.0f} | {self.memory / 1e6:.0f} MB, at most {self.grown / 1e6:.1f} MB "
            f"more, draining {self.draining / 1e6:.1f} MB more | {drained:.1f} s | {self.latest:.2f} s |"
        )


class Following:
    """Checks what comes as it comes, and keeps only figures: every signal counts on, and how late its message was."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.late: dict[str, list[Late]] = defaultdict(list)
        self._last: dict[str, dict[str, float]] = defaultdict(dict)

    def __call__(self, machine: MachineView, body: dict[str, Any], message: Received) -> None:
        """A new message of a stream."""
        name = machine.id.rsplit(":", 1)[-1]
        if "cause" in body:
            self._last[name].clear()
        if "samples" not in body:
            return
        taken = datetime.fromisoformat(body["taken"]).timestamp()
        self.late[name].append(Late(taken, message.at - taken))
        last = self._last[name]
        for sample in body["samples"]:
            path, value = sample["path"], sample["value"]
            if path.startswith("Load/"):
                if last.get(path, 0.0) and value != last[path] + SIGNALS:
                    self.wrong.append(f"{name} {path}: {value} after {last[path]}")
                last[path] = value


@contextmanager
def watched(process: int, found: list[int]) -> Iterator[None]:
    """Look at the resident memory of a process while the context lasts."""

    async def watch() -> None:
        while True:
            found.append(resident_bytes(process))
            await asyncio.sleep(0.25)

    task = asyncio.create_task(watch(), name="memory")
    try:
        yield
    finally:
        task.cancel()


async def lived_through(plant: Plant, following: Following) -> Figures:
    """The outage, and what came of it."""
    process = plant.gateway
    outage: list[int] = []
    draining: list[int] = []
    revived = asyncio.create_task(plant.kill_server("third", down=SECONDS - REVIVED), name="third")
    with plant.broker.refuse():
        plant.broker.reset()
        early = min(FULL, SECONDS / 2)
        await asyncio.sleep(early)
        before = resident_bytes(process)
        with watched(process, outage):
            await asyncio.sleep(SECONDS - early)
            await revived
            async with asyncio.timeout(120):
                while await plant.metric(THIRD_UP) != 1.0:  # noqa: ASYNC110 - another process is asked
                    await asyncio.sleep(0.1)
        backlog = await plant.metric("area4_outbox_messages")
    ended = time.time()
    live: dict[str, float] = {}
    with watched(process, draining):
        while len(live) < len(MACHINES):
            assert time.time() - ended < max(60.0, SECONDS), f"live: {live}\n{plant.lab.log_tail()}"
            await asyncio.sleep(0.05)
            for name in following.late:
                if following.late[name][-1].taken > ended and following.late[name][-1].seconds < LIVE:
                    live.setdefault(name, time.time() - ended)
        await asyncio.sleep(5)
    assert plant.gateway == process
    third = [one.seconds for one in following.late["third"] if one.taken > ended]
    return Figures(backlog or 0.0, before, max(outage) - before, max(draining) - before, live, max(third))


@pytest.mark.soak
async def test_an_outage_of_the_broker_in_real_time(tmp_path, monkeypatch, capsys):
    """Two machines have a backlog of the whole outage; the third comes to life at its end."""
    monkeypatch.setenv("AREA4_LOAD", LOAD)
    following = Following()
    observer = Observer(listener=following)
    limits = Limits(autosave_changes=10_000)
    async with running(tmp_path / "plant", machines=MACHINES, limits=limits, observer=observer) as plant:
        figures = await lived_through(plant, following)
    with capsys.disabled():
        print(f"\n{figures.row()}")
    assert following.wrong == []
    assert observer.unreadable == []
    for machine in observer.machines.values():
        report = machine.stream.report()
        assert (report.holes, report.late, report.altered) == ([], 0, 0), machine.id
        assert not machine.gaps or machine.id.endswith("third")
    assert max(figures.grown, figures.draining) < FLAT
    assert figures.latest < LIVE
