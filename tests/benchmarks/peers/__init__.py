"""Other ways to bring OPC UA to MQTT, each configured as its own documents recommend, in the same place as ours.

Their packages are installed into a folder that git ignores, by exact version, the first time they are wanted.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from security.pki.folder import PkiFolder
from simulators.parent import die_with_parent
from tests.benchmarks import counting
from tests.benchmarks.peers import nodered, thingsboard
from tests.benchmarks.stage import LoadLab

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("AREA4_BENCH_CACHE", HERE.parents[2] / ".bench"))
NODE = ("node-opcua-client@2.160.0", "mqtt@5.16.0")
NODERED = ("node-red@4.1.4", "node-red-contrib-opcua@0.2.354")
THINGSBOARD = ("thingsboard-gateway==3.8.5", "asyncua==1.1.5")


class MissingError(Exception):
    """A peer cannot be installed here; the text says why."""


@dataclass(frozen=True)
class Peer:
    """A gateway to compare with.

    Attributes:
        command: From its settings to its command line; may write files into `settings["folder"]`.
        topic: Where it publishes.
        content: What is in its messages.
        install: Makes its packages available, and returns their folder.
        rates: Values a second at which it is measured; None is as many as it takes.
    """

    name: str
    command: Callable[[dict[str, Any]], list[str]]
    topic: str
    content: counting.Content
    install: Callable[[], Path]
    rates: tuple[float | None, ...]
    answer: tuple[str, str] | None = None  # what its platform would say: topic and payload


def _npm(name: str, packages: tuple[str, ...]) -> Callable[[], Path]:
    def install() -> Path:
        folder = CACHE / name
        marker = folder / "installed"
        if not marker.exists() or marker.read_text() != " ".join(packages):
            if shutil.which("npm") is None:
                raise MissingError("npm is not installed")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "package.json").write_text("{}")
            _run(["npm", "install", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund",
                  "--save-exact", "--loglevel=error", *packages])  # fmt: skip
            marker.write_text(" ".join(packages))
        return folder

    return install


def _venv(name: str, packages: tuple[str, ...]) -> Callable[[], Path]:
    def install() -> Path:
        folder = CACHE / name
        marker = folder / "installed"
        if not marker.exists() or marker.read_text() != " ".join(packages):
            _run([sys.executable, "-m", "venv", "--clear", str(folder)])
            pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            _run([*pip, *packages])
            marker.write_text(" ".join(packages))
        return folder

    return install


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MissingError(f"{' '.join(command[:4])} ... failed: {done.stderr.strip()[-300:]}")


def _node(mode: str) -> Callable[[dict[str, Any]], list[str]]:
    return lambda settings: ["node", str(HERE / "node.mjs"), settings["file"], mode]


RATES = (2000.0, 10_000.0, None)

PEERS = (
    Peer("node-opcua + mqtt.js, one message in 100 ms", _node("batched"), "bench/node", counting.batched,
         _npm("node", NODE), RATES),
    Peer("node-opcua + mqtt.js, one per machine in 100 ms", _node("machines"), "bench/node/#", counting.batched,
         _npm("node", NODE), RATES),
    Peer("node-opcua + mqtt.js, one per value", _node("single"), "bench/node", counting.single, _npm("node", NODE),
         RATES),
    Peer("asyncua + paho, one per value", lambda settings: [sys.executable, str(HERE / "plain.py"), settings["file"]],
         "bench/plain", counting.single, lambda: HERE, RATES),
    Peer("Node-RED, OPC UA nodes", nodered.command, "bench/nodered", counting.single, _npm("nodered", NODERED), RATES),
    Peer("ThingsBoard gateway", thingsboard.command, "v1/#", counting.thingsboard, _venv("thingsboard", THINGSBOARD),
         RATES, thingsboard.ANSWER),
)  # fmt: skip
"""In the order of the report."""


async def start(peer: Peer, lab: LoadLab, folder: Path) -> asyncio.subprocess.Process:
    """Install it where needed, write its settings, start it; its output goes to a file in the folder.

    Settings have the NodeIds of all signals, machine by machine, and how many `signals` each machine has.
    """
    packages = await asyncio.to_thread(peer.install)
    folder.mkdir(parents=True, exist_ok=True)
    url, nodes = next(iter(lab.nodes().items()))
    own, mqtt = lab.pki.gateway_opcua, lab.pki.gateway_mqtt
    settings = {
        "packages": str(packages), "folder": str(folder), "file": str(folder / "settings.json"), "url": url,
        "nodes": nodes, "signals": lab.load["signals"],
        "application_uri": lab.pki.uris["gateway"], "certificate": str(own.certificate),
        "certificate_der": str(own.certificate_der), "key": str(own.key),
        "server_certificate": str(lab.pki.machines["load"].certificate_der), "mqtt_host": "127.0.0.1",
        "mqtt_port": lab.broker.port, "mqtt_ca": str(lab.pki.mqtt_ca_file),
        "mqtt_certificate": str(mqtt.certificate), "mqtt_key": str(mqtt.key),
    }  # fmt: skip
    Path(settings["file"]).write_text(json.dumps(settings))
    for place in (folder / "node-pki", folder / "node-red-opcua-nodejs" / "PKI"):
        _trust(own, lab.pki.machines["load"].certificate_der, place)
    with (folder / "output.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *peer.command(settings), stdout=log, stderr=log, stdin=asyncio.subprocess.DEVNULL, cwd=folder,
            start_new_session=True, preexec_fn=die_with_parent,
            env={**os.environ, "XDG_CONFIG_HOME": str(folder)},
        )  # fmt: skip
    if peer.answer is not None:
        topic, payload = peer.answer
        await asyncio.create_subprocess_exec(
            "mosquitto_pub", "-h", "127.0.0.1", "-p", str(lab.broker.port), "-q", "1", "-t", topic, "-m", payload,
            "--cafile", settings["mqtt_ca"], "--cert", settings["mqtt_certificate"], "--key", settings["mqtt_key"],
            "--repeat", "40", "--repeat-delay", "0.5", preexec_fn=die_with_parent,
        )  # fmt: skip
    return process


def _trust(own: PkiFolder, server: Path, place: Path) -> None:
    """The folder in which node-opcua looks for whom it trusts: the server, its authority, the revocation list."""
    for name, files in (
        ("trusted/certs", [server]),
        ("issuers/certs", own.trusted_certs.iterdir()),
        ("issuers/crl", own.trusted_crl.iterdir()),
    ):
        (place / name).mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copy(file, place / name / file.name)
    for file, name in ((own.certificate, "certs/client_certificate.pem"), (own.key, "private/private_key.pem")):
        (place / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place / "own" / name)
