"""Certificates of unknown peers in `rejected/`: kept within a bound until a person decides."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from security.errors import CertificateFileError, ParameterError
from security.files import write_file
from security.pki.folder import PkiFolder
from security.pki.keys import certificate_to_der, certificate_to_pem, common_name, load_certificates
from security.pki.profiles import names_of
from security.tls.material import is_authority
from security.trust.verdict import thumbprint, thumbprint_sha256

MAX_REJECTED = 100
"""The oldest leave first, so that strangers cannot fill the disk."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A peer's certificate that waits for a decision.

    Attributes:
        thumbprint: SHA-1, upper-case hex: its name in OPC UA tools and in `approve`.
        sha256: SHA-256, upper-case hex: what a person compares with what the machine's panel shows.
        subject: Who it says to be; unproven.
        issuer: Who it says has issued it; unproven.
        application_uri: ApplicationUri, if it has one.
        hosts: Hosts that it names.
        not_before: Begin of its validity.
        not_after: End of its validity.
        last_seen: When it was last refused.
        path: The file.
    """

    thumbprint: str
    sha256: str
    subject: str
    issuer: str
    application_uri: str | None
    hosts: tuple[str, ...]
    not_before: dt.datetime
    not_after: dt.datetime
    last_seen: dt.datetime
    path: Path


def keep(folder: PkiFolder, chain: Sequence[x509.Certificate], now: dt.datetime) -> Path:
    """Store the chain that a peer showed (its own certificate first, PEM) and make room for it."""
    folder.create()
    path = folder.rejected / file_name(chain[0], "pem")
    write_file(path, certificate_to_pem(*chain), replace=True)
    os.utime(path, (now.timestamp(), now.timestamp()))
    others = sorted((one for one in _files(folder) if one != path), key=lambda one: one.stat().st_mtime)
    for one in others[: max(0, len(others) - MAX_REJECTED + 1)]:
        one.unlink(missing_ok=True)
    return path


def file_name(certificate: x509.Certificate, extension: str) -> str:
    """Common name, reduced to harmless characters, and thumbprint."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", common_name(certificate)).strip("._-")[:40]
    return f"{plain or 'unnamed'}-{thumbprint(certificate)}.{extension}"


def list_rejected(folder: PkiFolder) -> list[Rejected]:
    """All that wait, the last seen first; a file that is no certificate is left out."""
    found = []
    for path in _files(folder):
        try:
            certificate = load_certificates(path)[0]
            found.append(_describe(path, certificate))
        except (CertificateFileError, ValueError, FileNotFoundError):
            continue
    return sorted(found, key=lambda one: one.last_seen, reverse=True)


def approve(folder: PkiFolder, wanted: str) -> Path:
    """Trust a rejected certificate after a person's decision; what the peer sent above it becomes issuers only.

    Args:
        folder: Whose trust.
        wanted: SHA-1 or SHA-256 thumbprint in hex; blanks and colons do not matter.

    Returns:
        The new file in trusted/certs.

    Raises:
        ParameterError: No rejected certificate has this thumbprint, or it is an authority's: that would trust all
            that it issues.
    """
    one = find(folder, wanted)
    chain = load_certificates(one.path)
    if is_authority(chain[0]):
        raise ParameterError(
            one.path,
            found="an authority's certificate (CA:TRUE), shown by a peer as its own",
            allowed="certificates of single peers",
            action=f"have the peer's certificate made anew; authorities are trusted by files in {folder.trusted_certs}",
        )
    for issuer in chain[1:]:
        write_file(folder.issuers_certs / file_name(issuer, "der"), certificate_to_der(issuer), replace=True)
    path = folder.trusted_certs / file_name(chain[0], "der")
    write_file(path, certificate_to_der(chain[0]), replace=True)
    one.path.unlink()
    return path


def discard(folder: PkiFolder, wanted: str) -> Rejected:
    """Take a rejected certificate off the list; the peer stays untrusted and comes back here when it tries again.

    Raises:
        ParameterError: No rejected certificate has this thumbprint.
    """
    one = find(folder, wanted)
    one.path.unlink()
    return one


def withdraw(folder: PkiFolder, wanted: str) -> Path:
    """End the trust in a certificate of trusted/certs: it moves to rejected/.

    Raises:
        ParameterError: No trusted certificate has this thumbprint.
    """
    digest = _normal(wanted)
    for path in sorted(folder.trusted_certs.glob("[!.]*")):
        certificates = load_certificates(path)
        if len(certificates) == 1 and digest in {thumbprint(certificates[0]), thumbprint_sha256(certificates[0])}:
            target = folder.rejected / file_name(certificates[0], "pem")
            write_file(target, certificate_to_pem(certificates[0]), replace=True)
            path.unlink()
            return target
    raise _unknown(wanted, "trusted", "`area4 pki list`")


def find(folder: PkiFolder, wanted: str) -> Rejected:
    """The rejected certificate with this thumbprint.

    Raises:
        ParameterError: There is none.
    """
    digest = _normal(wanted)
    for one in list_rejected(folder):
        if digest in {one.thumbprint, one.sha256}:
            return one
    raise _unknown(wanted, "rejected", "`area4 pki rejected`")


def _unknown(wanted: str, where: str, command: str) -> ParameterError:
    return ParameterError(
        f"thumbprint {wanted[:80]!r}",
        found=f"no {where} certificate has it",
        allowed="the whole SHA-1 (40 hex digits) or SHA-256 (64) thumbprint",
        action=f"see the list: {command}",
    )


def _normal(text: str) -> str:
    return re.sub(r"[\s:-]", "", text).upper()


def _files(folder: PkiFolder) -> list[Path]:
    return [one for one in folder.rejected.glob("[!.]*") if one.is_file()] if folder.rejected.is_dir() else []


def _describe(path: Path, certificate: x509.Certificate) -> Rejected:
    hosts, uri = names_of(certificate)
    return Rejected(
        thumbprint=thumbprint(certificate),
        sha256=thumbprint_sha256(certificate),
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        application_uri=uri,
        hosts=hosts,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        last_seen=dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC),
        path=path,
    )
