"""Configuration: TOML, validated as a whole; every error names file, key, what was found and what is allowed."""

from gateway.config.load import load_settings, parse_settings, read_text
from gateway.config.problems import ConfigurationFileError
from gateway.config.settings import GatewaySettings, HttpSettings, Link, OutboxSettings, Settings

__all__ = [
    "ConfigurationFileError",
    "GatewaySettings",
    "HttpSettings",
    "Link",
    "OutboxSettings",
    "Settings",
    "load_settings",
    "parse_settings",
    "read_text",
]
