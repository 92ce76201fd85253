"""The wire between the gateway and its peers: no plaintext ever, and nothing for peers that are not who they should be.

One gateway has a good machine and a good broker, both behind a recorder, and beside them servers and brokers with
wrong certificates. Log, readiness, status page and `area4 check` say why those get nothing.
"""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import json
import re
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from conformance.consumer import Access as ConsumerAccess
from conformance.consumer import Consumer, Received
from gateway.cli.template import Answers, configuration
from security.pki import Authority, LabPki, PkiFolder, create_lab
from simulators.broker import Access, Broker, BrokerFiles, free_port, start_broker
from simulators.process import Options, SimulatorProcess

from .processes import COMMAND, until
from .wire import HOST, Recorder, RogueBroker, chunks, records

SERIAL = "MC-Hidden-4711"
PASSWORD = "Wrenched-Corridor-58"
SECRETS = (
    SERIAL,
    PASSWORD,
    "operator-meier",
    "bracket.nc",
    "ActualPosition",
    "OperationMode",
    "MachiningCentre",
    "area4/v1",
)
DAY = dt.timedelta(days=1)
OLD = dt.datetime.now(dt.UTC) - 10 * DAY

REFUSALS = {
    "source.stranger": "quarantine|approve",
    "source.stale": "expired|not valid|validity",
    "sink.stranger": "unknown authority",
    "sink.stale": "has expired",
    "sink.renamed": "IP address|another host",
}
"""What is said of each wrong peer."""


@dataclass
class Floor:
    """Everything that runs, and what was seen of it."""

    folder: Path
    machine: Recorder
    broker: Recorder
    servers: dict[str, Recorder]
    brokers: dict[str, RogueBroker]
    messages: list[Received] = field(default_factory=list)
    log: str = ""
    ready: str = ""
    page: str = ""
    checked: dict[str, dict] = field(default_factory=dict)
    check: str = ""
    code: int = 0


def _context(folder: PkiFolder) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(folder.certificate, folder.key)
    return made


def _options(own: PkiFolder, pki: LabPki, serial: str) -> Options:
    return Options(
        kinds=("machining-centre",), serials=(serial,), certificate=own.certificate_der, key=own.key,
        trust=(pki.machines["mill"].trusted_certs,), users={"operator-meier": PASSWORD},
    )  # fmt: skip


def _rogues(root: Path, pki: LabPki) -> tuple[dict[str, PkiFolder], dict[str, PkiFolder]]:
    """Certificates of wrong servers and of wrong brokers."""
    other = create_lab(root / "other", machines=["mill"])
    opcua, mqtt = Authority.load(pki.opcua_authority), Authority.load(pki.mqtt_authority)
    application = {"uri": "urn:area4:lab:stale", "hosts": [HOST]}
    stale = opcua.issue_application("stale", **application, lifetime=DAY, now=OLD).install(PkiFolder(root / "s"))
    brokers = {
        "stranger": other.broker,
        "stale": mqtt.issue_server("broker", [HOST], lifetime=DAY, now=OLD).install(PkiFolder(root / "b")),
        "renamed": mqtt.issue_server("broker", ["broker.example"]).install(PkiFolder(root / "n")),
    }
    return {"stranger": other.machines["mill"], "stale": stale}, brokers


def _configure(floor: Floor, pki: LabPki, port: int) -> None:
    root, password = floor.folder, floor.folder / "password"
    password.write_text(PASSWORD)
    password.chmod(0o600)
    links = {"mill": floor.machine, **floor.servers}
    text = configuration(
        Answers(
            name="gateway", site="lab", servers={name: f"opc.tcp://{HOST}:{one.port}/" for name, one in links.items()},
            broker=f"mqtts://{HOST}:{floor.broker.port}", user="operator-meier", password_file=Path("password"),
            application_uri=pki.uris["gateway"], opcua=pki.gateway_opcua.root.relative_to(root),
            mqtt=pki.gateway_mqtt.root.relative_to(root), user_pki=pki.user.root.relative_to(root),
            listen=f"{HOST}:{port}", protocol="5",
        )
    )  # fmt: skip
    good = text[text.index("[sink.broker]") :]
    for name, rogue in floor.brokers.items():
        text += "\n" + good.replace("sink.broker", f"sink.{name}").replace(str(floor.broker.port), str(rogue.port))
    (root / "area4.toml").write_text(text)


