"""What arrives from a gateway under test, written down, and held against what the machines showed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from conformance.consumer import Access, Consumer, Received
from conformance.delivery import (
    DeliveryReport,
    Difference,
    Gap,
    Signal,
    compare,
    compare_events,
    read_ledger,
    values_by_signal,
)
from conformance.gateway.readers import Reader
from conformance.latency import Latencies
from conformance.observer import MachineView, Observer
from conformance.suite.target import TargetError

KEPT = 20_000
"""Raw messages that are kept as evidence; the oldest stay, for most findings repeat."""

_POLL = 0.1


@dataclass(slots=True)
class Judgement:
    """All that was shown and all that came, since the beginning.

    Attributes:
        report: Values.
        events: Sentences about events that are missing or wrong.
        deviations: Wrong values by what is wrong: `value`, `time`, `quality`, `invented`.
        lost: Values that are missing without a word, but for those that came wrong.
    """

    report: DeliveryReport
    events: list[str]
    deviations: dict[str, list[Difference]]
    lost: list[Difference]


@dataclass(slots=True)
class Recording:
    """Subscribes, and keeps what comes; `begin` and `end` it.

    Attributes:
        raw: Messages as they came, the first `KEPT`.
        observer: What a consumer knows.
        late: What a second consumer, which came later, got at once.
        arrival: Source time to arrival.
    """

    access: Access
    reader: Reader
    raw: list[Received] = field(default_factory=list)
    observer: Observer = field(default_factory=lambda: Observer(keep=True))
    late: list[Received] = field(default_factory=list)
    arrival: Latencies = field(default_factory=Latencies)
    heard: float = field(default_factory=time.monotonic)
    _consumer: Consumer | None = None
    _pump: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Subscribe, or again after `end`, with the same session; ConsumerError where that is not possible."""
        if self._consumer is not None:
            return
        consumer = Consumer(replace(self.access, client_id="area4-conform", topics=self.reader.topics))
        await asyncio.to_thread(consumer.__enter__)
        self._consumer = consumer
        self._pump = asyncio.create_task(self._take(), name="consumer of the suite")

    async def end(self) -> None:
        """Unsubscribe."""
        if self._pump is not None:
            self._pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pump
        if self._consumer is not None:
            await asyncio.to_thread(self._consumer.__exit__, None, None, None)
            self._consumer = None

    async def come_late(self, seconds: float = 2.0) -> None:
        """A second consumer comes now; what the broker has retained for it goes to `late`."""
        access = replace(self.access, client_id="", topics=self.reader.topics)

        def listen() -> list[Received]:
            with Consumer(access) as consumer:
                end, found = time.monotonic() + seconds, []
                while (left := end - time.monotonic()) > 0:
                    found += consumer.drain(min(left, 0.2))
                return found

        self.late = [one for one in await asyncio.to_thread(listen) if one.retained]

    async def moving(self, machines: Iterable[str], within: float) -> None:
        """Wait until something new has come of each machine.

        Raises:
            TargetError: It does not.
        """
        wanted = {name: self._count(name) for name in machines}
        end = time.monotonic() + within
        while waiting := [name for name, count in wanted.items() if self._count(name) <= count]:
            if time.monotonic() > end:
                raise TargetError(f"nothing new of {', '.join(waiting)} came within {within:g} s")
            await asyncio.sleep(_POLL)

    async def quiet(self, seconds: float, within: float) -> None:
        """Wait until nothing has come for so long; at most `within` seconds."""
        begin = self.heard = time.monotonic()
        while time.monotonic() - self.heard < seconds and time.monotonic() - begin < within:  # noqa: ASYNC110 - of time
            await asyncio.sleep(_POLL)

    def judge(self, ledgers: Iterable[Any]) -> Judgement:
        """Hold everything so far against what the machines showed; nothing may be on its way any more."""
        lines = list(read_ledger(ledgers))
        truth = values_by_signal(lines)
        machines = self.observer.machines
        due = {machine.id: machine.first or "" for machine in machines.values()}
        gaps = [Gap.of(gap) for machine in machines.values() for gap in machine.gaps]
        observer = self.observer
        report = compare(truth, observer.delivered, due_from=due, gaps=gaps, backfilled=observer.backfilled)
        deviations: dict[str, list[Difference]] = {"value": [], "time": [], "quality": [], "invented": []}
        for one in report.wrong:
            deviations[_deviation(one, truth)].append(one)
        return Judgement(
            report, compare_events(lines, observer.events, due_from=due, gaps=gaps), deviations, _lost(report)
        )

    def machine(self, identity: str) -> MachineView | None:
        """As the consumer sees it."""
        return self.observer.machines.get(identity)

    def _count(self, identity: str) -> int:
        machine = self.observer.machines.get(identity)
        return 0 if machine is None else machine.count

    def feed(self, messages: Iterable[Received]) -> None:
        """Take messages as if they came now."""
        for one in messages:
            self.heard = time.monotonic()
            if len(self.raw) < KEPT:
                self.raw.append(one)
            translated = self.reader.read(one)
            self.observer.take(translated)
            self._measure(translated)

    async def _take(self) -> None:
        assert self._consumer is not None
        while True:
            self.feed(await asyncio.to_thread(self._consumer.drain, 0.2))

    def _measure(self, messages: Iterable[Received]) -> None:
        for one in messages:
            if one.retained or not one.topic.endswith("/data"):
                continue
            for sample in _samples(one):
                if isinstance(sample.get("time"), str):
                    self.arrival.add(one.at - datetime.fromisoformat(sample["time"]).timestamp())


def _samples(message: Received) -> list[dict[str, Any]]:
    try:
        found = json.loads(message.payload)["samples"]
    except (ValueError, KeyError, TypeError):
        return []
    return [one for one in found if isinstance(one, dict)]


def _deviation(wrong: Difference, truth: Mapping[Signal, Iterable[Any]]) -> str:
    """What about it is wrong, by the value that was meant."""
    entry, shown = wrong.entry, list(truth.get((wrong.machine, wrong.path), ()))
    if any(one.time == entry.time and one.value == entry.value for one in shown):
        return "quality"
    if any(one.time == entry.time for one in shown):
        return "value"
    if any(one.value == entry.value for one in shown):
        return "time"
    return "invented"


def _lost(report: DeliveryReport) -> list[Difference]:
    """What is missing beyond what came wrong, signal by signal."""
    wrong: dict[Signal, int] = {}
    for one in report.wrong:
        wrong[one.machine, one.path] = wrong.get((one.machine, one.path), 0) + 1
    lost = []
    for one in report.missing:
        key = one.machine, one.path
        if wrong.get(key):
            wrong[key] -= 1
        else:
            lost.append(one)
    return lost
