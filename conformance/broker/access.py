"""What the suite is given to judge a broker with."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from conformance.suite.target import TargetError

Restart = Callable[[], Awaitable[None]]
"""Kills the broker without warning and starts it again; returns when it was started."""


class AccessError(Exception):
    """What was given cannot be used; the text says what and why."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A client certificate with its chain and its key, PEM files.

    Attributes:
        certificate: PEM, with its chain.
        key: PEM.
        user: User name of every well-formed CONNECT, for a broker that asks for one beside the certificate.
    """

    certificate: Path
    key: Path
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a broker, as whom, and what the suite may do there.

    Attributes:
        host: Name or address.
        port: Of the TLS listener.
        ca: PEM file of the authorities that issued the broker's certificate.
        client: The identity that publishes to `topic`: a gateway's.
        reader: The identity that may subscribe to `topic`; the client's own where none is given.
        other: An identity that may publish to `foreign_topic`: another gateway's.
        revoked: An identity whose certificate the broker's revocation list names.
        ca_key: Key of the (test) authority of client certificates; with it the suite issues bad ones.
        topic: Template with one `{}`, where a name of the suite's own stands: the client may publish there.
        foreign_topic: Likewise, where the client may neither publish nor read.
        plain_ports: Ports on which no listener without TLS may be.
        restart: Kills and starts the broker; without it nothing is asked about restarts.
        patience: Seconds that the broker may take to answer; nothing is judged by being faster.
    """

    host: str
    port: int
    ca: Path
    client: Identity
    reader: Identity | None = None
    other: Identity | None = None
    revoked: Identity | None = None
    ca_key: Path | None = None
    topic: str = "area4/v1/conformance/{}/data"
    foreign_topic: str = "area4/v1/elsewhere/{}/data"
    plain_ports: tuple[int, ...] = (1883,)
    restart: Restart | None = None
    patience: float = 15.0

    def __post_init__(self) -> None:
        for name, template in (("topic", self.topic), ("foreign_topic", self.foreign_topic)):
            if template.count("{}") != 1 or set(template) & set("+#\0"):
                raise AccessError(f"{name}: found {template!r}; allowed is a topic with one {{}} and no wildcard")
        for identity in (self.client, self.reader, self.other, self.revoked):
            if identity is not None:
                context_of(identity)
        if not self.ca.is_file():
            raise AccessError(f"{self.ca} is no file; give the PEM file of the authorities of the broker's certificate")

    @property
    def separate(self) -> bool:
        """Reading is another identity's."""
        return self.reader is not None


def address(url: str) -> tuple[str, int]:
    """Host and port of `mqtts://host:port`.

    Raises:
        AccessError: It is no such URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 8883
    except ValueError as error:
        raise AccessError(f"{url!r}: {error}; allowed is mqtts://host:port") from error
    if parts.scheme != "mqtts" or not parts.hostname:
        raise AccessError(f"{url!r} is no address of a broker; allowed is mqtts://host:port")
    return parts.hostname, port


def context_of(identity: Identity | None, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A client's TLS context that verifies nothing: the broker's certificate is judged by checks of its own.

    Args:
        identity: Whose certificate is shown; None: none.
        version: The only one to offer; None: 1.2 and 1.3.

    Raises:
        AccessError: A file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = version or ssl.TLSVersion.TLSv1_2
    if version is not None:
        context.maximum_version = version
    if identity is not None:
        try:
            context.load_cert_chain(identity.certificate, identity.key, password=b"")
        except OSError as error:
            raise AccessError(f"{identity.certificate}, {identity.key}: {error.strerror or error}") from error
    return context


def by_command(command: str, within: float = 60.0) -> Restart:
    """A restart by a shell command that ends when the broker was started."""

    async def restart() -> None:
        process = await asyncio.create_subprocess_shell(
            command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
        )
        try:
            async with asyncio.timeout(within):
                code = await process.wait()
        except TimeoutError as error:
            process.kill()
            await process.wait()
            raise TargetError(f"the restart command did not end within {within:g} s") from error
        if code:
            raise TargetError(f"the restart command ended with {code}")

    return restart
