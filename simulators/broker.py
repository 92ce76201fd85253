"""MQTT brokers for demo and tests: mosquitto where it is installed, else the embedded lab broker.

Both demand client certificates and read the same access list, rendered from deploy/mosquitto/. A broker runs in a
process of its own on loopback, dies with us, and can be killed for the sake of a test.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import signal
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import ClassVar

from gateway.model.names import escape_level
from security.files import make_folder, write_file
from simulators.parent import die_with_parent

_HERE = Path(__file__).resolve().parent
_PACKAGED = _HERE / "mosquitto"
TEMPLATES = _PACKAGED if _PACKAGED.is_dir() else _HERE.parent / "deploy" / "mosquitto"
"""In an installed wheel inside of this package, in a checkout where they are written."""

HOST = "127.0.0.1"
START_TIMEOUT = 20.0
STOP_TIMEOUT = 5.0
POLL = 0.02
PORT_ATTEMPTS = 5


class BrokerError(Exception):
    """A broker could not be started; the text says why, with the end of its log."""


@dataclass(frozen=True, slots=True)
class BrokerFiles:
    """PEM files of a broker: own certificate and key, the clients' authority and its revocation list."""

    certificate: Path
    key: Path
    ca_file: Path
    crl_file: Path


@dataclass(frozen=True, slots=True)
class Access:
    """Who may do what.

    Attributes:
        gateways: Site of each gateway, by the common name of its certificate.
        consumers: Common names that read everything.
    """

    gateways: Mapping[str, str]
    consumers: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What the broker takes at most, and how often it writes.

    Attributes:
        max_inflight: Messages in flight for each client.
        max_packet: Bytes of a packet.
        autosave_changes: Changes after which mosquitto writes its database: with 1 it keeps what it acknowledged, and
            is as slow as its disk.
    """

    max_inflight: int = 100
    max_packet: int = 4 * 1024 * 1024
    autosave_changes: int = 1


@dataclass(slots=True)
class Broker(ABC):
    """A broker process; `start` it, `stop` it, or `kill` it.

    Attributes:
        folder: Its own folder: configuration, access list, data, log.
        port: On `HOST`; chosen at the first start where it is 0, and kept for the next.
    """

    folder: Path
    files: BrokerFiles
    access: Access
    limits: Limits = field(default_factory=Limits)
    port: int = 0
    _process: asyncio.subprocess.Process | None = None

    kind: ClassVar[str] = ""
    protocols: ClassVar[tuple[str, ...]] = ()
    ready: ClassVar[bytes] = b""

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"mqtts://{HOST}:{self.port}"

    @property
    def log(self) -> Path:
        """Its log."""
        return self.folder / "broker.log"

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """Number of the process."""
        return self._process.pid if self._process is not None and self.running else None

    @abstractmethod
    def command(self) -> list[str]:
        """Write what the broker needs and say how it is started."""

    async def start(self) -> None:
        """Start and wait until it serves.

        Raises:
            BrokerError: It does not.
        """
        if self.running:
            return
        make_folder(self.folder)
        make_folder(self.folder / "data")
        chosen = self.port
        for attempt in range(PORT_ATTEMPTS):
            self.port = chosen or free_port()
            if await self._start():
                return
            taken = b"in use" in self._log_tail()
            if not taken or (chosen and attempt):
                break
        raise BrokerError(
            f"{self.kind} did not start on {HOST}:{self.port}: {self._log_tail().decode(errors='replace')}"
        )

    async def _start(self) -> bool:
        write_file(self.folder / "acl", render_access(self.access).encode(), mode=0o600, replace=True)
        command = self.command()
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=die_with_parent,
            )  # fmt: skip
        deadline = asyncio.get_running_loop().time() + START_TIMEOUT
        while self.running and asyncio.get_running_loop().time() < deadline:
            if self.ready in self.log.read_bytes():
                return True
            await asyncio.sleep(POLL)
        await self.kill()
        return False

    async def stop(self) -> None:
        """End it politely; killed where that takes too long."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await process.wait()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """SIGKILL: no last word, nothing saved."""
        process = self._process
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal: SIGSTOP and SIGCONT for a broker that hangs, SIGHUP to read lists and certificates anew."""
        if self._process is not None and self.running:
            self._process.send_signal(number)

    def _log_tail(self) -> bytes:
        return self.log.read_bytes()[-1000:] if self.log.exists() else b"no log"


