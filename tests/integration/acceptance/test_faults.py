"""The demo through a broker and a gateway that die without a word; and its comparison bites when something is amiss."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.consumer import Consumer
from gateway.cli.demonstration import Demonstration, Summary
from gateway.cli.lab import MACHINES, Lab, prepare_folder

DEADLINE = 60.0


class Faulty(Demonstration):
    """A demo in which the broker, then the gateway, are killed and come back."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab, None, say=print)
        self.steps: list[str] = []

    async def _watch(self, consumer: Consumer) -> None:
        await self._until(consumer, self._more(30), "values")
        await self._lab.broker.kill()
        await self._until(consumer, self._stored(20), "messages wait in the outbox")
        more = self._more(30)
        await self._lab.broker.start()
        await self._until(consumer, more, "values after the broker's return")

        gateway = self._lab.gateway
        assert gateway is not None
        gateway.kill()
        await gateway.wait()
        shown = self._shown()
        await self._until(consumer, lambda: self._shown() > shown + 100, "values while there is no gateway")
        more = self._more(30)
        await self._lab.start_gateway()
        await self._until(consumer, more, "values after the gateway's return")
        await self._until(consumer, self.due_events, "an event")

    def due_events(self) -> list[dict]:
        """Events of after the first value."""
        first = {machine.id: machine.first or "" for machine in self._observer.machines.values()}
        return [event for event in self._observer.events if event["time"] > first[event["machine"]]]

    async def _until(self, consumer: Consumer, condition: Callable[[], object], what: str) -> None:
        async with asyncio.timeout(DEADLINE):
            while True:
                self._observer.take(await asyncio.to_thread(consumer.drain, 0.1))
                found = condition()
                if await found if asyncio.iscoroutine(found) else found:
                    self.steps.append(what)
                    return

    def _more(self, values: int) -> Callable[[], bool]:
        """Each machine has delivered so many more than now."""
        machines = self._observer.machines.values()
        before = {machine.id: machine.count for machine in machines}
        return lambda: all(machine.count >= before[machine.id] + values for machine in machines)

    def _stored(self, messages: int) -> Callable[[], object]:
        async def stored() -> bool:
            return (await self._lab.outbox_depth() or 0) >= messages

        return stored

    def _shown(self) -> int:
        return sum(file.read_bytes().count(b"\n") for file in self._lab.ledgers)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Faulty, Summary]:
    folder: Path = tmp_path_factory.mktemp("faults") / "lab"
    prepare_folder(folder)
    faulty = Faulty(Lab(folder, machines=MACHINES[:2]))
    summary = asyncio.run(faulty.run())
    assert summary is not None
    return faulty, summary


def test_a_killed_broker_and_a_killed_gateway_lose_nothing_without_a_word(run: tuple[Faulty, Summary]) -> None:
    faulty, summary = run
    assert len(faulty.steps) == 6
    assert summary.machines == 2
    assert summary.values > 600
    assert summary.unannounced == 0, summary.problems[:20]
    assert [problem for problem in summary.problems if not problem.startswith("gap announced")] == []


def _tampered(run: tuple[Faulty, Summary]) -> tuple[Faulty, tuple[str, str]]:
    """A copy to be spoilt, and the signal with most values."""
    made = copy.copy(run[0])
    made._observer = copy.deepcopy(run[0]._observer)
    return made, max(made._observer.delivered, key=lambda one: len(made._observer.delivered[one]))


def test_a_value_taken_out_of_what_was_delivered_is_missed_by_name(run: tuple[Faulty, Summary]) -> None:
    demonstration, signal = _tampered(run)
    taken = demonstration._observer._live[signal].pop().entry
    summary = demonstration._summary(1.0)
    assert not summary.lossless
    assert summary.unannounced == run[1].unannounced + 1
    assert summary.delivered == run[1].delivered - 1
    assert f"missing: {signal[0]} {signal[1]} = {taken.value} at {taken.time} ({taken.quality})" in summary.problems


def test_an_altered_value_and_an_event_left_out_are_found(run: tuple[Faulty, Summary]) -> None:
    demonstration, signal = _tampered(run)
    values = demonstration._observer._live[signal]
    values[-1] = values[-1]._replace(entry=values[-1].entry._replace(value='"else"'))
    event = demonstration.due_events()[-1]
    demonstration._observer.events = [one for one in demonstration._observer.events if one["id"] != event["id"]]
    problems = demonstration._summary(1.0).problems
    assert any(one.startswith(f'wrong: {signal[0]} {signal[1]} = "else"') for one in problems)
    assert any(one.startswith(f"missing event: {event['machine']} {event['type']}") for one in problems)


def test_a_message_that_never_came_is_a_hole(run: tuple[Faulty, Summary]) -> None:
    demonstration, (machine, _) = _tampered(run)
    stream = demonstration._observer.machines[machine].stream
    epoch = stream.report().epochs[-1]
    number = sorted(stream._seen[epoch])[-2]
    del stream._seen[epoch][number]
    assert f"hole: {machine} seq {number} to {number}" in demonstration._summary(1.0).problems
