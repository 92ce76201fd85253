"""OPC UA PubSub JSON over MQTT (OPC 10000-14 1.05.06, 7.2.5; Annex A.3).

Both the compact and the verbose encoding, and the deprecated reversible one, are read. A field's name is the path of
its signal; the machine is the DataSetWriterName or the PublisherId.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from conformance.consumer import Received
from conformance.gateway.readers.base import Foreign, path_of

_GOOD = 0
_SEVERITY = 30
_QUALITIES = ("good", "uncertain", "bad", "bad")


class PubSubReader(Foreign):
    """Network messages with or without headers."""

    topics = ("opcua/json/#",)
    carries = frozenset({"time", "quality"})

    def __init__(self, machines: Sequence[str]) -> None:
        super().__init__(machines)

    def read(self, message: Received) -> list[Received]:
        """Each DataSetMessage with a payload as a data message; metadata, status and keep-alives say nothing."""
        try:
            body = json.loads(message.payload)
        except ValueError:
            return [message]
        parts = body.get("Messages", [body]) if isinstance(body, dict) else body
        publisher = body.get("PublisherId", "") if isinstance(body, dict) else ""
        found = []
        for part in parts if isinstance(parts, list) else [parts]:
            fields = part.get("Payload") if isinstance(part, dict) else None
            if isinstance(fields, dict) and part.get("MessageType", "ua-keyframe") in {"ua-keyframe", "ua-deltaframe"}:
                machine = str(part.get("DataSetWriterName") or part.get("PublisherId") or publisher)
                time = part.get("Timestamp")
                samples = [_sample(name, value, time) for name, value in fields.items()]
                found.append(self.data(message, machine, str(time), samples))
        return found


def _sample(name: str, field: Any, time: str | None) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """A field as plain value, Variant or DataValue."""
    sample: dict[str, Any] = {"path": path_of(name), "value": field, "time": _moment(time)}
    if not isinstance(field, dict) or not field.keys() & {"Value", "Body", "SourceTimestamp", "Status", "StatusCode"}:
        return sample
    value = field.get("Value", field.get("Body"))
    if isinstance(value, dict) and "Body" in value:
        value = value["Body"]
    sample["value"] = value
    sample["time"] = _moment(field.get("SourceTimestamp", time))
    status = field.get("Status", field.get("StatusCode"))
    code = status.get("Code", _GOOD) if isinstance(status, dict) else status or _GOOD
    if code:
        sample["quality"] = _QUALITIES[int(code) >> _SEVERITY]
        if isinstance(status, dict) and "Symbol" in status:
            sample["status"] = status["Symbol"]
    return sample


def _moment(text: str | None) -> str | None:
    """With seven decimals, as the common data model has it."""
    if not isinstance(text, str) or not text.endswith("Z"):
        return text
    whole, _, part = text[:-1].partition(".")
    return f"{whole}.{part:0<7}Z"
