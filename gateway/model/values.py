"""JSON values of the common data model: what OPC UA has and JSON lacks, as OPC 10000-6, 5.4 writes it."""

from __future__ import annotations

from typing import TypeAlias

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"

SAFE_INTEGER = 2**53
"""Integers beyond this magnitude are strings: a double cannot hold them."""

_INFINITY = float("inf")


def json_int(value: int) -> int | str:
    """An Int64 or UInt64."""
    return value if -SAFE_INTEGER <= value <= SAFE_INTEGER else str(value)


def json_float(value: float) -> float | str:
    """A Float or Double; NaN and the infinities are strings."""
    if value - value == 0.0:  # false for NaN and both infinities, and cheaper than three calls
        return value
    if value != value:  # noqa: PLR0124 - NaN is the one value that differs from itself
        return "NaN"
    return "Infinity" if value == _INFINITY else "-Infinity"


def json_text(value: str) -> str:
    """A text that is valid UTF-8: lone surrogates become U+FFFD."""
    return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
