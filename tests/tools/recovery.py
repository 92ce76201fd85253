"""What comes back after an interruption, and how soon: each rung of the ladder on each OPC UA stack.

    python -m tests.tools.recovery                    # all of it, and the table of docs/recovery.md anew
    python -m tests.tools.recovery --only node-opcua  # one stack, printed only

The real `area4 run`, mosquitto with mutual TLS, a server as a process, a plain consumer. A server counts up in steps of
20 ms and writes each value down before it shows it; all of these are compared with what the consumer got.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cryptography import x509

from conformance.audit import iso
from conformance.consumer import Consumer
from conformance.delivery import DeliveryReport, Entry, Gap, Signal, compare, read_ledger, values_by_signal
from conformance.observer import Observer
from security.pki.authority import Authority
from security.pki.folder import PkiFolder
from simulators.process import Options, SimulatorProcess
from tests.faults.processes import kill
from tests.integration.foreign.conftest import MILL, NAME, ForeignServer, Gateway, Plant, unix

from .record import DOCS, insert

WAIT = 60.0
SECONDS = 3.0
"""Between two steps: values flow."""

SETTLE = 8.0
"""Seconds after which everything has arrived, history too, which is asked for after some seconds."""

QUEUE = 1000
"""Values that the server is to keep of each signal: 20 s of the fastest counter, longer than a gateway is away here."""

RUNGS = ("by a new subscription", "the subscription was taken over", "the session was taken up again")
"""As the source calls them in its log."""


class Stack(Protocol):
    """A server that counts, and what can happen to it.

    Attributes:
        name: For the table.
        port: Where it listens.
        counters: Machine, and the path of its counter, or with `/` at its end what the paths of all begin with.
        ledgers: Files of what it showed, one for each run.
        with_history: It can keep history.
    """

    name: str
    port: int
    counters: tuple[str, str]
    ledgers: list[Path]
    with_history: bool

    def start(self, *, shifted: bool = False, history: bool = False, refuse: bool = False) -> None: ...
    def kill(self) -> None: ...
    def renew(self) -> None: ...
    def tell(self, command: str) -> None: ...


def renewed(plant: Plant, folder: Path) -> PkiFolder:
    """Another certificate and key of the same authority and names."""
    before = x509.load_pem_x509_certificate(plant.pki.machines[NAME].certificate.read_bytes())
    return Authority.load(plant.pki.opcua_authority).renew(before).install(PkiFolder(folder / "renewed"))


class NodeOpcua:
    """node-opcua, with what gateways stumble over (tests/foreign/server.mjs)."""

    name = "node-opcua"
    with_history = True
    counters = (MILL, "Many/V150")

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._server: ForeignServer = plant.server
        self.port = self._server.port
        self.ledgers: list[Path] = []

    def start(self, *, shifted: bool = False, history: bool = False, refuse: bool = False) -> None:
        self.ledgers.append(self._plant.folder / f"{self.name}-{time.time_ns()}.jsonl")
        self.ledgers[-1].touch()
        options = ["--ledger", str(self.ledgers[-1])]
        options += ["--shift-namespaces"] if shifted else []
        options += ["--history", "V150"] if history else []
        options += ["--refuse-transfer"] if refuse else []
        self._server.start(*options)
        self._server.tell("count", name="V150", path="Many/V150", interval=20)

    def kill(self) -> None:
        self._server.kill()

    def renew(self) -> None:
        own = renewed(self._plant, self._plant.folder / self.name)
        shutil.copy(own.key, self._server._trust / "own" / "private" / "private_key.pem")
        self._server._own = own

    def tell(self, command: str) -> None:
        self._server.tell(command)


class Simulator:
    """The simulated server with a machine that counts in 20 signals."""

    name = "simulator"
    with_history = False
    counters = ("urn:area4-sim:load:first", "Load/")

    def __init__(self, plant: Plant, runner: asyncio.Runner) -> None:
        self._plant, self._runner = plant, runner
        self._own = plant.pki.machines[NAME]
        self._trust = self._own.root
        self._process: SimulatorProcess | None = None
        self.port = plant.server.port
        self.ledgers: list[Path] = []

    def start(self, *, shifted: bool = False, history: bool = False, refuse: bool = False) -> None:
        assert not history, "the simulators keep no history"
        self.ledgers.append(self._plant.folder / f"{self.name}-{time.time_ns()}.jsonl")
        kinds = ("second", "first") if shifted else ("first",)
        options = Options(
            kinds=tuple(f"tests.tools.counting:{kind}" for kind in kinds), port=self.port, ledger=self.ledgers[-1],
            certificate=self._own.certificate, key=self._own.key, trust=(self._trust,),
            user_trust=(self._plant.pki.users.root,), log_file=self._plant.folder / "server.log",
        )  # fmt: skip
        os.environ |= {"AREA4_LOAD": "20x50", "AREA4_REFUSE_TRANSFER": "1" if refuse else ""}
        self._process = SimulatorProcess(options)
        self._runner.run(self._process.start())

    def kill(self) -> None:
        if self._process is not None:
            self._runner.run(self._process.kill())

    def renew(self) -> None:
        self._own = renewed(self._plant, self._plant.folder / self.name)

    def tell(self, command: str) -> None:
        assert self._process is not None
        self._runner.run(self._process.command(do=command))


@dataclass(frozen=True, slots=True)
class Row:
    """One interruption of one stack."""

    what: str
    stack: str
    rung: str
    report: DeliveryReport
    repeats: int
    silent: float
    back: float

    def text(self) -> str:
        report = self.report
        wrong = len(report.missing) + len(report.wrong) + len(report.disordered)
        return (
            f"| {self.what} | {self.stack} | {self.rung} | {report.expected} | {report.delivered - report.repeated} "
            f"| {report.backfilled} | {len(report.announced)} | {wrong} | {self.silent:.1f} | {self.back:.1f} |"
        )


HEAD = (
    "| interruption | server | how it went on | shown | delivered | of these from history | lost, and a gap says so "
    "| lost without a word, wrong | seconds away | seconds to data |\n|---|---|---|---|---|---|---|---|---|---|"
)


class Trial:
    """A server, a gateway and a consumer for one interruption."""

    def __init__(self, stack: Stack, gateway: Gateway, consumer: Consumer) -> None:
        self.stack, self.gateway = stack, gateway
        self._consumer = consumer
        self._observer = Observer(keep=True)
        self._arrivals: list[tuple[str, float]] = []

    def _mine(self, machine: str, path: str) -> bool:
        own, counter = self.stack.counters
        return machine == own and (path == counter or (counter.endswith("/") and path.startswith(counter)))

    def _take(self, wait: float = 0.05) -> None:
        messages = self._consumer.drain(wait)
        self._observer.take(messages)
        for message in messages:
            if message.topic.endswith("/data"):
                body = json.loads(message.payload)
                live = [one for one in body["samples"] if not one.get("backfilled")]
                times = [one["time"] for one in live if self._mine(body["machine"], one["path"])]
                if times:
                    self._arrivals.append((max(times), message.at))

    def flows(self, seconds: float) -> None:
        """Take what comes for some time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._take()

    def first_after(self, moment: float) -> float:
        """When the first value arrived that was shown after this moment."""
        end = time.monotonic() + WAIT
        while not (found := [at for shown, at in self._arrivals if unix(shown) > moment]):
            assert time.monotonic() < end, self.gateway.told()
            self._take()
        return found[0]

    def kill_gateway(self) -> None:
        process = self.gateway._process
        assert process is not None
        kill(process.pid)
        process.wait(10)

    def restarted(self, seconds: float, **options: bool) -> float:
        """The server was killed and is started again: the moment at which its port accepts connections."""
        self.stack.kill()
        self.flows(seconds)
        moments: list[float] = []
        poll = threading.Thread(target=lambda: moments.append(accepts(self.stack.port)))
        poll.start()
        self.stack.start(**options)
        poll.join()
        return moments[0]

    @property
    def rung(self) -> str:
        """How the source says that it went on."""
        log = self.gateway.log.read_text(encoding="utf-8")
        return max(RUNGS, key=log.rfind)

    @property
    def repeats(self) -> int:
        return sum(machine.stream.report().repeats for machine in self._observer.machines.values())

    def judged(self) -> DeliveryReport:
        """What was shown until now, compared with what arrives within some seconds."""
        until = iso(time.time())
        self.flows(SETTLE)
        machines = self._observer.machines.values()
        report = compare(
            self._until(values_by_signal(read_ledger(self.stack.ledgers)), until),
            self._until(self._observer.delivered, until),
            due_from={one.id: one.first or "" for one in machines},
            gaps=[Gap.of(gap) for one in machines for gap in one.gaps],
            backfilled=self._until(self._observer.backfilled, until),
        )
        for machine in machines:
            assert machine.stream.report().complete, machine.stream.report()
        for finding in (*report.missing[:5], *report.wrong[:5], *report.disordered[:5], *report.never[:5]):
            print(finding, flush=True)
        return report

    def _until(self, found: Mapping[Signal, Sequence[Entry]], until: str) -> dict[Signal, list[Entry]]:
        return {
            signal: [one for one in entries if (one.time or "") <= until]
            for signal, entries in found.items()
            if self._mine(*signal)
        }


