"""The stage of `area4 conform gateway`: a lab whose gateway is the one under test, and whose parts can be replaced."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import json
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from conformance.consumer import Access
from conformance.gateway.stage import BrokerImpostor, ServerImpostor, Socket, Witness
from gateway.cli.lab import GATEWAY, Lab, MachineSpec, prepare_folder
from gateway.errors import Area4Error
from security.pki.authority import Authority, Issued
from security.pki.folder import PkiFolder
from security.pki.lab import MQTT_CA, trust_authority
from simulators import impostors
from simulators.broker import Limits
from simulators.parent import die_with_parent
from simulators.process import Options, SimulatorProcess

STAGE_FILE = "stage.json"
SERVER = "probe"
MACHINES = (
    MachineSpec(SERVER, "simulators.machines.probe:probe", "P-1", 1),
    MachineSpec("mill", "machining-centre", "MC-1", 1),
)
"""One with everything that is hard to carry, and one as it stands on shop floors; each has a server of its own."""
OWN = "area4"
"""Instead of a command: this gateway."""

_SHORT = dt.timedelta(seconds=1)
"""Of a certificate that has expired when it is shown."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """The gateway under test.

    Attributes:
        command: How it is started, `{stage}` is the stage's file; `area4` is this gateway; None: somebody starts it.
    """

    command: str | None = None

    def arguments(self, stage: Path, config: Path) -> list[str]:
        """The command line."""
        if self.command == OWN:
            return [sys.executable, "-m", "gateway.cli", "run", "--config", str(config)]
        assert self.command is not None
        return [part.replace("{stage}", str(stage)) for part in shlex.split(self.command)]


class LabStage:
    """See `conformance.gateway.stage.Stage`."""

    def __init__(self, folder: Path, gateway: Gateway, machines: Sequence[MachineSpec] = MACHINES) -> None:
        self.folder = folder
        self.startable = gateway.command is not None
        self.machines: tuple[str, ...] = ()
        self._gateway = gateway
        self._lab = Lab(folder, machines=machines, limits=Limits(autosave_changes=10))
        self._process: asyncio.subprocess.Process | None = None
        self._ledgers = self._lab.ledgers

    @property
    def access(self) -> Access:
        """Of the consumer."""
        return self._lab.consumer

    @property
    def ledgers(self) -> list[Path]:
        """The truth; a server that was replaced and came back began a file of its own."""
        return self._ledgers

    @property
    def stage_file(self) -> Path:
        """What a gateway must be told, as JSON."""
        return self.folder / STAGE_FILE

    async def start(self) -> None:
        """Certificates, broker, machines, the stage's file, and the gateway."""
        try:
            prepare_folder(self.folder)
            await self._lab.start_machines()
        except Area4Error as problem:
            raise OSError(problem.told) from problem
        self.machines = tuple(uri for one in self._lab.simulators.values() for uri in one.machines)
        self._write()
        self._make_impostors()
        await self._start_gateway()

    async def stop(self) -> None:
        """The gateway first."""
        await self._end_gateway()
        await self._lab.stop()

    async def pause(self) -> None:
        """All machines."""
        await self._lab.pause_machines()

    async def resume(self) -> None:
        """All machines."""
        for simulator in self._lab.simulators.values():
            await simulator.command(do="resume")

    async def status(self, path: str, name: str) -> None:
        """Of the first server's machines."""
        await self._simulator.command(do="status", path=path, status=name)

    async def broker_down(self) -> None:
        """SIGTERM."""
        await self._lab.broker.stop()

    async def broker_up(self) -> None:
        """At its port."""
        await self._lab.broker.start()

    async def broker_freeze(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT."""
        self._lab.broker.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._lab.broker.signal(signal.SIGCONT)

    async def server_cut(self) -> None:
        """The simulator drops its connections."""
        await self._simulator.command(do="drop")

    async def server_restart(self, seconds: float) -> None:
        """The simulator closes its port and forgets."""
        await self._simulator.command(do="restart", seconds=seconds)

    async def gateway_kill(self) -> None:
        """The whole process group."""
        if self._process is not None:
            _signal_group(self._process, signal.SIGKILL)
            await self._process.wait()
        await self._start_gateway()

    async def broker_renew(self) -> None:
        """A new key and certificate for the same names."""
        pki, hosts = self._lab.pki, ("localhost", "127.0.0.1")
        Authority.load(pki.mqtt_authority).issue_server("broker", hosts).install(pki.broker, replace=True)
        await self.broker_down()
        await self.broker_up()

    async def broker_refuse(self, seconds: float) -> None:
        """The true certificate, and no client's authority is known."""
        own, other = self._lab.pki.broker, self.folder / "impostors" / "authority" / "ca.pem"
        await self.broker_down()
        try:
            async with impostors.broker(self._lab.broker.port, own.certificate, own.key, clients=other):
                await asyncio.sleep(seconds)
        finally:
            await self.broker_up()

    async def altering(self) -> dict[str, int]:
        """Of all simulators together."""
        told = [await one.command(do="altering") for one in self._lab.simulators.values()]
        return {name: sum(one[name] for one in told) for name in ("Write", "Call")}

    def connections(self) -> list[Socket]:
        """Of the gateway's process group, from /proc; also those that are being made."""
        if self._process is None or self._process.returncode is not None:
            return []
        known = {urlsplit(one.url).port for one in self._lab.simulators.values()} | {self._lab.broker.port}
        known |= {one.port for one in self.sockets()}  # whoever looks at its page, and a relay of its own
        return [one for one in sockets_of(self._process.pid, _CONNECTED) if one.port not in known]

    @asynccontextmanager
    async def broker_impostor(self, kind: BrokerImpostor) -> AsyncIterator[Witness]:
        """The broker is down meanwhile."""
        own = None if kind == "plain" else PkiFolder(self._impostor("mqtt", kind))
        await self.broker_down()
        try:
            files = (own.certificate, own.key) if own is not None else (None, None)
            async with impostors.broker(self._lab.broker.port, *files) as witness:
                yield witness
        finally:
            await self.broker_up()

    @asynccontextmanager
    async def server_impostor(self, kind: ServerImpostor) -> AsyncIterator[Witness]:
        """The simulated server is away meanwhile; it comes back at its port and goes on."""
        old = self._simulator
        port = urlsplit(old.url).port or 0
        own = None if kind == "none" else PkiFolder(self._impostor("opcua", kind))
        certificate, key = (own.certificate_der, own.key) if own is not None else (None, None)
        impostor = impostors.ServerImpostor(port, certificate, key, self._lab.pki.uris[SERVER])
        await old.stop()
        await impostor.start()
        try:
            yield impostor.witness
        finally:
            await impostor.stop()
            self._ledgers.append(self.folder / f"ledger-{SERVER}-{len(self._ledgers)}.jsonl")
            assert isinstance(old.options, Options)
            fresh = SimulatorProcess(replace(old.options, port=port, ledger=self._ledgers[-1]))
            self._lab.simulators[SERVER] = fresh
            await fresh.start()

    def log(self) -> str:
        """The whole log."""
        file = self._lab.gateway_log
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""

    def sockets(self) -> list[Socket]:
        """Of the gateway's process group, from /proc."""
        if self._process is None or self._process.returncode is not None:
            return []
        return sockets_of(self._process.pid, _LISTENING)

    def secrets(self) -> list[str]:
        """A line of each private key."""
        pki = self._lab.pki
        keys = [pki.gateway_mqtt.key, pki.gateway_opcua.key, pki.user.key]
        return [key.read_text(encoding="ascii").splitlines()[1] for key in keys]

    @property
    def _simulator(self) -> SimulatorProcess:
        return self._lab.simulators[SERVER]

    def _impostor(self, part: str, kind: str) -> Path:
        return self.folder / "impostors" / part / kind

    def _write(self) -> None:
        """The stage's file, and this gateway's configuration beside it."""
        pki, lab = self._lab.pki, self._lab
        lab.write_configuration()
        told = {
            "machines": self.machines,
            "servers": {name: one.url for name, one in lab.simulators.items()},
            "opcua": {
                "url": self._simulator.url,
                "application_uri": pki.uris["gateway"],
                "certificate": pki.gateway_opcua.certificate_der,
                "key": pki.gateway_opcua.key,
                "user_certificate": pki.user.certificate,
                "user_key": pki.user.key,
                "ca": pki.opcua_authority / "ca.der",
                "crl": pki.opcua_authority / "crl.der",
                "server_uri": pki.uris[SERVER],
            },
            "mqtt": {
                "url": lab.broker.url,
                "protocol": lab.broker.protocols[0],
                "ca": pki.mqtt_ca_file,
                "crl": pki.mqtt_authority / "crl.pem",
                "certificate": pki.gateway_mqtt.certificate,
                "key": pki.gateway_mqtt.key,
                "broker_certificate": pki.broker.certificate,
                "broker_key": pki.broker.key,
                "topics": f"area4/v1/lab/+/# and area4/v1/lab/_gateway/{GATEWAY}/#",
            },
            "area4": {"config": lab.config_file},
        }
        self.stage_file.write_text(json.dumps(told, indent=2, default=str) + "\n", encoding="utf-8")

    def _make_impostors(self) -> None:
        """Certificates of everybody who will pretend; a revoked one is on the lists before the gateway starts."""
        pki = self._lab.pki
        hosts = ("localhost", "127.0.0.1")
        mqtt = Authority.load(pki.mqtt_authority)
        other = Authority.create(self.folder / "impostors" / "authority", "somebody else", key_kind="rsa-2048")
        revoked = mqtt.issue_server("broker", hosts)
        mqtt.revoke(revoked.certificate)
        for folder in (pki.broker, pki.gateway_mqtt, *pki.watchers.values()):
            trust_authority(folder, mqtt, MQTT_CA, pem=True)
        opcua = Authority.load(pki.opcua_authority)
        uri = pki.uris[SERVER]
        issued: dict[tuple[str, str], Issued] = {
            ("mqtt", "unknown-authority"): other.issue_server("broker", hosts),
            ("mqtt", "expired"): mqtt.issue_server("broker", hosts, lifetime=_SHORT),
            ("mqtt", "wrong-host"): mqtt.issue_server("broker", ("elsewhere.example",)),
            ("mqtt", "revoked"): revoked,
            ("opcua", "unknown-authority"): other.issue_application(SERVER, uri=uri, hosts=hosts),
            ("opcua", "expired"): opcua.issue_application(SERVER, uri=uri, hosts=hosts, lifetime=_SHORT),
            ("opcua", "wrong-uri"): opcua.issue_application(SERVER, uri=f"{uri}:certified", hosts=hosts),
        }
        for (part, kind), one in issued.items():
            one.install(PkiFolder(self._impostor(part, kind)))

    async def _start_gateway(self) -> None:
        if not self.startable:
            return
        command = self._gateway.arguments(self.stage_file, self._lab.config_file)
        with self._lab.gateway_log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=die_with_parent,
            )  # fmt: skip

    async def _end_gateway(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        _signal_group(process, signal.SIGTERM)
        try:
            async with asyncio.timeout(20):
                await process.wait()
        except TimeoutError:
            _signal_group(process, signal.SIGKILL)
            await process.wait()


def _signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """To the gateway and all that it has started."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def sockets_of(group: int, states: Sequence[str]) -> list[Socket]:
    """TCP sockets of a process group in some states, from /proc (Linux): where they listen, or where they lead."""
    inodes: set[str] = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(folder.name)) == group:
                opened = [str(one.readlink()) for one in (folder / "fd").iterdir()]
                inodes |= {one[len(_SOCKET) : -1] for one in opened if one.startswith(_SOCKET)}
        except OSError:
            continue  # it has ended meanwhile
    found = []
    for name in ("tcp", "tcp6"):
        for line in (Path("/proc/net") / name).read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] in states and fields[9] in inodes:
                address, _, port = fields[1 if fields[3] in _LISTENING else 2].partition(":")
                found.append(Socket(_host(address), int(port, 16)))
    return found


def _host(text: str) -> str:
    """Of /proc/net/tcp: words of four bytes, each in the host's order."""
    words = [bytes.fromhex(text[at : at + 8])[::-1] for at in range(0, len(text), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


_LISTENING = ("0A",)
_CONNECTED = ("01", "02")
"""ESTABLISHED and SYN_SENT."""

_SOCKET = "socket:["
