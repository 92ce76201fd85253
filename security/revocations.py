"""Revocation lists: read, and judged as RFC 5280, 6.3.3 has it: right issuer, right signature, not out of date."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from enum import Enum
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from security.errors import CertificateFileError
from security.files import read_file
from security.pki.keys import public_of

_PEM_END = b"-----END X509 CRL-----"


class CrlState(Enum):
    """What is known about an authority's revocations."""

    USABLE = "usable"
    STALE = "stale"
    MISSING = "missing"


def load_revocations(path: Path) -> list[x509.CertificateRevocationList]:
    """All revocation lists in the file, PEM or DER.

    Raises:
        CertificateFileError: Missing, or no revocation list in it.
    """
    content = read_file(path, what="revocation list", error=CertificateFileError)
    try:
        if b"-----BEGIN" not in content:
            return [x509.load_der_x509_crl(content)]
        parts = content.split(_PEM_END)
        if len(parts) > 1:
            return [x509.load_pem_x509_crl(part + _PEM_END + b"\n") for part in parts[:-1]]
    except ValueError as problem:
        raise _not_a_list(path) from problem
    raise _not_a_list(path)


def _not_a_list(path: Path) -> CertificateFileError:
    return CertificateFileError(
        path,
        found="no revocation list (neither PEM nor DER)",
        allowed="revocation lists (X.509 CRL)",
        action="remove the file or replace it by the authority's current list",
    )


def lists_of(
    issuer: x509.Certificate, lists: Iterable[x509.CertificateRevocationList]
) -> list[x509.CertificateRevocationList]:
    """Those of `lists` that `issuer` made: its name, its signature, and its right to sign lists."""
    return [one for one in lists if one.issuer == issuer.subject and _signed_by(one, issuer)]


def _signed_by(one: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    key = public_of(issuer)
    if key is None or not _may_sign_lists(issuer) or _has_unknown_critical(one):
        return False
    try:
        return one.is_signature_valid(key)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False


def _may_sign_lists(issuer: x509.Certificate) -> bool:
    try:
        return issuer.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True
    except ValueError:
        return False


def _has_unknown_critical(one: x509.CertificateRevocationList) -> bool:
    """Lists of a part only (issuing distribution point) and deltas are critical extensions that we do not evaluate."""
    try:
        return any(extension.critical for extension in one.extensions)
    except (ValueError, x509.DuplicateExtension):
        return True


def is_current(one: x509.CertificateRevocationList, now: dt.datetime) -> bool:
    """Whether `now` lies between this and next update; a list without next update is out of date at once."""
    return one.next_update_utc is not None and one.last_update_utc <= now <= one.next_update_utc


def crl_state(issuer: x509.Certificate, lists: Sequence[x509.CertificateRevocationList], now: dt.datetime) -> CrlState:
    """Whether revocations of `issuer` are known now."""
    own = lists_of(issuer, lists)
    if any(is_current(one, now) for one in own):
        return CrlState.USABLE
    return CrlState.STALE if own else CrlState.MISSING


def is_revoked(
    serial: int, issuer: x509.Certificate, lists: Sequence[x509.CertificateRevocationList]
) -> x509.RevokedCertificate | None:
    """The entry for `serial` in any list that `issuer` made; an old list revokes too."""
    for one in lists_of(issuer, lists):
        entry = one.get_revoked_certificate_by_serial_number(serial)
        if entry is not None and not _is_removal(entry):
            return entry
    return None


def _is_removal(entry: x509.RevokedCertificate) -> bool:
    try:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return False
    return reason is x509.ReasonFlags.remove_from_crl
