"""The gateway target: this gateway passes, and every mutant is found by the checks that name it."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.suite.catalogue import Catalogue, shipped
from conformance.suite.outcome import State, Verdict
from tests.tools.matrix_gateway import (
    judged_from_messages,
    message_mutants,
    replayed,
    settled,
    target,
    verdicts,
    wire,
    wire_mutants,
)

CATALOGUE: Catalogue = shipped()
BAD = frozenset({State.FAIL, State.NON_STRICT})


async def test_the_reference_passes_and_mutants_of_messages_are_killed(tmp_path: Path) -> None:
    true = target(tmp_path / "stage")
    checks = judged_from_messages(CATALOGUE)
    try:
        await settled(true)
        clean = await verdicts(true, checks)
        assert {name: verdict for name, verdict in clean.items() if verdict is not Verdict.PASS} == {}
        killed = {}
        for mutant in message_mutants():
            seen = await verdicts(replayed(true, mutant), checks)
            killed[mutant.id] = {name for name, verdict in seen.items() if verdict is Verdict.FAIL}
    finally:
        await true.close()
    named = {(one.id, mutant) for one in checks for mutant in one.mutants if mutant in killed}
    assert {pair for pair in named if pair[0] not in killed[pair[1]]} == set()
    alone = {mutant for mutant in killed if mutant not in wire_mutants(CATALOGUE)}
    assert {mutant for mutant in alone if not killed[mutant]} == set()


@pytest.mark.soak
@pytest.mark.parametrize(("mutant", "checks"), sorted(wire_mutants(CATALOGUE).items()))
async def test_mutants_that_are_processes_are_killed(tmp_path: Path, mutant: str, checks: list[str]) -> None:
    states = await wire(tmp_path / "stage", CATALOGUE, mutant, checks)
    assert {name: states[name] for name in checks if states[name] not in BAD} == {}


@pytest.mark.soak
async def test_the_reference_passes_every_disturbance(tmp_path: Path) -> None:
    asked = [one.id for one in CATALOGUE.checks.values() if one.id.startswith("gateway.") and one.stress]
    states = await wire(tmp_path / "stage", CATALOGUE, "", asked)
    assert {name: state for name, state in states.items() if state is not State.PASS} == {}
