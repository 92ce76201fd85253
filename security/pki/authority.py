"""An installation's own certificate authority: issues, renews, revokes; its revocation list is its only state."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from security.errors import CertificateFileError, KeyFileError, ParameterError
from security.files import make_folder, read_file, refuse_existing, write_file
from security.pki.folder import PkiFolder
from security.pki.keys import (
    KeyKind,
    PrivateKey,
    PublicKey,
    certificate_to_der,
    certificate_to_pem,
    key_fits,
    kind_of,
    load_certificates,
    load_key,
    make_key,
    public_of,
    save_key,
)
from security.pki.profiles import Profile, check_common_name, make_key_usage, make_name, profile_of

AUTHORITY_LIFETIME = dt.timedelta(days=3650)
LEAF_LIFETIME = dt.timedelta(days=730)
CRL_LIFETIME = dt.timedelta(days=90)
CLOCK_TOLERANCE = dt.timedelta(hours=1)
"""A certificate is valid this long before it was made: machines' clocks differ."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its chain and, unless its holder made a request, its private key.

    Attributes:
        certificate: The new certificate.
        chain: Authorities from its issuer up, without a self-signed root.
        root: The self-signed authority above, or the topmost one that is known.
        key: The private key, or None where the holder keeps it.
    """

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    root: x509.Certificate
    key: PrivateKey | None

    def install(self, folder: PkiFolder, *, replace: bool = False, password: bytes | None = None) -> PkiFolder:
        """Write key and certificate into `folder.own`; the key first, so that a certificate never lacks its key.

        Raises:
            AlreadyExistsError: A key is there and `replace` is false.
            ParameterError: There is no key to install (use `install_signed` for the answer to a request).
        """
        if self.key is None:
            raise ParameterError(
                folder.own,
                found="a certificate without its key",
                allowed="a certificate with its key, or the request that it answers",
                action="install it where the request was made",
            )
        folder.create()
        save_key(folder.key, self.key, password=password, replace=replace)
        write_own(folder, (self.certificate, *self.chain))
        return folder


def write_own(folder: PkiFolder, chain: Sequence[x509.Certificate]) -> None:
    """Write the own certificate (PEM with its chain, and DER alone)."""
    write_file(folder.certificate_der, certificate_to_der(chain[0]), replace=True)
    write_file(folder.certificate, certificate_to_pem(*chain), replace=True)


class Authority:
    """A certificate authority in a folder; the README of this package lists its files."""

    def __init__(self, folder: Path, key: PrivateKey, chain: Sequence[x509.Certificate]) -> None:
        self.folder = folder
        self.certificate = chain[0]
        self.chain = tuple(chain)
        self._key = key

    @classmethod
    def create(
        cls,
        folder: Path,
        common_name: str,
        *,
        key_kind: KeyKind = "ec-p256",
        issuer: Authority | None = None,
        path_length: int | None = None,
        lifetime: dt.timedelta = AUTHORITY_LIFETIME,
        crl_lifetime: dt.timedelta = CRL_LIFETIME,
        now: dt.datetime | None = None,
        organization: str | None = None,
        password: bytes | None = None,
    ) -> Authority:
        """Make a root authority, or with `issuer` an intermediate one, and its first revocation list.

        Raises:
            AlreadyExistsError: There is an authority in `folder` already.
            ParameterError: The name cannot stand in a certificate.
        """
        check_common_name(common_name)
        key_file = folder / "key.pem"
        if key_file.exists():
            raise refuse_existing(key_file)
        moment = _moment(now)
        key = make_key(key_kind)
        name = make_name(common_name, organization)
        signer = issuer.certificate if issuer else None
        builder = _start(name, signer.subject if signer else name, key.public_key(), moment, lifetime, signer)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        builder = builder.add_extension(make_key_usage(authority=True), critical=True)
        issuer_key = issuer._key if issuer else key  # noqa: SLF001 - another object of the same class
        builder = _add_identifiers(builder, key.public_key(), signer, issuer_key.public_key())
        certificate = builder.sign(issuer_key, hashes.SHA256())
        made = cls(make_folder(folder), key, (certificate, *(issuer.chain if issuer else ())))
        save_key(key_file, key, password=password)
        write_file(folder / "ca.der", certificate_to_der(certificate), replace=True)
        write_file(folder / "chain.pem", certificate_to_pem(*made.chain), replace=True)
        write_file(folder / "ca.pem", certificate_to_pem(certificate), replace=True)
        made.write_crl(lifetime=crl_lifetime, now=moment)
        if issuer:
            issuer._remember(certificate)  # noqa: SLF001 - another object of the same class
        return made

    @classmethod
    def load(cls, folder: Path, password: bytes | None = None) -> Authority:
        """Open the authority in `folder`.

        Raises:
            KeyFileError: The key is missing, too widely readable, or does not fit the certificate.
            CertificateFileError: The certificate is missing or unreadable.
        """
        chain = load_certificates(folder / "chain.pem")
        key = load_key(folder / "key.pem", password)
        if not key_fits(key, chain[0]):
            raise KeyFileError(
                folder / "key.pem",
                found=f"the key does not belong to {folder / 'ca.pem'}",
                allowed="the authority's own key",
                action="restore both files from the same backup",
            )
        return cls(folder, key, chain)

    @property
    def crl_pem(self) -> Path:
        """The current revocation list, PEM."""
        return self.folder / "crl.pem"

    @property
    def crl_der(self) -> Path:
        """The current revocation list, DER."""
        return self.folder / "crl.der"

    def issue_server(self, common_name: str, hosts: Sequence[str], **options: object) -> Issued:
        """Issue for an MQTT broker reached under `hosts`; options as in `issue`."""
        return self.issue(Profile("server", common_name, tuple(hosts)), **options)  # type: ignore[arg-type]  # passed on

    def issue_client(self, common_name: str, **options: object) -> Issued:
        """Issue for an MQTT client; the common name is its identity in the broker's access list."""
        return self.issue(Profile("client", common_name), **options)  # type: ignore[arg-type]  # passed on

    def issue_user(self, common_name: str, **options: object) -> Issued:
        """Issue for an OPC UA user (X.509 user token)."""
        options.setdefault("key_kind", "rsa-2048")
        return self.issue(Profile("user", common_name), **options)  # type: ignore[arg-type]  # passed on

    def issue_application(self, common_name: str, *, uri: str, hosts: Sequence[str], **options: object) -> Issued:
        """Issue for an OPC UA application (OPC 10000-6, 6.2.2); RSA, since the policies in use demand it."""
        options.setdefault("key_kind", "rsa-2048")
        return self.issue(Profile("application", common_name, tuple(hosts), uri), **options)  # type: ignore[arg-type]  # passed on

    def issue(
        self,
        profile: Profile,
        *,
        key_kind: KeyKind = "ec-p256",
        lifetime: dt.timedelta = LEAF_LIFETIME,
        now: dt.datetime | None = None,
    ) -> Issued:
        """Make a key and issue a certificate for it.

        Raises:
            ParameterError: The lifetime is not positive, the authority has expired, or an application key is not RSA.
        """
        if profile.purpose == "application" and not key_kind.startswith("rsa"):
            raise ParameterError(
                f"application {profile.common_name}",
                found=f"key of kind {key_kind}",
                allowed="rsa-2048, rsa-3072 or rsa-4096 (policies Basic256Sha256, Aes128 and Aes256)",
                action="choose an RSA key",
            )
        key = make_key(key_kind)
        return self._sign(profile, key.public_key(), key, _moment(now), lifetime)

    def sign_request(
        self,
        request: x509.CertificateSigningRequest,
        profile: Profile,
        *,
        lifetime: dt.timedelta = LEAF_LIFETIME,
        now: dt.datetime | None = None,
    ) -> Issued:
        """Answer a request: its public key, but names and usage as `profile` says, never as the request wishes.

        Raises:
            CertificateFileError: The request's signature is wrong or its key neither RSA nor EC.
        """
        public = request.public_key()
        if not request.is_signature_valid or not isinstance(public, PublicKey):
            raise CertificateFileError(
                f"request of {profile.common_name}",
                found="a signature that does not fit, or a key that is neither RSA nor EC",
                allowed="a request signed by its own RSA or EC key",
                action="make the request again",
            )
        return self._sign(profile, public, None, _moment(now), lifetime)

    def renew(
        self,
        certificate: x509.Certificate,
        *,
        lifetime: dt.timedelta = LEAF_LIFETIME,
        now: dt.datetime | None = None,
    ) -> Issued:
        """Issue a successor of the same names and purpose with a new key; the old one stays valid until revoked.

        Raises:
            ParameterError: This authority did not issue `certificate`.
        """
        self._check_own(certificate)
        old = public_of(certificate)
        return self.issue(
            profile_of(certificate), key_kind=kind_of(old) if old else "ec-p256", lifetime=lifetime, now=now
        )

    def issued(self) -> list[x509.Certificate]:
        """Every certificate that this authority has issued, oldest first."""
        files = sorted((self.folder / "issued").glob("*.pem"))
        found = [load_certificates(file)[0] for file in files]
        return sorted(found, key=lambda one: one.not_valid_before_utc)

    def revoke(
        self,
        which: int | x509.Certificate,
        *,
        reason: x509.ReasonFlags = x509.ReasonFlags.unspecified,
        now: dt.datetime | None = None,
    ) -> Path:
        """Revoke a certificate by serial number or itself and renew the revocation list; its PEM file is returned.

        Raises:
            ParameterError: This authority did not issue it.
        """
        moment = _moment(now)
        serial = which if isinstance(which, int) else which.serial_number
        if isinstance(which, x509.Certificate):
            self._check_own(which)
        elif not self._issued_file(serial).exists():
            raise self._foreign(f"serial number {serial:x}")
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(moment)
        if reason is not x509.ReasonFlags.unspecified:  # RFC 5280, 5.3.1: the absence says "unspecified"
            entry = entry.add_extension(x509.CRLReason(reason), critical=False)
        return self.write_crl(add=entry.build(), now=moment)

    def revoked(self) -> dict[int, x509.RevokedCertificate]:
        """What the current revocation list holds, by serial number."""
        current = self._current_crl()
        return {entry.serial_number: entry for entry in current} if current is not None else {}

    def write_crl(
        self,
        *,
        add: x509.RevokedCertificate | None = None,
        lifetime: dt.timedelta | None = None,
        now: dt.datetime | None = None,
    ) -> Path:
        """Write the revocation list anew; without `lifetime` it holds as long as the last one did."""
        moment = _moment(now)
        current = self._current_crl()
        number, lasting = 1, CRL_LIFETIME
        if current is not None:
            number = current.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number + 1
            until = current.next_update_utc
            lasting = until - current.last_update_utc - CLOCK_TOLERANCE if until else CRL_LIFETIME
        entries = {entry.serial_number: entry for entry in current} if current is not None else {}
        if add is not None:
            entries.setdefault(add.serial_number, add)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
        builder = builder.last_update(moment - CLOCK_TOLERANCE).next_update(moment + (lifetime or lasting))
        for entry in entries.values():
            builder = builder.add_revoked_certificate(entry)
        builder = builder.add_extension(_authority_identifier(self.certificate), critical=False)
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
        made = builder.sign(self._key, hashes.SHA256())
        write_file(self.crl_der, made.public_bytes(serialization.Encoding.DER), replace=True)
        return write_file(self.crl_pem, made.public_bytes(serialization.Encoding.PEM), replace=True)

    def _current_crl(self) -> x509.CertificateRevocationList | None:
        if not self.crl_pem.exists():
            return None
        content = read_file(self.crl_pem, what="revocation list", error=CertificateFileError)
        try:
            return x509.load_pem_x509_crl(content)
        except ValueError as problem:
            raise CertificateFileError(
                self.crl_pem,
                found="no revocation list in PEM",
                allowed="the list that this authority wrote last: it knows what is revoked",
                action="restore it from a backup; a new list would forget all revocations",
            ) from problem

    def _sign(
        self, profile: Profile, public: PublicKey, key: PrivateKey | None, now: dt.datetime, lifetime: dt.timedelta
    ) -> Issued:
        if lifetime <= dt.timedelta(0) or self.certificate.not_valid_after_utc <= now:
            raise ParameterError(
                f"certificate of {profile.common_name}",
                found=f"lifetime {lifetime}, authority valid until {self.certificate.not_valid_after_utc:%Y-%m-%d}",
                allowed="a positive lifetime within the authority's",
                action="make a new authority, or correct the clock or the lifetime",
            )
        builder = _start(profile.subject(), self.certificate.subject, public, now, lifetime, self.certificate)
        for extension, critical in profile.extensions(rsa=isinstance(public, rsa.RSAPublicKey)):
            builder = builder.add_extension(extension, critical=critical)
        builder = _add_identifiers(builder, public, self.certificate, self._key.public_key())
        certificate = builder.sign(self._key, hashes.SHA256())
        self._remember(certificate)
        chain = tuple(one for one in self.chain if one.subject != one.issuer)
        return Issued(certificate, chain, self.chain[-1], key)

    def _remember(self, certificate: x509.Certificate) -> None:
        make_folder(self.folder / "issued")
        write_file(self._issued_file(certificate.serial_number), certificate_to_pem(certificate))

    def _issued_file(self, serial: int) -> Path:
        return self.folder / "issued" / f"{serial:x}.pem"

    def _check_own(self, certificate: x509.Certificate) -> None:
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature) as problem:
            raise self._foreign(certificate.subject.rfc4514_string()) from problem

    def _foreign(self, subject: str) -> ParameterError:
        return ParameterError(
            subject,
            found=f"not issued by {self.certificate.subject.rfc4514_string()}",
            allowed="a certificate of this authority (`area4 pki list`)",
            action="turn to the authority that issued it",
        )


def _moment(now: dt.datetime | None) -> dt.datetime:
    """`now` or the current time, in whole seconds as X.509 has them."""
    return (now or dt.datetime.now(dt.UTC)).replace(microsecond=0)


def _start(
    subject: x509.Name,
    issuer: x509.Name,
    public: PublicKey,
    now: dt.datetime,
    lifetime: dt.timedelta,
    signer: x509.Certificate | None,
) -> x509.CertificateBuilder:
    """A builder with names, key, random serial number and a validity within the signer's."""
    begin, end = now - CLOCK_TOLERANCE, now + lifetime
    if signer is not None:
        begin, end = max(begin, signer.not_valid_before_utc), min(end, signer.not_valid_after_utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )


def _add_identifiers(
    builder: x509.CertificateBuilder, public: PublicKey, signer: x509.Certificate | None, signer_key: PublicKey
) -> x509.CertificateBuilder:
    """Subject and authority key identifiers."""
    identifier = (
        _authority_identifier(signer) if signer else x509.AuthorityKeyIdentifier.from_issuer_public_key(signer_key)
    )
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False).add_extension(
        identifier, critical=False
    )


def _authority_identifier(signer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = signer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
