"""One run of the demo: start everything, watch, stop, compare with the machines' own record of the truth."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from rich.live import Live

from conformance.consumer import Consumer
from conformance.delivery import Gap, compare, compare_events, read_ledger, values_by_signal
from conformance.observer import Observer
from gateway.cli.lab import Lab
from gateway.cli.view import LiveView, lost_of
from gateway.errors import LossError

REFRESH_SECONDS = 0.5
FIRST_VALUE_SECONDS = 60.0
QUIET_SECONDS = 1.5
"""Without a message for so long, and with an empty outbox, everything that was shown has been delivered."""

DRAIN_SECONDS = 30.0
CLIENT = "area4-demo"
"""With a name the subscriber's session outlives a broker that comes back."""


@dataclass
class Summary:
    """What the demo showed.

    Attributes:
        seconds: From the first to the last value.
        machines: Machines that were heard, `described` of them with their description.
        values: Values that the machines showed and that were due.
        delivered: Values that a plain subscriber received, repeats not counted.
        events: Events delivered, among them each new state of the alarms; `alarms` counts different alarms.
        lost: Values that are missing, announced by a gap or not.
        unannounced: Of these, values that are missing without a gap that names them.
        problems: Everything that is missing, wrong, out of order, announced as lost, or not understood.
    """

    seconds: float = 0.0
    machines: int = 0
    described: int = 0
    values: int = 0
    delivered: int = 0
    events: int = 0
    alarms: int = 0
    lost: int = 0
    unannounced: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def lossless(self) -> bool:
        """Values flowed and none was lost."""
        return self.delivered > 0 and not self.problems and not self.lost

    def facts(self) -> dict[str, Any]:
        """For machines."""
        return {
            "seconds": round(self.seconds, 1),
            "machines": self.machines,
            "described": self.described,
            "values": self.values,
            "delivered": self.delivered,
            "events": self.events,
            "alarms": self.alarms,
            "lost": self.lost,
            "unannounced": self.unannounced,
            "lossless": self.lossless,
            "problems": self.problems,
        }

    def lines(self) -> list[str]:
        """For people."""
        shown = self.problems[:20] + ([f"and {len(self.problems) - 20} more"] if len(self.problems) > 20 else [])
        return [
            f"{self.machines} machines, {self.seconds:.0f} s",
            f"values shown by the machines since the subscription: {self.values}",
            f"values delivered to a plain subscriber:              {self.delivered}",
            f"events delivered:                                    {self.events}, with {self.alarms} alarms",
            f"lost:                                                {self.lost}"
            + (f", {self.unannounced} of them without a word" if self.lost else ""),
            *shown,
        ]


