"""What a failed TLS connection means, in one sentence with its cause and what to do."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import Literal

FailureKind = Literal[
    "untrusted", "host-name", "time", "revoked", "revocation-unknown", "refused-by-peer", "protocol", "network"
]
"""`untrusted` to `revocation-unknown`: we refuse the peer; `refused-by-peer`: it refuses us."""


@dataclass(frozen=True, slots=True)
class TlsFailure:
    """A failure by kind, with its cause and what to do.

    Attributes:
        kind: What sort of failure.
        cause: What happened, continuing a sentence that begins with the peer's name.
        action: What a person can do.
    """

    kind: FailureKind
    cause: str
    action: str

    @property
    def needs_person(self) -> bool:
        """Trying again does not help until somebody changed a certificate, a list or the configuration."""
        return self.kind != "network"


_CLOCK = "renew that certificate, or correct the clock of the side that is wrong"
_TRUST = "put the certificate of the authority that issued it into trusted/certs, after comparing its fingerprint"
_OURS = "have our certificate issued by an authority that the peer trusts, and the authority known to the peer"

_NO_TLS = TlsFailure("protocol", "does not speak TLS on this port", "use its TLS port (MQTT: 8883)")

# Codes of X509_verify_cert, stable since OpenSSL 1.0.2 (x509_vfy.h).
_VERIFY: dict[int, TlsFailure] = {
    2: TlsFailure("untrusted", "shows a certificate whose issuer's certificate is missing", _TRUST),
    3: TlsFailure(
        "revocation-unknown", "shows a certificate of an authority without revocation list", "add that authority's list"
    ),
    7: TlsFailure("untrusted", "shows a certificate with a wrong signature", "make sure that this is the right peer"),
    8: TlsFailure(
        "revocation-unknown", "meets a revocation list with a wrong signature", "replace the revocation list"
    ),
    9: TlsFailure("time", "shows a certificate that is not yet valid", _CLOCK),
    10: TlsFailure("time", "shows a certificate that has expired", _CLOCK),
    11: TlsFailure("revocation-unknown", "meets a revocation list that is not yet valid", "correct the clock"),
    12: TlsFailure("revocation-unknown", "meets a revocation list past its next update", "install the current list"),
    18: TlsFailure("untrusted", "shows a self-signed certificate that is not trusted", _TRUST),
    19: TlsFailure("untrusted", "shows a certificate of an unknown authority", _TRUST),
    20: TlsFailure("untrusted", "shows a certificate of an unknown authority", _TRUST),
    21: TlsFailure("untrusted", "shows a certificate of an unknown authority", _TRUST),
    23: TlsFailure("revoked", "shows a certificate that its authority has revoked", "give the peer a new certificate"),
    24: TlsFailure("untrusted", "shows a chain with a certificate that is no authority's", "repair the peer's chain"),
    26: TlsFailure("untrusted", "shows a certificate not meant for this purpose", "issue it with the right key usage"),
    44: TlsFailure("revocation-unknown", "meets a list of another part of the authority", "install the full list"),
    62: TlsFailure(
        "host-name", "shows a certificate for another host", "dial a name in the certificate, or add this one to it"
    ),
    64: TlsFailure(
        "host-name", "shows a certificate without this IP address", "dial a name in it, or add the address to it"
    ),
    66: TlsFailure("untrusted", "shows a certificate with too short a key", "issue it with RSA 2048, P-256 or longer"),
    67: TlsFailure("untrusted", "has an authority with too short a key", "issue with RSA 2048, P-256 or longer"),
    68: TlsFailure("untrusted", "shows a chain signed with an outdated hash", "issue it anew with SHA-256 or better"),
}

# Parts of OpenSSL's reasons; an alert comes from the peer. The order matters: the first that fits counts.
_REASONS: tuple[tuple[str, TlsFailure], ...] = (
    ("ALERT_UNKNOWN_CA", TlsFailure("refused-by-peer", "does not know the authority of our certificate", _OURS)),
    ("ALERT_CERTIFICATE_EXPIRED", TlsFailure("refused-by-peer", "says that our certificate has expired", _CLOCK)),
    (
        "ALERT_CERTIFICATE_REVOKED",
        TlsFailure("refused-by-peer", "says that our certificate is revoked", "get a new certificate"),
    ),
    (
        "CERTIFICATE_REQUIRED",
        TlsFailure("refused-by-peer", "demands a certificate and we showed none", "configure our certificate and key"),
    ),
    (
        "DID_NOT_RETURN_A_CERTIFICATE",
        TlsFailure("untrusted", "shows no certificate", "configure a certificate on that side"),
    ),
    ("ALERT_BAD_CERTIFICATE", TlsFailure("refused-by-peer", "refuses our certificate as bad", _OURS)),
    ("ALERT_CERTIFICATE_UNKNOWN", TlsFailure("refused-by-peer", "refuses our certificate", _OURS)),
    (
        "ALERT_UNSUPPORTED_CERTIFICATE",
        TlsFailure("refused-by-peer", "refuses the kind of our certificate", "issue it for client authentication"),
    ),
    ("ALERT_ACCESS_DENIED", TlsFailure("refused-by-peer", "denies access to our certificate", _OURS)),
    ("ALERT_DECRYPT_ERROR", TlsFailure("refused-by-peer", "could not verify our signature", "check our key and chain")),
    ("UNRECOGNIZED_NAME", TlsFailure("host-name", "does not serve the host name that we dialled", "dial its own name")),
    ("PROTOCOL_VERSION", TlsFailure("protocol", "has no TLS version in common with us", "enable TLS 1.3 or 1.2")),
    ("UNSUPPORTED_PROTOCOL", TlsFailure("protocol", "has no TLS version in common with us", "enable TLS 1.3 or 1.2")),
    ("NO_PROTOCOLS_AVAILABLE", TlsFailure("protocol", "has no TLS version in common with us", "enable TLS 1.3 or 1.2")),
    (
        "NO_SHARED_CIPHER",
        TlsFailure("protocol", "has no cipher in common with us", "enable ECDHE with AES-GCM or ChaCha20"),
    ),
    (
        "ALERT_HANDSHAKE_FAILURE",
        TlsFailure("refused-by-peer", "found nothing acceptable in our offer or certificate", "compare TLS settings"),
    ),
    ("WRONG_VERSION_NUMBER", _NO_TLS),
    ("PACKET_LENGTH_TOO_LONG", _NO_TLS),
    ("RECORD_LAYER_FAILURE", _NO_TLS),
    ("HTTP_REQUEST", TlsFailure("protocol", "speaks HTTP on this port", "use its TLS port (MQTT: 8883)")),
)

_LATE = TlsFailure(
    "refused-by-peer",
    "ended the connection without a word; in TLS 1.3 a peer that refuses our certificate often does that",
    "read the peer's log, and check that it trusts our certificate's authority",
)


def classify(problem: OSError) -> TlsFailure:
    """The failure by kind; `ssl.SSLError` is an `OSError` too."""
    if isinstance(problem, ssl.SSLCertVerificationError):
        known = _VERIFY.get(problem.verify_code)
        if known is None and "mismatch" in str(problem).lower():
            known = _VERIFY[62]
        return known or TlsFailure(
            "untrusted",
            f"shows a certificate that is refused ({problem.verify_message})",
            "check the peer's certificate",
        )
    if isinstance(problem, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return _LATE
    if isinstance(problem, ssl.SSLError):
        return _by_reason(problem)
    return _network(problem)


def explain(problem: OSError, peer: str) -> str:
    """One sentence: who, the cause, what to do.

    Args:
        problem: What the connection attempt, the handshake or the first read raised.
        peer: The peer as the configuration names it, for example ``broker.example:8883``.
    """
    failure = classify(problem)
    return f"{peer} {failure.cause}; what to do: {failure.action}"


def _by_reason(problem: ssl.SSLError) -> TlsFailure:
    """By OpenSSL's reason; newer versions spell it with blanks and lower case."""
    text = f"{problem.reason or ''} {problem}".upper().replace(" ", "_")
    for part, failure in _REASONS:
        if part in text:
            return failure
    if "UNEXPECTED_EOF" in text:
        return _LATE
    return TlsFailure(
        "protocol", f"failed in TLS ({problem.reason or problem})", "compare the TLS settings of both sides"
    )


def _network(problem: OSError) -> TlsFailure:
    """Failures below TLS."""
    if isinstance(problem, socket.gaierror):
        return TlsFailure("network", "has a name that cannot be resolved", "correct the host name or the DNS server")
    if isinstance(problem, ConnectionRefusedError):
        return TlsFailure("network", "does not listen on this port", "check that it runs, and host and port")
    if isinstance(problem, TimeoutError):
        return TlsFailure("network", "does not answer in time", "check network, firewall, host and port")
    if isinstance(problem, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
        return TlsFailure(
            "network",
            "reset the connection; right after the handshake this may be TLS 1.3's late refusal of our certificate",
            "read the peer's log, then check the network",
        )
    return TlsFailure("network", f"cannot be reached ({problem.strerror or problem})", "check network, host and port")
