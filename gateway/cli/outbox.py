"""`area4 outbox`: look into the store of a gateway, also while the gateway runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import click

from gateway.cli.output import say, table, write_json
from gateway.errors import LossError

_F = TypeVar("_F", bound=Callable[..., None])

SHOWN = 20
"""Problems that are written out; the rest is counted."""


@click.group("outbox")
def command() -> None:
    """Look into the outbox: what waits to be delivered.

    `show`, `verify` and `export` only read, and a gateway may be running meanwhile. `forget` needs it stopped.
    """


def _where(function: _F) -> _F:
    function = click.option("--file", type=click.Path(path_type=Path), help="The outbox itself.")(function)
    return click.option(
        "--config", "-c", type=click.Path(path_type=Path), help="The gateway's configuration, which names it."
    )(function)


def _path(config: Path | None, file: Path | None) -> Path:
    if (config is None) == (file is None):
        raise click.UsageError("give either --config or --file")
    if file is not None:
        return file
    from gateway.cli.loading import settings_of  # noqa: PLC0415 - only with a configuration

    assert config is not None
    return settings_of(config).outbox_path


@command.command("show")
@_where
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show(config: Path | None, file: Path | None, as_json: bool) -> None:
    """How much waits, of which machines, for which sinks."""
    from gateway.outbox.inspect import overview  # noqa: PLC0415

    found = overview(_path(config, file))
    if as_json:
        write_json(asdict(found))
        return
    say(f"{found.path}: {found.file_bytes} bytes on disk, version {found.version}, "
        f"{f'in use by process {found.holder}' if found.holder else 'not in use'}")  # fmt: skip
    say(f"{found.messages} messages, {found.bytes} bytes")
    if found.oldest is not None:
        say(f"taken from {found.oldest} to {found.newest}")
    for sink, figures in found.sinks.items():
        ahead = len(found.ahead.get(sink, {}))
        more = f", {ahead} machines further on" if ahead else ""
        say(f"sink {sink}: {figures['pending']} to deliver, delivered up to message {figures['cursor']}{more}")
    head = ("machine", "messages", "seq that wait", "last seq", "epoch")
    rows = [
        (
            one.machine,
            str(one.messages),
            "-" if one.first is None else f"{one.first} to {one.last}",
            str(one.seq),
            one.epoch,
        )
        for one in found.machines
    ]
    table([head, *rows])
    gone = sorted(set(found.descriptions) - {one.machine for one in found.machines})
    say(f"descriptions kept: {len(found.descriptions)}" + (f"; without a stream: {', '.join(gone)}" if gone else ""))


@command.command("verify")
@_where
def verify(config: Path | None, file: Path | None) -> None:
    """Check the file, the numbers of every stream, and every message; exit code 5 when something is wrong."""
    from gateway.outbox.inspect import verify as look  # noqa: PLC0415

    path = _path(config, file)
    problems = look(path)
    for line in problems[:SHOWN]:
        say(line)
    if problems:
        raise LossError(f"the outbox {path} is not as it should be: {len(problems)} findings.")
    say(f"{path}: everything is as it should be.")


@command.command("export")
@_where
@click.option("--machine", help="Only of this machine.")
def export(config: Path | None, file: Path | None, machine: str | None) -> None:
    """Every message that is stored, one JSON object a line."""
    from gateway.outbox.inspect import export as lines  # noqa: PLC0415

    for line in lines(_path(config, file), machine):
        click.echo(line)


@command.command("forget")
@click.argument("machine")
@_where
def forget(machine: str, config: Path | None, file: Path | None) -> None:
    """Forget the description of a MACHINE that is gone, which is else published after every connect.

    What is stored of it is still delivered. The broker keeps its retained copy until somebody clears it with an empty
    retained message on the machine's topics `description` and `status`.
    """
    from gateway.outbox.inspect import forget as remove  # noqa: PLC0415

    path = _path(config, file)
    found = remove(path, machine)
    say(f"{machine} is forgotten." if found else f"Nothing is kept of {machine}: look at `area4 outbox show`.")
