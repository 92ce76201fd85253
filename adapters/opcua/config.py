"""Configuration of one OPC UA source: closed models, each error a sentence; nothing here touches the network.

All durations are numbers of seconds. `sample.toml` shows every key with its default.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from security.waivers import check_waivers

PolicyName = Literal["Aes256_Sha256_RsaPss", "Aes128_Sha256_RsaOaep", "Basic256Sha256"]
ModeName = Literal["sign-and-encrypt", "sign", "none"]
Waiver = Literal[
    "anonymous-user",  # no user: anybody with a trusted certificate
    "sign-only",  # mode Sign: authentic, but readable on the wire
    "security-none",  # mode None: neither; for a lab
    # what may be wrong with the server's certificate:
    "host-name",  # it need not name the host that is dialled
    "application-uri",  # it need not name the server's ApplicationUri
    "time",  # it may be expired or not valid yet
    "key-usage",  # its usages may be others than OPC 10000-6 wants
    "policy",  # its key may be too short, its signature too weak
    "incomplete-chain",  # an authority above it may be missing
    "missing-crl",  # an authority may have no revocation list
    "stale-crl",  # a revocation list may be beyond its next update
]

DEFAULT_PORT = 4840


class Closed(BaseModel):
    """Base: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class UserConfig(Closed):
    """Who the gateway is for the server: a certificate with its key, or a name with a password, or anonymous."""

    name: str | None = None
    password_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    key_password_file: Path | None = None
    anonymous: bool = False

    @model_validator(mode="after")
    def _one_kind(self) -> UserConfig:
        kinds = [self.name is not None, self.certificate is not None, self.anonymous]
        if sum(kinds) != 1:
            raise ValueError(
                "exactly one kind of user is allowed: `certificate` with `key`, or `name` with `password_file`, or "
                '`anonymous = true` (with the waiver "anonymous-user")'
            )
        if (self.name is None) != (self.password_file is None):
            raise ValueError("`name` and `password_file` belong together: give both or neither")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("`certificate` and `key` belong together: give both or neither")
        if self.key_password_file is not None and self.key is None:
            raise ValueError("`key_password_file` is the password of `key`, which is missing")
        return self


