"""Real TLS handshakes over loopback, between our contexts and between ours and careless ones."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from security.errors import CertificateFileError, KeyFileError, SecurityError
from security.files import write_file
from security.pki import Authority, Issued, PkiFolder, trust_authority
from security.pki.keys import certificate_to_pem, key_to_pem, make_key
from security.tls import RevocationListError, TlsFiles, classify, client_context, explain, server_context

DAY = dt.timedelta(days=1)
DEADLINE = 20


@dataclass
class Plant:
    """An authority with a broker and a client that trust it."""

    authority: Authority
    broker: PkiFolder
    client: PkiFolder
    client_issued: Issued

    def trust(self) -> None:
        for folder in (self.broker, self.client):
            trust_authority(folder, self.authority, "plant", pem=True)


def make_plant(folder: Path, name: str = "Plant", *, hosts: tuple[str, ...] = ("localhost", "127.0.0.1")) -> Plant:
    authority = Authority.create(folder / "ca", name)
    issued = authority.issue_client("gateway")
    broker = authority.issue_server("broker", hosts).install(PkiFolder(folder / "broker"))
    plant = Plant(authority, broker, issued.install(PkiFolder(folder / "client")), issued)
    plant.trust()
    return plant


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return make_plant(tmp_path / "plant")


@dataclass
class Outcome:
    version: str | None = None
    cipher: str | None = None
    answer: bytes = b""
    client_error: OSError | None = None
    server_error: OSError | None = None
    received: bytes = b""


def shake(client: ssl.SSLContext, server: ssl.SSLContext, *, host: str = "localhost") -> Outcome:
    """Connect, send `ping`, wait for `pong`: what both sides saw."""
    outcome = Outcome()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE)
        thread = threading.Thread(target=_serve, args=(listener, server, outcome), name="tls-server")
        thread.start()
        try:
            with socket.create_connection(listener.getsockname(), timeout=DEADLINE) as raw:
                try:
                    with client.wrap_socket(raw, server_hostname=host) as tls:
                        tls.sendall(b"ping")
                        outcome.answer = tls.recv(4)
                        outcome.version = tls.version()
                        outcome.cipher = (tls.cipher() or ("",))[0]
                except OSError as problem:
                    outcome.client_error = problem
        finally:
            thread.join(DEADLINE)
    assert not thread.is_alive()
    return outcome


def _serve(listener: socket.socket, context: ssl.SSLContext, outcome: Outcome) -> None:
    raw, _ = listener.accept()
    raw.settimeout(DEADLINE)
    with context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False) as tls:
        try:
            tls.do_handshake()
            outcome.received = tls.recv(4)
            tls.sendall(b"pong")
        except OSError as problem:
            outcome.server_error = problem
            with contextlib.suppress(OSError):  # take what the client still sends, else a reset may swallow our alert
                tls.shutdown(socket.SHUT_WR)
                while socket.socket.recv(tls, 4096):
                    pass


def test_both_sides_trust_each_other_with_tls_1_3(plant: Plant) -> None:
    seen = shake(client_context(plant.client), server_context(plant.broker))
    assert (seen.answer, seen.version, seen.client_error, seen.server_error) == (b"pong", "TLSv1.3", None, None)


def test_tls_1_2_is_the_floor_with_forward_secrecy_and_aead(plant: Plant) -> None:
    server = server_context(plant.broker)
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    seen = shake(client_context(plant.client), server)
    assert (seen.answer, seen.version) == (b"pong", "TLSv1.2")
    for context in (server, client_context(plant.client)):
        ciphers = {one["name"]: one for one in context.get_ciphers() if one["protocol"] == "TLSv1.2"}
        assert ciphers
        assert all(name.startswith("ECDHE-") and one["aead"] for name, one in ciphers.items())
        assert context.options & ssl.OP_NO_COMPRESSION
        assert context.options & ssl.OP_NO_RENEGOTIATION


def old_context(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    """A careless peer that speaks nothing but an old version."""
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.minimum_version = version
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.maximum_version = version
    return context


def test_tls_1_1_is_refused_by_both_sides(plant: Plant) -> None:
    seen = shake(old_context(client_context(plant.client), ssl.TLSVersion.TLSv1_1), server_context(plant.broker))
    assert isinstance(seen.server_error, ssl.SSLError)
    assert seen.received == b""
    assert isinstance(seen.client_error, ssl.SSLError)
    assert "no TLS version in common" in explain(seen.client_error, "broker")
    seen = shake(client_context(plant.client), old_context(server_context(plant.broker), ssl.TLSVersion.TLSv1_1))
    assert isinstance(seen.client_error, ssl.SSLError)
    assert classify(seen.client_error).kind == "protocol"


def test_minimum_1_3_refuses_1_2(plant: Plant) -> None:
    server = server_context(plant.broker)
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    seen = shake(client_context(plant.client, minimum="1.3"), server)
    assert seen.client_error is not None
    assert classify(seen.client_error).kind == "protocol"


def test_broker_under_another_host(plant: Plant) -> None:
    seen = shake(client_context(plant.client), server_context(plant.broker), host="other.example")
    assert seen.received == b""
    assert seen.client_error is not None
    assert "another host" in explain(seen.client_error, "other.example:8883")
    seen = shake(client_context(plant.client), server_context(plant.broker), host="127.0.0.2")
    assert seen.client_error is not None
    assert classify(seen.client_error).kind == "host-name"
    waived = client_context(plant.client, waivers={"host-name"})
    assert shake(waived, server_context(plant.broker), host="other.example").answer == b"pong"


@pytest.mark.parametrize("name", ["Plant", "Rogue"])
def test_broker_of_another_authority_even_of_the_same_name(plant: Plant, tmp_path: Path, name: str) -> None:
    rogue = make_plant(tmp_path / "rogue", name)
    trust_authority(rogue.broker, plant.authority, "real", pem=True)
    seen = shake(client_context(plant.client), server_context(rogue.broker))
    assert seen.client_error is not None
    assert classify(seen.client_error).kind in {"untrusted", "revocation-unknown"}
    assert seen.received == b""


def test_client_of_another_authority(plant: Plant, tmp_path: Path) -> None:
    rogue = make_plant(tmp_path / "rogue", "Rogue")
    trust_authority(rogue.client, plant.authority, "real", pem=True)
    seen = shake(client_context(rogue.client), server_context(plant.broker))
    assert seen.received == b""
    assert seen.server_error is not None
    assert classify(seen.server_error).kind == "untrusted"
    assert seen.client_error is not None
    assert "does not know the authority of our certificate" in explain(seen.client_error, "broker")


@pytest.mark.parametrize("minimum", ["1.2", "1.3"])
def test_client_without_certificate(plant: Plant, minimum: str) -> None:
    files = TlsFiles(None, None, (plant.client.trusted_certs,), revocations=(plant.client.trusted_crl,))
    with pytest.raises(CertificateFileError, match="none is configured"):
        client_context(files)
    client = client_context(files, waivers={"client-certificate"})
    if minimum == "1.2":
        client.maximum_version = ssl.TLSVersion.TLSv1_2
    seen = shake(client, server_context(plant.broker))
    assert seen.received == b""
    assert seen.server_error is not None
    assert "shows no certificate" in explain(seen.server_error, "client")
    assert seen.client_error is not None
    assert classify(seen.client_error).kind == "refused-by-peer"


def test_revoked_client(plant: Plant) -> None:
    plant.authority.revoke(plant.client_issued.certificate)
    plant.trust()
    seen = shake(client_context(plant.client), server_context(plant.broker))
    assert seen.received == b""
    assert seen.server_error is not None
    assert classify(seen.server_error).kind == "revoked"
    assert seen.client_error is not None
    assert "our certificate is revoked" in explain(seen.client_error, "broker")


def test_revoked_broker(plant: Plant) -> None:
    server = server_context(plant.broker)
    (own,) = (one for one in plant.authority.issued() if one.subject.rfc4514_string() == "CN=broker")
    plant.authority.revoke(own)
    plant.trust()
    seen = shake(client_context(plant.client), server)
    assert seen.client_error is not None
    assert classify(seen.client_error).kind == "revoked"
    assert seen.received == b""


def careless_server(issued: Issued, folder: Path) -> ssl.SSLContext:
    """A server that shows whatever it has and asks for nothing."""
    chain = write_file(folder / "chain.pem", certificate_to_pem(issued.certificate, *issued.chain), replace=True)
    assert issued.key is not None
    key = write_file(folder / "chain-key.pem", key_to_pem(issued.key), mode=0o600, replace=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return context


@pytest.mark.parametrize(("age", "lifetime", "sentence"), [(10, 9, "has expired"), (-5, 9, "not yet valid")])
def test_broker_outside_of_its_validity(plant: Plant, tmp_path: Path, age: int, lifetime: int, sentence: str) -> None:
    now = dt.datetime.now(dt.UTC)
    authority = Authority.create(tmp_path / "older", "Older", now=now - 20 * DAY)
    issued = authority.issue_server("broker", ["localhost"], now=now - age * DAY, lifetime=lifetime * DAY)
    trust_authority(plant.client, authority, "older", pem=True)
    seen = shake(client_context(plant.client), careless_server(issued, tmp_path))
    assert seen.client_error is not None
    assert sentence in explain(seen.client_error, "broker")
    with pytest.raises(CertificateFileError, match="valid from"):
        server_context(issued.install(PkiFolder(plant.broker.root), replace=True))


def test_client_certificate_as_broker(plant: Plant, tmp_path: Path) -> None:
    seen = shake(client_context(plant.client), careless_server(plant.authority.issue_client("localhost"), tmp_path))
    assert seen.client_error is not None
    assert "not meant for this purpose" in explain(seen.client_error, "broker")


def test_intermediate_authority_and_its_list(plant: Plant, tmp_path: Path) -> None:
    middle = Authority.create(tmp_path / "middle", "Middle", issuer=plant.authority)
    issued = middle.issue_client("gateway")
    client = issued.install(PkiFolder(tmp_path / "other"))
    plant.trust()
    trust_authority(client, plant.authority, "plant", pem=True)
    seen = shake(client_context(client), server_context(plant.broker))
    assert seen.server_error is not None
    assert classify(seen.server_error).kind == "revocation-unknown"
    lists = plant.broker.issuers_crl / "middle.pem"
    write_file(lists, middle.crl_pem.read_bytes())
    assert shake(client_context(client), server_context(plant.broker)).answer == b"pong"
    middle.revoke(issued.certificate)
    write_file(lists, middle.crl_pem.read_bytes(), replace=True)
    seen = shake(client_context(client), server_context(plant.broker))
    assert seen.server_error is not None
    assert classify(seen.server_error).kind == "revoked"


def test_trusting_an_intermediate_alone(plant: Plant, tmp_path: Path) -> None:
    middle = Authority.create(tmp_path / "middle", "Middle", issuer=plant.authority)
    inside = middle.issue_client("gateway").install(PkiFolder(tmp_path / "inside"))
    for folder in (inside, plant.client):
        trust_authority(folder, plant.authority, "plant", pem=True)
    broker = plant.authority.issue_server("broker", ["localhost"]).install(PkiFolder(tmp_path / "narrow"))
    trust_authority(broker, middle, "middle", pem=True)
    write_file(broker.issuers_certs / "plant.pem", certificate_to_pem(plant.authority.certificate))
    assert shake(client_context(inside), server_context(broker)).answer == b"pong"
    seen = shake(client_context(plant.client), server_context(broker))
    assert seen.server_error is not None
    assert classify(seen.server_error).kind == "untrusted"


def test_missing_list_is_refused_unless_waived(plant: Plant) -> None:
    (plant.client.trusted_crl / "plant.pem").unlink()
    with pytest.raises(RevocationListError, match="missing-crl"):
        client_context(plant.client)
    waived = client_context(plant.client, waivers={"missing-crl"})
    assert shake(waived, server_context(plant.broker)).answer == b"pong"


def test_waiver_does_not_hide_that_one_authority_of_two_has_no_list(plant: Plant, tmp_path: Path) -> None:
    second = Authority.create(tmp_path / "second", "Second")
    trust_authority(plant.client, second, "second", pem=True)
    (plant.client.trusted_crl / "second.pem").unlink()
    with pytest.raises(RevocationListError, match="Second"):
        client_context(plant.client, waivers={"missing-crl"})


def test_stale_and_forged_lists_are_refused(plant: Plant, tmp_path: Path) -> None:
    with pytest.raises(RevocationListError, match="out of date"):
        client_context(plant.client, now=dt.datetime.now(dt.UTC) + 100 * DAY)
    twin = Authority.create(tmp_path / "twin", "Plant")
    write_file(plant.client.trusted_crl / "plant.pem", twin.crl_pem.read_bytes(), replace=True)
    with pytest.raises(RevocationListError, match="no revocation list"):
        client_context(plant.client)


def test_list_that_ends_while_the_broker_runs(plant: Plant) -> None:
    client = client_context(plant.client)
    earlier = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=30)
    plant.authority.write_crl(lifetime=dt.timedelta(minutes=1), now=earlier)
    plant.trust()
    seen = shake(client, server_context(plant.broker, now=earlier))
    assert seen.server_error is not None
    assert "past its next update" in explain(seen.server_error, "client")


def refusal(files: TlsFiles | PkiFolder, **options: object) -> SecurityError:
    with pytest.raises(SecurityError) as caught:
        client_context(files, **options)  # type: ignore[arg-type]
    assert caught.value.action
    return caught.value


def test_own_files_that_do_not_fit(plant: Plant, tmp_path: Path) -> None:
    folder = plant.client
    folder.key.chmod(0o640)
    found = refusal(folder)
    assert isinstance(found, KeyFileError)
    assert "0640" in str(found)
    assert str(folder.key) in str(found)
    write_file(folder.key, key_to_pem(make_key("ec-p256")), mode=0o600, replace=True)
    assert "does not belong to the certificate" in str(refusal(folder))
    write_file(folder.key, key_to_pem(make_key("ec-p256"), b"x"), mode=0o600, replace=True)
    assert "no password is given" in str(refusal(folder))
    assert "wrong password" in str(refusal(folder, password=b"y"))
    folder.key.unlink()
    assert "cannot be read" in str(refusal(folder))
    write_file(folder.certificate, b"no certificate", replace=True)
    assert "no X.509 certificate" in str(refusal(folder))


def test_trust_that_is_none(plant: Plant) -> None:
    write_file(plant.client.trusted_certs / "plant.pem", plant.broker.certificate.read_bytes(), replace=True)
    assert "not an authority" in str(refusal(plant.client))
    (plant.client.trusted_certs / "plant.pem").unlink()
    assert "no authority is trusted" in str(refusal(plant.client))


def test_encrypted_key_serves_with_its_password(plant: Plant) -> None:
    assert plant.client_issued.key is not None
    write_file(plant.client.key, key_to_pem(plant.client_issued.key, b"correct"), mode=0o600, replace=True)
    context = client_context(plant.client, password=b"correct")
    assert shake(context, server_context(plant.broker)).answer == b"pong"


@contextlib.contextmanager
def plain_server(answer: bytes) -> Iterator[int]:
    """A server without TLS that says `answer` and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE)

        def serve() -> None:
            raw, _ = listener.accept()
            with raw:
                raw.settimeout(DEADLINE)
                raw.recv(4096)
                raw.sendall(answer)

        thread = threading.Thread(target=serve, name="plain-server")
        thread.start()
        yield listener.getsockname()[1]
        thread.join(DEADLINE)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"\x20\x03\x00\x84\x00", "does not speak TLS"),
        (b"HTTP/1.1 400 no\r\n\r\n", "TLS"),
        (b"", "ended the connection"),
    ],
)
def test_a_port_without_tls(plant: Plant, answer: bytes, sentence: str) -> None:
    context = client_context(plant.client)
    with (
        plain_server(answer) as port,
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as raw,
        pytest.raises(OSError, match=r".*") as caught,
    ):
        context.wrap_socket(raw, server_hostname="localhost")
    assert sentence in explain(caught.value, "broker")


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [
        (ConnectionRefusedError(111, "refused"), "does not listen"),
        (TimeoutError("slow"), "does not answer in time"),
        (socket.gaierror(-2, "unknown"), "cannot be resolved"),
        (ConnectionResetError(104, "reset"), "late refusal"),
        (OSError(113, "No route to host"), "No route to host"),
    ],
)
def test_failures_of_the_network(problem: OSError, sentence: str) -> None:
    assert sentence in explain(problem, "broker:8883")
    assert not classify(problem).needs_person
