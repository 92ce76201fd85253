"""`area4 demo`: the whole product on one computer, with a summary that says whether anything was lost."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click

from gateway.errors import LossError

FOLDER = Path(".demo")


@click.command("demo")
@click.option("--for", "seconds", type=click.FloatRange(1), help="End after so many seconds of data, with a summary.")
@click.option("--dir", "folder", type=click.Path(path_type=Path), default=FOLDER, show_default=True,
              help="Folder for certificates, configuration, ledgers and logs; emptied at the next demo.")  # fmt: skip
@click.option("--broker", "broker_kind", type=click.Choice(["auto", "mosquitto", "embedded"]), default="auto",
              show_default=True, envvar="AREA4_BROKER", show_envvar=True,
              help="The MQTT broker; auto is mosquitto where it is installed, else the embedded one.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON.")
def command(seconds: float | None, folder: Path, broker_kind: str, as_json: bool) -> None:
    """Start a broker, three simulated machine tools and the gateway, and watch the data arrive.

    Ends with Ctrl-C, or after `--for` seconds. The summary compares every value that the machines showed with what a
    plain MQTT subscriber received; the exit code is 0 only if values flowed and none was lost, and 5 otherwise.
    """
    from gateway.cli.demonstration import Demonstration  # noqa: PLC0415 - simulators and conformance, only here
    from gateway.cli.lab import Lab, held, need_lab_packages  # noqa: PLC0415

    need_lab_packages()
    with held(folder):
        lab = Lab(folder.resolve(), broker_kind=broker_kind)
        summary = asyncio.run(Demonstration(lab, seconds, say=_say).run())
    if summary is None:
        raise click.Abort
    click.echo(json.dumps(summary.facts(), indent=2) if as_json else "\n".join(summary.lines()))
    if not summary.lossless:
        raise LossError(
            "values are missing or wrong." if summary.values else "no value arrived.",
            advice=f"Ledgers, log and outbox are in {folder}.",
        )


def _say(text: str) -> None:
    click.echo(text, err=True)
