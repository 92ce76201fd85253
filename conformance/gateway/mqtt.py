"""Rules: how a gateway uses MQTT, as its consumers see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from conformance.gateway.findings import no_message
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome, absent, failed, passed
from conformance.suite.target import Rule

if TYPE_CHECKING:
    from conformance.gateway.target import GatewayTarget

_STREAM = ("data", "event", "gap")


async def qos1(target: GatewayTarget, check: Check) -> Outcome:  # noqa: ARG001 - a rule
    """Nothing is published with QoS 0."""
    bad = [one for one in target.recording.raw if one.qos < 1]
    return no_message(bad, "were published with QoS 0", f"{len(target.recording.raw)} messages came with QoS 1")


async def data_not_retained(target: GatewayTarget, check: Check) -> Outcome:  # noqa: ARG001
    """A consumer that comes later gets no old data as if it were new."""
    if target.settings.format == "umati":
        return absent("the format retains whole machines on purpose")
    bad = [one for one in target.recording.late if one.topic.rsplit("/", 1)[-1] in _STREAM]
    return no_message(bad, "of old data are retained", "no data is retained")


async def description_retained(target: GatewayTarget, check: Check) -> Outcome:  # noqa: ARG001
    """A consumer that comes later learns what the machines are."""
    if "description" not in target.reader.carries:
        return absent(f"messages of the format {target.settings.format} describe nothing")
    found = sum(one.topic.endswith("/description") for one in target.recording.late)
    wanted = len(target.stage.machines)
    if found < wanted:
        return failed(f"{found} descriptions of {wanted} machines are retained")
    return passed(f"the descriptions of {wanted} machines are retained")


async def status_retained(target: GatewayTarget, check: Check) -> Outcome:  # noqa: ARG001
    """A consumer that comes later learns that the gateway is there."""
    if target.settings.format != "area4":
        return absent("status is the format's own")
    gateways = target.recording.observer.gateways
    late = [one for one in target.recording.late if "/_gateway/" in one.topic]
    if not late or not gateways:
        return failed("no status of the gateway is retained")
    states = {str(body.get("state")) for body in gateways.values()}
    return (
        passed("its retained status is online") if "online" in states else failed(f"its status says {sorted(states)}")
    )


async def numbered(target: GatewayTarget, check: Check) -> Outcome:
    """The stream's numbers tell the truth: the parameter `finding` is `holes`, `altered` or `late`."""
    if "stream" not in target.reader.carries:
        return failed(f"messages of the format {target.settings.format} carry no numbers that show a loss")
    finding = str(check.parameters["finding"])
    for identity in target.stage.machines:
        machine = target.recording.machine(identity)
        if machine is None:
            return failed(f"nothing of {identity} came")
        report = machine.stream.report()
        found = report.holes if finding == "holes" else getattr(report, finding)
        if found:
            return failed(f"{identity}: {finding}: {found}")
    return passed(f"no {finding} in the numbers of {len(target.stage.machines)} streams")


RULES: Mapping[str, Rule] = {
    "qos1": qos1,
    "data-not-retained": data_not_retained,
    "description-retained": description_retained,
    "status-retained": status_retained,
    "numbered": numbered,
}
