"""mosquitto with our certificates: mutual TLS, identity from the certificate, revocation, access by identity."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from security.pki import Authority, LabPki, PkiFolder, create_lab, trust_authority
from security.tls import TlsFiles, classify, client_context

DEADLINE = 30
MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
CONNACK_ACCEPTED = b"\x20\x02\x00\x00"


def connect_packet(client_id: bytes) -> bytes:
    """MQTT 3.1.1 CONNECT: clean session, keep alive 60 s."""
    body = b"\x00\x04MQTT\x04\x02\x00\x3c" + len(client_id).to_bytes(2) + client_id
    return b"\x10" + bytes([len(body)]) + body


def publish_packet(topic: bytes, content: bytes, *, qos1: bool) -> bytes:
    body = len(topic).to_bytes(2) + topic + (b"\x00\x07" if qos1 else b"") + content
    return (b"\x32" if qos1 else b"\x30") + bytes([len(body)]) + body


def subscribe_packet(topic: bytes) -> bytes:
    body = b"\x00\x09" + len(topic).to_bytes(2) + topic + b"\x00"
    return b"\x82" + bytes([len(body)]) + body


@contextlib.contextmanager
def mosquitto(lab: LabPki, folder: Path) -> Iterator[int]:
    """A broker on a free port until the block ends."""
    folder.mkdir(exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "acl").write_text("user gateway\ntopic readwrite area4/#\n\nuser watcher\ntopic read area4/#\n")
    (folder / "acl").chmod(0o600)
    (folder / "mosquitto.conf").write_text(
        f"listener {port} 127.0.0.1\nuser root\nallow_anonymous false\n"
        f"cafile {lab.mqtt_ca_file}\ncertfile {lab.broker.certificate}\nkeyfile {lab.broker.key}\n"
        f"crlfile {lab.mqtt_crl_file}\nrequire_certificate true\nuse_identity_as_username true\n"
        f"tls_version tlsv1.2\nacl_file {folder / 'acl'}\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([MOSQUITTO, "-c", folder / "mosquitto.conf"], stdout=log, stderr=log)
        try:
            wait_for_port(port, process, folder / "log")
            yield port
        finally:
            process.terminate()
            process.wait(DEADLINE)


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + DEADLINE
    while True:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert time.monotonic() < end, "the broker does not listen"
        time.sleep(0.02)


@pytest.fixture
def lab(tmp_path: Path) -> LabPki:
    return create_lab(tmp_path / "pki", machines=["mill"])


@pytest.fixture
def dial(lab: LabPki, tmp_path: Path) -> Iterator[Callable[[PkiFolder | TlsFiles], ssl.SSLSocket]]:
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(mosquitto(lab, tmp_path / "broker"))

        def run(files: PkiFolder | TlsFiles) -> ssl.SSLSocket:
            context = client_context(files, waivers={"client-certificate"} if isinstance(files, TlsFiles) else set())
            raw = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=DEADLINE))
            return stack.enter_context(context.wrap_socket(raw, server_hostname="localhost"))

        yield run


def read_exactly(tls: ssl.SSLSocket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        part = tls.recv(size - len(content))
        assert part, f"the broker closed after {content!r}"
        content += part
    return content


def log_in(tls: ssl.SSLSocket, client_id: bytes) -> None:
    tls.sendall(connect_packet(client_id))
    assert read_exactly(tls, 4) == CONNACK_ACCEPTED


def refused(dial: Callable[[PkiFolder | TlsFiles], ssl.SSLSocket], files: PkiFolder | TlsFiles) -> str:
    """The kind of failure when the broker refuses the certificate; in TLS 1.3 that shows after the handshake."""
    try:
        with dial(files) as tls:
            tls.sendall(connect_packet(b"x"))
            answer = tls.recv(4)
    except OSError as problem:
        return classify(problem).kind
    assert not answer, "the broker answered"
    return "refused-by-peer"


def test_identity_of_the_certificate_decides_the_access(
    lab: LabPki, dial: Callable[[PkiFolder | TlsFiles], ssl.SSLSocket]
) -> None:
    gateway, watcher = dial(lab.gateway_mqtt), dial(lab.watchers["watcher"])
    assert gateway.version() == "TLSv1.3"
    log_in(gateway, b"g")
    log_in(watcher, b"w")
    watcher.sendall(subscribe_packet(b"area4/#"))
    assert read_exactly(watcher, 5) == b"\x90\x03\x00\x09\x00"
    watcher.sendall(publish_packet(b"area4/x", b"forged", qos1=True))
    assert read_exactly(watcher, 4) == b"\x40\x02\x00\x07"
    gateway.sendall(publish_packet(b"area4/x", b"genuine", qos1=True))
    assert read_exactly(gateway, 4) == b"\x40\x02\x00\x07"
    wanted = publish_packet(b"area4/x", b"genuine", qos1=False)
    assert read_exactly(watcher, len(wanted)) == wanted


def test_clients_that_the_broker_refuses(
    lab: LabPki, tmp_path: Path, dial: Callable[[PkiFolder | TlsFiles], ssl.SSLSocket]
) -> None:
    trusted, lists = (lab.gateway_mqtt.trusted_certs,), (lab.gateway_mqtt.trusted_crl,)
    assert refused(dial, TlsFiles(None, None, trusted, revocations=lists)) == "refused-by-peer"
    rogue = Authority.create(tmp_path / "rogue", "area4 lab MQTT authority").issue_client("gateway")
    folder = rogue.install(PkiFolder(tmp_path / "rogue-client"))
    trust_authority(folder, Authority.load(lab.mqtt_authority), "real", pem=True)
    assert refused(dial, folder) == "refused-by-peer"
    machine = lab.machines["mill"]
    files = TlsFiles(machine.certificate, machine.key, trusted, revocations=lists)
    assert refused(dial, files) == "refused-by-peer"


def test_revoked_client_is_refused_by_the_broker(lab: LabPki, tmp_path: Path) -> None:
    authority = Authority.load(lab.mqtt_authority)
    (certificate,) = (one for one in authority.issued() if one.subject.rfc4514_string() == "CN=gateway")
    authority.revoke(certificate)
    trust_authority(lab.broker, authority, "mqtt-ca", pem=True)
    with mosquitto(lab, tmp_path / "broker") as port:

        def dial(files: PkiFolder | TlsFiles) -> ssl.SSLSocket:
            raw = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
            return client_context(files).wrap_socket(raw, server_hostname="localhost")

        with contextlib.closing(dial(lab.watchers["watcher"])) as watcher:
            log_in(watcher, b"w")
        assert refused(dial, lab.gateway_mqtt) == "refused-by-peer"