def accepts(port: int) -> float:
    """The moment at which something listens."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return time.time()
    raise TimeoutError(f"nothing listens on {port}")


def cut(trial: Trial) -> float:
    trial.stack.tell("drop")
    return time.time()


def killed(trial: Trial) -> float:
    trial.kill_gateway()
    trial.flows(1.0)
    now = time.time()
    trial.gateway.start()
    return now


def forgotten(trial: Trial) -> float:
    trial.stack.tell("forget")
    return time.time()


def restarted(trial: Trial) -> float:
    return trial.restarted(1.0)


def long_away(trial: Trial) -> float:
    return trial.restarted(25.0)


def renamed(trial: Trial) -> float:
    return trial.restarted(1.0, shifted=True)


def certified(trial: Trial) -> float:
    trial.stack.renew()
    return trial.restarted(1.0)


@dataclass(frozen=True, slots=True)
class Interruption:
    """What happens; it returns the moment from which data could flow again."""

    what: str
    happen: Callable[[Trial], float]
    options: Mapping[str, bool] = field(default_factory=dict)


INTERRUPTIONS = (
    Interruption("all connections cut", cut),
    Interruption("gateway killed, 1 s later started", killed),
    Interruption("gateway killed; server refuses TransferSubscriptions", killed, {"refuse": True}),
    Interruption("the same, server keeps history", killed, {"refuse": True, "history": True}),
    Interruption("server forgets sessions and subscriptions", forgotten),
    Interruption("server killed, started 1 s later", restarted),
    Interruption("server killed, started 25 s later", long_away),
    Interruption("server killed, comes back with other namespace indexes", renamed),
    Interruption("server killed, comes back with a renewed certificate", certified),
)


def rows(stack: Stack, plant: Plant, wanted: str) -> Iterator[Row]:
    """Each interruption with a server, a gateway and a consumer of its own."""
    for number, one in enumerate(INTERRUPTIONS):
        if wanted not in one.what or ("history" in one.options and not stack.with_history):
            continue
        stack.ledgers.clear()
        stack.start(**one.options)
        gateway = plant.gateway(f"{stack.name}-{number}", queue_size=str(QUEUE))
        with Consumer(plant.consumer) as consumer:
            trial = Trial(stack, gateway, consumer)
            gateway.start()
            try:
                trial.first_after(0.0)
                trial.flows(SECONDS)
                left = time.time()
                back = one.happen(trial)
                first = trial.first_after(back)
                trial.flows(SECONDS)
                report = trial.judged()
                yield Row(one.what, stack.name, trial.rung, report, trial.repeats, back - left, first - back)
            finally:
                gateway.stop()
                stack.kill()


def measured(only: str | None, wanted: str) -> Iterator[Row]:
    """All stacks, one after the other."""
    with asyncio.Runner() as runner, tempfile.TemporaryDirectory() as folder:
        plant = Plant(Path(folder))
        runner.run(plant.broker.start())
        try:
            stacks: list[Stack] = [Simulator(plant, runner), NodeOpcua(plant)]
            for stack in stacks:
                if only in {None, stack.name}:
                    yield from rows(stack, plant, wanted)
        except Exception:
            print((plant.folder / "server.log").read_text(encoding="utf-8")[-3000:], flush=True)
            raise
        finally:
            runner.run(plant.broker.stop())


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["simulator", "node-opcua"], help="One stack; the page stays as it is.")
    parser.add_argument("--what", default="", help="Interruptions with this in their names; the page stays as it is.")
    given = parser.parse_args()
    print(HEAD)
    found = []
    for row in measured(given.only, given.what):
        found.append(row)
        print(row.text(), flush=True)
    if given.only is None and not given.what:
        insert(DOCS / "recovery.md", "\n".join([HEAD, *(row.text() for row in found)]))
    assert all(row.report.complete for row in found), "values are missing without a word, or wrong: see above"


if __name__ == "__main__":
    main()
