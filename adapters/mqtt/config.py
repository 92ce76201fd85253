"""Configuration of one MQTT broker: closed models, each error a sentence; nothing here touches the network.

All durations are numbers of seconds. `sample.toml` shows every key with its default.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from adapters.mqtt.topics import (
    GATEWAY_TOPIC,
    GATEWAY_VARIABLES,
    MACHINE_TOPIC,
    MACHINE_VARIABLES,
    check_template,
)
from security.waivers import check_waivers

Waiver = Literal[
    "plaintext",  # mqtt:// instead of mqtts://: everything readable, nobody authenticated; for a lab
    "no-client-certificate",  # the gateway shows no certificate; a user with password instead, or nothing
    "host-name",  # the broker's certificate need not name the host
    "missing-crl",  # an authority without revocation list
]

DEFAULT_PORTS = {"mqtts": 8883, "mqtt": 1883}


class Closed(BaseModel):
    """Base: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SecurityConfig(Closed):
    """Own identity, trust, and the TLS that the broker must speak.

    Attributes:
        certificate: Own certificate with its intermediates, PEM.
        key: Its private key, PEM.
        trust: Folder with trusted/, issuers/, rejected/ (OPC 10000-12).
        minimum_tls: Oldest TLS version; 1.3 is used wherever the broker can.
    """

    certificate: Path | None = None
    key: Path | None = None
    key_password_file: Path | None = None
    trust: Path
    minimum_tls: Literal["1.2", "1.3"] = "1.2"

    @model_validator(mode="after")
    def _pairs(self) -> SecurityConfig:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("`certificate` and `key` belong together: give both or neither")
        if self.key_password_file is not None and self.key is None:
            raise ValueError("`key_password_file` is the password of `key`, which is missing")
        return self


class UserConfig(Closed):
    """User name and password in CONNECT, for brokers that ask for them beside the certificate."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    password_file: Path | None = None


class TopicsConfig(Closed):
    """Templates of the topics; `{site}`, `{gateway}`, `{machine}`, `{kind}` are put in escaped."""

    machine: str = MACHINE_TOPIC
    gateway_status: str = GATEWAY_TOPIC

    @field_validator("machine")
    @classmethod
    def _machine(cls, value: str) -> str:
        return check_template(value, MACHINE_VARIABLES, required=("machine", "kind"))

    @field_validator("gateway_status")
    @classmethod
    def _gateway(cls, value: str) -> str:
        return check_template(value, GATEWAY_VARIABLES, required=("gateway",))


class WindowConfig(Closed):
    """What may be on its way to the broker without its acknowledgement; the broker's own limits narrow it.

    Attributes:
        messages: Number of messages.
        bytes: Their size together; bounds the memory too.
        timeout: Seconds without any acknowledgement after which the connection is given up.
    """

    messages: Annotated[int, Field(ge=1, le=10_000)] = 100
    bytes: Annotated[int, Field(ge=65_536, le=256 * 1024 * 1024)] = 4 * 1024 * 1024
    timeout: Annotated[float, Field(ge=5, le=3600)] = 60.0


class MqttConfig(Closed):
    """One MQTT broker.

    Attributes:
        client_id: Client identifier; by default `area4-` and the gateway's name.
        keep_alive: Seconds after which a silent connection is tested; a dead one is noticed within twice that.
        connect_timeout: Seconds for each of TCP, TLS and CONNECT.
        message_expiry: Seconds after which the broker drops a message that it could not hand on (MQTT 5); None: never.
        encoding: Name of the payloads' encoding.
        backlog_rate: Messages a second, at most, of what waits on disk after an outage; None: as fast as the broker.
    """

    url: str
    protocol: Literal["5", "3.1.1"] = "5"
    client_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    security: SecurityConfig | None = None
    user: UserConfig | None = None
    waivers: tuple[Waiver, ...] = ()
    topics: TopicsConfig = TopicsConfig()
    window: WindowConfig = WindowConfig()
    keep_alive: Annotated[float, Field(ge=1, le=3600)] = 20.0
    connect_timeout: Annotated[float, Field(ge=0.5, le=120)] = 10.0
    message_expiry: Annotated[int, Field(ge=1, le=2_592_000)] | None = None
    encoding: str = "common"
    backlog_rate: Annotated[float, Field(ge=1, le=1_000_000)] | None = None

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        allowed = "allowed: mqtts://HOST:PORT"
        try:
            parts = urlsplit(value)
            port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
        except ValueError as problem:
            raise ValueError(f"{value!r} is no URL ({problem}); {allowed}") from problem
        if parts.username is not None or parts.password is not None:
            raise ValueError("a user or password in the URL would end up in logs; use `user` with `password_file`")
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError(f"{value!r} is no URL of an MQTT broker; {allowed}")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return f"{parts.scheme}://{host}:{port}"

    @model_validator(mode="after")
    def _secured(self) -> MqttConfig:
        if self.tls and self.security is None:
            raise ValueError("`security` is missing: mqtts:// needs its `trust`, `certificate` and `key`")
        if not self.tls and self.security is not None:
            raise ValueError("`security` has no meaning with mqtt://: use mqtts:// or remove it")
        if self.message_expiry is not None and self.protocol != "5":
            raise ValueError('`message_expiry` exists in MQTT 5 only: remove it or set protocol = "5"')
        return self

    @model_validator(mode="after")
    def _waivers_match(self) -> MqttConfig:
        needed: dict[str, tuple[bool, str]] = {
            "plaintext": (not self.tls, "url with mqtt://"),
            "no-client-certificate": (
                self.security is not None and self.security.certificate is None,
                "security without `certificate`",
            ),
        }
        check_waivers(self.waivers, needed)
        return self

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.url.startswith("mqtts://")

    @property
    def host(self) -> str:
        """The broker's host."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The broker's port."""
        return urlsplit(self.url).port or DEFAULT_PORTS["mqtts"]
