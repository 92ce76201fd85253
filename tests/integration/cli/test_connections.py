"""`discover`, `check` and `run` against a simulated machine tool and a real broker, by the real command."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from conformance.consumer import Consumer
from gateway.cli.lab import MACHINES, Lab
from gateway.cli.template import configuration
from security.pki import create_lab
from simulators.process import Options, SimulatorProcess

from .conftest import COMMAND, Area4, assert_told, change, free_port


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A machining centre and a broker; no gateway."""
    made = Lab(tmp_path_factory.mktemp("lab"), machines=MACHINES[:1], ledger=False)
    with asyncio.Runner() as runner:
        try:
            runner.run(made.start_machines())
            yield made
        finally:
            runner.run(made.stop())


@pytest.fixture
def folder(lab: Lab, tmp_path: Path) -> Path:
    """An installation of its own, to be spoilt, for the same machine and broker."""
    made = tmp_path / "gateway"
    shutil.copytree(lab.folder / "pki", made / "pki")
    lab.http_port = free_port()
    (made / "area4.toml").write_text(configuration(lab._answers()), encoding="utf-8")
    return made


def test_discover_shows_the_machine_and_what_would_be_published(area4: Area4, lab: Lab, folder: Path) -> None:
    url, pki = lab.simulators["mill"].url, folder / "pki/gateway/opcua"
    result = area4("discover", url, "--pki", pki, "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert {one["policy"] for one in found["endpoints"]} >= {"Aes256_Sha256_RsaPss", "Basic256Sha256"}
    assert found["certificates"][0]["applicationUri"] == "urn:area4:lab:mill"
    (machine,) = found["machines"]
    assert machine["id"] == lab.simulators["mill"].machines[0]
    assert len(machine["signals"]) > 50
    assert found["error"] is None
    people = area4("discover", "--config", folder / "area4.toml", "--source", "mill", "--signals")
    assert people.returncode == 0, people.stderr
    assert machine["id"] in people.stdout
    assert "Monitoring/MachineTool/OperationMode" in people.stdout
    assert "lacks" in people.stdout


def test_discover_without_a_pki_says_so_and_is_refused(area4: Area4, lab: Lab) -> None:
    result = area4("discover", lab.simulators["mill"].url)
    assert_told(result, 3)
    assert "a certificate made for this call is shown" in result.stdout
    assert "Aes256_Sha256_RsaPss" in result.stdout
    assert "urn:area4:lab:mill" in result.stdout


def test_discover_does_not_trust_another_certificate_than_the_named_one(area4: Area4, lab: Lab) -> None:
    result = area4("discover", lab.simulators["mill"].url, "--trust", "00" * 20)
    assert_told(result, 3, "the server shows another certificate")


def test_check_finds_that_everything_works(area4: Area4, folder: Path) -> None:
    result = area4("check", "--config", folder / "area4.toml")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines()[-1] == "Everything works."
    assert "FAILED" not in result.stdout
    found = json.loads(area4("check", "--config", folder / "area4.toml", "--json").stdout)
    assert found["ok"] is True
    assert [one["link"] for one in found["checked"]] == ["this computer", "source.mill", "sink.broker"]
    assert all(step["ok"] for one in found["checked"] for step in one["steps"])


def _other_authority(folder: Path, place: str, tmp_path: Path) -> None:
    """Trust somebody else's authority instead."""
    other = create_lab(tmp_path / "other", machines=[])
    source = other.gateway_mqtt if place == "mqtt" else other.gateway_opcua
    target = folder / "pki/gateway" / place / "trusted"
    shutil.rmtree(target)
    shutil.copytree(source.root / "trusted", target)


def _other_identity(folder: Path, place: str, tmp_path: Path) -> None:
    """Show a certificate of somebody else's authority."""
    other = create_lab(tmp_path / "other", machines=[])
    source = other.gateway_mqtt if place == "mqtt" else other.gateway_opcua
    target = folder / "pki/gateway" / place / "own"
    shutil.rmtree(target)
    shutil.copytree(source.own, target)


PEERS: list[tuple[str, Callable[[Path, Path], object], int, str]] = [
    ("broker of another authority", lambda f, t: _other_authority(f, "mqtt", t), 3, "sink.broker"),
    ("broker refuses our certificate", lambda f, t: _other_identity(f, "mqtt", t), 3, "sink.broker"),
    ("broker refuses the topic", lambda f, t: change(f, 'site = "lab"', 'site = "other"'), 3, "publish"),
    ("server of another authority", lambda f, t: _other_authority(f, "opcua", t), 3, "source.mill"),
    ("server refuses our certificate", lambda f, t: _other_identity(f, "opcua", t), 3, "source.mill"),
    ("server takes no such user", lambda f, t: _named_user(f, "x"), 3, "source.mill"),
    ("broker is not there", lambda f, t: _port(f, "mqtts"), 4, "sink.broker: tcp"),
    ("server is not there", lambda f, t: _port(f, "opc.tcp"), 4, "source.mill"),
]


def _named_user(folder: Path, password: str) -> None:
    """A user by name instead of by certificate."""
    change(folder, 'certificate = "pki/gateway/user/own/cert.pem"', 'name = "operator"')
    change(folder, 'key = "pki/gateway/user/own/key.pem"', 'password_file = "password"')
    (folder / "password").write_text(password)
    (folder / "password").chmod(0o600)


def test_a_wrong_password_is_told_and_not_shown(area4: Area4, lab: Lab, folder: Path) -> None:
    own = lab.pki.machines["mill"]
    options = Options(
        kinds=("machining-centre",),
        certificate=own.certificate_der,
        key=own.key,
        trust=(own.trusted_certs,),
        users={"operator": "right"},
    )
    change(folder, lab.simulators["mill"].url, f"opc.tcp://127.0.0.1:{(port := free_port())}")
    with asyncio.Runner() as runner:
        simulator = SimulatorProcess(replace(options, port=port))
        runner.run(simulator.start())
        try:
            _named_user(folder, "hunter2")
            result = area4("check", "--config", folder / "area4.toml")
            assert_told(result, 3, "source.mill: session and user failed", "password")
            assert "hunter2" not in result.stdout + result.stderr
            (folder / "password").write_text("right")
            assert area4("check", "--config", folder / "area4.toml").returncode == 0
        finally:
            runner.run(simulator.stop())


def _port(folder: Path, scheme: str) -> None:
    file = folder / "area4.toml"
    lines = file.read_text().splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith(f'url = "{scheme}:'))
    lines[at] = f'url = "{scheme}://127.0.0.1:{free_port()}"'
    file.write_text("\n".join(lines))


