"""Own certificate, key and user of a source, read from their files at each connection, so that a renewal counts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from adapters.opcua.config import OpcUaConfig
from gateway.errors import ConfigurationError
from security.errors import SecurityError
from security.pki.keys import load_certificates, load_key

MAX_PASSWORD_FILE = 4096


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate, the certificates that complete its chain, and its private key."""

    certificate: x509.Certificate
    chain: Sequence[x509.Certificate]
    key: rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the gateway is for the server.

    Attributes:
        application: Own application instance certificate.
        user: User certificate, where the user is one.
        password: Password, where the user is a name.
    """

    application: KeyPair
    user: KeyPair | None = None
    password: str | None = None


def load_identity(config: OpcUaConfig) -> Identity:
    """Read and check all files.

    Raises:
        ConfigurationError: One is missing, unreadable, too widely readable, of the wrong kind, expired, or they do not
            belong together.
    """
    security, user = config.security, config.user
    application = _pair("security", security.certificate, security.key, security.key_password_file)
    _check_uri(config, application.certificate)
    pair = None
    if user.certificate is not None and user.key is not None:
        pair = _pair("user", user.certificate, user.key, user.key_password_file)
    password = read_secret("user.password_file", user.password_file) if user.password_file is not None else None
    return Identity(application, pair, password)


def thumbprint(certificate: x509.Certificate | bytes) -> str:
    """SHA-1 thumbprint as OPC UA servers and tools show it."""
    der = certificate if isinstance(certificate, bytes) else certificate.public_bytes(Encoding.DER)
    return hashlib.sha1(der, usedforsecurity=False).hexdigest()


def read_secret(key: str, path: Path) -> str:
    """The content of a password file without the newline at its end.

    Raises:
        ConfigurationError: It cannot be read, is empty, or others than its owner may read it.
    """
    try:
        mode = path.stat().st_mode & 0o777
        content = path.read_bytes()[: MAX_PASSWORD_FILE + 1]
    except OSError as problem:
        raise ConfigurationError(
            f"{key}: {path} cannot be read ({problem.strerror}).", advice="Name a readable file with one line."
        ) from problem
    if mode & 0o077:
        raise ConfigurationError(
            f"{key}: {path} has mode {mode:04o}, so others than its owner can use the password.",
            advice=f"Run: chmod 600 {path}",
        )
    try:
        text = content.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as problem:
        raise ConfigurationError(f"{key}: {path} is not UTF-8 text.", advice="Write the password as text.") from problem
    if not text or len(content) > MAX_PASSWORD_FILE:
        raise ConfigurationError(
            f"{key}: {path} holds {len(content)} bytes; allowed is one line with the password.",
            advice="Write the password into the file.",
        )
    return text


def _pair(section: str, certificate: Path, key: Path, password_file: Path | None) -> KeyPair:
    password = read_secret(f"{section}.key_password_file", password_file) if password_file is not None else None
    try:
        found = load_certificates(certificate)
        private = load_key(key, password.encode() if password is not None else None)
    except SecurityError as problem:
        raise ConfigurationError(f"{section}: {problem}") from problem
    own, chain = found[0], found[1:]
    if not isinstance(private, rsa.RSAPrivateKey):
        raise ConfigurationError(
            f"{section}.key: {key} is no RSA key; the security policies of OPC UA that are in use need RSA.",
            advice="Make a key of 2048 bits or more with `area4 pki`.",
        )
    if private.public_key() != own.public_key():
        raise ConfigurationError(
            f"{section}: the key {key} does not belong to the certificate {certificate}.",
            advice="Name the key that the certificate was made with.",
        )
    now = datetime.now(UTC)
    if not own.not_valid_before_utc <= now <= own.not_valid_after_utc:
        raise ConfigurationError(
            f"{section}.certificate: {certificate} is valid from {own.not_valid_before_utc:%Y-%m-%d} to "
            f"{own.not_valid_after_utc:%Y-%m-%d}, so servers refuse it today ({now:%Y-%m-%d}).",
            advice="Renew it with `area4 pki`, or correct this computer's clock.",
        )
    return KeyPair(own, chain, private)


def _check_uri(config: OpcUaConfig, certificate: x509.Certificate) -> None:
    """OPC 10000-4, 6.1.3: the ApplicationUri of certificate and application must be equal."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except x509.ExtensionNotFound:
        uris = []
    if config.security.application_uri not in uris:
        raise ConfigurationError(
            f"security.application_uri is {config.security.application_uri!r}, but the certificate "
            f"{config.security.certificate} names {', '.join(uris) or 'no URI'}.",
            advice="Make them equal; servers refuse a client whose URI is not the one in its certificate.",
        )
