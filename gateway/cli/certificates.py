"""Certificates for people and machines: what `pki show`, `list`, `expiring` and `discover` tell of one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from gateway.cli.output import say
from security.errors import CertificateFileError
from security.pki.keys import common_name, kind_of, load_certificates, public_of
from security.pki.profiles import names_of
from security.revocations import load_revocations
from security.trust import thumbprint, thumbprint_sha256

SUFFIXES = {".pem", ".der", ".crt", ".cer"}
PLACES = {
    ("own",): "own",
    ("trusted", "certs"): "trusted",
    ("issuers", "certs"): "issuer",
    ("rejected",): "rejected",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A certificate in a file."""

    path: Path
    certificate: x509.Certificate
    place: str = ""

    def days(self, now: dt.datetime) -> float:
        """Until it ends."""
        return (self.certificate.not_valid_after_utc - now).total_seconds() / 86_400


@dataclass(frozen=True, slots=True)
class FoundList:
    """A revocation list in a file; past its next update every certificate of its authority is refused."""

    path: Path
    issuer: str
    until: dt.datetime

    def days(self, now: dt.datetime) -> float:
        """Until its next update is due."""
        return (self.until - now).total_seconds() / 86_400


def find_lists(root: Path) -> Iterator[FoundList]:
    """All revocation lists in the `crl` folders below `root`."""
    for path in sorted(root.rglob("crl/*")):
        for one in load_revocations(path) if path.is_file() else ():
            until = one.next_update_utc or one.last_update_utc
            yield FoundList(path, one.issuer.rfc4514_string(), until)


def facts(certificate: x509.Certificate) -> dict[str, object]:
    """What a certificate says, by name."""
    hosts, uri = names_of(certificate)
    key = public_of(certificate)
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "serial": f"{certificate.serial_number:x}",
        "notBefore": certificate.not_valid_before_utc.isoformat(),
        "notAfter": certificate.not_valid_after_utc.isoformat(),
        "applicationUri": uri,
        "hosts": list(hosts),
        "key": kind_of(key) if key is not None else "neither RSA nor EC",
        "signature": (certificate.signature_hash_algorithm or hashes.SHA256()).name,
        "authority": is_authority(certificate),
        "thumbprint": thumbprint(certificate),
        "sha256": thumbprint_sha256(certificate),
    }


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it may sign others."""
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False


def tell(found: Found, now: dt.datetime, indent: str = "") -> None:
    """A certificate in lines for people."""
    what = facts(found.certificate)
    ends = found.certificate.not_valid_after_utc
    days = found.days(now)
    state = f"{days:.0f} days left" if days >= 0 else f"EXPIRED {-days:.0f} days ago"
    if found.certificate.not_valid_before_utc > now:
        state = f"NOT YET VALID, begins {found.certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    say(f"{indent}{common_name(found.certificate)}{' (authority)' if what['authority'] else ''}")
    for name in ("subject", "issuer", "serial", "key"):
        say(f"{indent}  {name:<16} {what[name]}")
    say(f"{indent}  {'valid until':<16} {ends:%Y-%m-%d %H:%M} UTC ({state})")
    if what["applicationUri"]:
        say(f"{indent}  {'ApplicationUri':<16} {what['applicationUri']}")
    hosts = names_of(found.certificate)[0]
    if hosts:
        say(f"{indent}  {'hosts':<16} {', '.join(hosts)}")
    say(f"{indent}  {'thumbprint':<16} {what['thumbprint']} (SHA-1, as OPC UA names it)")
    say(f"{indent}  {'SHA-256':<16} {what['sha256']}")


def find(root: Path) -> Iterator[Found]:
    """All certificates in `root`, a file or a folder with everything below it; other files are passed over.

    Raises:
        CertificateFileError: `root` is missing, or a single file that is no certificate.
    """
    if not root.is_dir():
        for certificate in load_certificates(root):
            yield Found(root, certificate)
        return
    seen: set[tuple[Path, bytes]] = set()
    for path in sorted(root.rglob("*")):
        if path.name.startswith(".") or path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        try:
            certificates = load_certificates(path)
        except CertificateFileError:
            continue  # a key, a request or a revocation list
        for certificate in certificates:
            mark = (path.parent, certificate.fingerprint(hashes.SHA256()))
            if mark not in seen:  # the same in PEM and DER side by side
                seen.add(mark)
                yield Found(path, certificate, _place(path))


def _place(path: Path) -> str:
    parents = tuple(parent.name for parent in path.parents)[:2]
    for place, name in PLACES.items():
        if tuple(reversed(parents))[-len(place) :] == place:
            return name
    return ""
