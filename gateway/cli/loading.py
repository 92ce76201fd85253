"""From a configuration file to settings, with the models of the adapters that exist."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click
from pydantic import BaseModel

from adapters import registry
from gateway.config import Settings, load_settings

config_option = click.option(
    "--config",
    "-c",
    "file",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The gateway's configuration (TOML).",
)
"""The option of every command that needs a configuration."""


def models() -> tuple[Mapping[str, type[BaseModel]], Mapping[str, type[BaseModel]]]:
    """Configuration models of the sources and of the sinks."""
    return registry.models(registry.SOURCES), registry.models(registry.SINKS)


def settings_of(file: Path) -> Settings:
    """The validated configuration.

    Raises:
        ConfigurationError: With every problem of the file.
    """
    return load_settings(file, *models())
