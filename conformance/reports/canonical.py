"""JSON as the same bytes everywhere (RFC 8785), so that a signature over it can be checked in any language."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from decimal import Decimal

_PLAIN_FROM = -7
_PLAIN_TO = 21
"""Powers of ten between which numbers are written without an exponent (ECMAScript's Number::toString)."""


def canonical(value: object) -> bytes:
    """The canonical bytes of what `json.loads` gives.

    Raises:
        ValueError: A number has no JSON, or a text no UTF-8.
    """
    return _text(value).encode("utf-8")


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        keys = sorted(value, key=lambda key: str(key).encode("utf-16-be"))
        return "{" + ",".join(f"{_text(str(key))}:{_text(value[key])}" for key in keys) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_text(one) for one in value) + "]"
    if isinstance(value, float):
        return _number(value)
    return json.dumps(value, ensure_ascii=False)


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"{value} has no JSON")
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    text = "".join(str(digit) for digit in digits)
    point = len(text) + exponent  # digits before the decimal point
    if _PLAIN_FROM < point - 1 < _PLAIN_TO:
        made = _plain(text, point)
    else:
        mantissa = text[0] + (f".{text[1:]}" if len(text) > 1 else "")
        made = f"{mantissa}e{'+' if point > 0 else '-'}{abs(point - 1)}"
    return ("-" if sign else "") + made


def _plain(text: str, point: int) -> str:
    if point <= 0:
        return "0." + "0" * -point + text
    if point >= len(text):
        return text + "0" * (point - len(text))
    return f"{text[:point]}.{text[point:]}"
