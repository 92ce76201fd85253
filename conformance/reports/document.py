"""The report as JSON, for machines: written, read back, and its published schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from conformance.suite.outcome import State
from conformance.suite.report import FORMAT, Report

SCHEMA_ID = "urn:area4:schema:conformance-report:1"
_SUMMARY = ("conforms", "counts")


class DocumentError(Exception):
    """No report of this suite; the text says what is wrong."""


def document(report: Report) -> dict[str, Any]:
    """The report with its judgement and the number of results in each state."""
    body = report.model_dump(mode="json")
    counts = {state.value: report.count(state) for state in State}
    return {"format": body.pop("format"), "conforms": report.conforms, "counts": counts, **body}


def written(report: Report) -> str:
    """As text, the same for the same report."""
    return json.dumps(document(report), indent=2, ensure_ascii=False) + "\n"


def read(text: str | bytes, name: str = "report") -> Report:
    """A report from its text.

    Raises:
        DocumentError: It is none, of another format, or its summary is not that of its results.
    """
    body = parsed(text, name)
    summary = {key: body.pop(key, None) for key in _SUMMARY}
    body.pop("signature", None)
    try:
        report = Report.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DocumentError(f"{name}: {where}: {first['msg']}") from error
    again = document(report)
    for key, value in summary.items():
        if value != again[key]:
            raise DocumentError(f"{name}: {key} is not what its results say")
    return report


def parsed(text: str | bytes, name: str = "report") -> dict[str, Any]:
    """The document as an object; a name that stands twice in one object would be read differently elsewhere.

    Raises:
        DocumentError: It is no JSON, or of another format.
    """
    try:
        body = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"{name}: no JSON: {error}") from error
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        found = body.get("format") if isinstance(body, dict) else None
        raise DocumentError(f"{name}: no report of this suite: format {found!r}, expected {FORMAT!r}")
    return body


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return made


def read_file(path: Path) -> Report:
    """A report from its file.

    Raises:
        DocumentError: It cannot be read, or is none.
    """
    try:
        return read(path.read_bytes(), str(path))
    except OSError as error:
        raise DocumentError(f"{path}: {error.strerror or error}") from error


def schema() -> dict[str, Any]:
    """The JSON Schema of the document."""
    made = Report.model_json_schema(mode="serialization")
    states = [state.value for state in State]
    summary = {
        "conforms": {
            "type": "boolean",
            "description": "Something was judged, nothing that the claim asks for is broken, and the run was complete.",
        },
        "counts": {
            "type": "object",
            "description": "Number of results in each state.",
            "properties": {state: {"type": "integer", "minimum": 0} for state in states},
            "required": states,
            "additionalProperties": False,
        },
    }
    made["properties"] = {**made["properties"], **summary, "signature": _signature()}
    made["required"] = [*made["required"], *summary]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, **made}


def schema_text() -> str:
    """The schema as its published file has it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _signature() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "Added by `area4 conform sign`: docs/conformance/report.md says what is signed.",
        "properties": {
            "algorithm": text,
            "signed": {"type": "string", "format": "date-time"},
            "certificates": {"type": "array", "items": text, "minItems": 1},
            "value": text,
        },
        "required": ["algorithm", "signed", "certificates", "value"],
        "additionalProperties": False,
    }
