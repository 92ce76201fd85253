"""Rules: what arrives is of the common data model, and understood without the machine."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from conformance.consumer import Received
from conformance.gateway.findings import SHOWN, message, no_message
from conformance.suite.check import Check
from conformance.suite.outcome import Evidence, Outcome, absent, failed, passed
from conformance.suite.target import Rule
from gateway.model.messages import KINDS, STATUS_KINDS

if TYPE_CHECKING:
    from conformance.gateway.target import GatewayTarget

_NODE_ID = re.compile(r"(?<![a-z])ns=\d+;[isgb]=")
"""A NodeId with a namespace index: it is of one server and one start."""


async def strict_json(target: GatewayTarget, check: Check) -> Outcome:  # noqa: ARG001 - a rule
    """Every payload is JSON as RFC 8259 has it."""
    if target.settings.format == "sparkplug-b":
        return absent("the format is not JSON")
    bad = [one for one in target.recording.raw if one.payload and not _is_json(one.payload)]
    return no_message(bad, "are no JSON (RFC 8259)", f"{len(target.recording.raw)} messages are JSON")


async def schema(target: GatewayTarget, check: Check) -> Outcome:  # noqa: ARG001
    """Every message is what its published schema says."""
    if target.settings.format != "area4":
        return absent("the schema is of the common data model's own messages")
    for one in target.recording.raw:
        problem = _schema_problem(one)
        if problem:
            return failed(problem, message(one))
    return passed(f"{len(target.recording.raw)} messages are valid")


async def no_node_ids(target: GatewayTarget, check: Check) -> Outcome:  # noqa: ARG001
    """No namespace index leaves the gateway."""
    bad = [one for one in target.recording.raw if _NODE_ID.search(one.topic + one.payload.decode(errors="replace"))]
    return no_message(bad, "carry a NodeId with a namespace index", "no namespace index came")


async def identity(target: GatewayTarget, check: Check) -> Outcome:  # noqa: ARG001
    """Machines have the identity that they have themselves: their ProductInstanceUri."""
    known = set(target.stage.machines)
    other = sorted(set(target.recording.observer.machines) - known)
    if other:
        return failed(f"data of {', '.join(other)} came; the machines are {', '.join(sorted(known))}")
    return passed("every message is of a machine by its ProductInstanceUri")


async def topics(target: GatewayTarget, check: Check) -> Outcome:
    """Topics are of the published shape, whatever names the machines have."""
    if target.settings.format != "area4":
        return absent("the shape of the topics is the format's own")
    shape = re.compile(str(check.parameters["shape"]))
    bad = [one for one in target.recording.raw if not shape.fullmatch(one.topic)]
    return no_message(bad, "have a topic of another shape", "every topic has the published shape")


async def described(target: GatewayTarget, check: Check) -> Outcome:
    """A signal's description says what a consumer must know: the parameter `has` of the signals at `path`."""
    if "description" not in target.reader.carries:
        return absent(f"messages of the format {target.settings.format} describe nothing")
    path, has, value = (check.parameters.get(name) for name in ("path", "has", "value"))
    machines = (target.recording.machine(one) for one in target.stage.machines)
    signals = [signal for one in machines if one is not None and (signal := one.signals.get(str(path)))]
    if not signals:
        return failed(f"nothing describes {path}")
    for signal in signals:
        found = _at(signal, str(has))
        if found is None or (value is not None and found != value):
            wanted = f" {value!r}" if value is not None else ""
            told = Evidence(what="description", where=str(path), content=json.dumps(signal)[:500])
            return failed(f"the description of {path} has {has} {found!r}, expected is{wanted or ' some'}", told)
    return passed(f"the description of {path} says {has}")


async def every_signal_described(target: GatewayTarget, check: Check) -> Outcome:  # noqa: ARG001
    """Nothing comes that no description names."""
    if "description" not in target.reader.carries:
        return absent(f"messages of the format {target.settings.format} describe nothing")
    unknown = sorted(
        path
        for identity_, path in target.recording.observer.delivered
        if (machine := target.recording.machine(identity_)) is None or path not in machine.signals
    )
    if unknown:
        return failed(f"{len(unknown)} signals came that no description names: {', '.join(unknown[:SHOWN])}")
    return passed("every signal that came is described")


def _schema_problem(one: Received) -> str:
    if not one.payload:
        return ""
    levels = one.topic.split("/")
    kind = "gateway-status" if "_gateway" in levels else levels[-1]
    model = KINDS.get(kind) or STATUS_KINDS.get(kind)
    if model is None:
        return f"a message of unknown kind {kind!r}"
    try:
        model.model_validate_json(one.payload)
    except ValidationError as error:
        first = error.errors()[0]
        return f"a {kind} message: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return ""


def _is_json(payload: bytes) -> bool:
    try:
        json.loads(payload.decode(), parse_constant=_refuse)
    except ValueError:
        return False
    return True


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _at(body: Any, path: str) -> Any:  # noqa: ANN401 - any JSON
    for name in path.split("."):
        if not isinstance(body, dict) or name not in body:
            return None
        body = body[name]
    return body


RULES: Mapping[str, Rule] = {
    "strict-json": strict_json,
    "schema": schema,
    "no-node-ids": no_node_ids,
    "identity": identity,
    "topics": topics,
    "described": described,
    "every-signal-described": every_signal_described,
}
