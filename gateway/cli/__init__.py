"""The command `area4`: one module per command, loaded only when it is used."""

from __future__ import annotations

from gateway.cli.main import main

__all__ = ["main"]
