"""Text of a target as a reader may see it: what steers terminals, browsers or the way of writing is spelled out."""

from __future__ import annotations

import html
import unicodedata

_STEERING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode's categories of characters without a picture; format characters reverse or hide what stands beside them."""

_NAMES = {
    "\0": "NUL",
    "\a": "BEL",
    "\b": "BS",
    "\t": "TAB",
    "\n": "LF",
    "\r": "CR",
    "\x1b": "ESC",
    "\x7f": "DEL",
    "\u2028": "LSEP",
    "\u2029": "PSEP",
    "\u202e": "RLO",
}
"""Names that readers know; the others are told by their number."""


def visible(text: str, *, lines: bool = False) -> str:
    """`text` with the name or number of each character that has no picture; with `lines` line breaks and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_picture(one, lines=lines) for one in text)


def _picture(one: str, *, lines: bool) -> str:
    if unicodedata.category(one) not in _STEERING or (lines and one in "\n\t"):
        return one
    return f"\u27e6{_NAMES.get(one) or f'U+{ord(one):04X}'}\u27e7"


def escaped(text: str, *, lines: bool = False) -> str:
    """`visible` text for a page, also within an attribute's quotation marks."""
    return html.escape(visible(text, lines=lines), quote=True)
