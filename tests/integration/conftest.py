"""What any test receives from a broker is valid by the published schemas, or the test fails where it received it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from conformance.consumer import Consumer, Received

SCHEMAS = Path(__file__).parents[2] / "docs" / "schema"


@cache
def validator(kind: str) -> Draft202012Validator:
    """Of a kind of message, from the committed schema; a kind without a schema is an error."""
    schema: dict[str, Any] = json.loads((SCHEMAS / f"{kind}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def level(text: str) -> str:
    """A level of a topic, escaped as docs/topics.md says."""
    plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.~:;="
    return "".join(one if one in plain else "".join(f"_{byte:02X}" for byte in one.encode()) for one in text) or "_"


def assert_published(topic: str, payload: bytes) -> None:
    """The topic is one of docs/topics.md, and the payload is what its schema says.

    An empty payload is the trial of `area4 check` on the gateway's status topic, or a retained message being removed.
    """
    levels = topic.split("/")
    assert levels[:2] == ["area4", "v1"], f"{topic} is no topic of docs/topics.md"
    of_gateway = len(levels) == 6 and levels[3] == "_gateway" and levels[5] == "status"
    assert of_gateway or len(levels) == 5, f"{topic} is no topic of docs/topics.md"
    if not payload:
        return
    message = json.loads(payload)
    errors = list(validator("gateway-status" if of_gateway else levels[-1]).iter_errors(message))
    assert not errors, f"{topic}: {errors[0].json_path}: {errors[0].message}\n{payload[:2000]!r}"
    named = message["gateway"] if of_gateway else message["machine"]
    assert level(named) == levels[4 if of_gateway else 3], f"{topic} carries a message of {named}"


@pytest.fixture(scope="session", autouse=True)
def only_valid_messages() -> Iterator[None]:
    """Every `Consumer` of every integration test looks at what it hands over."""
    drain = Consumer.drain

    def drained(consumer: Consumer, wait: float = 0.0) -> list[Received]:
        messages = drain(consumer, wait)
        for one in messages:
            assert_published(one.topic, one.payload)
        return messages

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Consumer, "drain", drained)
        yield
