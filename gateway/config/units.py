"""Durations, sizes and addresses as people write them."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)")
_DURATION_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]i?)?B", re.IGNORECASE)
_SIZE_POWER = {"k": 1, "m": 2, "g": 3, "t": 4}
_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})")


def parse_duration(value: object) -> object:
    """Seconds of `200ms`, `5 s`, `10min`, `72h`, `7d`; a bare number is seconds."""
    if isinstance(value, str):
        found = _DURATION.fullmatch(value.strip())
        if found is None:
            raise ValueError('a duration: seconds as a number, or a text such as "200ms", "5s", "10min", "72h", "7d"')
        return float(found[1]) * _DURATION_SECONDS[found[2]]
    if isinstance(value, bool):
        raise ValueError('a duration: seconds as a number, or a text such as "200ms", "5s", "72h"')  # noqa: TRY004 - pydantic reports ValueErrors
    return value


def parse_size(value: object) -> object:
    """Bytes of `500 MB` (powers of 1000) or `2 GiB` (powers of 1024); a bare number is bytes."""
    if isinstance(value, str):
        found = _SIZE.fullmatch(value.strip())
        if found is None:
            raise ValueError('a size: bytes as a number, or a text such as "64kB", "500MB", "2GiB"')
        prefix = (found[2] or "").lower()
        factor = (1024 if prefix.endswith("i") else 1000) ** _SIZE_POWER.get(prefix[:1], 0)
        return int(float(found[1]) * factor)
    if isinstance(value, bool):
        raise ValueError('a size: bytes as a number, or a text such as "64kB", "500MB", "2GiB"')  # noqa: TRY004 - pydantic reports ValueErrors
    return value


Duration = Annotated[float, BeforeValidator(parse_duration)]
"""Seconds."""

Size = Annotated[int, BeforeValidator(parse_size)]
"""Bytes."""


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this computer reaches it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """`host:port` with an IPv6 address in brackets.

    Raises:
        ValueError: The text is something else.
    """
    found = _LISTEN.fullmatch(text.strip())
    if found is None or int(found[2]) > 65_535:
        raise ValueError('host:port, for example "127.0.0.1:9464" or "[::1]:9464", port 0 to 65535')
    return Address(found[1].strip("[]"), int(found[2]))
