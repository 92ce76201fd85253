"""Checks of gateways against mutant gateways.

What a mutant does to messages is done to the messages of one true run, which needs no further process; the others
run as processes, each on a stage of its own (`wire`).

    python -m tests.tools.matrix_gateway            compute both sections (about 15 minutes) and compare
    python -m tests.tools.matrix_gateway --write    and write them into docs/conformance/matrix.json and matrix.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance.consumer import Received
from conformance.gateway.recording import Judgement, Recording
from conformance.gateway.target import GatewayTarget, Settings
from conformance.suite.catalogue import Catalogue, shipped
from conformance.suite.check import Check, TargetKind
from conformance.suite.outcome import State, Verdict
from conformance.suite.runner import Settings as RunSettings
from conformance.suite.runner import run
from gateway.cli.stage import OWN, Gateway, LabStage
from simulators.mutants.gateway_table import GatewayMutant, gateway_mutants
from simulators.mutants.packets import Publish
from tests.tools import matrix
from tests.tools.matrix import Section

OF_PROCESSES = frozenset({"log-without-secrets", "loopback-only", "reads-only", "no-other-connections"})
"""Rules that look at the gateway's processes, or at what its machines were asked for."""

RETAINED = ("description", "status")
"""Kinds that the gateway publishes retained (docs/topics.md); a subscriber that is there does not see the flag."""


def target(folder: Path, command: str = OWN, window: float = 10.0) -> GatewayTarget:
    """A gateway on a stage of its own."""
    return GatewayTarget(LabStage(folder, Gateway(command)), Settings(window=window, command=command))


async def settled(true: GatewayTarget) -> None:
    """Open it, and let the machines stand still: nothing is on its way any more."""
    await true.open()
    await true.stage.pause()
    await true.recording.quiet(true.settings.quiet, true.settings.settle)


def command(mutant: str) -> str:
    """How a mutant gateway is started."""
    return f"{sys.executable} -m simulators.mutants.gateway {mutant} --stage {{stage}}"


@dataclass
class Replay:
    """What rules look at, with other messages than came."""

    true: GatewayTarget
    recording: Recording
    judgement: Judgement

    @property
    def stage(self) -> object:
        return self.true.stage

    @property
    def settings(self) -> Settings:
        return self.true.settings

    @property
    def reader(self) -> object:
        return self.true.reader


def replayed(true: GatewayTarget, mutant: GatewayMutant) -> Replay:
    """The messages of a true run as this mutant would have sent them."""
    fault = mutant.fault()
    sent: list[tuple[Publish, float]] = []
    for number, one in enumerate(true.recording.raw, 1):
        retain = one.topic.rsplit("/", 1)[-1] in RETAINED
        message = Publish(one.topic, one.payload, 1, retain, False, number % 60_000 + 1, b"")
        sent += [(each, one.at) for each in fault.publish(message)]
    recording = Recording(true.stage.access, true.reader)
    recording.feed(Received(one.topic, one.payload, False, at, one.qos) for one, at in sent)
    kept = {one.topic: one for one, _ in sent if one.retain}
    recording.late = [Received(one.topic, one.payload, True, 0.0, 1) for one in kept.values() if one.payload]
    return Replay(true, recording, recording.judge(true.stage.ledgers))


def judged_from_messages(catalogue: Catalogue) -> list[Check]:
    """Checks that look only at messages."""
    return [one for one in catalogue.of(TargetKind.GATEWAY) if not one.manual and not one.stress and not _process(one)]


def message_mutants() -> list[GatewayMutant]:
    """Mutants that only change messages."""
    return [one for one in gateway_mutants().values() if one.of_messages]


async def verdicts(seen: Replay | GatewayTarget, checks: Iterable[Check]) -> dict[str, Verdict]:
    """What each check says."""
    return {one.id: (await GatewayTarget.rules[one.rule](seen, one)).verdict for one in checks}


async def wire(folder: Path, catalogue: Catalogue, mutant: str, checks: Sequence[str]) -> dict[str, State]:
    """The states of these checks on a mutant that runs as a process; an empty name is the true gateway."""
    report = await run(
        target(folder, command(mutant) if mutant else OWN, window=8.0),
        catalogue,
        settings=RunSettings(allow_stress=True, check_seconds=240.0),
        only=checks,
    )
    return {one.check.id: one.state for one in report.results}


def wire_mutants(catalogue: Catalogue) -> dict[str, list[str]]:
    """Mutants that must run as processes, with the checks that they must fail."""
    found: dict[str, list[str]] = {}
    messages = {one.id for one in message_mutants()}
    looked = {one.id for one in judged_from_messages(catalogue)}
    for check in catalogue.of(TargetKind.GATEWAY):
        for mutant in check.mutants:
            if mutant not in messages or check.id not in looked:
                found.setdefault(mutant, []).append(check.id)
    return found


def _process(check: Check) -> bool:
    return check.rule in OF_PROCESSES or check.mutants == ("gateway.data.late",)


BAD = frozenset({State.FAIL, State.NON_STRICT})
"""States in which a check has noticed its mutant."""


async def messages_section(folder: Path, catalogue: Catalogue) -> Section:
    """One true run, and its messages as each mutant would have sent them."""
    true, checks, section = target(folder), judged_from_messages(catalogue), Section()
    try:
        await settled(true)
        for name, verdict in (await verdicts(true, checks)).items():
            section.checks[name] = []
            if verdict is not Verdict.PASS:
                section.reference[name] = str(verdict)
        for mutant in message_mutants():
            named = [one for one in checks if mutant.id in one.mutants]
            if not named:
                continue  # made for a disturbance
            seen = await verdicts(replayed(true, mutant), named)
            _enter(section, mutant.id, {name: verdict is Verdict.FAIL for name, verdict in seen.items()})
    finally:
        await true.close()
    return section


async def processes_section(folder: Path, catalogue: Catalogue) -> Section:
    """The true gateway under every disturbance, then each mutant that must be a process."""
    section, mutants = Section(), wire_mutants(catalogue)
    asked = sorted({name for names in mutants.values() for name in names})
    states = await wire(folder / "true", catalogue, "", asked)
    for name in asked:
        section.checks[name] = []
        if states[name] is not State.PASS:
            section.reference[name] = str(states[name])
    for mutant, names in mutants.items():
        states = await wire(folder / mutant, catalogue, mutant, names)
        _enter(section, mutant, {name: states[name] in BAD for name in names})
    return section


def _enter(section: Section, mutant: str, noticed: dict[str, bool]) -> None:
    section.mutants[mutant] = sum(noticed.values())
    for name, did in noticed.items():
        (section.checks if did else section.survived).setdefault(name, []).append(mutant)


async def sections(folder: Path) -> dict[str, Section]:
    """Both."""
    catalogue = shipped()
    return {
        "gateway, messages": await messages_section(folder / "messages", catalogue),
        "gateway, processes": await processes_section(folder, catalogue),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Compute, compare, or write; 1 if a file differs."""
    return matrix.command("python -m tests.tools.matrix_gateway", sections, arguments)


if __name__ == "__main__":
    sys.exit(main())
