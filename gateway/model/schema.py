"""JSON Schema of every message and an AsyncAPI 3 document, generated from the pydantic models."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

from pydantic.json_schema import models_json_schema

from gateway.model.messages import KINDS, STATUS_KINDS, VERSION, Wire

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
MODELS: dict[str, type[Wire]] = {**KINDS, **STATUS_KINDS}
"""Every message by its kind."""

_RETAINED = {"description", "status", "gateway-status"}
_ADDRESSES = {
    **{kind: f"area4/{VERSION}/{{site}}/{{machine}}/{kind}" for kind in (*KINDS, "status")},
    "gateway-status": f"area4/{VERSION}/{{site}}/_gateway/{{gateway}}/status",
}


def json_schemas() -> dict[str, dict[str, Any]]:
    """A self-contained JSON Schema (2020-12) for each kind of message."""
    return {kind: _schema(kind, model) for kind, model in MODELS.items()}


def _schema(kind: str, model: type[Wire]) -> dict[str, Any]:
    schema = _one_line_descriptions(model.model_json_schema(by_alias=True, mode="serialization"))
    return {"$schema": _DIALECT, "$id": f"urn:area4:schema:{VERSION}:{kind}", **_only_required(schema)}


def documents() -> dict[str, str]:
    """Every generated document by its file name in docs/schema/; committed, and kept equal by a test."""
    files: dict[str, dict[str, Any]] = {f"{kind}.schema.json": schema for kind, schema in json_schemas().items()}
    files["asyncapi.json"] = asyncapi()
    return {name: json.dumps(body, indent=2, ensure_ascii=False) + "\n" for name, body in files.items()}


def asyncapi() -> dict[str, Any]:
    """An AsyncAPI 3.0 document: channels by topic, messages with their schemas, what is retained."""
    refs, definitions = models_json_schema(
        [(model, "serialization") for model in MODELS.values()],
        by_alias=True,
        ref_template="#/components/schemas/{model}",
    )
    schemas = {name: _only_required(_one_line_descriptions(body)) for name, body in definitions["$defs"].items()}
    messages = {
        kind: {
            "name": kind,
            "title": model.__name__,
            "summary": _first_line(model.__doc__ or ""),
            "contentType": "application/json",
            "payload": refs[(model, "serialization")],
        }
        for kind, model in MODELS.items()
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "area4 gateway",
            "version": f"{VERSION}.0",
            "description": (
                "Values, events and alarms of machine tools in the vocabulary of OPC 40001-1 and OPC 40501-1. "
                "Levels of topics are escaped as docs/topics.md says."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "broker": {
                "host": "{host}:8883",
                "protocol": "mqtts",
                "description": "Any MQTT 5 or 3.1.1 broker with mutual TLS.",
                "variables": {"host": {"description": "Host name of the broker, as in its certificate."}},
                "security": [{"$ref": "#/components/securitySchemes/certificate"}],
            }
        },
        "channels": {kind: _channel(kind) for kind in MODELS},
        "operations": {_operation_name(kind): _operation(kind) for kind in MODELS},
        "components": {
            "messages": messages,
            "schemas": schemas,
            "securitySchemes": {"certificate": {"type": "X509", "description": "Client certificate (mutual TLS)."}},
        },
    }


def _channel(kind: str) -> dict[str, Any]:
    names = re.findall(r"{(\w+)}", _ADDRESSES[kind])
    texts = {
        "site": "Site of the gateway, as configured, escaped.",
        "machine": "Identity of the machine (ProductInstanceUri), escaped.",
        "gateway": "Name of the gateway, as configured, escaped.",
    }
    return {
        "address": _ADDRESSES[kind],
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"}},
        "parameters": {name: {"description": texts[name]} for name in names},
    }


def _operation_name(kind: str) -> str:
    return "publish" + "".join(part.capitalize() for part in kind.split("-"))


def _operation(kind: str) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{kind}"},
        "messages": [{"$ref": f"#/channels/{kind}/messages/{kind}"}],
        "bindings": {"mqtt": {"qos": 1, "retain": kind in _RETAINED, "bindingVersion": "0.2.0"}},
    }


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0]


def _one_line_descriptions(schema: dict[str, Any]) -> dict[str, Any]:
    """Docstrings as single paragraphs, so that the committed documents do not depend on line breaks in the code."""
    schema = copy.deepcopy(schema)
    _rewrite(schema)
    return schema


def _rewrite(node: object) -> None:
    if isinstance(node, dict):
        if isinstance(node.get("description"), str):
            node["description"] = re.sub(r"\s+", " ", node["description"].split("\n\nAttributes:")[0]).strip()
        for value in node.values():
            _rewrite(value)
    elif isinstance(node, list):
        for value in node:
            _rewrite(value)


def _only_required(schema: dict[str, Any]) -> dict[str, Any]:
    """Fields with a default are left out when they hold it, so none of them is required."""
    schema = copy.deepcopy(schema)
    for model in (schema, *schema.get("$defs", {}).values()):
        properties = model.get("properties", {})
        required = [name for name in model.get("required", []) if "default" not in properties.get(name, {})]
        if "required" in model:
            model["required"] = required
        if not model.get("required", True):
            del model["required"]
    return schema