class MosquittoBroker(Broker):
    """mosquitto, configured by deploy/mosquitto/."""

    __slots__ = ()
    kind: ClassVar[str] = "mosquitto"
    protocols: ClassVar[tuple[str, ...]] = ("5", "3.1.1")
    ready: ClassVar[bytes] = b" running"

    @staticmethod
    def binary() -> str | None:
        """Path of the program, None where it is not installed."""
        return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

    def command(self) -> list[str]:
        """Write mosquitto.conf and say how it is started."""
        program = self.binary()
        if program is None:
            raise BrokerError("mosquitto is not installed; install it (Debian: apt install mosquitto)")
        write_file(self.folder / "mosquitto.conf", self._render().encode(), mode=0o600, replace=True)
        return [program, "-c", str(self.folder / "mosquitto.conf")]

    def _render(self) -> str:
        return render_configuration(
            user=getpass.getuser(),
            bind=HOST,
            port=self.port,
            ca_file=self.files.ca_file,
            certificate=self.files.certificate,
            key=self.files.key,
            crl_file=self.files.crl_file,
            acl_file=self.folder / "acl",
            data_folder=self.folder / "data",
            log_destination="stderr",
            max_inflight=self.limits.max_inflight,
            max_packet=self.limits.max_packet,
            autosave_changes=self.limits.autosave_changes,
        )


class EmbeddedBroker(Broker):
    """The lab broker in Python (simulators.embedded_broker): MQTT 3.1.1, nothing kept over a restart."""

    __slots__ = ()
    kind: ClassVar[str] = "embedded"
    protocols: ClassVar[tuple[str, ...]] = ("3.1.1",)
    ready: ClassVar[bytes] = b"embedded broker ready"

    def command(self) -> list[str]:
        """How it is started."""
        files = self.files
        return [
            *(sys.executable, "-m", "simulators.embedded_broker", "--host", HOST, "--port", str(self.port)),
            *("--certificate", str(files.certificate), "--key", str(files.key)),
            *("--ca-file", str(files.ca_file), "--crl-file", str(files.crl_file)),
            *("--access-list", str(self.folder / "acl")),
        ]


BROKER_KINDS: Mapping[str, type[Broker]] = {kind.kind: kind for kind in (MosquittoBroker, EmbeddedBroker)}
"""Brokers by the name of their kind."""


async def start_broker(
    folder: Path,
    files: BrokerFiles,
    access: Access,
    *,
    limits: Limits | None = None,
    port: int = 0,
    kind: str = "auto",
) -> Broker:
    """A broker, started: of this kind, or by `auto` mosquitto where it is installed, else the embedded one.

    Raises:
        BrokerError: It does not start, or there is no such kind.
    """
    installed = MosquittoBroker.kind if MosquittoBroker.binary() else EmbeddedBroker.kind
    made = BROKER_KINDS.get(installed if kind == "auto" else kind)
    if made is None:
        raise BrokerError(f"no broker of kind {kind!r}; there are: auto, {', '.join(BROKER_KINDS)}")
    broker = made(folder, files, access, limits or Limits(), port)
    await broker.start()
    return broker


def render_configuration(**values: object) -> str:
    """mosquitto.conf from its template; a value for each placeholder that deploy/mosquitto/README.md lists."""
    return Template((TEMPLATES / "mosquitto.conf.template").read_text(encoding="utf-8")).substitute(values)


def render_access(access: Access) -> str:
    """The access list of these gateways and consumers, from acl.template."""
    head, *blocks = (TEMPLATES / "acl.template").read_text(encoding="utf-8").split("\n#: ")
    parts = dict(block.split("\n", 1) for block in blocks)
    lines = [head]
    for gateway, site in access.gateways.items():
        names = {"gateway": gateway, "gateway_level": escape_level(gateway), "site": escape_level(site)}
        lines.append(Template(parts["gateway"]).substitute(names))
    lines += [Template(parts["consumer"]).substitute(consumer=consumer) for consumer in access.consumers]
    return "\n".join(lines)


def free_port() -> int:
    """A port of `HOST` that nobody uses now."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])
