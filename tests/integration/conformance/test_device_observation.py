"""The device checks over an observation window: all pass on a machine at work, each fails on its mutant."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from conformance.suite.check import Check
from conformance.suite.outcome import Verdict
from tests.tools.device_runs import Site, Workshop, happens, judged, pairs, watching, workshop

PAIRS = pairs(watching())

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workshop]:
    async with workshop(Site(tmp_path_factory.mktemp("observation"))) as made:
        yield made


async def test_a_machine_at_work_passes_all(rig: Workshop) -> None:
    seen = await rig.target.observed()
    assert len(seen.values) > 300
    outcomes = judged(seen, watching())
    wrong = {key: one.seen for key, one in outcomes.items() if one.verdict not in {Verdict.PASS, Verdict.ABSENT}}
    assert not wrong
    absent = [one for one in watching() if outcomes[one.id].verdict is Verdict.ABSENT]
    assert all(happens(one) for one in absent), absent


async def test_it_passes_what_its_alarms_and_programs_show_too(rig: Workshop) -> None:
    outcomes = await rig.reference()
    assert {key: one.seen for key, one in outcomes.items() if one.verdict is not Verdict.PASS} == {}


@pytest.mark.parametrize(("check", "mutant"), PAIRS, ids=[f"{check.id}-{mutant}" for check, mutant in PAIRS])
async def test_the_check_fails_on_its_mutant(rig: Workshop, check: Check, mutant: str) -> None:
    outcome = await rig.broken(check, mutant)
    assert outcome.evidence
