"""A part program: its blocks and subprograms, checked against the control's vocabulary."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources

from simulators.gcode.dialect import MODAL_GROUPS, Dialect
from simulators.gcode.errors import GcodeError
from simulators.gcode.words import Block, parse_block

_ANY_DIALECT_LETTERS = frozenset("NGMFSTIJKRPQLHDO")


@dataclass(frozen=True, slots=True)
class Program:
    """A parsed program.

    Attributes:
        name: File name, as the machine shows it.
        blocks: Blocks of the main program.
        subprograms: Blocks of each subprogram by its O number.
        number: O number of the main program, 0 if it has none.
    """

    name: str
    blocks: tuple[Block, ...]
    subprograms: dict[int, tuple[Block, ...]] = field(default_factory=dict)
    number: int = 0


def load_program(name: str, dialect: Dialect) -> Program:
    """Parse a program that is delivered with the simulators, for example ``bracket.nc``."""
    text = resources.files("simulators").joinpath("programs", name).read_text(encoding="utf-8")
    return parse_program(text, name, dialect)


def parse_program(text: str, name: str, dialect: Dialect) -> Program:
    """Parse and check a program with its subprograms (each begins with its O word, behind the main program).

    Raises:
        GcodeError: A line cannot be parsed, a code is unknown to the dialect, or codes exclude each other.
    """
    sections: list[tuple[int, list[Block]]] = [(0, [])]
    for line, raw in enumerate(text.splitlines(), start=1):
        if raw.strip() in {"%", ""}:
            continue
        block = parse_block(raw, name, line)
        _check(block, name, dialect)
        number = block.get("O")
        if number is not None:
            if sections[-1][1] or sections[-1][0]:
                sections.append((int(number), []))
            else:
                sections[-1] = (int(number), [])
        if block.words or block.comment:
            sections[-1][1].append(block)
    subprograms = {number: tuple(blocks) for number, blocks in sections[1:]}
    for number, blocks in subprograms.items():
        if 99 not in blocks[-1].codes("M"):
            raise GcodeError(name, blocks[-1].line, f"subprogram O{number} without M99", "M99 as its last block")
    _check_end(sections[0][1], name)
    return Program(name, tuple(sections[0][1]), subprograms, sections[0][0])


def _check_end(blocks: list[Block], name: str) -> None:
    last = blocks[-1] if blocks else Block(line=1)
    if not {2, 30} & set(last.codes("M")):
        raise GcodeError(name, last.line, "a main program without end", "M2 or M30 as its last block")


def _check(block: Block, name: str, dialect: Dialect) -> None:
    g_codes = block.codes("G")
    for letter, codes, known in (("G", g_codes, dialect.g), ("M", block.codes("M"), dialect.m)):
        for code in codes:
            if code not in known:
                allowed = " ".join(f"{letter}{n}" for n in sorted(known) if n < 200)
                raise GcodeError(name, block.line, f"{letter}{code}", f"for {dialect.name}: {allowed}")
    for group, members in MODAL_GROUPS.items():
        found = [code for code in g_codes if code in members]
        if len(found) > 1:
            text = " and ".join(f"G{code}" for code in found)
            raise GcodeError(name, block.line, text, f"one code of the group {group} in a block")
    letters = [word.letter for word in block.words if word.letter not in "GM"]
    for letter in letters:
        if letter not in _ANY_DIALECT_LETTERS and letter not in dialect.axes:
            allowed = " ".join([*dialect.axes, *sorted(_ANY_DIALECT_LETTERS)])
            raise GcodeError(name, block.line, f"address {letter}", f"for {dialect.name}: {allowed}")
        if letters.count(letter) > 1:
            raise GcodeError(name, block.line, f"{letter} twice", "each address once in a block")
