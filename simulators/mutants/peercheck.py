"""How a careless client looks at a certificate: everything is checked but what the mutant leaves out."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature


@dataclass(frozen=True, slots=True)
class PeerCheck:
    """Checks a server certificate as a client must (RFC 5280, RFC 6125; OPC 10000-4, 6.1.3), except where told not to.

    Attributes:
        chain: It is of the authority.
        time: It is valid now.
        name: It is for the host, or the application, that was meant.
        revocation: The authority has not revoked it.
    """

    chain: bool = True
    time: bool = True
    name: bool = True
    revocation: bool = True

    def wrong(self, shown: bytes | None, authority: Path, meant: str, revoked: Path | None = None) -> str:
        """What is wrong with a certificate (DER); empty when nothing is, as far as is looked.

        Args:
            shown: What the peer showed.
            authority: PEM or DER file of the authority's certificate.
            meant: Host name, address or ApplicationUri.
            revoked: Revocation list of the authority, PEM.
        """
        if shown is None:
            return "none was shown"
        certificate = x509.load_der_x509_certificate(shown)
        now = datetime.now(UTC)
        issued = _issued_by(certificate, _load(authority))
        if self.chain and not issued:
            return "not of the authority"
        if self.time and not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            return "not valid now"
        if self.name and meant not in _names(certificate):
            return f"not for {meant}"
        if self.revocation and revoked is not None:
            listed = x509.load_pem_x509_crl(revoked.read_bytes())
            if issued and listed.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
                return "revoked"
        return ""


def _load(file: Path) -> x509.Certificate:
    content = file.read_bytes()
    return x509.load_pem_x509_certificate(content) if b"-----" in content else x509.load_der_x509_certificate(content)


def _issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, TypeError, ValueError):
        return False
    return True


def _names(certificate: x509.Certificate) -> set[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    found = set(names.get_values_for_type(x509.DNSName)) | set(
        names.get_values_for_type(x509.UniformResourceIdentifier)
    )
    addresses: list[ipaddress.IPv4Address | ipaddress.IPv6Address] = [
        one
        for one in names.get_values_for_type(x509.IPAddress)
        if isinstance(one, (ipaddress.IPv4Address, ipaddress.IPv6Address))
    ]
    return found | {str(one) for one in addresses}