class Demonstration:
    """One run of the demo: start, watch, stop, compare."""

    def __init__(self, lab: Lab, seconds: float | None, *, say: Callable[[str], None]) -> None:
        self._lab = lab
        self._seconds = seconds
        self._say = say
        self._ended = asyncio.Event()
        self._flows = False
        self._observer = Observer(keep=True)

    async def run(self) -> Summary | None:
        """Run until the time is over or somebody ends it by SIGINT or SIGTERM; a second signal ends it at once.

        Returns:
            What was shown; None where it was ended before the first value.

        Raises:
            LossError: No value arrived in time.
            UnreachableError: Broker or machines do not start.
        """
        me = asyncio.current_task()
        assert me is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._signalled, me)
        begin = time.monotonic()
        seconds = None
        try:
            self._say("making certificates, starting the broker and the machine tools ...")
            await self._lab.start_machines()
            self._say(f"broker: {self._lab.broker.kind} at {self._lab.broker.url}, client certificates demanded")
            with Consumer(replace(self._lab.consumer, client_id=CLIENT)) as consumer:
                await self._lab.start_gateway()
                await self._first_value(consumer)
                self._say(f"first values {time.monotonic() - begin:.1f} s after the start")
                first = time.monotonic()
                self._flows = True
                await self._watch(consumer)
                self._say("stopping the machines and delivering the rest ...")
                await self._lab.pause_machines()
                await self._drain(consumer)
                seconds = time.monotonic() - first
        except asyncio.CancelledError:
            if not self._ended.is_set():
                raise
            me.uncancel()
            self._say("ending at once ...")
        finally:
            await self._lab.stop()
        return None if seconds is None else self._summary(seconds)

    def _signalled(self, run: asyncio.Task[Any]) -> None:
        """The first signal ends the run with a summary if values flow; else, or at the second one, there is none."""
        if self._ended.is_set() or not self._flows:
            run.cancel()
        self._ended.set()

    async def _first_value(self, consumer: Consumer) -> None:
        deadline = time.monotonic() + FIRST_VALUE_SECONDS
        while not self._flowing():
            self._observer.take(await asyncio.to_thread(consumer.drain, 0.1))
            if not self._lab.gateway_runs or time.monotonic() > deadline:
                raise LossError(f"no value arrived. The end of the gateway's log:\n{self._lab.log_tail()}")

    def _flowing(self) -> bool:
        return sum(machine.count > 0 for machine in self._observer.machines.values()) == len(self._lab.machines)

    async def _watch(self, consumer: Consumer) -> None:
        end = time.monotonic() + self._seconds if self._seconds else float("inf")
        draw, close = self._terminal()
        try:
            while time.monotonic() < end and not self._ended.is_set():
                self._observer.take(await asyncio.to_thread(consumer.drain))
                await draw()
                await asyncio.wait([self._over], timeout=min(REFRESH_SECONDS, max(0.0, end - time.monotonic())))
        finally:
            close()

    @property
    def _over(self) -> asyncio.Task[Any]:
        if not hasattr(self, "_over_task"):
            self._over_task = asyncio.create_task(self._ended.wait(), name="end of the demo")
        return self._over_task

    def _terminal(self) -> tuple[Callable[[], Awaitable[None]], Callable[[], None]]:
        """How to draw once, and how to end drawing; nothing is drawn where nobody looks."""
        if not sys.stdout.isatty():
            for line in ("in a second terminal:", *self._lab.second_terminal()):
                self._say(line)
            return self._nothing, lambda: None
        view = LiveView(self._observer)
        live = Live(screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        live.start()
        hints = ["in a second terminal:", *self._lab.second_terminal(), "Ctrl-C ends all of it"]
        begin = time.monotonic()

        async def draw() -> None:
            depth = await self._lab.outbox_depth()
            facts = {
                "broker": f"{self._lab.broker.kind} {self._lab.broker.url.removeprefix('mqtts://')}",
                "outbox": "-" if depth is None else f"{depth} messages",
                "lost": str(sum(lost_of(machine) for machine in self._observer.machines.values())),
            }
            facts["running"] = f"{time.monotonic() - begin:.0f} s"
            size = (live.console.width, live.console.height)
            live.update(view.draw(time.monotonic(), facts, hints, size), refresh=True)

        return draw, live.stop

    async def _nothing(self) -> None:
        """Nobody looks."""

    async def _drain(self, consumer: Consumer) -> None:
        """Take what is still on its way: until nothing comes any more and the outbox is empty."""
        deadline = time.monotonic() + DRAIN_SECONDS
        quiet = time.monotonic()
        while time.monotonic() < deadline:
            messages = await asyncio.to_thread(consumer.drain, 0.2)
            self._observer.take(messages)
            if not self._lab.gateway_runs:
                self._say(f"the gateway has ended. The end of its log:\n{self._lab.log_tail()}")
                return
            if messages or await self._lab.outbox_depth() != 0:
                quiet = time.monotonic()
            elif time.monotonic() - quiet > QUIET_SECONDS:
                return

    def _summary(self, seconds: float) -> Summary:
        observer = self._observer
        ledger = list(read_ledger(self._lab.ledgers))
        due = {machine.id: machine.first or "" for machine in observer.machines.values()}
        gaps = [Gap.of(gap) for machine in observer.machines.values() for gap in machine.gaps]
        values = compare(
            values_by_signal(ledger), observer.delivered, due_from=due, gaps=gaps, backfilled=observer.backfilled
        )
        events = compare_events(ledger, observer.events, due_from=due, gaps=gaps)
        announced = sum(lost_of(machine) for machine in observer.machines.values())
        problems = [str(one) for one in (*values.missing, *values.wrong)]
        problems += [f"out of order: {machine} {path}" for machine, path in values.disordered]
        problems += [f"nothing ever delivered: {machine} {path}" for machine, path in values.never]
        problems += [*events, *observer.unreadable]
        for machine in observer.machines.values():
            problems += [f"gap announced: {machine.id} {gap['cause']} {gap.get('detail', '')}" for gap in machine.gaps]
            problems += [
                f"hole: {machine.id} seq {first} to {last}" for _, first, last in machine.stream.report().holes
            ]
        alarms = {(event["machine"], event["condition"]["id"]) for event in observer.events if "condition" in event}
        return Summary(
            seconds,
            machines=len(observer.machines),
            described=sum(machine.description is not None for machine in observer.machines.values()),
            values=values.expected,
            delivered=values.delivered,
            events=sum(machine.events for machine in observer.machines.values()),
            alarms=len(alarms),
            lost=max(len(values.missing) + len(values.announced), announced),
            unannounced=len(values.missing),
            problems=problems,
        )
