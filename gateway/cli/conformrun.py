"""What every run of `area4 conform` shares: options, the run with its progress, the forms of the report, the end."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import click

from conformance import plugins
from conformance.reports import document, junit, sarif, text
from conformance.reports.html.page import judgement, page
from conformance.suite.catalogue import Catalogue, CatalogueError
from conformance.suite.check import TargetKind
from conformance.suite.claims import Claim, ClaimError, read_claim
from conformance.suite.outcome import State
from conformance.suite.report import Report, Result
from conformance.suite.runner import Settings, run
from conformance.suite.selection import selected
from conformance.suite.target import Target
from gateway.cli.conform import catalogue_of, write
from gateway.cli.output import progress
from gateway.errors import ConfigurationError, NonConformityError

_Command = TypeVar("_Command", bound=Callable[..., Any])
_OUT = click.Path(path_type=Path, allow_dash=True)

STDOUT = Path("-")
OPEN_SECONDS = 180.0
TOTAL_SECONDS = 1800.0

_COLOUR = {
    State.PASS: "green",
    State.NON_STRICT: "yellow",
    State.FAIL: "red",
    State.INFORMATIONAL: "blue",
    State.NOT_CLAIMED: "bright_black",
    State.BLOCKED: "magenta",
    State.MANUAL: "cyan",
    State.ERROR: "red",
}

_OPTIONS = (
    click.option("--claim", "claim_file", type=click.Path(path_type=Path), metavar="FILE",
                 help="What the vendor claims (TOML); else what the target says of itself decides."),
    click.option("--only", multiple=True, metavar="ID", help="Only this check or group of checks. May be given again."),
    click.option("--allow-writes", is_flag=True, help="Also checks that write or call something on the target."),
    click.option("--allow-stress", is_flag=True, help="Also checks that load or provoke the target."),
    click.option("--window", type=click.FloatRange(0, 86_400), default=None, metavar="SECONDS",
                 help="How long to watch; each kind of target has its default."),
    click.option("--html", type=_OUT, metavar="FILE", help="Write the report as one page."),
    click.option("--json", "json_", type=_OUT, metavar="FILE", help="Write it as JSON; - for stdout."),
    click.option("--junit", type=_OUT, metavar="FILE", help="Write it as JUnit XML."),
    click.option("--sarif", type=_OUT, metavar="FILE", help="Write it as SARIF 2.1.0."),
    click.option("--seed", type=int, default=1, show_default=True, help="Of everything random."),
    click.option("--checks", "folders", type=click.Path(path_type=Path), multiple=True, metavar="DIR",
                 help="A folder with checks of your own. May be given again."),
    click.option("--quiet", is_flag=True, help="Say only the last sentence."),
)  # fmt: skip


@dataclass(frozen=True)
class Common:
    """The options that every run has."""

    claim_file: Path | None
    only: tuple[str, ...]
    allow_writes: bool
    allow_stress: bool
    window: float | None
    html: Path | None
    json_: Path | None
    junit: Path | None
    sarif: Path | None
    seed: int
    folders: tuple[Path, ...]
    quiet: bool

    @classmethod
    def of(cls, options: dict[str, Any]) -> Common:
        """Take them out of a command's options."""
        return cls(**{name: options.pop(name) for name in cls.__dataclass_fields__})

    def files(self) -> list[tuple[Path, Callable[[Report], str]]]:
        """Forms of the report that were asked for."""
        forms = (
            (self.html, page),
            (self.json_, document.written),
            (self.junit, junit.written),
            (self.sarif, sarif.written),
        )
        return [(file, form) for file, form in forms if file is not None]


def common_options(command: _Command) -> _Command:
    """Give a command the options that every run has."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def judge(kind: TargetKind, common: Common, make: Callable[[], Target]) -> None:
    """Run, report, end.

    Args:
        kind: Of the target.
        common: What every run is told.
        make: The target, made once everything else is known to be right.

    Raises:
        ConfigurationError: Something that was given is wrong.
        NonConformityError: It does not conform, or that could not be shown.
    """
    catalogue, found = catalogue_of(common.folders)
    claim = _claim(common, catalogue, kind)
    _writable(common)
    try:
        number = len(selected(catalogue, kind, common.only))
    except CatalogueError as error:
        raise ConfigurationError(f"--only: {error}.", advice="`area4 conform list` shows all.") from error
    if not number:
        raise ConfigurationError(f"there is no check of a {kind}.")
    target = make()
    plugins.equip(target, found)
    report = asyncio.run(_run(target, catalogue, claim, common))
    for file, form in common.files():
        if file == STDOUT:
            click.echo(form(report), nl=False)
        else:
            write(file, form(report))
    if not common.quiet and not any(file == STDOUT for file, _ in common.files()):
        for line in text.lines(report):
            _say(line)
    if not report.conforms:
        raise NonConformityError(judgement(report))
    if common.quiet:
        _say(text.Line(judgement(report), State.PASS))


async def _run(target: Target, catalogue: Catalogue, claim: Claim | None, common: Common) -> Report:
    window = common.window or 0.0
    settings = Settings(
        allow_writes=common.allow_writes,
        allow_stress=common.allow_stress,
        open_seconds=OPEN_SECONDS + window,
        total_seconds=TOTAL_SECONDS + window,
        seed=common.seed,
        version=version("area4-gateway"),
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None

    def interrupt() -> None:
        """The first one ends the run with a report, the second one at once."""
        if stop.is_set():
            task.cancel()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        with progress(f"opening {target.name} ...") as say:

            def tell(result: Result, number: int, of: int) -> None:
                say(text.progress(result, number, of).text)

            return await run(
                target, catalogue, settings=settings, claim=claim, only=common.only, progress=tell, stop=stop
            )
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _claim(common: Common, catalogue: Catalogue, kind: TargetKind) -> Claim | None:
    if common.claim_file is None:
        return None
    try:
        claim = read_claim(common.claim_file, catalogue)
    except ClaimError as error:
        raise ConfigurationError(f"{error}.") from error
    if claim.target is not kind:
        raise ConfigurationError(f"{common.claim_file}: target: found {claim.target}, the target is a {kind}.")
    return claim


def _writable(common: Common) -> None:
    """Before minutes are spent: there is a place for each file."""
    places = [file for file, _ in common.files()]
    if places.count(STDOUT) > 1:
        raise click.UsageError("only one form of the report can go to stdout")
    for file in places:
        if file != STDOUT and (file.is_dir() or not file.absolute().parent.is_dir()):
            raise ConfigurationError(f"{file}: cannot be written: there is no folder for it, or it is a folder.")


def _say(line: text.Line) -> None:
    colour = _COLOUR[line.state] if line.state is not None and sys.stdout.isatty() else None
    click.echo(click.style(line.text, fg=colour) if colour else line.text)
