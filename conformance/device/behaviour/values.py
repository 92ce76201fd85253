"""Judges over the values of an observation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Any

from conformance.device.behaviour.observation import Observation, Seen
from conformance.device.judged import Findings
from conformance.device.snapshot import Node, Structure, Text
from conformance.suite.outcome import Outcome

Judge = Callable[[Observation, Mapping[str, Any]], Outcome]

PROPERTY = "i=68"
PRODUCTION = "ProductionStateMachineType"
STEPS = {
    "Initializing": {"Running", "Aborted"},
    "Running": {"Running", "Ended", "Interrupted", "Aborted"},
    "Interrupted": {"Running", "Aborted"},
    "Ended": {"Initializing"},
    "Aborted": {"Initializing"},
}
"""States that may follow each state (OPC 40501-1 1.02, ProductionStateMachineType)."""
_NOTHING = "no value of a machine was seen"
_ALLOWED = timedelta(seconds=5)
"""Difference of clocks that is not taken for a future."""


def _text(value: object) -> str:
    return str(value.text) if isinstance(value, Text) else str(value)


def not_null(seen: Observation, _parameters: Mapping[str, Any]) -> Outcome:
    """No value is Good and Null at once."""
    return _each(seen, lambda one: "is Good without a value" if one.reading.good and one.reading.null else "")


def source_time(seen: Observation, _parameters: Mapping[str, Any]) -> Outcome:
    """Every good value has a source timestamp; properties, which only describe, need none."""

    def problem(one: Seen) -> str:
        node = seen.snapshot.nodes.get(one.node)
        describes = node is not None and seen.snapshot.is_a(node.type, PROPERTY)
        return "has no source time" if one.reading.good and one.reading.source is None and not describes else ""

    return _each(seen, problem)


def not_in_future(seen: Observation, parameters: Mapping[str, Any]) -> Outcome:
    """No source time is later than the time at which the value came, give or take the seconds allowed."""
    allowed = timedelta(seconds=float(parameters.get("seconds", _ALLOWED.total_seconds())))

    def problem(one: Seen) -> str:
        source = one.reading.source
        if source is None or source <= one.received + allowed:
            return ""
        return f"has a source time {(source - one.received).total_seconds():.0f} s in the future"

    return _each(seen, problem)


def known_type(seen: Observation, _parameters: Mapping[str, Any]) -> Outcome:
    """A variable's values are all of one built-in type."""
    findings = Findings(seen.snapshot)
    for node, rows in seen.of.items():
        kinds = {one.reading.type for one in rows if one.reading.type}
        before = seen.snapshot.nodes[node].reading if node in seen.snapshot.nodes else None
        if before is not None and before.type:
            kinds.add(before.type)
        findings.looked += 1
        if len(kinds) > 1:
            findings.add(node, f"has values of several types: {', '.join(sorted(kinds))}")
    return findings.outcome(_NOTHING, "every variable keeps its type")


def _each(seen: Observation, problem: Callable[[Seen], str]) -> Outcome:
    findings = Findings(seen.snapshot)
    told: set[str] = set()
    for one in seen.values:
        findings.looked += 1
        text = problem(one)
        if text and one.node not in told:
            told.add(one.node)
            findings.add(one.node, text, one.reading.value)
    return findings.outcome(_NOTHING, "no value is wrong")


def in_order(seen: Observation, _parameters: Mapping[str, Any]) -> Outcome:
    """Source times of a variable do not go back."""

    def problem(a: Seen, b: Seen) -> str:
        first, second = a.reading.source, b.reading.source
        return "goes back in time" if first is not None and second is not None and second < first else ""

    return _pairs(seen, problem)


def not_frozen(seen: Observation, _parameters: Mapping[str, Any]) -> Outcome:
    """A changed value has a new source time."""

    def problem(a: Seen, b: Seen) -> str:
        changed = a.reading.value != b.reading.value
        same = a.reading.source is not None and a.reading.source == b.reading.source
        return "changes without a new source time" if changed and same else ""

    return _pairs(seen, problem)


def _pairs(seen: Observation, problem: Callable[[Seen, Seen], str]) -> Outcome:
    findings = Findings(seen.snapshot)
    for node, rows in seen.of.items():
        for a, b in pairwise(rows):
            findings.looked += 1
            text = problem(a, b)
            if text:
                findings.add(node, text, b.reading.source)
                break
    return findings.outcome("no value of a machine changed", "every change is right")


def in_range(seen: Observation, _parameters: Mapping[str, Any]) -> Outcome:
    """Values are within EURange, and EURange is not upside down."""
    findings = Findings(seen.snapshot)
    for node, rows in seen.of.items():
        ends = _range(seen, node)
        if ends is None:
            continue
        for one in rows:
            value = one.reading.value
            if not one.reading.good or not isinstance(value, int | float):
                continue
            findings.looked += 1
            if not ends[0] <= value <= ends[1]:
                findings.add(node, f"is outside of its range {ends[0]:g} to {ends[1]:g}", value)
                break
    return findings.outcome("no variable with EURange has a value", "every value is in its range")


