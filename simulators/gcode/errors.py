"""What is wrong with a part program, said so that its author finds it."""

from __future__ import annotations


class GcodeError(ValueError):
    """A part program cannot be run; names program, line, what was found and what is allowed."""

    def __init__(self, program: str, line: int, found: str, allowed: str) -> None:
        super().__init__(f"program {program}, line {line}: found {found}; allowed: {allowed}")
        self.program = program
        self.line = line
        self.found = found
        self.allowed = allowed
