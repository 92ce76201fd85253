"""The configuration as it is used: the gateway's own tables, and one validated model for each source and sink."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gateway.config.units import Address, Duration, Size, parse_address

MAX_NAME = 64
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""Names of sources, sinks and the gateway: they stand in topics, metrics and file names."""

NAME_RULE = "1 to 64 letters, digits, or . _ - beginning with a letter or digit"

HTTP_EXPOSED = "http-exposed"
"""Waiver: the status page and the metrics are reachable from other computers, without authentication."""


class Table(BaseModel):
    """Base of the configuration's tables: closed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class GatewaySettings(Table):
    """`[gateway]`: who the gateway is and where it keeps what it must not lose."""

    name: Annotated[str, Field(description="name of this gateway, for example hall3-gateway")]
    site: Annotated[str, Field(min_length=1, max_length=MAX_NAME, description="site as it stands in topics")]
    data_dir: Path = Path("data")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "text", "json"] = "auto"

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if not re.fullmatch(NAME, value):
            raise ValueError(NAME_RULE)
        return value

    @field_validator("site")
    @classmethod
    def _printable(cls, value: str) -> str:
        if not value.isprintable() or value != value.strip():
            raise ValueError("1 to 64 printable characters without blanks at the ends")
        return value


class OutboxSettings(Table):
    """`[outbox]`: the durable store between sources and sinks."""

    path: Path | None = None
    max_bytes: Annotated[Size, Field(ge=1_000_000)] = 2_000_000_000
    max_age: Annotated[Duration, Field(ge=60)] = 7 * 86_400.0
    full: Literal["evict", "wait"] = "evict"
    linger: Annotated[Duration, Field(ge=0.0, le=60.0)] = 0.05
    max_message_samples: Annotated[int, Field(ge=1, le=10_000)] = 500
    max_message_bytes: Annotated[Size, Field(ge=1_000, le=64_000_000)] = 128_000


class HttpSettings(Table):
    """`[http]`: metrics, health and the status page."""

    enabled: bool = True
    listen: str = "127.0.0.1:9464"
    waivers: tuple[Literal["http-exposed"], ...] = ()

    @field_validator("listen")
    @classmethod
    def _address(cls, value: str) -> str:
        return str(parse_address(value))

    @model_validator(mode="after")
    def _loopback_or_waived(self) -> HttpSettings:
        if not self.address.loopback and HTTP_EXPOSED not in self.waivers:
            raise ValueError(
                f'listen = "{self.listen}" is reachable from other computers without authentication; allowed: '
                f'a loopback address, or this one with waivers = ["{HTTP_EXPOSED}"]'
            )
        return self

    @property
    def address(self) -> Address:
        """Where the server listens."""
        return parse_address(self.listen)


@dataclass(frozen=True, slots=True)
class Link:
    """A configured source or sink.

    Attributes:
        name: Of its table, `[source.NAME]` or `[sink.NAME]`.
        type: Of its adapter, for example `opcua`.
        config: Validated by the adapter's own model.
    """

    name: str
    type: str
    config: BaseModel

    @property
    def waivers(self) -> tuple[str, ...]:
        """What its table weakens, by name."""
        return tuple(getattr(self.config, "waivers", ()))


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration of a gateway."""

    file: Path
    gateway: GatewaySettings
    outbox: OutboxSettings
    http: HttpSettings
    sources: tuple[Link, ...]
    sinks: tuple[Link, ...]

    @property
    def outbox_path(self) -> Path:
        """The outbox' file."""
        return self.outbox.path or self.gateway.data_dir / "outbox.db"

    @property
    def waivers(self) -> tuple[str, ...]:
        """Everything that is weaker than the default, each with its place, for example `http:http-exposed`."""
        found = [f"http:{waiver}" for waiver in self.http.waivers if self.http.enabled]
        for kind, links in (("source", self.sources), ("sink", self.sinks)):
            found += [f"{kind}.{link.name}:{waiver}" for link in links for waiver in link.waivers]
        return tuple(found)
