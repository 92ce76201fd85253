"""From the configuration to a TLS context (security.tls), and the end of our own certificate."""

from __future__ import annotations

import ssl

from adapters.mqtt.config import MqttConfig, SecurityConfig
from gateway.errors import ConfigurationError
from security.errors import SecurityError
from security.pki import PkiFolder, load_certificates
from security.tls import TlsFiles, TlsWaiver, client_context

WAIVERS: dict[str, TlsWaiver] = {
    "no-client-certificate": "client-certificate",
    "host-name": "host-name",
    "missing-crl": "missing-crl",
}
"""Names in our configuration, and in security.tls."""


def context_of(config: MqttConfig) -> ssl.SSLContext | None:
    """A fresh context from the files as they are now; None for mqtt://.

    Raises:
        ConfigurationError: A certificate, key, authority or revocation list is missing or not usable.
    """
    security = config.security
    if security is None:
        return None
    waivers = {WAIVERS[name] for name in config.waivers if name in WAIVERS}
    try:
        password = security.key_password_file.read_bytes().rstrip(b"\r\n") if security.key_password_file else None
        return client_context(_files(security), waivers=waivers, minimum=security.minimum_tls, password=password)
    except SecurityError as problem:
        raise ConfigurationError(f"{problem}.") from problem
    except OSError as problem:
        raise ConfigurationError(
            f"{problem.filename or 'A file of security'} cannot be read: {problem.strerror or problem}.",
            advice="Correct the path or its permissions; the gateway's user must be able to read it.",
        ) from problem


def expiry_of_own(config: MqttConfig) -> float | None:
    """Unix seconds at which the first certificate of our own chain ends.

    Raises:
        ConfigurationError: The certificate cannot be read.
    """
    if config.security is None or config.security.certificate is None:
        return None
    try:
        chain = load_certificates(config.security.certificate)
    except SecurityError as problem:
        raise ConfigurationError(f"{problem}.") from problem
    return min(one.not_valid_after_utc.timestamp() for one in chain)


def _files(security: SecurityConfig) -> TlsFiles:
    folder = PkiFolder(security.trust)
    return TlsFiles(
        certificate=security.certificate,
        key=security.key,
        authorities=(folder.trusted_certs,),
        issuers=(folder.issuers_certs,),
        revocations=(folder.trusted_crl, folder.issuers_crl),
    )
