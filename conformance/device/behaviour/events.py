"""Judges over the events of an observation (OPC 10000-5, 6.4.2 and OPC 10000-9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from conformance.device.behaviour.observation import Event, Observation
from conformance.device.snapshot import Text
from conformance.suite.outcome import Evidence, Outcome, absent, failed, passed

_LOWEST, _HIGHEST = 1, 1000
_ALLOWED = timedelta(seconds=5)


def _each(seen: Observation, problem: Callable[[Event], str], good: str, *, conditions: bool = False) -> Outcome:
    looked = [one for one in seen.events if not conditions or one["Retain"] is not None]
    if not looked:
        return absent("no condition was seen" if conditions else "no event was seen")
    found = [(one, text) for one in looked if (text := problem(one))]
    if not found:
        return passed(f"{good} ({len(looked)} events)")
    shown = [Evidence(what="event", where=str(one["SourceName"])[:200], content=text) for one, text in found]
    return failed(f"{len(found)} of {len(looked)} events: {found[0][1]}", *shown[:10])


def severity(seen: Observation, _parameters: Mapping[str, Any]) -> Outcome:
    """Severity is 1 to 1000."""

    def problem(one: Event) -> str:
        value = one["Severity"]
        right = isinstance(value, int) and _LOWEST <= value <= _HIGHEST
        return "" if right else f"the severity is {value}, {_LOWEST} to {_HIGHEST} are allowed"

    return _each(seen, problem, "every severity is in its range")


def message(seen: Observation, _parameters: Mapping[str, Any]) -> Outcome:
    """Message says something."""

    def problem(one: Event) -> str:
        value = one["Message"]
        return "" if isinstance(value, Text) and value.text else "the message is empty"

    return _each(seen, problem, "every event says something")


def times(seen: Observation, _parameters: Mapping[str, Any]) -> Outcome:
    """Time is not in the future, and ReceiveTime is not before it."""

    def problem(one: Event) -> str:
        time, received = one["Time"], one["ReceiveTime"]
        if not isinstance(time, datetime):
            return "there is no Time"
        if time > one.received + _ALLOWED:
            return f"its Time is {(time - one.received).total_seconds():.0f} s in the future"
        if isinstance(received, datetime) and received < time:
            return f"ReceiveTime {received} is before Time {time}"
        return ""

    return _each(seen, problem, "every time is possible")


def source(seen: Observation, _parameters: Mapping[str, Any]) -> Outcome:
    """SourceNode is in the address space where it can be looked up, and SourceName is its name."""

    def problem(one: Event) -> str:
        node = seen.snapshot.nodes.get(str(one["SourceNode"]))
        if not one["SourceName"] or not one["SourceNode"]:
            return "SourceNode or SourceName is empty"
        names = {node.name.name, node.display.text} if node is not None else {one["SourceName"]}
        return "" if one["SourceName"] in names else f"SourceName is {one['SourceName']}, the node's name {names}"

    return _each(seen, problem, "every source is known by its name")


def identity(seen: Observation, _parameters: Mapping[str, Any]) -> Outcome:
    """EventId is there and unique, and EventType is known."""
    if not seen.events:
        return absent("no event was seen")
    ids = [one["EventId"] for one in seen.events]
    if not all(ids):
        return failed("an event has no EventId")
    if len(set(ids)) < len(ids):
        twice = next(one for one in ids if ids.count(one) > 1)
        shown = Evidence(what="bytes", where="EventId", content=bytes(twice).hex())
        return failed(f"{len(ids)} events have {len(set(ids))} EventIds", shown)
    return passed(f"{len(ids)} events, each with its EventId")


def typed(seen: Observation, _parameters: Mapping[str, Any]) -> Outcome:
    """EventType is there."""
    return _each(seen, lambda one: "" if one["EventType"] not in (None, "i=0") else "there is no EventType", "typed")


def retain(seen: Observation, _parameters: Mapping[str, Any]) -> Outcome:
    """A condition is retained as long as it is active or not acknowledged, and no longer (OPC 10000-9, 5.5.2)."""

    def problem(one: Event) -> str:
        active, acked = one["ActiveState/Id"], one["AckedState/Id"]
        if active is None or acked is None:
            return ""
        wanted = bool(active) or not acked
        text = f"active {active}, acknowledged {acked}, but Retain is {one['Retain']}"
        return "" if one["Retain"] == wanted else text

    return _each(seen, problem, "Retain fits the states", conditions=True)


_TOLD = ("ActiveState/Id", "AckedState/Id", "Retain", "Severity", "Message", "Quality", "Comment")
"""What an event of a condition may be about."""


def change(seen: Observation, _parameters: Mapping[str, Any]) -> Outcome:
    """A condition speaks when something about it changes: it comes, changes and goes (OPC 10000-9, 5.5.2)."""
    conditions: dict[tuple[Any, Any], list[Event]] = {}
    for one in seen.events:
        if one["Retain"] is not None:
            conditions.setdefault((one["SourceNode"], one["ConditionName"]), []).append(one)
    spoken = {key: told for key, told in conditions.items() if len(told) > 1}
    if not spoken:
        return absent("no condition spoke twice")
    for (_, name), told in spoken.items():
        for before, one in pairwise(told):
            if all(before[field] == one[field] for field in _TOLD):
                shown = Evidence(what="event", where=str(one["SourceName"])[:200], content=f"{name}: {one['Message']}")
                return failed(f"{name} is told again, and nothing about it has changed", shown)
    return passed(f"{len(spoken)} conditions spoke when they changed")


JUDGES = {
    "events.severity": severity,
    "events.message": message,
    "events.times": times,
    "events.source": source,
    "events.id": identity,
    "events.type": typed,
    "events.retain": retain,
    "events.change": change,
}