class SecurityConfig(Closed):
    """Own identity, trust, and what security an endpoint must have.

    Attributes:
        policies: Allowed, the preferred one first.
        modes: Allowed modes; anything but `sign-and-encrypt` needs its waiver.
        trust: Folder with trusted/, issuers/, rejected/ (OPC 10000-12).
        server_name: Name that the server's certificate must carry where that is not the URL's host (NAT, containers).
        server_uri: ApplicationUri that the server must have, where it is to be pinned.
    """

    application_uri: str
    certificate: Path
    key: Path
    key_password_file: Path | None = None
    trust: Path
    policies: tuple[PolicyName, ...] = ("Aes256_Sha256_RsaPss", "Aes128_Sha256_RsaOaep", "Basic256Sha256")
    modes: tuple[ModeName, ...] = ("sign-and-encrypt",)
    server_name: str | None = None
    server_uri: str | None = None

    @field_validator("policies", "modes")
    @classmethod
    def _not_empty(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("at least one is needed")
        if len(set(value)) != len(value):
            raise ValueError("each may be named once")
        return value

    @field_validator("application_uri")
    @classmethod
    def _uri(cls, value: str) -> str:
        if ":" not in value or not value.isascii() or not value.isprintable():
            raise ValueError(
                f"{value!r} is no URI; it must equal the URI in the certificate's alternative names, for example "
                "urn:hall3:gateway"
            )
        return value


class MachinesConfig(Closed):
    """Which machines of the server are read: patterns (`*`, `?`) over identity or browse name."""

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()


class OverrideConfig(Closed):
    """Other settings for some signals; the first override that fits decides each setting.

    Attributes:
        path: Pattern (`*`, `?`) over the signal's path.
        machine: Pattern over the machine's identity or browse name.
        component_type: Browse name of the component's type, for example `SpindleMonitoringType`.
        data_type: Name of the data type, for example `Double`.
        deadband: Changes up to this size are not told (absolute, in the signal's unit).
        deadband_percent: The same in percent of the signal's range (EURange).
    """

    path: str = "*"
    machine: str = "*"
    component_type: str = "*"
    data_type: str = "*"
    ignore: bool | None = None
    sampling_interval: Annotated[float, Field(ge=0, le=86_400)] | None = None
    queue_size: Annotated[int, Field(ge=1, le=100_000)] | None = None
    deadband: Annotated[float, Field(ge=0)] | None = None
    deadband_percent: Annotated[float, Field(ge=0, le=100)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> OverrideConfig:
        if self.deadband is not None and self.deadband_percent is not None:
            raise ValueError("`deadband` and `deadband_percent` exclude each other")
        settings = (self.ignore, self.sampling_interval, self.queue_size, self.deadband, self.deadband_percent)
        if all(setting is None for setting in settings):
            raise ValueError(
                "an override needs at least one of ignore, sampling_interval, queue_size, deadband, deadband_percent"
            )
        return self


class SubscriptionConfig(Closed):
    """How values are subscribed; the server may revise each of these.

    Attributes:
        publishing_interval: Seconds between two publications.
        sampling_interval: 0: every change, or as fast as the server can.
        queue_size: Values of one signal that the server keeps between two publications and through a short stall.
        requests_in_flight: PublishRequests that wait at the server.
        unacknowledged: Notifications that may be on their way into the outbox; when reached, reading pauses.
        keep_alive: Seconds after which the server speaks even if nothing changed.
        lifetime: Seconds for which the server keeps the subscription of a gateway that went away.
        items_per_call: Upper limit of operations in one call, where the server states none or a wrong one.
        rediscovery: Seconds between two comparisons of the server's machines with the known ones; 0: never.
    """

    publishing_interval: Annotated[float, Field(ge=0.01, le=60)] = 0.1
    sampling_interval: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    queue_size: Annotated[int, Field(ge=1, le=100_000)] = 100
    requests_in_flight: Annotated[int, Field(ge=2, le=10)] = 3
    unacknowledged: Annotated[int, Field(ge=2, le=1000)] = 30
    keep_alive: Annotated[float, Field(ge=0.1, le=600)] = 5.0
    lifetime: Annotated[float, Field(ge=1, le=86_400)] = 300.0
    items_per_call: Annotated[int, Field(ge=1, le=10_000)] | None = None
    rediscovery: Annotated[float, Field(ge=0, le=86_400)] = 300.0

    @model_validator(mode="after")
    def _in_order(self) -> SubscriptionConfig:
        if self.keep_alive < self.publishing_interval:
            raise ValueError(
                f"keep_alive ({self.keep_alive} s) must be at least publishing_interval ({self.publishing_interval} s)"
            )
        if self.lifetime < 3 * self.keep_alive:
            raise ValueError(
                f"lifetime ({self.lifetime} s) must be at least three times keep_alive ({self.keep_alive} s): "
                f"{3 * self.keep_alive} s or more (OPC 10000-4, 5.14.2)"
            )
        if self.unacknowledged < self.requests_in_flight:
            raise ValueError(
                f"unacknowledged ({self.unacknowledged}) must be at least requests_in_flight "
                f"({self.requests_in_flight})"
            )
        return self


class TransportConfig(Closed):
    """Limits and deadlines of the connection.

    Attributes:
        timeout: Seconds to wait for an answer.
        session_timeout: Seconds after which the server forgets the session of a gateway that went away.
        max_message: Bytes of the largest message that is accepted.
    """

    timeout: Annotated[float, Field(ge=0.5, le=120)] = 10.0
    session_timeout: Annotated[float, Field(ge=5, le=3600)] = 60.0
    max_message: Annotated[int, Field(ge=65_536, le=256 * 1024 * 1024)] = 16 * 1024 * 1024


class HistoryConfig(Closed):
    """How the server's history is read after an interruption, beside the live values.

    Attributes:
        page: Values of one signal in one answer; a server may give fewer.
        rate: Values a second at most.
    """

    page: Annotated[int, Field(ge=2, le=100_000)] = 1000
    rate: Annotated[float, Field(ge=1, le=1_000_000)] = 5000.0


class OpcUaConfig(Closed):
    """One OPC UA server."""

    url: str
    security: SecurityConfig
    user: UserConfig
    waivers: tuple[Waiver, ...] = ()
    subscription: SubscriptionConfig = SubscriptionConfig()
    history: HistoryConfig = HistoryConfig()
    transport: TransportConfig = TransportConfig()
    machines: MachinesConfig = MachinesConfig()
    overrides: tuple[OverrideConfig, ...] = ()

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            port = parts.port or DEFAULT_PORT
        except ValueError as problem:
            raise ValueError(f"{value!r} is no URL ({problem}); allowed: opc.tcp://HOST:PORT/PATH") from problem
        if parts.scheme != "opc.tcp" or not parts.hostname:
            raise ValueError(f"{value!r} is no URL of an OPC UA server; allowed: opc.tcp://HOST:PORT/PATH")
        if parts.username is not None or parts.password is not None:
            raise ValueError("a user or password in the URL would end up in logs; use `user` with `password_file`")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return f"opc.tcp://{host}:{port}{parts.path}"

    @model_validator(mode="after")
    def _waivers_match(self) -> OpcUaConfig:
        needed: dict[str, tuple[bool, str]] = {
            "anonymous-user": (self.user.anonymous, "user.anonymous = true"),
            "sign-only": ("sign" in self.security.modes, 'the mode "sign" in security.modes'),
            "security-none": ("none" in self.security.modes, 'the mode "none" in security.modes'),
        }
        check_waivers(self.waivers, needed)
        return self

    @property
    def host(self) -> str:
        """The host that is dialled, whatever the server's endpoints say."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port that is dialled."""
        return urlsplit(self.url).port or DEFAULT_PORT
