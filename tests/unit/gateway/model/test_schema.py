"""The committed documents are what the models say."""

from pathlib import Path

import jsonschema
import pytest

from gateway.model.schema import asyncapi, documents, json_schemas

FOLDER = Path(__file__).parents[4] / "docs" / "schema"


def test_committed_documents_are_generated_ones() -> None:
    generated = documents()
    committed = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    assert committed == generated, "run `area4 schema --write docs/schema` and commit the result"


@pytest.mark.parametrize(("kind", "schema"), json_schemas().items())
def test_each_schema_is_valid_and_closed(kind: str, schema: dict) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"unheard": kind}, schema)


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = asyncapi()
    references = list(_references(document))
    assert references
    for reference in references:
        target = document
        for step in reference.removeprefix("#/").split("/"):
            assert step in target, f"{reference} leads nowhere"
            target = target[step]


def _references(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)
