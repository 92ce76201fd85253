"""docs/integrators.md from its first command to data, against a simulated machine and a real mosquitto."""

from __future__ import annotations

import asyncio
import datetime as dt
import getpass
import json
import re
import shlex
import shutil
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from simulators.broker import MosquittoBroker, free_port
from simulators.process import Options, SimulatorProcess

from .conftest import DOCS, ROOT, Command, Shell, commands_of

PASSWORD = "correct horse"
NEEDS_ROOT = {"apt-get", "useradd", "chown", "systemctl"}
NEEDS_THE_NETWORK = {"git", "python3", "/opt/area4/bin/pip"}
CHECKED_ELSEWHERE = {"cd", "ln"}
"""The clone is this checkout; tests/integration/packaging shows that what pip installs works."""

WAIT = 60.0


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    root = tmp_path / "root"
    for folder in ("etc/mosquitto", "etc/systemd/system", "var/lib/mosquitto", "opt/area4", "root"):
        (root / folder).mkdir(parents=True)
    (root / "etc/mosquitto/mosquitto.conf").write_text("include_dir /etc/mosquitto/conf.d\n")
    (root / "etc/mosquitto/conf.d").mkdir()
    secret = root / "secret"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    broker, machine, page = free_port(), free_port(), free_port()
    return Shell(root, ROOT, {
        "localhost:8883": f"localhost:{broker}",
        "-p 8883": f"-p {broker}",
        "192.0.2.10:4840": f"127.0.0.1:{machine}",
        "127.0.0.1:9464": f"127.0.0.1:{page}",
        "--user operator": f"--user operator --password-file {secret}",  # there is no terminal to ask on
    })  # fmt: skip


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A machine's certificate as its maker's firmware creates it, and the key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "MC-1")])
    now = dt.datetime.now(dt.UTC)
    usage = dict.fromkeys(("crl_sign", "key_agreement", "encipher_only", "decipher_only"), False)
    good = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_cert_sign"), True
    )
    names = [x509.UniformResourceIdentifier("urn:maker:MC-1"), x509.DNSName("localhost")]
    local = x509.IPAddress(ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + dt.timedelta(90))
        .add_extension(x509.SubjectAlternativeName([*names, local]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**good, **usage), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "machine.der").write_bytes(certificate.public_bytes(serialization.Encoding.DER))
    (folder / "machine.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "machine.der", folder / "machine.pem"


async def start_machine(shell: Shell, stack: AsyncExitStack) -> None:
    certificate, key = self_signed(shell.root)
    port = int(shell.here("192.0.2.10:4840").rpartition(":")[2])
    trust = Path(shell.here("/srv/area4-pki/ca/opcua/ca.der"))
    options = Options(
        ("machining-centre",), certificate, key, (trust,), serials=("MC-1",), port=port, users={"operator": PASSWORD}
    )
    await stack.enter_async_context(SimulatorProcess(options))


def start(line: list[str], stack: AsyncExitStack, shell: Shell) -> None:
    """A service; ends with the test."""
    with (shell.root / "service.log").open("ab") as log:
        process = subprocess.Popen(line, stdout=log, stderr=log, env=shell.environment)
    stack.callback(process.wait, WAIT)
    stack.callback(process.terminate)


def start_mosquitto(shell: Shell, stack: AsyncExitStack) -> None:
    """What systemd would start, with the folders of this test."""
    program = MosquittoBroker.binary()
    assert program is not None
    file = Path(shell.here("/etc/mosquitto/mosquitto.conf"))
    text = (
        shell.here(file.read_text())
        .replace("user mosquitto", f"user {getpass.getuser()}")
        .replace("0.0.0.0", "127.0.0.1")
    )
    file.write_text(text)
    (shell.root / "etc/mosquitto/conf.d").rmdir()  # must not be needed any more
    start([program, "-c", str(file)], stack, shell)


def start_gateway(shell: Shell, stack: AsyncExitStack) -> None:
    """What the installed unit starts."""
    unit = Path(shell.here("/etc/systemd/system/area4.service")).read_text()
    found = re.search(r"^ExecStart=/opt/area4/bin/(area4 .*)$", unit, re.MULTILINE)
    assert found
    start(shlex.split(shell.here(found[1])), stack, shell)


def ready(shell: Shell) -> bool:
    try:
        with urllib.request.urlopen(shell.here("http://127.0.0.1:9464/readyz"), timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


async def before(command: Command, shell: Shell, stack: AsyncExitStack) -> None:
    """What the world around the box does before a command."""
    if command.exit == 3:
        await start_machine(shell, stack)
    if "THUMBPRINT" in command.text:
        folder = shell.here("/etc/area4/pki/edge1/opcua")
        (waiting,) = json.loads(shell.run(Command(0, f"area4 pki rejected {folder} --json")))
        assert waiting["thumbprint"] in shell.output["sudo -u area4 area4 pki rejected /etc/area4/pki/edge1/opcua"]
        shell.replaced["THUMBPRINT"] = waiting["thumbprint"]


async def start_service(command: Command, shell: Shell, stack: AsyncExitStack) -> None:
    if command.text == "sudo systemctl restart mosquitto":
        start_mosquitto(shell, stack)
    if command.text == "sudo systemctl enable --now area4":
        start_gateway(shell, stack)
        deadline = time.monotonic() + WAIT
        while not ready(shell):
            assert time.monotonic() < deadline, (shell.root / "service.log").read_text()
            await asyncio.sleep(0.1)


@pytest.mark.timeout(300)
async def test_the_guide_leads_to_data(shell: Shell, stack: AsyncExitStack) -> None:
    shell.folder = ROOT
    ran = 0
    for command in commands_of(DOCS / "integrators.md"):
        name = command.words[0]
        if name in NEEDS_ROOT:
            await start_service(command, shell, stack)
        elif name not in NEEDS_THE_NETWORK | CHECKED_ELSEWHERE:
            assert name == "area4" or shutil.which(name), name
            await before(command, shell, stack)
            await asyncio.to_thread(shell.run, command)
            if command.words[:2] == ["area4", "init"]:
                move_the_page(shell)
            ran += 1
    assert ran > 15
    told = shell.output
    checks = [text for line, text in told.items() if "area4 check" in line]
    assert any("The configuration and this computer are in order." in text for text in checks)
    assert any("Everything works." in text for text in checks)
    (watched,) = (text for line, text in told.items() if "area4 watch" in line)
    assert re.search(r"urn:area4-sim:machining-centre:MC-1 \S+ = ", watched), watched
    (heard,) = (text for line, text in told.items() if "mosquitto_sub" in line)
    assert heard.startswith("area4/v1/hall3/"), heard


def move_the_page(shell: Shell) -> None:
    """To a port that nobody else uses."""
    file = Path(shell.here("/etc/area4/area4.toml"))
    file.write_text(file.read_text().replace("127.0.0.1:9464", shell.here("127.0.0.1:9464")))
