"""The server's certificate is judged before anything else is told to the server; unknown ones wait for a person."""

from __future__ import annotations

from dataclasses import dataclass

from asyncua import ua
from cryptography import x509

from adapters.opcua.config import OpcUaConfig
from gateway.errors import RefusedError
from security.errors import SecurityError
from security.pki import PkiFolder
from security.trust import CertificateRefusedError, TrustStore, Waiver

_WAIVERS: tuple[Waiver, ...] = (
    "host-name",
    "application-uri",
    "time",
    "key-usage",
    "policy",
    "incomplete-chain",
    "missing-crl",
    "stale-crl",
)
_UNKNOWN = ("BadCertificateUntrusted", "BadCertificateChainIncomplete")


@dataclass(frozen=True, slots=True)
class Trusted:
    """A server certificate that passed every check, or what was wrong with it is waived.

    Attributes:
        expiry: Unix seconds at which the first certificate of its chain ends.
        waived: Waivers that were needed, by name.
    """

    certificate: x509.Certificate
    expiry: float
    waived: tuple[str, ...] = ()


def verify_server(config: OpcUaConfig, endpoint: ua.EndpointDescription) -> Trusted | None:
    """Judge the certificate of an endpoint; None where a waived endpoint without security has none.

    Raises:
        RefusedError: It is not trusted; an unknown one is in quarantine then.
    """
    chain = endpoint.ServerCertificate
    if not chain:
        if endpoint.SecurityMode == ua.MessageSecurityMode.None_ and config.user.anonymous:
            return None
        raise RefusedError(
            f"{config.url} shows no certificate, so nobody can tell which server it is; nothing was told to it.",
            advice="Give the server an application instance certificate.",
        )
    if endpoint.SecurityMode == ua.MessageSecurityMode.None_ and config.user.anonymous:
        return None  # nothing secret is sent and nothing is proven by it: the waiver says so
    uri = endpoint.Server.ApplicationUri
    _check_pinned(config, uri)
    try:
        verdict = TrustStore(PkiFolder(config.security.trust)).check(
            chain,
            purpose="server",
            host=config.security.server_name or config.host,
            application_uri=uri or "",
            waivers={name for name in _WAIVERS if name in config.waivers},
            peer=config.url,
        )
    except CertificateRefusedError as problem:
        raise _refused(config, problem) from problem
    except SecurityError as problem:
        raise RefusedError(str(problem)) from problem
    expiry = min(one.not_valid_after_utc.timestamp() for one in verdict.chain)
    return Trusted(verdict.certificate, expiry, tuple(dict.fromkeys(one.waiver for one in verdict.waived)))


def _refused(config: OpcUaConfig, problem: CertificateRefusedError) -> RefusedError:
    advice = problem.action[:1].upper() + problem.action[1:] + "."
    if problem.status in _UNKNOWN:
        advice = (
            f"Compare the thumbprint {problem.thumbprint} with what the machine shows, then run: "
            f"area4 pki approve {config.security.trust} {problem.thumbprint}"
        )
    waits = " It is kept in quarantine." if problem.status in _UNKNOWN else ""
    return RefusedError(
        f"The certificate of {config.url} is refused ({problem.found}); no credential was sent.{waits}", advice=advice
    )


def _check_pinned(config: OpcUaConfig, uri: str | None) -> None:
    pinned = config.security.server_uri
    if pinned is not None and uri != pinned:
        raise RefusedError(
            f"{config.url} is the application {uri!r}; security.server_uri expects {pinned!r}. No credential was sent.",
            advice="Correct `url` or `server_uri`.",
        )
