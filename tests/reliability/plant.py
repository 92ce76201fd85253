"""A whole installation under faults: real processes, a proxy before the broker and each server, a plain consumer.

What was delivered is compared with what the machines showed by `Plant.settle`, after every fault is over.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from conformance.consumer import Consumer
from conformance.delivery import Gap, compare, compare_events, read_ledger, values_by_signal
from conformance.observer import Observer
from gateway.cli.lab import Lab, MachineSpec, prepare_folder
from gateway.cli.template import configuration
from simulators.broker import Limits, free_port
from simulators.process import SimulatorProcess
from tests.faults.network import Cable
from tests.faults.processes import kill
from tests.faults.proxy import HOST, Proxy

DEADLINE = 90.0
QUIET = 1.5
"""Seconds without a message, with an empty outbox, after which everything has arrived."""

COUNTING = "tests.reliability.machines"
MACHINES = (
    MachineSpec("first", f"{COUNTING}:first", "first", 1),
    MachineSpec("second", f"{COUNTING}:second", "second", 2),
    MachineSpec("mill", "machining-centre", "MC-1", 3),
)
"""Two that count, and one as it stands on shop floors, with its events."""

PERSIST = 0.1
"""Seconds that mosquitto takes at most from an acknowledgement to its database, which it writes after each change.

