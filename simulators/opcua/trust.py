"""Which client certificates a simulated server believes: files in a folder, read anew for every channel."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

_LOG = logging.getLogger(__name__)
_DEEPEST = 5
"""Longest chain of certificates that is followed."""

_SHORTEST = 2048
"""Bits of a key that the current security policies ask for (OPC 10000-7)."""

_SUFFIXES = (".pem", ".der", ".crt", ".cer", ".crl")
_LEFT_OUT = {"own", "rejected"}
_PEM_LIST = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


class DistrustError(Exception):
    """A certificate is not believed; `status` is the OPC UA status name that says why."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(f"{status}: {reason}")
        self.status = status


@dataclass(slots=True)
class Known:
    """What the files hold."""

    trusted: list[x509.Certificate] = field(default_factory=list)
    issuers: list[x509.Certificate] = field(default_factory=list)
    revocations: list[x509.CertificateRevocationList] = field(default_factory=list)


class Trust:
    """Certificates, authorities and revocation lists (PEM or DER) anywhere below the given folders or files.

    A certificate is believed that is itself there, or whose chain of issuers ends at an authority that is there. What
    lies below a folder named `issuers` completes chains but is not trusted itself, as do certificates that the client
    sends with its own; what lies below `own` or `rejected` is left out (OPC 10000-12, folders of an application).
    A certificate that a revocation list of its issuer names is refused, however old the list is; an authority without
    a list is believed, unless `strict`.

    Attributes:
        places: The folders and files.
        strict: Every authority in a chain needs a revocation list.
        lenient: What is not looked at, for servers that are wrong on purpose: `begin` and `end` of validity, `usage`,
            `purpose`, `authority`, `key` and `digest` of an application's certificate, the lists of `revoked` clients
            and of revoked `issuers`, certificates that are `sent` along, `incomplete` chains.
    """

    def __init__(self, places: Iterable[Path], *, strict: bool = False) -> None:
        self.places = tuple(places)
        self.strict = strict
        self.lenient: frozenset[str] = frozenset()
        self._told: set[Path] = set()

    def check(self, der: bytes) -> x509.Certificate:
        """The certificate, if it is believed; in `der`, its issuers may follow it.

        Raises:
            DistrustError: It is not; the reason is in the text.
        """
        certificate, *sent = _load(der)
        now = datetime.now(UTC)
        if now < certificate.not_valid_before_utc and "begin" not in self.lenient:
            raise DistrustError("BadCertificateTimeInvalid", f"{_name(certificate)} is not valid yet")
        if now > certificate.not_valid_after_utc and "end" not in self.lenient:
            raise DistrustError("BadCertificateTimeInvalid", f"{_name(certificate)} is not valid any more")
        known = self._read()
        if "sent" not in self.lenient:
            known.issuers += sent
        self._chain(certificate, known, 0)
        return certificate

    def check_application(self, der: bytes) -> x509.Certificate:
        """As `check`, for the certificate of an application: also made for that use and strong enough.

        Raises:
            DistrustError: It is not believed, or not fit.
        """
        certificate = self.check(der)
        for name, (fits, status) in _FIT.items():
            if name not in self.lenient and not fits(certificate):
                raise DistrustError(status, f"{_name(certificate)} is not fit for a client application ({name})")
        return certificate

    def _chain(self, certificate: x509.Certificate, known: Known, below: int) -> None:
        """Follow the issuers; `below` is the number of authorities between the client and this certificate."""
        issuer = _issuer(certificate, [*known.trusted, *known.issuers])
        if issuer is not None and issuer != certificate and ("issuers" if below else "revoked") not in self.lenient:
            self.revoked(certificate, issuer, known)
        if certificate in known.trusted or (issuer is None and "incomplete" in self.lenient):
            return
        if issuer is None or issuer == certificate or below == _DEEPEST:
            raise DistrustError("BadCertificateUntrusted", f"{_name(certificate)} is unknown and so is its issuer")
        now = datetime.now(UTC)
        if not issuer.not_valid_before_utc <= now <= issuer.not_valid_after_utc:
            raise DistrustError("BadCertificateIssuerTimeInvalid", f"{_name(issuer)} is not valid now")
        deepest = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
        if deepest is not None and below > deepest:
            raise DistrustError(
                "BadCertificateChainIncomplete",
                f"{below} authorities stand between the client and {_name(issuer)}, which allows {deepest}",
            )
        self._chain(issuer, known, below + 1)

    def revoked(self, certificate: x509.Certificate, issuer: x509.Certificate, known: Known) -> None:
        """Look into the issuer's revocation lists.

        Raises:
            DistrustError: The certificate is in one, or there is none although one is asked for.
        """
        lists = [one for one in known.revocations if one.issuer == issuer.subject and _signed(one, issuer)]
        if self.strict and not lists:
            raise DistrustError("BadCertificateRevocationUnknown", f"{_name(issuer)} has no revocation list here")
        if any(one.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None for one in lists):
            raise DistrustError("BadCertificateRevoked", f"{_name(certificate)} was revoked by its issuer")

    def _read(self) -> Known:
        known = Known()
        for place in self.places:
            for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
                inside = path.relative_to(place).parts
                if path.suffix.lower() in _SUFFIXES and not _LEFT_OUT & set(inside) and path.is_file():
                    self._read_file(path, known, known.issuers if "issuers" in inside else known.trusted)
        return known

    def _read_file(self, path: Path, known: Known, certificates: list[x509.Certificate]) -> None:
        try:
            data = path.read_bytes()
            if not data.lstrip().startswith(b"-----BEGIN"):
                _read_der(data, known, certificates)
                return
            lists = _PEM_LIST.findall(data)
            if b"-----BEGIN CERTIFICATE-----" in data or not lists:
                certificates += x509.load_pem_x509_certificates(data)
            known.revocations += [x509.load_pem_x509_crl(one) for one in lists]
        except (OSError, ValueError) as fault:
            if path not in self._told:
                self._told.add(path)
                _LOG.warning("%s holds neither a certificate nor a revocation list and is left out: %s", path, fault)


