"""The words of trust: status names, waivers, verdict and refusal."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from security.errors import SecurityError

CertificateStatus = Literal[
    "BadCertificateInvalid",
    "BadCertificateChainIncomplete",
    "BadCertificatePolicyCheckFailed",
    "BadCertificateUntrusted",
    "BadCertificateTimeInvalid",
    "BadCertificateIssuerTimeInvalid",
    "BadCertificateHostNameInvalid",
    "BadCertificateUriInvalid",
    "BadCertificateUseNotAllowed",
    "BadCertificateIssuerUseNotAllowed",
    "BadCertificateRevocationUnknown",
    "BadCertificateIssuerRevocationUnknown",
    "BadCertificateRevoked",
    "BadCertificateIssuerRevoked",
]
"""OPC UA status names (OPC 10000-4, 6.1.3)."""

Waiver = Literal[
    "incomplete-chain",
    "policy",
    "time",
    "host-name",
    "application-uri",
    "key-usage",
    "missing-crl",
    "stale-crl",
]
"""What the configuration may suppress by name. Structure, signatures, the trust list and revocations never."""

Role = Literal["server", "client", "user"]
"""What the peer is to us: an OPC UA server that we dial, a client that dials us, or a user's token."""

QUARANTINED: frozenset[CertificateStatus] = frozenset({"BadCertificateUntrusted", "BadCertificateChainIncomplete"})
"""Refusals that a person's decision can turn: such certificates are kept in `rejected/`."""


class CertificateRefusedError(SecurityError):
    """A peer's certificate is refused.

    Attributes:
        status: The OPC UA status name.
        thumbprint: SHA-1 thumbprint in upper-case hex as OPC UA tools show it; empty if the bytes are no certificate.
    """

    def __init__(
        self, subject: object, status: CertificateStatus, *, thumbprint: str, found: str, allowed: str, action: str
    ) -> None:
        super().__init__(subject, found=f"{status}: {found}", allowed=allowed, action=action)
        self.status: CertificateStatus = status
        self.thumbprint = thumbprint


@dataclass(frozen=True, slots=True)
class Waived:
    """A refusal that a waiver suppressed; belongs into log, status and metrics."""

    waiver: Waiver
    status: CertificateStatus
    found: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A certificate is trusted.

    Attributes:
        chain: From the peer's certificate to its root (or as far as a waived incomplete chain reaches).
        anchor: The certificate of the chain that stands in trusted/certs.
        waived: What was wrong and suppressed by name.
    """

    chain: tuple[x509.Certificate, ...]
    anchor: x509.Certificate
    waived: tuple[Waived, ...] = ()

    @property
    def certificate(self) -> x509.Certificate:
        """The peer's certificate."""
        return self.chain[0]


@dataclass(slots=True)
class Judge:
    """Refuses, or notes what a waiver suppresses, for one certificate."""

    subject: str
    thumbprint: str
    waivers: AbstractSet[Waiver] = frozenset()
    waived: list[Waived] = field(default_factory=list)

    def refuse(
        self, status: CertificateStatus, *, found: str, allowed: str, action: str, waiver: Waiver | None = None
    ) -> None:
        """Raise the refusal unless `waiver` is one of the named ones.

        Raises:
            CertificateRefusedError: Nobody waived it.
        """
        if waiver is not None and waiver in self.waivers:
            self.waived.append(Waived(waiver, status, found))
            return
        raise self.error(status, found=found, allowed=allowed, action=action)

    def error(self, status: CertificateStatus, *, found: str, allowed: str, action: str) -> CertificateRefusedError:
        """The refusal, to be raised."""
        return CertificateRefusedError(
            self.subject, status, thumbprint=self.thumbprint, found=found, allowed=allowed, action=action
        )


def thumbprint(certificate: x509.Certificate) -> str:
    """SHA-1 over the DER form, upper-case hex (OPC 10000-6, 6.2.3): a name, not a protection."""
    return certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - the thumbprint that OPC UA defines


def thumbprint_sha256(certificate: x509.Certificate) -> str:
    """SHA-256 over the DER form, upper-case hex: what a person compares."""
    return certificate.fingerprint(hashes.SHA256()).hex().upper()
