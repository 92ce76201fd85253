"""The way to a broker up to the first byte of MQTT: files, name, TCP, TLS."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from adapters.mqtt.config import MqttConfig
from adapters.mqtt.reasons import link_error
from adapters.mqtt.tls import context_of, expiry_of_own
from adapters.mqtt.wire import Wire, dial, resolve, secure
from gateway.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Opened:
    """An open connection and what is known of it.

    Attributes:
        broker_expiry: Unix seconds at which the broker's certificate ends.
        own_expiry: The same of ours.
    """

    wire: Wire
    tls_version: str = ""
    cipher: str = ""
    broker: str = ""
    broker_expiry: float | None = None
    own_expiry: float | None = None

    @property
    def first_expiry(self) -> float | None:
        """The earlier of both."""
        known = [moment for moment in (self.broker_expiry, self.own_expiry) if moment is not None]
        return min(known, default=None)


async def reach(config: MqttConfig) -> Opened:
    """Resolve, connect, and with mqtts:// both certificates accepted; nothing of MQTT is sent yet.

    Raises:
        ConfigurationError: A file is missing or wrong.
        UnreachableError: Name, address or port does not answer.
        RefusedError: A certificate was refused.
    """
    context = context_of(config)
    addresses = await resolve(config.host, config.port, config.connect_timeout)
    sock = await dial(addresses, config.url, config.connect_timeout, silence=2 * config.keep_alive)
    return await open_wire(config, sock, context)


async def open_wire(config: MqttConfig, sock: socket.socket, context: ssl.SSLContext | None) -> Opened:
    """TLS over a connected socket, or the socket as it is without a context; takes over the socket.

    Raises:
        UnreachableError: The connection ended.
        RefusedError: A certificate was refused.
    """
    if context is None:
        return Opened(Wire(sock))
    try:
        own_expiry = expiry_of_own(config)
        tls, early = await secure(sock, context, config.host, config.connect_timeout)
    except OSError as problem:  # TimeoutError is one
        sock.close()
        raise link_error(problem, config.url) from problem
    certificate = tls.getpeercert() or {}
    cipher = tls.cipher()
    return Opened(
        wire=Wire(tls, early),
        tls_version=tls.version() or "",
        cipher=cipher[0] if cipher else "",
        broker=_subject(certificate),
        broker_expiry=_expiry(certificate),
        own_expiry=own_expiry,
    )


def password_of(path: Path) -> str:
    """The password in `path`, without the line end.

    Raises:
        ConfigurationError: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigurationError(
            f"The password file {path} cannot be read: {getattr(problem, 'strerror', None) or problem}.",
            advice="Create it, in UTF-8 and readable for the gateway's user alone, or correct user.password_file.",
        ) from problem


def _expiry(certificate: Mapping[str, object]) -> float | None:
    text = certificate.get("notAfter")
    return float(ssl.cert_time_to_seconds(text)) if isinstance(text, str) else None


def _subject(certificate: Mapping[str, object]) -> str:
    subject = certificate.get("subject")
    if not isinstance(subject, tuple):
        return ""
    return ", ".join(f"{key}={value}" for part in subject for key, value in part)
