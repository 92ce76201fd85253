"""The kill matrix's sections of the device's security and behaviour: each mutant against the checks that name it.

python -m tests.tools.matrix_device         compared with the committed ones
python -m tests.tools.matrix_device --write     and written
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from conformance.device.security import RULES as SECURITY
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome, Verdict
from tests.tools import device_runs, matrix
from tests.tools.matrix import Section

SECTIONS = {"device, security": True, "device, behaviour": False}
"""Names, and whether the section holds the checks whose rules are of security."""

Kills = Mapping[tuple[str, str], Outcome | Exception]


def checks_of(name: str) -> list[Check]:
    """The checks of a section."""
    every = (*device_runs.asking(), *device_runs.watching())
    return [one for one in every if (one.rule in SECURITY) is SECTIONS[name]]


def section(checks: Iterable[Check], reference: Mapping[str, Outcome], kills: Kills) -> Section:
    """One part's matrix, of what each check said of the reference and of its mutants.

    Raises:
        Exception: A check broke; what broke it.
    """
    made = Section()
    for check in checks:
        made.start(check, reference[check.id])
        for mutant in check.mutants:
            outcome = kills[check.id, mutant]
            if isinstance(outcome, Exception):
                raise outcome
            noticed = outcome.verdict is Verdict.FAIL
            made.mutants[mutant] = made.mutants.get(mutant, 0) + noticed
            (made.checks if noticed else made.survived).setdefault(check.id, []).append(mutant)
    return made


async def sections(folder: Path) -> dict[str, Section]:
    """Both."""
    asking, watching = device_runs.asking(), device_runs.watching()
    site = device_runs.Site(folder)
    async with site.lane() as lane:
        reference = {one.id: await lane.reference(one) for one in asking}
        kills = await device_runs.broken_by_all(site, lane, device_runs.pairs(asking))
    async with device_runs.workshop(site) as shop:
        reference |= await shop.reference()
        for check, mutant in device_runs.pairs(watching):
            kills[check.id, mutant] = await shop.broken(check, mutant)
    return {name: section(checks_of(name), reference, kills) for name in SECTIONS}


def main(arguments: Sequence[str] | None = None) -> int:
    """Compute, compare, or write; 1 if a file differs."""
    logging.disable()  # what the servers say of what is done to them
    return matrix.command("python -m tests.tools.matrix_device", sections, arguments)


if __name__ == "__main__":
    sys.exit(main())
