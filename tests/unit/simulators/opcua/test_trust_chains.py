"""Chains of authorities, folders of an application, and lists of revocations that are not the issuer's."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from simulators.opcua.trust import DistrustError, Trust

NOW = dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class Holder:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def issue(name: str, by: Holder | None = None, *, ca: bool = False, deepest: int | None = None) -> Holder:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - dt.timedelta(hours=1))
        .not_valid_after(NOW + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=deepest), critical=True)
        .sign(by.key if by else key, hashes.SHA256())
    )
    return Holder(made, key)


def revoke(holder: Holder, by: Holder, *, name: str | None = None) -> bytes:
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) if name else by.certificate.subject
    entry = (
        x509.RevokedCertificateBuilder().serial_number(holder.certificate.serial_number).revocation_date(NOW).build()
    )
    made = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer)
        .last_update(NOW - dt.timedelta(days=3))
        .next_update(NOW - dt.timedelta(days=2))  # out of date, and still obeyed
        .add_revoked_certificate(entry)
        .sign(by.key, hashes.SHA256())
    )
    return made.public_bytes(Encoding.DER)


def put(place: Path, name: str, content: bytes) -> None:
    (place / name).parent.mkdir(parents=True, exist_ok=True)
    (place / name).write_bytes(content)


def status(place: Path, der: bytes) -> str:
    try:
        Trust([place]).check(der)
    except DistrustError as found:
        return found.status
    return "Good"


def test_authorities_in_between_come_from_the_client_or_the_issuers_and_are_not_trusted_themselves(
    tmp_path: Path,
) -> None:
    root = issue("root", ca=True, deepest=1)
    middle = issue("middle", root, ca=True)
    client = issue("client", middle)
    put(tmp_path, "trusted/certs/root.der", root.der)
    assert status(tmp_path, client.der) == "BadCertificateUntrusted"
    assert status(tmp_path, client.der + middle.der) == "Good"
    assert status(tmp_path, client.der + middle.der + root.der) == "Good"
    put(tmp_path, "issuers/certs/middle.der", middle.der)
    assert status(tmp_path, client.der) == "Good"
    (tmp_path / "trusted/certs/root.der").unlink()
    assert status(tmp_path, client.der) == "BadCertificateUntrusted"
    assert status(tmp_path, client.der + middle.der + root.der) == "BadCertificateUntrusted"
    put(tmp_path, "trusted/certs/client.der", client.der)
    assert status(tmp_path, client.der) == "Good"


def test_no_more_authorities_in_between_than_the_root_allows(tmp_path: Path) -> None:
    root = issue("root", ca=True, deepest=0)
    middle = issue("middle", root, ca=True)
    client = issue("client", middle)
    put(tmp_path, "root.der", root.der)
    assert status(tmp_path, issue("direct", root).der) == "Good"
    assert status(tmp_path, client.der + middle.der) == "BadCertificateChainIncomplete"
    assert status(tmp_path, issue("leaf of a leaf", client).der + client.der) == "BadCertificateUntrusted"


@pytest.mark.parametrize("at", ["client", "middle"])
def test_every_link_may_be_revoked_by_its_own_issuer_alone(tmp_path: Path, at: str) -> None:
    root = issue("root", ca=True)
    middle = issue("middle", root, ca=True)
    client = issue("client", middle)
    false = issue("root", ca=True)
    put(tmp_path, "root.der", root.der)
    victim, issuer = (client, middle) if at == "client" else (middle, root)
    put(tmp_path, "crl/false.der", revoke(victim, false, name=issuer.certificate.subject.rfc4514_string()[3:]))
    assert status(tmp_path, client.der + middle.der) == "Good"
    put(tmp_path, "crl/right.der", revoke(victim, issuer))
    assert status(tmp_path, client.der + middle.der) == "BadCertificateRevoked"


def test_what_is_rejected_or_ones_own_is_not_trusted(tmp_path: Path) -> None:
    client = issue("client")
    for folder in ("own", "rejected"):
        put(tmp_path, f"{folder}/client.der", client.der)
    assert status(tmp_path, client.der) == "BadCertificateUntrusted"
    put(tmp_path, "trusted/certs/client.der", client.der)
    assert status(tmp_path, client.der) == "Good"
    assert status(tmp_path, b"") == "BadCertificateInvalid"
    assert status(tmp_path, client.der + b"rest") == "BadCertificateInvalid"
