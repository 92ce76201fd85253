"""Paths of a configuration: relative to its file; `credential:NAME` is a credential that systemd handed over."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

_M = TypeVar("_M", bound=BaseModel)
_CREDENTIAL = "credential:"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,255}")

Where = tuple[str | int, ...]
Missing = list[tuple[Where, str]]


def resolve_paths(model: _M, folder: Path) -> tuple[_M, Missing]:
    """`model` with every path in it absolute, and the paths that could not be made so, each with a sentence."""
    missing: Missing = []
    return _model(model, folder, (), missing), missing


def _model(model: _M, folder: Path, where: Where, missing: Missing) -> _M:
    changed: dict[str, object] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        resolved = _value(value, folder, (*where, name), missing)
        if resolved is not value:
            changed[name] = resolved
    return model.model_copy(update=changed) if changed else model


def _value(value: object, folder: Path, where: Where, missing: Missing) -> object:
    if isinstance(value, Path):
        return _path(value, folder, where, missing)
    if isinstance(value, BaseModel):
        return _model(value, folder, where, missing)
    if isinstance(value, list | tuple):
        resolved = [_value(one, folder, (*where, index), missing) for index, one in enumerate(value)]
        same = all(new is old for new, old in zip(resolved, value, strict=True))
        if same:
            return value
        return tuple(resolved) if isinstance(value, tuple) else resolved
    if isinstance(value, Mapping):
        table = {key: _value(one, folder, (*where, str(key)), missing) for key, one in value.items()}
        return value if all(table[key] is one for key, one in value.items()) else table
    return value


def _path(path: Path, folder: Path, where: Where, missing: Missing) -> Path:
    text = str(path)
    if not text.startswith(_CREDENTIAL):
        return path.expanduser() if text.startswith("~/") else folder / path
    name = text.removeprefix(_CREDENTIAL)
    if not _NAME.fullmatch(name) or name.startswith("."):
        missing.append((where, f'found "{text}", allowed: credential:NAME with letters, digits, . _ - in NAME'))
        return path
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if not credentials:
        reason = "no credentials were handed over ($CREDENTIALS_DIRECTORY is not set)"
        advice = f"run under systemd with LoadCredential={name}:PATH, or name a file"
        missing.append((where, f'found "{text}", but {reason}: {advice}'))
        return path
    return Path(credentials) / name