@pytest.mark.parametrize(("spoil", "code", "text"), [row[1:] for row in PEERS], ids=[row[0] for row in PEERS])
def test_check_says_which_step_fails(
    area4: Area4, folder: Path, tmp_path: Path, spoil: Callable[[Path, Path], object], code: int, text: str
) -> None:
    spoil(folder, tmp_path)
    result = area4("check", "--config", folder / "area4.toml")
    assert_told(result, code, text)
    assert result.stdout.count("FAILED") == 1, result.stdout
    assert "what to do: " in result.stdout


def test_an_unknown_server_waits_for_a_person_and_is_then_trusted(area4: Area4, folder: Path, tmp_path: Path) -> None:
    _other_authority(folder, "opcua", tmp_path)
    pki = folder / "pki/gateway/opcua"
    assert area4("check", "--config", folder / "area4.toml").returncode == 3
    (waiting,) = json.loads(area4("pki", "rejected", pki, "--json").stdout)
    assert waiting["application_uri"] == "urn:area4:lab:mill"
    assert area4("pki", "approve", pki, waiting["thumbprint"]).returncode == 0
    # its issuer completes the chain and says what is revoked, but is not trusted itself
    shutil.copy(folder / "pki/ca/opcua/ca.der", pki / "issuers/certs/opcua-ca.der")
    shutil.copy(folder / "pki/ca/opcua/crl.der", pki / "issuers/crl/opcua-ca.der")
    again = area4("check", "--config", folder / "area4.toml")
    assert again.returncode == 0, again.stdout
    assert "No certificate waits" in area4("pki", "rejected", pki).stdout