def _read_der(data: bytes, known: Known, certificates: list[x509.Certificate]) -> None:
    """A certificate or a revocation list, which only their content tells apart."""
    try:
        certificates.append(x509.load_der_x509_certificate(data))
    except ValueError:
        known.revocations.append(x509.load_der_x509_crl(data))


def _issuer(certificate: x509.Certificate, candidates: Iterable[x509.Certificate]) -> x509.Certificate | None:
    for candidate in candidates:
        if candidate.subject == certificate.issuer and _is_authority(candidate) and _issued(certificate, candidate):
            return candidate
    return None


def _signed(revocations: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    try:
        return revocations.is_signature_valid(issuer.public_key())  # type: ignore[arg-type] # another kind of key raises
    except (InvalidSignature, TypeError, ValueError):
        return False


def _load(der: bytes) -> list[x509.Certificate]:
    """The certificates that follow each other in `der`, the client's own first."""
    found: list[x509.Certificate] = []
    while der and len(found) <= _DEEPEST:
        one = first_certificate(der)
        try:
            found.append(x509.load_der_x509_certificate(one))
        except ValueError as fault:
            raise DistrustError("BadCertificateInvalid", f"the client's certificate cannot be read: {fault}") from fault
        der = der[len(one) :]
    if not found:
        raise DistrustError("BadCertificateInvalid", "the client sent no certificate")
    return found


def first_certificate(der: bytes) -> bytes:
    """The first of the DER certificates that follow each other in `der` (a client may send its chain)."""
    if len(der) < 4 or der[0] != 0x30 or der[1] != 0x82:
        return der
    return der[: 4 + int.from_bytes(der[2:4], "big")]


def application_uris(certificate: x509.Certificate) -> list[str]:
    """The URIs of a certificate's SubjectAltName."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return list(names.get_values_for_type(x509.UniformResourceIdentifier))


def der_of(certificate: x509.Certificate) -> bytes:
    """A certificate in DER."""
    return certificate.public_bytes(Encoding.DER)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _signs(certificate: x509.Certificate) -> bool:
    """KeyUsage, where it is there, allows what a secure channel needs (OPC 10000-6, 6.2.2)."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return usage.digital_signature and usage.key_encipherment


def _for_clients(certificate: x509.Certificate) -> bool:
    """ExtendedKeyUsage, where it is there, has clientAuth."""
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.CLIENT_AUTH in purposes


def _own(certificate: x509.Certificate) -> bool:
    """It is an application's and no authority's, but one that is signed by itself may say that it is both."""
    return certificate.issuer == certificate.subject or not _is_authority(certificate)


def _long(certificate: x509.Certificate) -> bool:
    key = certificate.public_key()
    return isinstance(key, RSAPublicKey) and key.key_size >= _SHORTEST


def _fresh(certificate: x509.Certificate) -> bool:
    digest = certificate.signature_hash_algorithm
    return digest is not None and digest.name != "sha1"


_FIT: dict[str, tuple[Callable[[x509.Certificate], bool], str]] = {
    "usage": (_signs, "BadCertificateUseNotAllowed"),
    "purpose": (_for_clients, "BadCertificateUseNotAllowed"),
    "authority": (_own, "BadCertificateUseNotAllowed"),
    "key": (_long, "BadCertificatePolicyCheckFailed"),
    "digest": (_fresh, "BadCertificatePolicyCheckFailed"),
}


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _name(certificate: x509.Certificate) -> str:
    return f"the certificate {certificate.subject.rfc4514_string()!r} (serial {certificate.serial_number:x})"
