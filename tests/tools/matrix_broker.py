"""The kill matrix's sections of brokers and networks: each mutant against the checks that name it.

python -m tests.tools.matrix_broker         compared with the committed ones
python -m tests.tools.matrix_broker --write     and written
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

from conformance.suite.catalogue import Catalogue, shipped
from conformance.suite.check import TargetKind
from conformance.suite.outcome import State
from conformance.suite.report import Report
from simulators.mutants.broker import BrokerLab, broker_mutants
from simulators.mutants.network import network_mutants
from tests.tools import broker_runs, matrix, network_runs
from tests.tools.matrix import Section

AT_ONCE = 12
PATIENT, BRIEF = 40.0, 2.0
_FAILS = {State.FAIL, State.NON_STRICT}

Judge = Callable[..., Awaitable[Report]]


async def section(kind: TargetKind, judged: Judge, mutants: Iterable[str], catalogue: Catalogue, root: Path) -> Section:
    """One part's matrix; the reference is judged by all checks."""
    made = Section()
    lab = BrokerLab.create(root / f"{kind}-lab")
    checks = [one for one in catalogue.of(kind) if not one.manual]
    reference = catalogue if kind is TargetKind.BROKER else network_runs.relaxed(catalogue)
    report = await judged(lab, reference, root / f"{kind}-reference", patience=PATIENT)
    made.checks = {one.id: [] for one in checks}
    made.reference = {
        one.check.id: str(one.state) for one in report.results if one.state not in {State.PASS, State.MANUAL}
    }
    room = asyncio.Semaphore(AT_ONCE)

    async def one_of(mutant: str) -> tuple[str, list[str], list[str]]:
        naming = [one.id for one in checks if mutant in one.mutants]
        async with room:
            fault = mutant.split(".", 1)[1]
            found = await judged(lab, catalogue, root / f"{kind}-{fault}", fault, only=naming, patience=BRIEF)
        failed = {one.check.id for one in found.results if one.state in _FAILS}
        return mutant, [one for one in naming if one in failed], [one for one in naming if one not in failed]

    for mutant, killers, blind in await asyncio.gather(*(one_of(one) for one in mutants)):
        made.mutants[mutant] = len(killers)
        for one in killers:
            made.checks[one].append(mutant)
        for one in blind:
            made.survived.setdefault(one, []).append(mutant)
    return made


async def sections(root: Path) -> dict[str, Section]:
    """Both parts."""
    catalogue = network_runs.brief(shipped())
    return {
        "broker": await section(TargetKind.BROKER, broker_runs.judged, broker_mutants(), catalogue, root),
        "network": await section(TargetKind.NETWORK, network_runs.judged, network_mutants(), catalogue, root),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Compute, compare, or write; 1 if a file differs."""
    return matrix.command("python -m tests.tools.matrix_broker", sections, arguments)


if __name__ == "__main__":
    sys.exit(main())
