"""From what goes wrong on the way to a server to an error that says what it was and what to do."""

from __future__ import annotations

import socket
from typing import Literal

from asyncua import ua
from asyncua.crypto.uacrypto import InvalidSignature

from adapters.opcua.channel import OversizedError
from gateway.errors import Area4Error, RefusedError, UnreachableError

Stage = Literal["connect", "discover", "channel", "session", "user", "read", "subscribe"]

_STAGES: dict[Stage, str] = {
    "connect": "when it was dialled",
    "discover": "when it was asked for its endpoints",
    "channel": "when the secure channel was opened",
    "session": "when the session was created",
    "user": "when the user was told",
    "read": "when it was read",
    "subscribe": "when its values were subscribed",
}

_CERTIFICATE = (
    "The server does not accept this gateway's certificate: approve it there (thumbprint {thumbprint}), or give the "
    "gateway one that the server's trust list knows."
)
_SESSIONS = "Others hold all of the server's sessions, or crashed ones have not run out yet: close some or wait."
_USER = "Check the user and the password or user certificate, and the user's rights at the server."
_LATER = "The server is busy or stopping; it is tried again."
_CLOCK = "Compare the clocks of this computer and of the server; more than a few minutes are too much."

_REFUSALS: dict[str, str] = {
    "BadSecurityChecksFailed": _CERTIFICATE,
    "BadCertificateUntrusted": _CERTIFICATE,
    "BadCertificateInvalid": _CERTIFICATE,
    "BadCertificateTimeInvalid": "The server finds this gateway's certificate expired or not valid yet. " + _CLOCK,
    "BadCertificateUriInvalid": "The ApplicationUri of the gateway must equal the one in its certificate.",
    "BadCertificateUseNotAllowed": "Make the gateway's certificate with `area4 pki`, which sets its usages right.",
    "BadCertificateRevoked": "The server's revocation list names this gateway's certificate: make a new one.",
    "BadCertificateIssuerRevoked": "The authority of this gateway's certificate is revoked at the server.",
    "BadCertificateRevocationUnknown": "The server lacks the revocation list of this gateway's authority: install it.",
    "BadCertificateIssuerRevocationUnknown": "The server lacks a revocation list of this gateway's authorities.",
    "BadCertificateChainIncomplete": "Install the authorities of this gateway's certificate at the server.",
    "BadCertificatePolicyCheckFailed": "The server wants a longer key or another signature of our certificate.",
    "BadSecurityPolicyRejected": "The server changed its security policies: see `area4 discover`.",
    "BadSecurityModeRejected": "The server changed its security modes: see `area4 discover`.",
    "BadApplicationSignatureInvalid": _CERTIFICATE,
    "BadIdentityTokenRejected": _USER,
    "BadIdentityTokenInvalid": _USER,
    "BadUserAccessDenied": _USER,
    "BadUserSignatureInvalid": _USER,
    "BadTcpEndpointUrlInvalid": "Correct the path of `url`; see the server's documentation for its endpoint URL.",
    "BadServiceUnsupported": "The server lacks a service that reading needs.",
    "BadInvalidTimestamp": _CLOCK,
}
_TEMPORARY: dict[str, str] = {
    "BadTooManySessions": _SESSIONS,
    "BadMaxConnectionsReached": _SESSIONS,
    "BadTcpNotEnoughResources": _LATER,
    "BadTcpServerTooBusy": _LATER,
    "BadServerTooBusy": _LATER,
    "BadServerHalted": _LATER,
    "BadShutdown": _LATER,
    "BadTooManySubscriptions": "The server has no more subscriptions: close some, or wait until dead ones run out.",
    "BadTooManyMonitoredItems": "The server cannot monitor more items: ignore some by `overrides`.",
}


def explain(url: str, stage: Stage, problem: BaseException, *, thumbprint: str = "") -> Area4Error:
    """The error to raise for `problem`; ours are returned as they are.

    Args:
        url: Whom we spoke to.
        stage: What we were doing.
        problem: What came up.
        thumbprint: Of our own certificate, for the advice.
    """
    when = _STAGES[stage]
    match problem:
        case Area4Error():
            return problem
        case OSError():
            return _by_network(url, stage, problem, thumbprint)
        case ua.UaStatusCodeError():
            return _by_status(url, when, ua.StatusCode(problem.code).name, thumbprint)
        case OversizedError():
            return RefusedError(f"{url} was disconnected {when}: {problem}.", advice="Is this an OPC UA server?")
        case InvalidSignature():
            return RefusedError(
                f"{url} could not prove {when} that it holds the key of its certificate.",
                advice="Somebody may be in between; compare the certificate's thumbprint with the server's own.",
            )
        case ua.UaError():
            return UnreachableError(
                f"{url} answered {when} in a way that OPC UA does not allow ({problem}).",
                advice="Look into the server's log; a restart of the server may help.",
            )
    return UnreachableError(
        f"{url} could not be used {when} ({type(problem).__name__}: {problem}).",
        advice="Look into the server's log; if the server is sound, report this sentence.",
    )


def _by_network(url: str, stage: Stage, problem: OSError, thumbprint: str) -> Area4Error:
    when = _STAGES[stage]
    match problem:
        case socket.gaierror():
            return UnreachableError(f"{url}: the host name is unknown.", advice="Check `url` and the name service.")
        case TimeoutError():
            return UnreachableError(
                f"{url} did not answer in time {when}.",
                advice="Check that machine and network are up, and that no firewall drops the connection.",
            )
        case ConnectionRefusedError():
            return UnreachableError(
                f"{url}: nothing listens on that port.", advice="Start the server, or correct the port in `url`."
            )
        case ConnectionError() if stage in {"channel", "session"}:
            return UnreachableError(
                f"{url} closed the connection {when}.",
                advice="If this stays so: " + _CERTIFICATE.format(thumbprint=thumbprint),
            )
    return UnreachableError(
        f"{url}: the connection failed {when} ({problem.strerror or problem}).",
        advice="Check that machine and network are up.",
    )


def _by_status(url: str, when: str, name: str, thumbprint: str) -> Area4Error:
    if name in _REFUSALS:
        advice = _REFUSALS[name].format(thumbprint=thumbprint)
        return RefusedError(f"{url} refused us {when}: {name}.", advice=advice)
    return UnreachableError(f"{url} failed {when}: {name}.", advice=_TEMPORARY.get(name, "It is tried again."))
