"""The gateway target: this gateway passes, and every mutant is noticed by the checks that name it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conformance.suite.catalogue import Catalogue, shipped
from conformance.suite.outcome import State
from tests.tools.matrix import JSON
from tests.tools.matrix_gateway import BAD, messages_section, wire, wire_mutants

CATALOGUE: Catalogue = shipped()


async def test_the_reference_passes_and_mutants_of_messages_are_noticed(tmp_path: Path) -> None:
    found = await messages_section(tmp_path / "stage", CATALOGUE)
    assert found.reference == {}
    assert found.survived == {}
    assert all(found.mutants.values())
    kept = json.loads(JSON.read_text(encoding="utf-8"))["gateway, messages"]
    assert found.content() == kept, (
        "docs/conformance/matrix.json is stale: python -m tests.tools.matrix_gateway --write"
    )


def test_the_kept_matrix_of_processes_has_every_check_and_mutant() -> None:
    kept = json.loads(JSON.read_text(encoding="utf-8"))["gateway, processes"]
    wanted = wire_mutants(CATALOGUE)
    assert set(kept["mutants"]) == set(wanted)
    assert {name for name, mutants in kept["checks"].items() if mutants} == {
        one for names in wanted.values() for one in names
    }
    assert (kept["reference"], kept["survived"]) == ({}, {})


@pytest.mark.soak
@pytest.mark.parametrize(("mutant", "checks"), sorted(wire_mutants(CATALOGUE).items()))
async def test_mutants_that_are_processes_are_noticed(tmp_path: Path, mutant: str, checks: list[str]) -> None:
    states = await wire(tmp_path / "stage", CATALOGUE, mutant, checks)
    assert {name: states[name] for name in checks if states[name] not in BAD} == {}


@pytest.mark.soak
async def test_the_reference_passes_every_disturbance(tmp_path: Path) -> None:
    asked = [one.id for one in CATALOGUE.checks.values() if one.id.startswith("gateway.") and one.stress]
    states = await wire(tmp_path / "stage", CATALOGUE, "", asked)
    assert {name: state for name, state in states.items() if state is not State.PASS} == {}
