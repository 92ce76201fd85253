"""Line numbers of keys in a TOML text, which tomllib does not tell.

Only used on texts that tomllib has accepted, so it needs to recognise, not to judge.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_PART = re.compile(r"""\s*("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[A-Za-z0-9_-]+)\s*""")
_SKIP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_VALUE = re.compile(
    r"""
    \"{3}(?:[^\\]|\\.)*?\"{3,5}  # multi-line text
    | '{3}.*?'{3,5}
    | "(?:[^"\\\n]|\\.)*"
    | '[^'\n]*'
    | \#[^\n]*
    | [\[\]{}]
    | \n
    | [^"'\#\[\]{}\n]+
    """,
    re.DOTALL | re.VERBOSE,
)

Key = tuple[str, ...]


class Lines:
    """Where each key of a TOML text stands; arrays of tables count as `name`, `0`, `1` ..."""

    def __init__(self, text: str) -> None:
        self._found: dict[Key, int] = {}
        self._counts: Counter[Key] = Counter()
        self._scan(text.replace("\r\n", "\n"))

    def of(self, key: Sequence[str | int]) -> int | None:
        """The line of `key`, or of the nearest table around it; None where not even that is known."""
        parts = tuple(str(part) for part in key)
        for length in range(len(parts), 0, -1):
            line = self._found.get(parts[:length])
            if line is not None:
                return line
        return None

    def _scan(self, text: str) -> None:
        table: Key = ()
        position, line, seen = 0, 1, 0
        while True:
            found = _SKIP.match(text, position)
            position = found.end() if found else position
            line += text.count("\n", seen, position)
            seen = position
            if position >= len(text):
                return
            if text[position] == "[":
                double = text.startswith("[[", position)
                key, position = _key(text, position + (2 if double else 1))
                table = self._numbered(key) if double else key
                self._found.setdefault(table, line)
                position += 2 if double else 1
            else:
                key, position = _key(text, position)
                for length in range(1, len(key) + 1):
                    self._found.setdefault(table + key[:length], line)
                position = _after_value(text, position + 1)

    def _numbered(self, key: Key) -> Key:
        number = self._counts[key]
        self._counts[key] += 1
        return (*key, str(number))


def _key(text: str, position: int) -> tuple[Key, int]:
    """The dotted key at `position` and where it ends."""
    parts: list[str] = []
    while found := _PART.match(text, position):
        parts.append(found[1][1:-1] if found[1][0] in "\"'" else found[1])
        position = found.end()
        if not text.startswith(".", position):
            break
        position += 1
    return tuple(parts), position


def _after_value(text: str, position: int) -> int:
    """Where the value that begins at `position` ends: at the end of a line outside of brackets."""
    depth = 0
    while position < len(text):
        found = _VALUE.match(text, position)
        if found is None:
            return len(text)
        piece = found[0]
        if piece in "[{":
            depth += 1
        elif piece in "]}":
            depth -= 1
        elif piece == "\n" and depth == 0:
            return position
        position = found.end()
    return position
