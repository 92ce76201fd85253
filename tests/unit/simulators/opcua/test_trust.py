"""Revocation lists are obeyed, whatever their file is called."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from security.pki import Authority
from simulators.opcua.trust import DistrustError, Trust


@pytest.mark.parametrize("name", ["crl/authority.der", "authority.crl", "authority.pem"])
def test_a_revoked_client_is_refused(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    authority = Authority.create(tmp_path / "ca", "Authority")
    issued, other = authority.issue_client("gateway"), authority.issue_client("other")
    authority.revoke(issued.certificate.serial_number)
    place = tmp_path / "trusted"
    (place / "crl").mkdir(parents=True)
    (place / "authority.der").write_bytes(authority.certificate.public_bytes(Encoding.DER))
    revocations = x509.load_der_x509_crl((authority.folder / "crl.der").read_bytes())
    encoding = Encoding.PEM if name.endswith(".pem") else Encoding.DER
    (place / name).write_bytes(revocations.public_bytes(encoding))
    trust = Trust([place])
    trust.check(other.certificate.public_bytes(Encoding.DER))
    with pytest.raises(DistrustError, match="BadCertificateRevoked"):
        trust.check(issued.certificate.public_bytes(Encoding.DER))
    assert not caplog.records


def test_a_file_of_something_else_is_left_out_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "nothing.der").write_bytes(b"nothing")
    authority = Authority.create(tmp_path / "ca", "Authority")
    with pytest.raises(DistrustError, match="BadCertificateUntrusted"):
        Trust([tmp_path / "nothing.der"]).check(authority.issue_client("a").certificate.public_bytes(Encoding.DER))
    assert "neither a certificate nor a revocation list" in caplog.text