def _get(port: int, path: str) -> str:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}{path}", timeout=10) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as problem:
        with problem:
            return problem.read().decode()
    except OSError:
        return ""


def _observe(floor: Floor, access: ConsumerAccess, port: int) -> None:
    """Run the gateway until values flow and every wrong peer is told, then check the configuration."""
    command = ["--config", str(floor.folder / "area4.toml")]
    file = floor.folder / "gateway.log"
    with Consumer(access) as consumer, file.open("wb") as log:
        run = [*COMMAND, "run", *command, "--log-level", "debug"]
        gateway = subprocess.Popen(run, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:

            def told() -> bool:
                assert gateway.poll() is None, file.read_text()
                floor.messages += consumer.drain(wait=0.1)
                floor.ready = _get(port, "/readyz")
                values = b"".join(one.payload for one in floor.messages)
                refused = floor.ready and all(
                    json.loads(floor.ready)["links"].get(link) == "refused" for link in REFUSALS
                )
                return bool(refused) and b"ActualPosition" in values and b"bracket.nc" in values

            until(told, f"values and refusals: {floor.ready}")
            floor.page = _get(port, "/")
        finally:
            gateway.terminate()
            gateway.wait(30)
    floor.log = file.read_text()
    result = subprocess.run(
        [*COMMAND, "check", *command, "--json"], capture_output=True, text=True, timeout=90, check=False
    )
    floor.code, floor.check = result.returncode, result.stdout + result.stderr
    floor.checked = {one["link"]: one for one in json.loads(result.stdout)["checked"]}


@pytest.fixture(scope="module")
def floor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Floor]:
    root = tmp_path_factory.mktemp("floor")
    pki = create_lab(root / "pki", machines=["mill"], now=OLD)
    servers, brokers = _rogues(root / "rogues", pki)
    own = pki.watchers["watcher"]
    simulators = {name: SimulatorProcess(_options(folder, pki, name)) for name, folder in servers.items()}
    simulators["mill"] = SimulatorProcess(_options(pki.machines["mill"], pki, SERIAL))
    with asyncio.Runner() as runner:
        broker: Broker | None = None

        async def start() -> Broker:
            files = BrokerFiles(pki.broker.certificate, pki.broker.key, pki.mqtt_ca_file, pki.mqtt_crl_file)
            made, *_ = await asyncio.gather(
                start_broker(root / "broker", files, Access({"gateway": "lab"}, ["watcher"])),
                *(one.start() for one in simulators.values()),
            )
            return made

        async def stop() -> None:
            await asyncio.gather(*(one.stop() for one in simulators.values()))
            if broker is not None:
                await broker.stop()

        listeners: list[Recorder | RogueBroker] = []
        try:
            broker = runner.run(start())
            ports = {name: int(one.url.rstrip("/").rpartition(":")[2]) for name, one in simulators.items()}
            made = Floor(
                root, Recorder(ports["mill"]), Recorder(broker.port), {name: Recorder(ports[name]) for name in servers},
                {name: RogueBroker(_context(folder)) for name, folder in brokers.items()},
            )  # fmt: skip
            listeners += [made.machine, made.broker, *made.servers.values(), *made.brokers.values()]
            _configure(made, pki, port := free_port())
            access = ConsumerAccess(
                broker.url, pki.mqtt_ca_file, own.certificate, own.key, protocol=broker.protocols[0]
            )
            _observe(made, access, port)
            yield made
        finally:
            for listener in listeners:
                listener.close()
            runner.run(stop())