It acknowledges first, so a broker killed in between has lost what it acknowledged. The proxy holds acknowledgements
back for so long, and those that it holds die with the broker: what reaches the gateway is on the broker's disk.
"""

SETTINGS = {
    "publishing_interval = 0.1": "publishing_interval = 0.1\nkeep_alive = 1.0\nlifetime = 60",
    'type = "mqtt"': 'type = "mqtt"\nkeep_alive = 2\nconnect_timeout = 3\nwindow = { timeout = 5 }',
    "[source.{name}.subscription]": "[source.{name}.transport]\ntimeout = 3\n\n[source.{name}.subscription]",
}
"""Lines of the configuration and what stands there instead: the deadlines are shorter, as the faults are."""

BEHIND_CABLE = SETTINGS | {
    'type = "mqtt"': SETTINGS['type = "mqtt"'] + '\nwaivers = ["host-name"]',
    "[source.{name}.security]": '[source.{name}.security]\nserver_name = "127.0.0.1"',
    "[http]": '[http]\nwaivers = ["http-exposed"]',
}
"""For a gateway on a host of its own: the certificates carry the names of this one."""


@dataclass
class Verdict:
    """What arrived, compared with what was shown.

    Attributes:
        faults: How often each was done.
        seconds: From the first fault to the end of the last.
        values: Due.
        delivered: Delivered, repeats not counted.
        announced: Not delivered, and named by a gap.
        repeats: Messages that came again with the same epoch, seq and bytes.
        gaps: By cause.
        problems: Whatever must not be.
    """

    faults: Counter[str]
    seconds: float
    values: int = 0
    delivered: int = 0
    announced: int = 0
    events: int = 0
    messages: int = 0
    repeats: int = 0
    gaps: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    HEAD = (
        "| faults | s | values shown | delivered | announced as lost | lost without a word, wrong, out of order "
        "| events | messages | repeats | gaps by cause |\n|---|---|---|---|---|---|---|---|---|---|"
    )

    def row(self) -> str:
        """For docs/reliability.md."""
        faults = ", ".join(f"{count} {name}" for name, count in self.faults.items())
        gaps = ", ".join(f"{count} {name}" for name, count in sorted(self.gaps.items())) or "none"
        return (
            f"| {faults} | {self.seconds:.0f} | {self.values} | {self.delivered} | {self.announced} "
            f"| {len(self.problems)} | {self.events} | {self.messages} | {self.repeats} | {gaps} |"
        )


class Plant:
    """Machines, broker, gateway and consumer; use `running`.

    Attributes:
        lab: The processes.
        broker: Proxy between gateway and broker.
        servers: Proxies between gateway and servers, by name.
        faults: How often each was done.
    """

    def __init__(self, folder: Path, machines: Sequence[MachineSpec], limits: Limits, cable: Cable | None) -> None:
        prepare_folder(folder)
        self._cable = cable
        self.lab = Lab(folder, machines=machines, limits=limits)
        self.broker = Proxy(0)
        self.servers: dict[str, Proxy] = {}
        self.observer = Observer(keep=True)
        self.faults: Counter[str] = Counter()
        self.environment: dict[str, str] = {}
        self._ledgers: list[Path] = []
        self._runs: Counter[str] = Counter()
        self._heard = time.monotonic()
        self._began = time.monotonic()
        self._ahead = 0.0
        self._consumer: Consumer | None = None

    async def start(self, stack: AsyncExitStack, settings: Mapping[str, str]) -> None:
        """Everything but the gateway, its configuration written."""
        await self.lab.start_machines()
        self._ledgers = self.lab.ledgers
        here, there = (self._cable.here, self._cable.there) if self._cable is not None else (HOST, HOST)
        self.broker = await stack.enter_async_context(Proxy(self.lab.broker.port, seed=1, listen=here))
        for name, simulator in self.lab.simulators.items():
            port = urlsplit(simulator.url).port or 0
            self.servers[name] = await stack.enter_async_context(Proxy(port, seed=2, listen=here))
        access = replace(self.lab.consumer, client_id="reliability")
        self._consumer = stack.enter_context(Consumer(access))
        self.lab.http_port = free_port()
        answers = replace(
            self.lab._answers(),
            servers={name: f"opc.tcp://{here}:{proxy.port}" for name, proxy in self.servers.items()},
            broker=f"mqtts://{here}:{self.broker.port}",
            listen=f"{there}:{self.lab.http_port}",
        )
        text = configuration(answers)
        for old, new in settings.items():
            for name in self.servers if "{name}" in old else [""]:
                line = old.replace("{name}", name)
                assert line in text, f"{line!r} is not in the configuration"
                text = text.replace(line, new.replace("{name}", name))
        self.lab.config_file.write_text(text, encoding="utf-8")
        pump = asyncio.create_task(self._pump(), name="consumer")
        stack.push_async_callback(_end, pump)

    async def start_gateway(self) -> None:
        """Start it with `environment`, behind the cable where there is one."""
        if self._cable is not None:
            await self._start_behind(self._cable)
            return
        before = dict(os.environ)
        os.environ.update(self.environment)
        try:
            await self.lab.start_gateway()
        finally:
            os.environ.clear()
            os.environ.update(before)

    async def _start_behind(self, cable: Cable) -> None:
        command = [sys.executable, "-m", "gateway.cli", "run", "--config", str(self.lab.config_file)]
        with self.lab.gateway_log.open("ab") as log:
            self.lab.gateway = await asyncio.create_subprocess_exec(*cable.command(command), stdout=log, stderr=log)

    async def metric(self, name: str) -> float | None:
        """One of the gateway's metrics; None while it does not answer, or does not have it."""
        host = self._cable.there if self._cable is not None else HOST
        try:
            text = await asyncio.to_thread(_read, f"http://{host}:{self.lab.http_port}/metrics")
        except OSError:
            return None
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else None

    @property
    def gateway(self) -> int:
        """The gateway's process."""
        assert self.lab.gateway is not None
        assert self.lab.gateway.returncode is None, f"the gateway ended by itself:\n{self.lab.log_tail(40)}"
        return self.lab.gateway.pid

    async def kill_gateway(self, down: float = 0.0) -> None:
        """SIGKILL, and a new one after `down` seconds."""
        self.faults["gateway killed"] += 1
        kill(self.gateway)
        assert self.lab.gateway is not None
        await self.lab.gateway.wait()
        await asyncio.sleep(down)
        await self.start_gateway()

    async def kill_broker(self, down: float = 0.0) -> None:
        """SIGKILL; what its acknowledgements had not reached dies with it."""
        self.faults["broker killed"] += 1
        broker = self.lab.broker
        assert broker.pid is not None
        kill(broker.pid)
        self.broker.reset()
        await broker.kill()
        await asyncio.sleep(down)
        await broker.start()

    async def kill_server(self, name: str, down: float = 0.0) -> None:
        """SIGKILL, and a new one at the same port, with a ledger of its own."""
        self.faults["server killed"] += 1
        old = self.lab.simulators[name]
        kill(old.pid)
        await old.kill()
        await asyncio.sleep(down)
        self._runs[name] += 1
        run = self._runs[name]
        ledger = self.lab.folder / f"ledger-{name}-{run}.jsonl"
        port = urlsplit(old.url).port or 0
        self._ledgers.append(ledger)
        fresh = SimulatorProcess(replace(old.options, port=port, ledger=ledger, seed=old.options.seed + 100))
        self.lab.simulators[name] = fresh
        await fresh.start()

    async def partition(self, proxy: Proxy, seconds: float) -> None:
        """Nothing passes for so long."""
        self.faults["partition"] += 1
        with proxy.partition():
            await asyncio.sleep(seconds)

    # What the consumer sees.

    @property
    def values(self) -> int:
        """Values and events that came, repeats not counted."""
        return sum(machine.count for machine in self.observer.machines.values())

    @property
    def messages(self) -> int:
        """Messages that came, repeats not counted."""
        return sum(machine.stream.report().messages for machine in self.observer.machines.values())

    @property
    def ahead(self) -> float:
        """Seconds by which the gateway's clock was ahead when it took the last message."""
        return self._ahead

    @property
    def gaps(self) -> Counter[str]:
        """Gap messages by cause."""
        return Counter(gap["cause"] for machine in self.observer.machines.values() for gap in machine.gaps)

    async def flowing(self, within: float = DEADLINE) -> float:
        """Wait until something new has come of every machine; the seconds that took."""
        begin = time.monotonic()
        before = {name: machine.count for name, machine in self.observer.machines.items()}

        def moved() -> bool:
            machines = self.observer.machines
            return len(machines) == len(self.lab.machines) and all(
                machine.count > before.get(name, 0) for name, machine in machines.items()
            )

        await self.until(moved, within)
        return time.monotonic() - begin

    async def moving(self, within: float) -> bool:
        """Wait for something new of any machine; whether it came."""
        before, end = self.values, time.monotonic() + within
        while self.values == before and time.monotonic() < end:  # noqa: ASYNC110 - the consumer is a thread
            await asyncio.sleep(0.02)
        return self.values > before

    async def until(self, condition: Callable[[], object], within: float = DEADLINE) -> None:
        """Wait for a condition."""
        end = time.monotonic() + within
        while not condition():
            assert time.monotonic() < end, f"did not come within {within} s\n{self.lab.log_tail(40)}"
            await asyncio.sleep(0.05)

    async def settle(self) -> Verdict:
        """All faults are over: let the machines rest, wait until everything has arrived, and compare."""
        seconds = time.monotonic() - self._began
        await self.flowing()
        await self.lab.pause_machines()
        self._heard = time.monotonic()
        end = time.monotonic() + DEADLINE
        while time.monotonic() - self._heard < QUIET or await self.metric("area4_outbox_messages") != 0:
            assert time.monotonic() < end, f"no end of messages\n{self.lab.log_tail(40)}"
            await asyncio.sleep(0.1)
        return await asyncio.to_thread(self._judge, seconds)

    def _judge(self, seconds: float) -> Verdict:
        observer = self.observer
        machines = observer.machines
        ledger = list(read_ledger(self._ledgers))
        due = {name: machine.first or "" for name, machine in machines.items()}
        gaps = [Gap.of(gap) for machine in machines.values() for gap in machine.gaps]
        report = compare(
            values_by_signal(ledger), observer.delivered, due_from=due, gaps=gaps, backfilled=observer.backfilled
        )
        verdict = Verdict(
            self.faults, seconds, report.expected, report.delivered - report.repeated, len(report.announced)
        )
        verdict.events, verdict.gaps = len(observer.events), self.gaps
        verdict.problems += [str(one) for one in (*report.missing, *report.wrong)]
        verdict.problems += [f"out of order: {machine} {path}" for machine, path in report.disordered]
        verdict.problems += [f"nothing ever delivered: {machine} {path}" for machine, path in report.never]
        verdict.problems += compare_events(ledger, observer.events, due_from=due, gaps=gaps)
        verdict.problems += observer.unreadable
        for name, machine in machines.items():
            stream = machine.stream.report()
            verdict.messages += stream.messages
            verdict.repeats += stream.repeats
            verdict.problems += [f"hole: {name} seq {hole[1]} to {hole[2]}" for hole in stream.holes]
            if stream.altered or stream.late:
                verdict.problems.append(f"{name}: {stream.altered} altered, {stream.late} out of order")
        return verdict

    def assert_sound(self, verdict: Verdict) -> None:
        """Nothing is lost without a word, nothing is wrong; else everything needed to find out why is kept."""
        print(f"\n{verdict.HEAD}\n{verdict.row()}")
        if verdict.problems:
            gaps = [gap for machine in self.observer.machines.values() for gap in machine.gaps]
            told = "\n".join(json.dumps(gap) for gap in gaps[-20:])
            shown = "\n".join(verdict.problems[:30])
            raise AssertionError(
                f"{len(verdict.problems)} problems, folder {self.lab.folder}\n{shown}\ngaps:\n{told}\n"
                f"{self.lab.log_tail(30)}"
            )
        assert verdict.delivered > 0

    async def _pump(self) -> None:
        assert self._consumer is not None
        while True:
            messages = await asyncio.to_thread(self._consumer.drain, 0.2)
            if messages:
                self._heard = time.monotonic()
                self.observer.take(messages)
                if messages[-1].topic.endswith("/data"):
                    taken = datetime.fromisoformat(json.loads(messages[-1].payload)["taken"])
                    self._ahead = taken.timestamp() - messages[-1].at
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(
    folder: Path,
    *,
    machines: Sequence[MachineSpec] = MACHINES,
    settings: Mapping[str, str] = SETTINGS,
    limits: Limits | None = None,
    environment: Mapping[str, str] | None = None,
    cable: Cable | None = None,
    observer: Observer | None = None,
) -> AsyncIterator[Plant]:
    """A plant with its gateway, values flowing; everything ends with the context.

    With an `observer` that keeps nothing there are no ledgers, and nothing for `settle`: for runs of hours.
    """
    plant = Plant(folder, machines, limits or Limits(), cable)
    if observer is not None:
        plant.observer, plant.lab.ledger = observer, False
    plant.environment = dict(environment or {})
    async with AsyncExitStack() as stack:
        stack.push_async_callback(plant.lab.stop)
        await plant.start(stack, settings)
        await plant.start_gateway()
        await plant.flowing()
        plant._began = time.monotonic()
        yield plant


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=2) as answer:
        return str(answer.read().decode())


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
