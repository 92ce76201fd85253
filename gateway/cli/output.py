"""What commands write: JSON for machines, aligned lines for people, progress only where somebody looks at it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click

Progress = Callable[[str], None]
"""Says what is being done now."""


def printable(text: str) -> str:
    """`text` without control characters, which a peer's names could carry into the terminal."""
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)


def say(text: str = "") -> None:
    """A line on stdout."""
    click.echo(printable(text))


def write_json(body: object) -> None:
    """A JSON document on stdout."""
    click.echo(json.dumps(body, indent=2, ensure_ascii=False, default=str))


def table(rows: Sequence[Sequence[str]], indent: str = "") -> None:
    """Rows in columns; the last column is as long as it is."""
    if not rows:
        return
    widths = [max(len(printable(row[column])) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [printable(cell).ljust(width) for cell, width in zip(row, widths, strict=False)]
        say(indent + "  ".join([*cells, printable(row[-1])]).rstrip())


@contextmanager
def progress(begin: str) -> Iterator[Progress]:
    """A line on the terminal that says what is awaited; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _text: None
        return
    from rich.console import Console  # noqa: PLC0415 - only where somebody looks at it
    from rich.markup import escape  # noqa: PLC0415

    with Console(stderr=True).status(escape(begin)) as status:
        yield lambda text: status.update(escape(printable(text)))