def _forms(secret: str) -> list[bytes]:
    """As text, as wide text, and in base64 whatever stands before it."""
    plain = secret.encode()
    padded = [base64.b64encode(b"\0" * at + plain).strip(b"=")[4:-4] for at in range(3)]
    return [plain, secret.encode("utf-16-le"), *[one for one in padded if len(one) > 8]]


@pytest.mark.parametrize("secret", SECRETS)
def test_nothing_of_machine_user_or_topics_is_on_the_wire_in_clear(floor: Floor, secret: str) -> None:
    for recorder in (floor.machine, floor.broker, *floor.servers.values()):
        assert len(recorder.bytes) > 1000
        assert not [form for form in _forms(secret) if form in recorder.bytes]


def test_the_recorder_hears_and_the_secrets_did_travel(floor: Floor) -> None:
    delivered = b"".join(one.topic.encode() + one.payload for one in floor.messages)
    for secret in set(SECRETS) - {PASSWORD, "operator-meier"}:
        assert secret.encode() in delivered
    assert b"opc.tcp://" in floor.machine.bytes  # discovery may show addresses
    assert b"urn:area4:lab:mill" in floor.machine.bytes  # and certificates


def test_sessions_with_the_machine_are_signed_and_encrypted(floor: Floor) -> None:
    seen = [chunks(bytes(one.sent)) for one in floor.machine.connections]
    policies = [policy for one in seen for kind, policy in one if kind == "OPN"]
    assert set(policies) == {"None", "Aes256_Sha256_RsaPss"}
    for one in seen:  # what is not encrypted asks for the endpoints and nothing else
        if ("OPN", "None") in one:
            assert [kind for kind, _ in one].count("MSG") == 1


def test_the_broker_is_spoken_to_in_tls_only(floor: Floor) -> None:
    assert floor.broker.connections
    for one in floor.broker.connections:
        assert bytes(one.sent[:2]) == b"\x16\x03"
        assert 23 in records(bytes(one.sent))
        records(bytes(one.received))


@pytest.mark.parametrize("name", ["stranger", "stale"])
def test_a_wrong_server_is_asked_for_its_endpoints_and_gets_nothing_else(floor: Floor, name: str) -> None:
    assert floor.servers[name].connections
    for one in floor.servers[name].connections:
        sent = chunks(bytes(one.sent))
        assert {policy for kind, policy in sent if kind == "OPN"} <= {"None"}
        assert [kind for kind, _ in sent].count("MSG") <= 1


@pytest.mark.parametrize("name", ["stranger", "stale", "renamed"])
def test_a_wrong_broker_gets_nothing(floor: Floor, name: str) -> None:
    assert floor.brokers[name].connections
    assert [bytes(one.sent) for one in floor.brokers[name].connections if one.sent] == []


@pytest.mark.parametrize(("link", "why"), REFUSALS.items(), ids=list(REFUSALS))
def test_log_readiness_status_page_and_check_say_why(floor: Floor, link: str, why: str) -> None:
    kind, _, name = link.partition(".")
    lines = [
        line
        for line in floor.log.splitlines()
        if re.search(rf"WARNING .*\b{kind}\W+{name}\b|WARNING .*\b{name}\b", line)
    ]
    assert [line for line in lines if re.search(why, line)], f"{lines}"
    reasons = [reason for reason in json.loads(floor.ready)["reasons"] if f"{kind} {name}" in reason]
    assert len(reasons) == 1
    assert re.search(why, reasons[0])
    assert re.search(why, floor.page)
    failed = [step for step in floor.checked[link]["steps"] if not step["ok"]]
    assert len(failed) == 1
    assert re.search(why, f"{failed[0]['found']} {failed[0]['advice']}"), failed
    assert failed[0]["advice"]


def test_check_finds_the_good_ones_good_and_shows_no_password(floor: Floor) -> None:
    assert floor.code == 3
    assert all(step["ok"] for link in ("source.mill", "sink.broker") for step in floor.checked[link]["steps"])
    assert PASSWORD not in floor.check + floor.log + floor.ready + floor.page
