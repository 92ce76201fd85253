"""Rules: every value of the undisturbed window arrived, as the machine showed it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from conformance.gateway.findings import SHOWN, none_of
from conformance.suite.check import Check
from conformance.suite.outcome import Evidence, Outcome, absent, failed, passed
from conformance.suite.target import Rule

if TYPE_CHECKING:
    from conformance.gateway.target import GatewayTarget


async def every_machine(target: GatewayTarget, check: Check) -> Outcome:  # noqa: ARG001 - a rule
    """Data of each machine came."""
    missing = [name for name in target.stage.machines if not _count(target, name)]
    if missing:
        return failed(
            f"nothing of {', '.join(missing)} came; known are: {', '.join(target.recording.observer.machines)}"
        )
    return passed(f"data of {len(target.stage.machines)} machines came")


async def complete(target: GatewayTarget, check: Check) -> Outcome:  # noqa: ARG001
    """Nothing is missing without a word."""
    report = target.judgement.report
    if not report.delivered:
        return failed("no value came")
    never = [f"{machine} {path}" for machine, path in report.never]
    if never:
        return failed(f"nothing ever came of {len(never)} signals: {', '.join(never[:SHOWN])}")
    good = f"{report.delivered} of {report.expected} values came, none was missing"
    return none_of(target.judgement.lost, "are missing, and nothing says so", good)


async def nothing_announced(target: GatewayTarget, check: Check) -> Outcome:  # noqa: ARG001
    """Undisturbed, nothing need be lost at all."""
    return none_of(target.judgement.report.announced, "were lost and announced, although nothing disturbed", "no loss")


async def deviation(target: GatewayTarget, check: Check) -> Outcome:
    """No value deviates in the way that the check names: `value`, `time`, `quality`, `invented`."""
    way = str(check.parameters["deviation"])
    if way in {"time", "quality"} and way not in target.reader.carries:
        return failed(f"messages of the format {target.settings.format} carry no {way}")
    return none_of(target.judgement.deviations[way], f"differ in {way}", "all values are as the machine showed them")


async def ordered(target: GatewayTarget, check: Check) -> Outcome:  # noqa: ARG001
    """Each signal's values come in the order in which it had them."""
    found = [f"{machine} {path}" for machine, path in target.judgement.report.disordered]
    if found:
        return failed(f"{len(found)} signals came in another order: {', '.join(found[:SHOWN])}")
    return passed("every signal's values came in their order")


async def bad_is_told(target: GatewayTarget, check: Check) -> Outcome:
    """A value that the machine marked bad came as bad, with its status and without an invented value."""
    path, status = str(check.parameters["path"]), str(check.parameters["status"])
    shown = [one for key, found in target.recording.observer.delivered.items() if key[1] == path for one in found]
    bad = [one for one in shown if one.quality == "bad"]
    if not bad:
        return failed(f"{path} was {status} for a while; what came of it says good throughout")
    if all(one.status != status for one in bad):
        told = {str(one.status) for one in bad}
        return failed(f"{path} came as bad with {', '.join(sorted(told))}, its status was {status}")
    return passed(f"{path} came as bad, {status}")


async def exact(target: GatewayTarget, check: Check) -> Outcome:
    """One signal with values that are hard to carry arrived exactly."""
    path = str(check.parameters["path"])
    wrong = [one for one in target.judgement.report.wrong if one.path == path]
    came = sum(len(found) for key, found in target.recording.observer.delivered.items() if key[1] == path)
    if not came:
        return failed(f"nothing of {path} came")
    return none_of(wrong, f"of {path} are not what the machine showed", f"{came} values of {path} came exactly")


async def events_complete(target: GatewayTarget, check: Check) -> Outcome:
    """No event is missing (`missing`), none deviates (`wrong`)."""
    if "events" not in target.reader.carries:
        return failed(f"messages of the format {target.settings.format} carry no events")
    word = str(check.parameters["finding"])
    found = [one for one in target.judgement.events if one.startswith(f"{word} event")]
    if found:
        return failed(
            f"{len(found)} events: {found[0]}", *(Evidence(what="event", content=one) for one in found[:SHOWN])
        )
    came = len(target.recording.observer.events)
    return passed(f"{came} events came as the machine told them") if came else failed("no event came")


async def alarm_states(target: GatewayTarget, check: Check) -> Outcome:  # noqa: ARG001
    """An alarm's states came: active, acknowledged, of interest."""
    alarms = [one for one in target.recording.observer.events if one["type"] == "AlertType"]
    if not alarms:
        return absent("no alarm came within the window")
    states = {(c["active"], c["acked"], c["retain"]) for one in alarms if (c := one.get("condition"))}
    wanted = {(True, False, True), (True, True, True), (False, True, False)}
    if not states:
        return failed("alarms came without the state of their condition", _event(alarms[0]))
    missing = wanted - states
    if missing and len(alarms) >= len(wanted):
        return failed(f"{len(alarms)} states of an alarm came, but never (active, acked, retain) = {sorted(missing)}")
    return passed(f"{len(alarms)} states of an alarm came, with active, acknowledged and retain")


async def latency(target: GatewayTarget, check: Check) -> Outcome:
    """Undisturbed, what comes is fresh."""
    limit = float(check.parameters["seconds"])
    late = target.recording.arrival.percentile(99)
    if late is None:
        return failed(f"messages of the format {target.settings.format} carry no time")
    told = f"99 % of the values came within {late:.3f} s of their source time"
    return passed(told) if late <= limit else failed(f"{told}, expected are {limit:g} s")


def _event(event: Mapping[str, Any]) -> Evidence:
    return Evidence(what="event", content=str(dict(event))[:500])


def _count(target: GatewayTarget, name: str) -> int:
    machine = target.recording.machine(name)
    return 0 if machine is None else machine.count


RULES: Mapping[str, Rule] = {
    "every-machine": every_machine,
    "complete": complete,
    "nothing-announced": nothing_announced,
    "deviation": deviation,
    "ordered": ordered,
    "bad-is-told": bad_is_told,
    "exact": exact,
    "events": events_complete,
    "alarm-states": alarm_states,
    "latency": latency,
}
