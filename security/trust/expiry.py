"""What expires soon: own and peers' certificates, and revocation lists."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from cryptography import x509

from security.errors import CertificateFileError
from security.pki.folder import PkiFolder
from security.pki.keys import load_certificates
from security.revocations import load_revocations
from security.tls.material import files_of

_Content = TypeVar("_Content")

WARNING_DAYS = (30, 7, 1)

ExpiryKind = Literal["own", "trusted", "issuer", "peer", "revocation-list"]


@dataclass(frozen=True, slots=True)
class Expiring:
    """Something that expires within the first warning, or has.

    Attributes:
        kind: What it is.
        name: Subject of the certificate, issuer of the list.
        until: Its end.
        days: The smallest of the warning days that it is within; 0 when it has expired.
        source: File, or the peer's name.
    """

    kind: ExpiryKind
    name: str
    until: dt.datetime
    days: int
    source: str

    def __str__(self) -> str:
        verb = "expired on" if self.days == 0 else f"expires within {self.days} day{'s' if self.days > 1 else ''}, on"
        return f"{self.source}: {self.kind} {self.name} {verb} {self.until:%Y-%m-%d %H:%M} UTC"


def expiring(
    folder: PkiFolder,
    now: dt.datetime,
    *,
    peers: Iterable[tuple[str, x509.Certificate]] = (),
    days: Sequence[int] = WARNING_DAYS,
) -> list[Expiring]:
    """All that expires within `days` in `folder` and among the `peers` seen on the wire, the next first.

    Args:
        folder: A PKI folder; files that cannot be read are left out, for their use reports them.
        now: The current time.
        peers: Name and certificate of each connected peer.
        days: Warning days.
    """
    found: list[tuple[ExpiryKind, str, dt.datetime, str]] = []
    places: list[tuple[ExpiryKind, Path]] = [
        ("own", folder.certificate),
        ("trusted", folder.trusted_certs),
        ("issuer", folder.issuers_certs),
    ]
    for kind, place in places:
        for file, certificate in _readable(place, load_certificates):
            found.append((kind, certificate.subject.rfc4514_string(), certificate.not_valid_after_utc, str(file)))
    for place in (folder.trusted_crl, folder.issuers_crl):
        for file, one in _readable(place, load_revocations):
            until = one.next_update_utc or one.last_update_utc
            found.append(("revocation-list", one.issuer.rfc4514_string(), until, str(file)))
    for name, certificate in peers:
        found.append(("peer", certificate.subject.rfc4514_string(), certificate.not_valid_after_utc, name))
    judged = [
        Expiring(kind, name, until, level, source)
        for kind, name, until, source in found
        if (level := warning(until, now, days)) is not None
    ]
    return sorted(judged, key=lambda one: one.until)


def warning(until: dt.datetime, now: dt.datetime, days: Sequence[int] = WARNING_DAYS) -> int | None:
    """The smallest warning that applies, 0 after the end, None before the first."""
    if until < now:
        return 0
    return min((day for day in days if until - now <= dt.timedelta(days=day)), default=None)


def _readable(place: Path, load: Callable[[Path], list[_Content]]) -> list[tuple[Path, _Content]]:
    found: list[tuple[Path, _Content]] = []
    for file in files_of(place):
        try:
            found += [(file, one) for one in load(file)]
        except CertificateFileError:
            continue
    return found
