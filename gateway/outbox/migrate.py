"""Schema of the outbox, as numbered files that each take the database one version further."""

from __future__ import annotations

import sqlite3
from importlib import resources
from pathlib import Path

from gateway.errors import ConfigurationError


def scripts() -> list[str]:
    """The migrations in order; the first one makes version 1."""
    folder = resources.files("gateway.outbox") / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    for number, name in enumerate(names, 1):
        if not name.startswith(f"{number:04d}_"):
            raise RuntimeError(f"migration {name} is not number {number:04d}: the installation is incomplete")
    return [(folder / name).read_text(encoding="utf-8") for name in names]


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Take the database to the newest version, each step in a transaction of its own.

    Raises:
        ConfigurationError: It was written by a newer gateway.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    steps = scripts()
    if version > len(steps):
        raise ConfigurationError(
            f"The outbox {path} has version {version}; this gateway knows versions up to {len(steps)}.",
            advice="Run the newer gateway that wrote it, let it deliver everything, or name another path.",
        )
    for number, script in enumerate(steps[version:], version + 1):
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
