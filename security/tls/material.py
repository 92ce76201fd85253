"""Files of a TLS connection, checked one by one before OpenSSL sees them, so that each mistake has its own sentence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from security.errors import CertificateFileError, KeyFileError, SecurityError
from security.pki.folder import PkiFolder
from security.pki.keys import key_fits, load_certificates, load_key
from security.revocations import CrlState, crl_state, load_revocations


class RevocationListError(SecurityError):
    """Revocation cannot be checked: a list is missing, out of date or not its authority's."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The files of one side of a TLS connection.

    Attributes:
        certificate: Own certificate with its intermediates, PEM; None only with the waiver ``client-certificate``.
        key: Own private key, PEM.
        authorities: Files or folders of trusted authorities' certificates.
        issuers: Files or folders of intermediate authorities, not trusted themselves.
        revocations: Files or folders of revocation lists.
    """

    certificate: Path | None
    key: Path | None
    authorities: tuple[Path, ...]
    issuers: tuple[Path, ...] = ()
    revocations: tuple[Path, ...] = ()

    @classmethod
    def of(cls, folder: PkiFolder) -> TlsFiles:
        """The files of a PKI folder."""
        return cls(
            folder.certificate,
            folder.key,
            (folder.trusted_certs,),
            (folder.issuers_certs,),
            (folder.trusted_crl, folder.issuers_crl),
        )

    def all(self) -> list[Path]:
        """Every file there is now: what to watch for a rotation."""
        places = (*self.authorities, *self.issuers, *self.revocations)
        found = [one for one in (self.certificate, self.key) if one is not None]
        return [*found, *(file for place in places for file in files_of(place))]


def files_of(place: Path) -> list[Path]:
    """`place` itself, or the files in it if it is a folder; names that begin with a dot are left out."""
    if not place.is_dir():
        return [place]
    return sorted(file for file in place.iterdir() if file.is_file() and not file.name.startswith("."))


def check_own(certificate: Path, key: Path, *, password: bytes | None, now: dt.datetime) -> x509.Certificate:
    """Own certificate and key are readable, belong together and are valid now.

    Raises:
        KeyFileError: The key is missing, too widely readable, encrypted with another password, or another one.
        CertificateFileError: The certificate is missing, unreadable or not valid now.
    """
    own = load_certificates(certificate)[0]
    if not key_fits(load_key(key, password), own):
        raise KeyFileError(
            key,
            found=f"the key does not belong to the certificate {certificate}",
            allowed="the private key of exactly that certificate",
            action="name the matching pair, or issue a new certificate",
        )
    if not own.not_valid_before_utc <= now <= own.not_valid_after_utc:
        raise CertificateFileError(
            certificate,
            found=f"valid from {own.not_valid_before_utc:%Y-%m-%d %H:%M} "
            f"to {own.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
            allowed=f"a certificate that is valid now ({now:%Y-%m-%d %H:%M} UTC)",
            action="renew it (`area4 pki renew`), or correct the clock",
        )
    return own


def load_authorities(places: Sequence[Path]) -> list[x509.Certificate]:
    """All authorities' certificates in `places`.

    Raises:
        CertificateFileError: There is none, one is unreadable, or one is no authority's.
    """
    found: list[x509.Certificate] = []
    for file in (file for place in places for file in files_of(place)):
        for certificate in load_certificates(file):
            if not is_authority(certificate):
                raise CertificateFileError(
                    file,
                    found=f"{certificate.subject.rfc4514_string()} is not an authority (no basic constraint CA:TRUE)",
                    allowed="certificates of authorities",
                    action="put the certificate of the authority there that issued the peer's certificate",
                )
            found.append(certificate)
    return found


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether basic constraints say CA:TRUE."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def check_revocations(
    authorities: Sequence[x509.Certificate],
    places: Sequence[Path],
    *,
    waived: bool,
    now: dt.datetime,
) -> list[x509.CertificateRevocationList]:
    """The revocation lists to load; every authority needs one that is its own and not out of date.

    Args:
        authorities: The trusted authorities.
        places: Files and folders of lists.
        waived: With no list at all for any authority, go on without checking (waiver ``missing-crl``).
        now: The current time.

    Raises:
        RevocationListError: A list is missing or out of date.
    """
    lists = [one for place in places for file in files_of(place) for one in load_revocations(file)]
    states = [(authority, crl_state(authority, lists, now)) for authority in authorities]
    if waived and all(state is CrlState.MISSING for _, state in states):
        return []
    for authority, state in states:
        if state is CrlState.USABLE:
            continue
        name = authority.subject.rfc4514_string()
        raise RevocationListError(
            f"authority {name}",
            found="its revocation list is out of date" if state is CrlState.STALE else "no revocation list of it",
            allowed="a list signed by that authority and not past its next update, for every trusted authority"
            + ("; the waiver missing-crl serves only where no authority has one" if waived else ""),
            action=f"put the current list into {places[0] if places else 'the folder of revocation lists'}"
            + ("" if waived else ", or set the waiver missing-crl"),
        )
    return lists