class Running:
    """`area4 run` as a process."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.log = folder / "run.log"
        text = (folder / "area4.toml").read_text()
        self.address = next(line.split('"')[1] for line in text.splitlines() if line.startswith("listen"))
        with self.log.open("wb") as log:
            command = [*COMMAND, "run", "--config", str(folder / "area4.toml"), *options]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as problem:
            with problem:
                return problem.code, problem.read().decode()
        except OSError:
            return 0, ""

    def until(self, condition: Callable[[], bool], within: float = 60) -> None:
        end = time.monotonic() + within
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.05)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def run(folder: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(*options: str) -> Running:
        started.append(Running(folder, *options))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()


def test_run_brings_the_values_and_ends_gracefully(lab: Lab, run: Callable[..., Running], folder: Path) -> None:
    with Consumer(lab.consumer) as consumer:
        gateway = run("--log-format", "json", "--log-level", "debug")
        gateway.until(lambda: gateway.get("/readyz")[0] == 200)
        data: list[bytes] = []
        gateway.until(
            lambda: (
                bool(data.extend(one.payload for one in consumer.drain(wait=0.1) if "/data" in one.topic)) or bool(data)
            )
        )
        metrics = gateway.get("/metrics")[1]
        assert 'area4_link_up{kind="source",name="mill"} 1.0' in metrics
        assert "area4_certificate_expiry_timestamp_seconds{" in metrics
        assert lab.simulators["mill"].machines[0] in gateway.get("/")[1]
        assert gateway.stop() == 0
    lines = [json.loads(line) for line in gateway.log.read_text().splitlines()]
    assert lines[-1]["message"] == "stopped"
    assert all(line["time"].endswith("Z") for line in lines)
    assert not [line for line in lines if line["logger"].startswith(("asyncua", "paho")) and line["level"] == "debug"]
    assert "PRIVATE KEY" not in gateway.log.read_text()


def test_ctrl_c_ends_it_gracefully_too(run: Callable[..., Running]) -> None:
    gateway = run()
    gateway.until(lambda: gateway.get("/readyz")[0] == 200)
    assert gateway.stop(signal.SIGINT) == 0
    assert "SIGINT: stopping" in gateway.log.read_text()


def test_a_second_signal_ends_it_at_once(lab: Lab, run: Callable[..., Running]) -> None:
    gateway = run()
    gateway.until(lambda: gateway.get("/readyz")[0] == 200)
    assert lab.broker.pid is not None
    os.kill(lab.broker.pid, signal.SIGSTOP)  # a broker that does not answer keeps a polite goodbye waiting
    try:
        gateway.process.send_signal(signal.SIGTERM)
        gateway.until(lambda: "SIGTERM: stopping" in gateway.log.read_text())
        begin = time.monotonic()
        assert gateway.stop() == 128 + signal.SIGTERM
        assert time.monotonic() - begin < 5
    finally:
        os.kill(lab.broker.pid, signal.SIGCONT)


def test_check_beside_a_running_gateway_says_so(area4: Area4, run: Callable[..., Running], folder: Path) -> None:
    gateway = run()
    gateway.until(lambda: gateway.get("/readyz")[0] == 200)
    result = area4("check", "--config", folder / "area4.toml")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "it runs already" in result.stdout
    assert gateway.get("/readyz")[0] == 200
    second = area4("run", "--config", folder / "area4.toml")
    assert_told(second, 2, "in use by another process")