def _range(seen: Observation, node: str) -> tuple[float, float] | None:
    known = seen.snapshot.nodes.get(node)
    child = seen.snapshot.child(known, "EURange") if known is not None else None
    value = child.reading.value if child is not None and child.reading is not None else None
    fields = value.fields if isinstance(value, Structure) else None
    if fields is None or not all(isinstance(fields.get(name), int | float) for name in ("Low", "High")):
        return None
    return float(fields["Low"]), float(fields["High"])


def in_enumeration(seen: Observation, _parameters: Mapping[str, Any]) -> Outcome:
    """Numbers of an enumeration are among its declared values."""
    findings = Findings(seen.snapshot)
    for node, rows in seen.of.items():
        known = seen.snapshot.nodes.get(node)
        names = seen.snapshot.enumerations.get(known.data_type or "") if known is not None else None
        if not names:
            continue
        for one in rows:
            values = one.reading.value if isinstance(one.reading.value, list) else [one.reading.value]
            numbers = [value for value in values if isinstance(value, int)]
            findings.looked += len(numbers)
            wrong = [value for value in numbers if value not in names] if one.reading.good else []
            if wrong:
                findings.add(node, f"has the value {wrong[0]}, declared are {sorted(names)}")
                break
    return findings.outcome("no variable is an enumeration", "every value is declared")


def _states(seen: Observation, machine: Node) -> dict[str, tuple[int | None, str]]:
    """Number and node of the states that a machine's type and its supertypes declare, by name."""
    found: dict[str, tuple[int | None, str]] = {}
    for kind in seen.snapshot.supertypes(machine.type):
        for one in seen.snapshot.states.get(kind, ()):
            if not one.transition:
                found.setdefault(one.name, (one.number, one.id))
    return found


def states_known(seen: Observation, _parameters: Mapping[str, Any]) -> Outcome:
    """CurrentState is one of the states that the type declares."""
    findings = Findings(seen.snapshot)
    for machine, current in seen.machines("CurrentState"):
        names = _states(seen, machine)
        for one in seen.of.get(current.id, ()):
            if names and one.reading.good and not one.reading.null:
                findings.looked += 1
                if _text(one.reading.value) not in names:
                    findings.add(current, f"is {_text(one.reading.value)!r}, declared are {', '.join(names)}")
                    break
    return findings.outcome("no state machine was seen", "every state is declared")


def states_agree(seen: Observation, _parameters: Mapping[str, Any]) -> Outcome:
    """CurrentState, its Id and its Number tell the same state wherever they have the same source time."""
    findings = Findings(seen.snapshot)
    for machine, current in seen.machines("CurrentState"):
        names = _states(seen, machine)
        for part, place in (("Number", 0), ("Id", 1)):
            child = seen.snapshot.child(current, part)
            told = {one.reading.source: one for one in seen.of.get(child.id, ())} if child is not None else {}
            for one in seen.of.get(current.id, ()):
                other = told.get(one.reading.source)
                name = _text(one.reading.value)
                if other is None or name not in names or not (one.reading.good and other.reading.good):
                    continue
                findings.looked += 1
                if names[name][place] is not None and other.reading.value != names[name][place]:
                    findings.add(current, f"is {name}, its {part} {other.reading.value}, not {names[name][place]}")
                    break
    return findings.outcome("no state machine tells Id or Number", "states, ids and numbers agree")


def states_step(seen: Observation, _parameters: Mapping[str, Any]) -> Outcome:
    """Production state machines make only the transitions of their type."""
    findings = Findings(seen.snapshot)
    for machine, current in seen.machines("CurrentState"):
        if PRODUCTION not in {seen.snapshot.type_name(kind) for kind in seen.snapshot.supertypes(machine.type)}:
            continue
        rows = [_text(one.reading.value) for one in seen.of.get(current.id, ()) if one.reading.good]
        for a, b in pairwise(rows):
            findings.looked += 1
            if b not in STEPS.get(a, {b}):
                findings.add(current, f"goes from {a} to {b}; allowed are {', '.join(sorted(STEPS[a]))}")
                break
    return findings.outcome("no production state machine changed", "every transition is one of the type")


JUDGES: dict[str, Judge] = {
    "values.null": not_null,
    "values.source-time": source_time,
    "values.future": not_in_future,
    "values.type": known_type,
    "values.order": in_order,
    "values.frozen": not_frozen,
    "values.range": in_range,
    "values.enumeration": in_enumeration,
    "states.known": states_known,
    "states.agree": states_agree,
    "states.steps": states_step,
}
