"""The JSON of the umati gateways, `umati/v2`: a machine as one tree by browse names, without times and status."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote

from conformance.consumer import Received
from conformance.gateway.readers.base import Foreign

_LEAST_LEVELS = 5
"""Prefix of two, client id of two or more, type, machine."""


class UmatiReader(Foreign):
    """Each machine's tree; lists and online flags say nothing of values."""

    topics = ("umati/v2/#",)
    carries = frozenset[str]()

    def __init__(self, machines: Sequence[str]) -> None:
        super().__init__(machines)
        self._told: dict[str, dict[str, Any]] = {}

    def read(self, message: Received) -> list[Received]:
        """What changed since the machine's last tree."""
        levels = message.topic.split("/")
        if len(levels) < _LEAST_LEVELS or not levels[-2].endswith("Type") or "list" in levels[2:-2]:
            return []
        try:
            tree = json.loads(message.payload)
        except ValueError:
            return [message]
        machine = unquote(levels[-1].replace("_", "%"))
        now = dict(_leaves(tree, ""))
        before = self._told.get(machine, {})
        self._told[machine] = now
        changed = [
            {"path": path, "value": value, "time": None}
            for path, value in now.items()
            if path not in before or before[path] != value
        ]
        name = str(now.get("Identification/ProductInstanceUri", machine))
        return [self.data(message, name, "", changed)] if changed else []


def _leaves(node: Any, path: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - any JSON
    if not isinstance(node, dict):
        yield path, node
    elif "value" in node and "properties" in node:
        yield path, node["value"]
        yield from _leaves(node["properties"], path)
    elif node.keys() <= {"locale", "text"} and node:
        yield path, node
    else:
        for name, below in node.items():
            if name != "$TypeDefinition":
                level = path if name.startswith("<") and name.endswith(">") else f"{path}/{name}".lstrip("/")
                yield from _leaves(below, level)
