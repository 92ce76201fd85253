"""An OPC UA server of another stack (tests/foreign/server.mjs), mosquitto, the real gateway and a plain consumer."""

from __future__ import annotations

import asyncio
import json
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from conformance.consumer import Access as ConsumerAccess
from conformance.consumer import Consumer
from conformance.observer import MachineView, Observer
from gateway.cli.template import Answers, configuration
from security.pki import LabPki, create_lab
from simulators.broker import Access, BrokerFiles, Limits, MosquittoBroker, free_port

SERVER = Path(__file__).parents[2] / "foreign" / "server.mjs"
SITE, NAME = "foreign", "server"
URI = f"urn:area4:{SITE}:{NAME}"
"""ApplicationUri that server.mjs has and `create_lab` gives to its certificate."""

MILL, POOR = "urn:area4:foreign:F-1", "urn:area4:foreign:POOR"
DEADLINE = 40.0
FAST = 10_000  # changes between two writes of mosquitto: its disk is not what is tested here


class ForeignServer:
    """The node-opcua server as a process; it answers one line to each line, and ends with its standard input.

    Args:
        pki: Of the lab.
        folder: For its own trust list and its log.
    """

    def __init__(self, pki: LabPki, folder: Path) -> None:
        self.port = free_port()
        self.log = folder / "server.log"
        self._own = pki.machines[NAME]
        self._trust = folder / "trust"
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._process: subprocess.Popen[bytes] | None = None
        self.namespace = 0
        shutil.copytree(self._own.root / "trusted", self._trust / "trusted")
        shutil.copytree(pki.users.root / "issuers", self._trust / "issuers")
        shutil.copytree(pki.users.root / "trusted", self._trust / "trusted", dirs_exist_ok=True)
        private = self._trust / "own" / "private"
        private.mkdir(parents=True)
        shutil.copy(self._own.key, private / "private_key.pem")  # else it makes one, which takes seconds

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}"

    def start(self, *options: str) -> None:
        """Start it on its port and wait until it serves."""
        self.begin(*options)
        self.serving()

    def begin(self, *options: str) -> None:
        """Start it on its port."""
        node = shutil.which("node")
        assert node is not None, "node is not installed: run tests/tools/ensure.sh"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [node, SERVER, "--port", str(self.port), "--certificate", self._own.certificate,
                 "--key", self._own.key, "--pki", self._trust, *options],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        self._answers = queue.Queue()
        threading.Thread(target=_read, args=(self._process, self._answers), daemon=True).start()

    def serving(self) -> None:
        """Wait until it serves; `namespace` is then the index of its instances."""
        answer = self._answer()
        assert str(self.port) in answer["ready"]
        self.namespace = answer["namespace"]

    def tell(self, command: str, **parameters: Any) -> dict[str, Any]:
        """Let it do something; what it answered."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.write(json.dumps({"command": command, **parameters}).encode() + b"\n")
        process.stdin.flush()
        answer = self._answer()
        assert "failed" not in answer, answer
        return answer

    def stop(self) -> None:
        """Let it end as a server should: sessions closed, clients told."""
        if self._process is not None and self._process.poll() is None:
            self.tell("stop")
        self._ended()

    def kill(self) -> None:
        """SIGKILL: no last word."""
        if self._process is not None:
            self._process.kill()
        self._ended()

    def _ended(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.wait(DEADLINE)
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()

    def _answer(self) -> dict[str, Any]:
        try:
            answer = self._answers.get(timeout=DEADLINE)
        except queue.Empty:
            pytest.fail(f"the server did not answer: {self.log.read_text()[-2000:]}")
        assert answer is not None, f"the server ended: {self.log.read_text()[-2000:]}"
        return answer


def _read(process: subprocess.Popen[bytes], answers: queue.Queue[dict[str, Any] | None]) -> None:
    """Its answers; whatever else it prints is for people."""
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith(b"{"):
                answers.put(json.loads(line))
    except ValueError:
        return  # the test has closed the stream
    answers.put(None)


class View:
    """A plain consumer that keeps all it gets; topics of what was not retained are `live`."""

    def __init__(self, access: ConsumerAccess) -> None:
        self.observer = Observer(keep=True)
        self.samples: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.topics: set[str] = set()
        self.live: set[str] = set()
        self._seen: set[tuple[str, str, int]] = set()
        self._consumer = Consumer(access)

    def __enter__(self) -> Self:
        self._consumer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.__exit__(kind, error, trace)

    def take(self, wait: float = 0.0) -> None:
        """Take what has come."""
        messages = self._consumer.drain(wait)
        self.observer.take(messages)
        for one in messages:
            self.topics.add(one.topic)
            if not one.retained:
                self.live.add(one.topic)
            if one.topic.endswith("/data"):
                self._keep(json.loads(one.payload))
        assert not self.observer.unreadable

    def _keep(self, message: dict[str, Any]) -> None:
        key = (message["machine"], message["epoch"], message["seq"])
        if key not in self._seen:  # a repeat is dropped, as docs/topics.md says
            self._seen.add(key)
            for sample in message["samples"]:
                self.samples.setdefault((message["machine"], sample["path"]), []).append(sample)

    def machine(self, identity: str = MILL) -> MachineView:
        return self.observer.machines.get(identity) or MachineView(identity)

    def of(self, path: str, machine: str = MILL) -> list[dict[str, Any]]:
        """All samples of a signal in the order of the stream."""
        return self.samples.get((machine, path), [])

    def until(self, condition: Callable[[], object], within: float = DEADLINE, told: Callable[[], str] = str) -> None:
        """Take messages until the condition is true."""
        end = time.monotonic() + within
        while not condition():
            assert time.monotonic() < end, f"did not come within {within} s\n{told()}"
            self.take(wait=0.05)


class Gateway:
    """`area4 run` as a process with a configuration of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "area4.toml"
        self.log = folder / "gateway.log"
        text = self.config.read_text(encoding="utf-8")
        self._address = next(line.split('"')[1] for line in text.splitlines() if line.startswith("listen"))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gateway.cli", "run", "--config", self.config],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> int:
        """End it as systemd would; its exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            pytest.fail(f"the gateway did not end within {DEADLINE} s of SIGTERM\n{self.told()}")

    def get(self, path: str) -> str:
        """What its status page says there, whatever the status; empty while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://{self._address}{path}", timeout=10) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as problem:
            with problem:
                return str(problem.read().decode())
        except OSError:
            return ""

    def told(self) -> str:
        """The end of its log, for a test that fails."""
        return self.log.read_text(encoding="utf-8")[-3000:]


