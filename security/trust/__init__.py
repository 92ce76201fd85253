"""Trust in peers' certificates, fail-closed; unknown ones wait in `rejected/` for a person."""

from security.trust.chain import parse_chain
from security.trust.expiry import Expiring, expiring
from security.trust.quarantine import Rejected
from security.trust.store import TrustStore
from security.trust.verdict import (
    CertificateRefusedError,
    CertificateStatus,
    Role,
    Verdict,
    Waived,
    Waiver,
    thumbprint,
    thumbprint_sha256,
)

__all__ = [
    "CertificateRefusedError",
    "CertificateStatus",
    "Expiring",
    "Rejected",
    "Role",
    "TrustStore",
    "Verdict",
    "Waived",
    "Waiver",
    "expiring",
    "parse_chain",
    "thumbprint",
    "thumbprint_sha256",
]
