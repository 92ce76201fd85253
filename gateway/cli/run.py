"""`area4 run`: the gateway in this process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from gateway.cli.loading import config_option, settings_of

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("auto", "text", "json")


@click.command("run")
@config_option
@click.option("--log-level", type=click.Choice(LEVELS), help="Instead of the configuration's.")
@click.option("--log-format", type=click.Choice(FORMATS), help="Instead of the configuration's.")
def command(file: Path, log_level: str | None, log_format: str | None) -> None:
    """Run the gateway until SIGTERM or Ctrl-C.

    The first signal ends it gracefully: what was read is stored and, for some seconds, delivered. A second one ends
    it at once; what is stored is delivered after the next start.
    """
    settings = settings_of(file)
    changes = {"log_level": log_level, "log_format": log_format}
    given = {name: value for name, value in changes.items() if value is not None}
    settings = replace(settings, gateway=settings.gateway.model_copy(update=given))

    from gateway.app import run_until_signal  # noqa: PLC0415 - a wrong configuration is told before adapters load
    from gateway.ops.logs import configure  # noqa: PLC0415

    configure(settings.gateway.log_level, settings.gateway.log_format)
    run_until_signal(settings)
