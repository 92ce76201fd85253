"""Fenced console blocks of a page: read, checked against the commands that exist, and run in a folder of their own."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click

from gateway.cli.main import cli

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
DEADLINE = 100
_BLOCK = re.compile(r"(?:<!-- exit: (\d+) -->\n)?```console\n(.*?)```", re.DOTALL)
_SYSTEM_PATH = re.compile(r"(?<![\w.:/-])/(etc|var|root|srv|opt)/")


@dataclass(frozen=True, slots=True)
class Command:
    """A line `$ ...` of a page, and the exit code that the page promises."""

    line: int
    text: str
    exit: int = 0

    @property
    def words(self) -> list[str]:
        """Without sudo and whose identity it takes."""
        words = shlex.split(self.text)
        if words[0] == "sudo":
            words = words[3:] if words[1] == "-u" else words[1:]
        return words


def commands_of(page: Path) -> Iterator[Command]:
    """The commands of a page; the exit code before a block is that of its last command."""
    text = page.read_text(encoding="utf-8")
    for block in _BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(2)) + 1
        lines = block[2].splitlines()
        for at, line in enumerate(lines):
            assert line.startswith("$ "), f"{page.name}:{first + at}: a console block holds commands only"
            expected = int(block[1]) if block[1] and at == len(lines) - 1 else 0
            yield Command(first + at, line[2:], expected)


def script_of(page: Path, section: str) -> str:
    """The lines of all `sh` blocks of a section, one below the other."""
    text = page.read_text(encoding="utf-8").split(f"## {section}", 1)[1].split("\n## ", 1)[0]
    return "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))


def check_options(words: list[str]) -> None:
    """Every command and option of this line exists; nothing is run.

    Raises:
        click.UsageError: One does not.
    """
    command: click.Command = cli
    arguments = words[1:]
    context = click.Context(cli, info_name="area4")
    while isinstance(command, click.Group):
        found = command.get_command(context, arguments[0])
        if found is None:
            raise click.UsageError(f"there is no command {arguments[0]}")
        command, arguments = found, arguments[1:]
        context = click.Context(command, parent=context)
    command.make_parser(context).parse_args(arguments)


@dataclass
class Shell:
    """Runs commands of a page with the system's folders below `root`, and without asking for another identity.

    Attributes:
        root: Takes the place of / for /etc, /var, /root, /srv and /opt.
        folder: Where the commands are run.
        replaced: Texts of the page and what stands for them here.
        output: What the commands said.
    """

    root: Path
    folder: Path
    replaced: dict[str, str] = field(default_factory=dict)
    output: dict[str, str] = field(default_factory=dict)

    def here(self, text: str) -> str:
        """A text of the page, or of a file that it leads to, as it is run here."""
        text = _SYSTEM_PATH.sub(lambda found: f"{self.root}/{found[1]}/", text)
        for old, new in self.replaced.items():
            text = text.replace(old, new)
        return text

    def run(self, command: Command) -> str:
        """Run a command and compare its exit code; what it said."""
        line = re.sub(r"^sudo (-u \S+ )?", "", command.text)
        line = self.here(re.sub(r" -o \S+ -g \S+", "", line))
        result = subprocess.run(
            ["bash", "-c", line], cwd=self.folder, env=self.environment, capture_output=True, text=True,
            timeout=DEADLINE, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        told = result.stdout + result.stderr
        assert result.returncode == command.exit, f"line {command.line}: {line}\nexit {result.returncode}\n{told}"
        self.output[command.text] = told
        return told

    @property
    def environment(self) -> dict[str, str]:
        """With the `area4` of this environment first."""
        return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "120"}


Hook = Callable[[Command], None]
