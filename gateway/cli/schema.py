"""`area4 schema`: the messages' contract as documents."""

from __future__ import annotations

import json
from pathlib import Path

import click

from gateway.errors import ConfigurationError, StorageError


@click.command("schema")
@click.argument("kind", required=False)
@click.option("--list", "names", is_flag=True, help="List the kinds of messages.")
@click.option("--asyncapi", "as_asyncapi", is_flag=True, help="The AsyncAPI 3 document.")
@click.option(
    "--write", "folder", type=click.Path(path_type=Path), metavar="FOLDER", help="Write all documents into FOLDER."
)
def command(kind: str | None, names: bool, as_asyncapi: bool, folder: Path | None) -> None:
    """Print the JSON Schema of a KIND of message (all of them without KIND), or the AsyncAPI document."""
    from gateway.model import schema  # noqa: PLC0415 - building schemas loads pydantic's generator

    if folder is not None:
        _write(folder, schema.documents())
        return
    schemas = schema.json_schemas()
    if names:
        click.echo("\n".join(schemas))
        return
    if kind is not None and kind not in schemas:
        raise ConfigurationError(f"there is no message {kind!r}; allowed: {', '.join(schemas)}.")
    found = schema.asyncapi() if as_asyncapi else schemas[kind] if kind else schemas
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))


def _write(folder: Path, documents: dict[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in documents.items():
            (folder / name).write_text(text, encoding="utf-8")
            click.echo(folder / name)
    except OSError as problem:
        raise StorageError(f"{folder}: cannot be written ({problem.strerror or problem}).") from problem
