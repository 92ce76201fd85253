r"""Names on their way: browse paths of signals, levels of MQTT topics. Both rules are reversible.

Path of a signal: the browse names below its machine joined by ``/``; inside a name ``%`` is written ``%25`` and ``/``
is written ``%2F``, everything else stands as it is (`Monitoring/MachineTool/OperationMode`).

Level of a topic: letters and digits of ASCII and ``- . ~ : ; =`` stand as they are; every other byte of the UTF-8
text is written ``_XX`` in upper-case hexadecimal, ``_`` itself as ``_5F``; the empty text is written ``_``. So no
``/ + #``, no control character and no non-ASCII byte ever reaches a topic, and different names never meet. It is the
rule that umati's topics use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.~:;=")
_ESCAPE = re.compile(rb"_([0-9A-F]{2})")
_LEVEL = re.compile(rb"(?:[A-Za-z0-9.~:;=-]|_[0-9A-F]{2})*")


def join_path(names: Iterable[str]) -> str:
    """The path of browse names from the machine downwards."""
    return "/".join(name.replace("%", "%25").replace("/", "%2F") for name in names)


def split_path(path: str) -> list[str]:
    """The browse names of a path."""
    return [name.replace("%2F", "/").replace("%25", "%") for name in path.split("/")] if path else []


def escape_level(text: str) -> str:
    """`text` as one level of an MQTT topic."""
    raw = text.encode("utf-8", "surrogatepass")
    return "".join(chr(byte) if byte in _PLAIN else f"_{byte:02X}" for byte in raw) or "_"


def unescape_level(level: str) -> str:
    """The text that `escape_level` wrote.

    Raises:
        ValueError: It never writes such a level.
    """
    if level == "_":
        return ""
    raw = level.encode("ascii", "replace")
    if not raw or not _LEVEL.fullmatch(raw):
        raise ValueError(f"{level!r} is no escaped topic level: allowed are A-Z a-z 0-9 - . ~ : ; = and _XX")
    return _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), raw).decode("utf-8", "surrogatepass")
