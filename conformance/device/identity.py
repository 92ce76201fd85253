"""Certificates: the suite's own, and the device's held against what its owner trusts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from conformance.suite.target import TargetError


class AccessError(TargetError):
    """A file of the access cannot be used, or the device is not the one that is trusted; the text says why."""


@dataclass(frozen=True)
class Identity:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: PrivateKeyTypes

    @property
    def uri(self) -> str:
        """The ApplicationUri in it; empty if there is none."""
        try:
            names = self.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return ""
        return next(iter(names.get_values_for_type(x509.UniformResourceIdentifier)), "")


def read_identity(certificate: Path, key: Path) -> Identity:
    """From files in PEM or DER.

    Raises:
        AccessError: Unreadable.
    """
    try:
        raw = key.read_bytes()
        load: Any = load_pem_private_key if raw.startswith(b"-----") else load_der_private_key
        return Identity(read_certificates(certificate)[0], load(raw, None))
    except (OSError, ValueError, TypeError) as error:
        raise AccessError(f"{key}: {error}") from error


def read_certificates(path: Path) -> list[x509.Certificate]:
    """All certificates of a file, in PEM or DER, or of the files of a folder.

    Raises:
        AccessError: Unreadable, or there is none.
    """
    files = (
        sorted(one for one in path.iterdir() if one.suffix in {".pem", ".der", ".crt", ".cer"})
        if path.is_dir()
        else [path]
    )
    found: list[x509.Certificate] = []
    for file in files:
        try:
            raw = file.read_bytes()
            pem = raw.lstrip().startswith(b"-----BEGIN CERTIFICATE")
            found += x509.load_pem_x509_certificates(raw) if pem else [x509.load_der_x509_certificate(raw)]
        except (OSError, ValueError) as error:
            raise AccessError(f"{file}: {error}") from error
    if not found:
        raise AccessError(f"{path}: there is no certificate")
    return found


def first_certificate(chain: bytes) -> x509.Certificate:
    """The first certificate of what a server sends, which may be a chain.

    Raises:
        AccessError: It is none.
    """
    try:
        length = int.from_bytes(chain[2:4], "big") + 4
        return x509.load_der_x509_certificate(chain[:length])
    except (ValueError, TypeError, IndexError) as error:
        raise AccessError(f"the device's certificate cannot be read: {error}") from error


def distrust(found: x509.Certificate, trusted: list[x509.Certificate]) -> str:
    """Why a certificate is not trusted: it is none of these, and none of these issued it, or its time is over."""
    now = datetime.now(UTC)
    if not found.not_valid_before_utc <= now <= found.not_valid_after_utc:
        return f"its certificate holds from {found.not_valid_before_utc:%F} to {found.not_valid_after_utc:%F}"
    for one in trusted:
        if one == found:
            return ""
        try:
            found.verify_directly_issued_by(one)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return ""
    return f"nobody whom you trust issued its certificate ({found.subject.rfc4514_string()})"
