"""From a TOML file to settings, with every problem of the file told at once."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.config.lines import Lines
from gateway.config.paths import resolve_paths
from gateway.config.problems import ConfigurationFileError, Problem, problems_of, shown, unknown_key
from gateway.config.settings import NAME, NAME_RULE, GatewaySettings, HttpSettings, Link, OutboxSettings, Settings
from gateway.errors import ConfigurationError

MAX_FILE_BYTES = 4_000_000
"""A configuration of a hundred servers with overrides is below a tenth of this."""

_OWN: dict[str, type[BaseModel]] = {"gateway": GatewaySettings, "outbox": OutboxSettings, "http": HttpSettings}
_LINKS = ("source", "sink")
_M = TypeVar("_M", bound=BaseModel)

Models = Mapping[str, type[BaseModel]]
"""The adapters' configuration models by type, as the registry names them."""


def load_settings(file: Path, sources: Models, sinks: Models) -> Settings:
    """Read and validate `file`.

    Args:
        file: The configuration; relative paths in it are relative to its folder.
        sources: Models of `[source.NAME]` by their `type`.
        sinks: Models of `[sink.NAME]` by their `type`.

    Raises:
        ConfigurationError: The file cannot be read; `ConfigurationFileError` when its content is wrong.
    """
    return parse_settings(file, read_text(file), sources, sinks)


def parse_settings(file: Path, text: str, sources: Models, sinks: Models) -> Settings:
    """Validate `text` as the content of `file`, which need not exist; as `load_settings`."""
    return _Loader(file, text, {"source": sources, "sink": sinks}).settings(_parse(file, text))


def read_text(file: Path) -> str:
    """The text of a configuration file."""
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ConfigurationError(
            f"{file}: there is no such file.", advice="Name the configuration file, or make one with `area4 init`."
        ) from None
    except OSError as problem:
        raise ConfigurationError(f"{file}: cannot be read ({problem.strerror or problem}).") from problem
    if len(content) > MAX_FILE_BYTES:
        raise ConfigurationError(f"{file}: larger than {MAX_FILE_BYTES} bytes; allowed: a configuration in TOML.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise ConfigurationError(
            f"{file}:{line}: byte 0x{content[problem.start]:02x} is not UTF-8; allowed: TOML in UTF-8.",
            advice="Save the file as UTF-8.",
        ) from problem


def _parse(file: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        found = re.fullmatch(r"(.*?) \(at (?:line (\d+), column (\d+)|end of document)\)", str(problem), re.DOTALL)
        if found is None:
            raise ConfigurationError(f"{file}: not valid TOML: {problem}.") from problem
        line = found[2] or str(text.count("\n") + 1)
        column = f" (column {found[3]})" if found[3] else " (end of the file)"
        raise ConfigurationError(f"{file}:{line}: not valid TOML: {found[1]}{column}.") from problem
    except RecursionError as problem:
        raise ConfigurationError(f"{file}: not valid TOML: nested too deeply.") from problem


class _Loader:
    """Collects the problems of one file."""

    def __init__(self, file: Path, text: str, models: Mapping[str, Models]) -> None:
        self._file = file
        self._folder = Path(os.path.abspath(file)).parent  # noqa: PTH100 - not resolve(): a link's own folder counts
        self._lines = Lines(text)
        self._models = models
        self._problems: list[Problem] = []

    def settings(self, tables: dict[str, Any]) -> Settings:
        for name in tables:
            if name not in _OWN and name not in _LINKS:
                self._problems.append(Problem((name,), unknown_key(name, [*_OWN, *_LINKS])))
        if "gateway" not in tables:
            self._problems.append(Problem(("gateway",), "missing: a table [gateway] with name and site"))
            tables = {**tables, "gateway": {"name": "unnamed", "site": "unnamed"}}
        gateway = self._model(("gateway",), tables["gateway"], GatewaySettings)
        outbox = self._model(("outbox",), tables.get("outbox", {}), OutboxSettings)
        http = self._model(("http",), tables.get("http", {}), HttpSettings)
        sources, sinks = (self._links(kind, tables.get(kind)) for kind in _LINKS)
        if self._problems or gateway is None or outbox is None or http is None:
            raise self._error()
        return Settings(self._file, gateway, outbox, http, sources, sinks)

    def _links(self, kind: str, tables: object) -> tuple[Link, ...]:
        if not isinstance(tables, dict) or not tables:
            example = "opcua" if kind == "source" else "mqtt"
            found = "missing" if tables is None or tables == {} else f"found {shown(tables)}"
            self._problems.append(
                Problem((kind,), f'{found}, allowed: at least one table [{kind}.NAME] with type = "{example}"')
            )
            return ()
        return tuple(link for name, table in tables.items() if (link := self._link(kind, name, table)) is not None)

    def _link(self, kind: str, name: str, table: object) -> Link | None:
        key = (kind, name)
        if not re.fullmatch(NAME, name):
            self._problems.append(Problem(key, f"the name is not allowed; allowed: {NAME_RULE}"))
            return None
        if not isinstance(table, dict):
            self._problems.append(Problem(key, f"found {shown(table)}, allowed: a table [{kind}.{name}]"))
            return None
        types = ", ".join(f'"{one}"' for one in sorted(self._models[kind]))
        if "type" not in table:
            self._problems.append(Problem((*key, "type"), f"missing; allowed: {types}"))
            return None
        model = self._models[kind].get(table["type"]) if isinstance(table["type"], str) else None
        if model is None:
            self._problems.append(Problem((*key, "type"), f"found {shown(table['type'])}, allowed: {types}"))
            return None
        typed = table if "type" in model.model_fields else {name: one for name, one in table.items() if name != "type"}
        config = self._model(key, typed, model)
        return None if config is None else Link(name, str(table["type"]), config)

    def _model(self, key: tuple[str, ...], table: object, model: type[_M]) -> _M | None:
        try:
            config = model.model_validate(table, context={"folder": self._folder})
        except ValidationError as error:
            self._problems += problems_of(error, key, model)
            return None
        resolved, missing = resolve_paths(config, self._folder)
        self._problems += [Problem((*key, *where), text) for where, text in missing]
        return resolved

    def _error(self) -> ConfigurationFileError:
        told = [(self._lines.of(problem.key), problem) for problem in self._problems]
        told.sort(key=lambda one: one[0] or 0)
        return ConfigurationFileError([problem.told(self._file, line) for line, problem in told])
