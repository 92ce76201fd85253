"""What a benchmark runs on: a load source, mosquitto with mutual TLS, a counting subscriber; and what is read of it.

The subscriber is `mosquitto_sub`, which writes each message with the time of its arrival to a file; it costs little,
and everything is counted and compared after the measurement, from the file.
"""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.cli.lab import Lab, prepare_folder
from gateway.cli.template import Answers
from simulators.broker import Access, BrokerFiles, Limits, MosquittoBroker
from simulators.load.process import LoadOptions, LoadProcess

HERTZ = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
SECURE = ["--tls-version", "tlsv1.3"]

PEER_ACL = "\nuser gateway\ntopic write bench/#\ntopic readwrite v1/#\n\nuser watcher\ntopic read #\n"
"""Peers have topics of their own."""


@dataclass
class LoadLab(Lab):
    """A lab whose machines are a load source.

    Attributes:
        load: What it shows; certificates and trust are filled in.
        interval: Publishing interval in seconds that the gateway asks for.
    """

    load: dict[str, Any] = field(default_factory=dict)
    interval: float = 0.1
    source: LoadProcess = field(init=False)

    async def start_machines(self) -> None:
        """Certificates, broker, source."""
        prepare_folder(self.folder)
        self.machines = ()
        self.pki = await asyncio.to_thread(_create_lab, self.folder / "pki")
        files = BrokerFiles(
            self.pki.broker.certificate, self.pki.broker.key, self.pki.mqtt_ca_file, self.pki.mqtt_crl_file
        )
        limits = Limits(autosave_changes=1_000_000)  # else the broker's database is what is measured
        self.broker = PeerBroker(self.folder / "broker", files, Access({"gateway": "lab"}, ["watcher"]), limits)
        await self.broker.start()
        own = self.pki.machines["load"]
        options = LoadOptions(
            own.certificate_der, own.key, (own.trusted_certs, own.trusted_crl), (self.pki.users.root,),
            anonymous=True, nodes=self.folder / "nodes.json", log_file=self.folder / "load.log", **self.load,
        )  # fmt: skip
        self.source = LoadProcess(options)
        await self.source.start(within=180)

    def nodes(self) -> dict[str, list[str]]:
        """NodeIds of all signals by URL."""
        return json.loads((self.folder / "nodes.json").read_text())

    async def stop(self) -> None:
        if hasattr(self, "source"):
            await self.source.stop()
        await super().stop()

    def write_configuration(self) -> None:
        super().write_configuration()
        text = self.config_file.read_text()
        text = text.replace("publishing_interval = 0.1 ", f"publishing_interval = {self.interval} ")
        self.config_file.write_text(text)

    def _answers(self) -> Answers:
        answers = super()._answers()
        urls = {f"load{number}": url for number, url in enumerate(self.source.urls, 1)}
        return Answers(**{**{name: getattr(answers, name) for name in answers.__dataclass_fields__}, "servers": urls})


class PeerBroker(MosquittoBroker):
    """Lets peers write to topics of their own."""

    async def start(self) -> None:
        await super().start()
        acl = next(self.folder.glob("*acl*"))
        acl.write_text(acl.read_text() + PEER_ACL)
        assert self.pid is not None
        os.kill(self.pid, signal.SIGHUP)


def _create_lab(root: Path) -> Any:
    from security.pki.lab import create_lab

    return create_lab(root, machines=["load"], gateway="gateway", watchers=["watcher"], site="lab")


@contextlib.asynccontextmanager
async def subscriber(lab: LoadLab, topic: str, file: Path) -> AsyncIterator[None]:
    """Writes every message to a file while the block runs: arrival, topic, payload, one line each."""
    own = lab.pki.watchers["watcher"]
    with file.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            "mosquitto_sub", "-V", "5", "-h", "127.0.0.1", "-p", str(lab.broker.port), "-q", "1", "-t", topic,
            "--cafile", str(lab.pki.mqtt_ca_file), "--cert", str(own.certificate), "--key", str(own.key), *SECURE,
            "-F", "%U %t %p", stdout=output,
        )  # fmt: skip
        try:
            await asyncio.sleep(0.5)
            assert process.returncode is None, "mosquitto_sub ended at once"
            yield
        finally:
            await _ended(process)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """End it, politely at first; what it has written is in the file message by message."""
    process.terminate()
    try:
        async with asyncio.timeout(5):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(child) for child in task.read_text().split()]
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its children."""
    total = 0
    for one in family(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
    return total / HERTZ


def resident_megabytes(pid: int) -> float:
    """RSS of a process and its children."""
    total = 0
    for one in family(pid):
        with contextlib.suppress(OSError):
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1])
    return total * PAGE / 1e6


@dataclass
class Window:
    """A while in which something was measured; times are Unix times."""

    begin: float
    end: float
    cpu: float
    memory: float
    source: dict[str, Any]


async def window(lab: LoadLab, pid: int, rate: float | None, seconds: float, settle: float = 2.0) -> Window:
    """Set the rate, let it settle, and measure a process for some seconds."""
    await lab.source.rate(rate)
    await asyncio.sleep(settle)
    await lab.source.rate(rate)  # counts anew
    begin, used = time.time(), cpu_seconds(pid)
    await asyncio.sleep(seconds)
    end, used = time.time(), cpu_seconds(pid) - used
    return Window(begin, end, used, resident_megabytes(pid), await lab.source.rate(rate))
