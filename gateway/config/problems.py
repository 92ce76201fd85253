"""What is wrong with a configuration, in sentences: place, what was found, what is allowed."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.errors import ConfigurationError

_SECRET = re.compile(r"pass(word|wd|phrase)?$|secret|token|pin$|private_key$", re.IGNORECASE)
_USER_INFO = re.compile(r"(?<=://)[^/@\s]*@")
_SHOWN = 80
_KINDS = {
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a table",
    "model_type": "a table",
    "float_type": "a number",
    "float_parsing": "a number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "list_type": "a list",
    "tuple_type": "a list",
    "path_type": "a path as a text",
    "string_type": "a text in quotes",
}


class ConfigurationFileError(ConfigurationError):
    """All problems of a configuration file at once, one line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong at one key."""

    key: tuple[str | int, ...]
    text: str

    def told(self, file: Path, line: int | None) -> str:
        """As one line."""
        place = f"{file}:{line}" if line else str(file)
        return f"{place}: {dotted(self.key)}: {self.text}" if self.key else f"{place}: {self.text}"


def dotted(key: Iterable[str | int]) -> str:
    """`source.mill.nodes[2].path`."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else json.dumps(part)
            text += f".{name}" if text else name
    return text


def unknown_key(name: str, allowed: Iterable[str]) -> str:
    """The sentence for a key that is not known."""
    names = sorted(allowed)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f"; did you mean {close[0]}?" if close else ""
    if _SECRET.search(name):
        files = [one for one in names if one.endswith("_file") and "pass" in one]
        use = f"use {files[0]}" if files else "name a file that only the gateway's user can read, or credential:NAME"
        return f"secrets never stand in the configuration: {use}"
    return f"unknown key; allowed: {', '.join(names) or 'no key'}{hint}"


def shown(value: object, key: Sequence[str | int] = ()) -> str:
    """`value` as it stands in a file, shortened, never a secret."""
    if key and _SECRET.search(str(key[-1])):
        return "(not shown)"
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except ValueError:
        text = repr(value)
    text = _USER_INFO.sub("***@", text)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def problems_of(error: ValidationError, prefix: tuple[str | int, ...], model: type[BaseModel]) -> list[Problem]:
    """One problem for each error that pydantic found."""
    return [_problem(details, prefix, model) for details in error.errors(include_url=False)]


def _problem(details: ErrorDetails, prefix: tuple[str | int, ...], model: type[BaseModel]) -> Problem:
    location = details["loc"]
    key = (*prefix, *location)
    kind = details["type"]
    if kind == "extra_forbidden":
        return Problem(key, unknown_key(str(location[-1]), _fields_at(model, location[:-1])))
    if kind == "missing":
        return Problem(key, _missing(model, location))
    if kind in {"value_error", "assertion_error"}:
        reason = _without_prefix(details["msg"])
        if isinstance(details["input"], dict | BaseModel):
            return Problem(key, reason)
        return Problem(key, f"found {shown(details['input'], key)}, allowed: {reason}")
    return Problem(key, f"found {shown(details['input'], key)}, allowed: {_allowed(details)}")


def _allowed(details: ErrorDetails) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind in _KINDS:
        return _KINDS[kind]
    if kind in {"literal_error", "enum"}:
        return str(context.get("expected", "")).replace("'", '"')
    if kind == "string_pattern_mismatch":
        return f"a text of the form {context['pattern']}"
    message = details["msg"]
    return re.sub(r"^(Input|String|Value|List|Tuple) should (be|have) ", "", message).replace("'", '"')


def _without_prefix(message: str) -> str:
    return re.sub(r"^(Value|Assertion) error,? ?(failed,? )?", "", message)


def _missing(model: type[BaseModel], location: tuple[str | int, ...]) -> str:
    holder = _model_at(model, location[:-1])
    field = holder.model_fields.get(str(location[-1])) if holder else None
    meaning = f": {field.description}" if field is not None and field.description else ""
    return f"missing, and there is no default{meaning}"


def _fields_at(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    holder = _model_at(model, location)
    if holder is None:
        return []
    return [field.alias or name for name, field in holder.model_fields.items()]


def _model_at(model: type[BaseModel], location: Sequence[str | int]) -> type[BaseModel] | None:
    """The model that holds `location`: through optional, listed and tabled models, discriminated unions included."""
    here: list[type[BaseModel]] = [model]
    for part in location:
        following: list[type[BaseModel]] = []
        for one in here:
            for name, field in one.model_fields.items():
                if part in {name, field.alias}:
                    following += _models_in(field.annotation)
        here = following or here  # an index, a key of a table or the tag of a union: the same models
    return here[0] if here else None


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]
