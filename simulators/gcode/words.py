"""Blocks and words of ISO 6983: one line of text to a `Block` and back."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from simulators.gcode.errors import GcodeError

LETTERS = "ABCDFGHIJKLMNOPQRSTUWXYZ"
"""Address letters that this control knows."""

DECIMALS = 6
"""Numbers carry at most this many decimals; finer than any axis resolves."""

_WORD = re.compile(r"([A-Za-z])\s*([+-]?(?:\d+\.?\d*|\.\d+))")


@dataclass(frozen=True, slots=True)
class Word:
    """An address letter with its number, for example ``X`` and 12.5."""

    letter: str
    value: float


@dataclass(frozen=True, slots=True)
class Block:
    """One line of a program.

    Attributes:
        words: Its words in the order written.
        skip: It begins with `/` and is left out while block skip is on.
        comment: Text in parentheses or behind `;`.
        line: Line in the file, counted from 1; no part of the comparison.
    """

    words: tuple[Word, ...] = ()
    skip: bool = False
    comment: str = ""
    line: int = field(default=0, compare=False)

    def get(self, letter: str) -> float | None:
        """Value of the first word with this letter."""
        for word in self.words:
            if word.letter == letter:
                return word.value
        return None

    def codes(self, letter: str) -> list[int]:
        """All values with this letter as whole numbers (G and M words)."""
        return [int(word.value) for word in self.words if word.letter == letter]


def parse_block(text: str, program: str = "-", line: int = 0) -> Block:
    """Parse one line.

    Raises:
        GcodeError: The line is not made of words, comments and a leading `/`.
    """
    body, comment = _split_comment(text, program, line)
    body = body.strip()
    skip = body.startswith("/")
    if skip:
        body = body[1:].strip()
    words: list[Word] = []
    position = 0
    while position < len(body):
        match = _WORD.match(body, position)
        if match is None:
            raise GcodeError(program, line, repr(body[position:]), "words of a letter and a number, (comments), /")
        letter = match.group(1).upper()
        if letter not in LETTERS:
            raise GcodeError(program, line, f"address {letter}", f"addresses {' '.join(LETTERS)}")
        value = round(float(match.group(2)), DECIMALS) + 0.0
        if letter in "GMNTO" and value != int(value):
            raise GcodeError(program, line, match.group(0), f"a whole number behind {letter}")
        words.append(Word(letter, value))
        position = match.end()
        while position < len(body) and body[position].isspace():
            position += 1
    return Block(tuple(words), skip, comment, line)


def format_block(block: Block) -> str:
    """Write a block so that `parse_block` gives it back."""
    parts = [f"{word.letter}{_number(word.value)}" for word in block.words]
    if block.comment:
        parts.append(f"({block.comment})")
    return ("/" if block.skip else "") + " ".join(parts)


def _number(value: float) -> str:
    text = f"{value:.{DECIMALS}f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def _split_comment(text: str, program: str, line: int) -> tuple[str, str]:
    body: list[str] = []
    comments: list[str] = []
    rest = text.rstrip("\r\n")
    while rest:
        opening = min((i for i in (rest.find("("), rest.find(";")) if i >= 0), default=-1)
        if opening < 0:
            body.append(rest)
            break
        body.append(rest[:opening])
        if rest[opening] == ";":
            comments.append(rest[opening + 1 :].strip())
            break
        closing = rest.find(")", opening)
        inner = rest[opening + 1 : closing]
        if closing < 0 or "(" in inner:
            raise GcodeError(program, line, repr(rest[opening:]), "a comment closed by ) on the same line, not nested")
        comments.append(inner.strip())
        rest = rest[closing + 1 :]
    return " ".join(body), " ".join(comment for comment in comments if comment)