@dataclass
class Plant:
    """Certificates, broker and server of a module; gateways are made for it.

    Attributes:
        folder: Of all.
    """

    folder: Path
    pki: LabPki = field(init=False)
    broker: MosquittoBroker = field(init=False)
    server: ForeignServer = field(init=False)

    def __post_init__(self) -> None:
        self.pki = create_lab(self.folder / "pki", machines=[NAME], site=SITE)
        own = self.pki.broker
        files = BrokerFiles(own.certificate, own.key, self.pki.mqtt_ca_file, self.pki.mqtt_crl_file)
        access = Access({"gateway": SITE}, ["watcher"])
        self.broker = MosquittoBroker(self.folder / "broker", files, access, Limits(autosave_changes=FAST))
        self.server = ForeignServer(self.pki, self.folder)

    @property
    def consumer(self) -> ConsumerAccess:
        own = self.pki.watchers["watcher"]
        return ConsumerAccess(self.broker.url, self.pki.mqtt_ca_file, own.certificate, own.key)

    def gateway(self, name: str, *, user: str = "certificate", **changes: str) -> Gateway:
        """A gateway in a folder of its own with a PKI that a test may spoil.

        Args:
            name: Of its folder.
            user: `certificate`, `anonymous`, or a name; its password is then expected in the file `password`.
            changes: Lines of the configuration by their key, as TOML values.
        """
        folder = self.folder / name
        shutil.copytree(self.pki.root, folder / "pki")
        answers = Answers(
            name="gateway",
            site=SITE,
            servers={"mill": self.server.url},
            broker=self.broker.url,
            user=user,
            password_file=Path("password"),
            application_uri=self.pki.uris["gateway"],
            opcua=Path("pki/gateway/opcua"),
            mqtt=Path("pki/gateway/mqtt"),
            user_pki=Path("pki/gateway/user"),
            listen=f"127.0.0.1:{free_port()}",
        )
        lines = configuration(answers).splitlines()
        for key, value in changes.items():
            at = next(number for number, line in enumerate(lines) if line.startswith(f"{key} = "))
            lines[at] = f"{key} = {value}"
        (folder / "area4.toml").write_text("\n".join(lines), encoding="utf-8")
        return Gateway(folder)

    @contextmanager
    def running(self, gateway: Gateway) -> Iterator[View]:
        """A consumer, and this gateway until the block ends; it must end politely."""
        with View(self.consumer) as view:
            gateway.start()
            try:
                yield view
            finally:
                code = gateway.stop()
            assert code == 0, gateway.told()


def waited() -> float:
    """Seconds in which some process of this computer waited for a CPU; 0 where the kernel does not count them."""
    try:
        some = Path("/proc/pressure/cpu").read_text(encoding="ascii").splitlines()[0]
    except OSError:
        return 0.0
    return int(some.rsplit("total=", 1)[1]) / 1e6


def write_password(gateway: Gateway, password: str) -> None:
    """The password of a user by name."""
    file = gateway.folder / "password"
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(password)


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    made = Plant(tmp_path_factory.mktemp("foreign"))
    with asyncio.Runner() as runner:
        try:
            made.server.begin()
            runner.run(made.broker.start())
            made.server.serving()
            yield made
        finally:
            made.server.kill()
            runner.run(made.broker.stop())


def unix(text: str) -> float:
    """Unix seconds of a time as it stands in messages."""
    return datetime.fromisoformat(text).timestamp()
