from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from security.files import write_file
from security.pki import Authority, Issued, PkiFolder
from security.pki.keys import certificate_to_der

NOW = dt.datetime(2026, 6, 1, 12, 0, tzinfo=dt.UTC)
URI = "urn:test:machine"
HOSTS = ("machine.example", "192.0.2.7", "2001:db8::7")


@pytest.fixture
def now() -> dt.datetime:
    return NOW


@pytest.fixture
def root(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "root", "Test root", now=NOW)


@pytest.fixture
def folder(tmp_path: Path) -> PkiFolder:
    return PkiFolder(tmp_path / "pki").create()


@pytest.fixture
def issue() -> Callable[..., Issued]:
    """An OPC UA application certificate of an authority, EC where RSA does not matter."""

    def make(authority: Authority, **options: object) -> Issued:
        return authority.issue_application("machine", uri=URI, hosts=HOSTS, now=NOW, **options)

    return make


@pytest.fixture
def put(folder: PkiFolder) -> Callable[..., None]:
    """Put certificates and lists of authorities into the trust folder."""

    def place(authority: Authority, where: str, *, crl: bool = True) -> None:
        name = authority.folder.name
        certs = folder.trusted_certs if where == "trusted" else folder.issuers_certs
        lists = folder.trusted_crl if where == "trusted" else folder.issuers_crl
        write_file(certs / f"{name}.der", certificate_to_der(authority.certificate), replace=True)
        if crl:
            write_file(lists / f"{name}.der", authority.crl_der.read_bytes(), replace=True)

    return place


@pytest.fixture
def forge_list() -> Callable[..., bytes]:
    """A revocation list in DER with issuer name, key and serial numbers of the test's choice."""

    def make(issuer: x509.Name, key: object, serials: list[int], *, until: dt.datetime | None = None) -> bytes:
        builder = x509.CertificateRevocationListBuilder().issuer_name(issuer)
        builder = builder.last_update(NOW - dt.timedelta(days=2)).next_update(until or NOW + dt.timedelta(days=9))
        for serial in serials:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW - dt.timedelta(days=1))
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)  # type: ignore[arg-type]

    return make
