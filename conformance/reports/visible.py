"""Text of a target as a reader may see it: what steers terminals, browsers or the way of writing is spelled out."""

from __future__ import annotations

import html
import unicodedata

_STEERING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode's categories of characters without a picture; format characters reverse or hide what stands beside them."""

_CONTROL_PICTURES = 0x2400


def visible(text: str, *, lines: bool = False) -> str:
    """`text` with a picture or the number of each character that has none; with `lines` line breaks and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_picture(one, lines=lines) for one in text)


def _picture(one: str, *, lines: bool) -> str:
    if unicodedata.category(one) not in _STEERING or (lines and one in "\n\t"):
        return one
    code = ord(one)
    if code < 0x20:
        return chr(_CONTROL_PICTURES + code)
    return f"\u27e6U+{code:04X}\u27e7"


def escaped(text: str, *, lines: bool = False) -> str:
    """`visible` text for a page, also within an attribute's quotation marks."""
    return html.escape(visible(text, lines=lines), quote=True)
