"""The device checks that ask with sessions of their own: each passes on the reference and fails on its mutant."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from asyncua import ua

from conformance.device.access import Access, Limits
from conformance.device.target import DeviceTarget, Observing
from conformance.suite.catalogue import shipped
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome, State, Verdict
from conformance.suite.runner import Settings, run
from simulators.mutants.registry import device_mutants
from simulators.opcua.mended import Processor, Session
from tests.tools.device_runs import LOGIN, PATIENT, RULES, Lane, Site, asking, broken_by_all, pairs, watching
from tests.tools.matrix import JSON, PAGE, page
from tests.tools.matrix_device import SECTIONS, checks_of

CHECKS = asking()
PAIRS = pairs(CHECKS)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]

Kills = dict[tuple[str, str], Outcome | Exception]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("security"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(site: Site) -> AsyncIterator[Lane]:
    async with site.lane() as lane:
        yield lane


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kills(site: Site, rig: Lane, request: pytest.FixtureRequest) -> Kills:
    """What the pairs that this run asks for gave, side by side."""
    asked = {
        (one.callspec.params["check"].id, one.callspec.params["mutant"])
        for one in request.session.items
        if isinstance(one, pytest.Function) and one.originalname == "test_the_check_fails_on_its_mutant"
        and one.path == request.path
    }  # fmt: skip
    return await broken_by_all(site, rig, [(check, mutant) for check, mutant in PAIRS if (check.id, mutant) in asked])


LONG = ("D-12.half-open", "D-12.limit", "subscription.overflow", "A-03.throttle")
"""Checks that wait for long by their nature."""


def marked(check: Check, *more: str) -> Any:
    marks = pytest.mark.soak if any(name in check.id for name in LONG) else ()
    return pytest.param(check, *more, marks=marks, id="-".join((check.id, *more)))


@pytest.mark.parametrize("check", [marked(check) for check in CHECKS])
async def test_the_reference_passes(rig: Lane, check: Check) -> None:
    outcome = await rig.reference(check)
    assert outcome.verdict is Verdict.PASS, outcome.seen


@pytest.mark.parametrize(("check", "mutant"), [marked(check, mutant) for check, mutant in PAIRS])
async def test_the_check_fails_on_its_mutant(kills: Kills, check: Check, mutant: str) -> None:
    outcome = kills[check.id, mutant]
    if isinstance(outcome, Exception):
        raise outcome
    assert outcome.verdict is Verdict.FAIL, outcome.seen
    assert len(outcome.seen) > 15


async def test_the_kept_matrix_has_every_check_and_every_mutant_killed() -> None:
    content = json.loads(JSON.read_text(encoding="utf-8"))
    every = [*CHECKS, *watching()]
    assert len(every) >= 135
    assert sorted(one.id for name in SECTIONS for one in checks_of(name)) == sorted(one.id for one in every)
    for name in SECTIONS:
        kept = content[name]
        assert kept["checks"] == {one.id: list(one.mutants) for one in checks_of(name)}, (
            "docs/conformance/matrix.json is stale: python -m tests.tools.matrix_device --write"
        )
        assert all(kept["checks"].values())
        assert set(kept["mutants"]) == {mutant for one in checks_of(name) for mutant in one.mutants}
        assert all(kept["mutants"].values())
        assert (kept["reference"], kept["survived"]) == ({}, {})
    assert PAGE.read_text(encoding="utf-8") == page(content)


async def test_endpoints_in_a_session_may_leave_the_certificate_out(rig: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = Session.create_session

    async def recommended(self, params, sockname=None):
        result = await usual(self, params, sockname)
        result.ServerEndpoints = copy.deepcopy(result.ServerEndpoints)
        for one in result.ServerEndpoints:
            one.ServerCertificate = None
        return result

    monkeypatch.setattr(Session, "create_session", recommended)
    (check,) = [one for one in CHECKS if one.id == "device.security.S-03.session"]
    outcome = await rig.reference(check)
    assert outcome.verdict is Verdict.PASS, outcome.seen


async def test_every_security_mutant_is_one_of_a_check() -> None:
    named = {mutant for _, mutant in PAIRS}
    made = {key for key in device_mutants() if key.startswith("device.security.")}
    assert made == {one for one in named if one.startswith("device.security.")}


async def test_every_rule_is_used() -> None:
    assert {check.rule for check in CHECKS} == set(RULES)


async def test_half_of_the_checks_provoke_a_refusal() -> None:
    assert len(CHECKS) >= 115
    assert len({check.id for check in CHECKS if "refused" in check.expected or "refused" in check.title}) > 25


SEVERAL = (
    *(f"device.behaviour.subscription.{name}" for name in ("transfer", "republish", "republish-gone", "keep-alive")),
    *("device.behaviour.item", "device.behaviour.service", "device.security.S-05", "device.security.A-05"),
)
WRITING = {"Write", "Call", "AddNodes", "AddReferences", "DeleteNodes", "DeleteReferences", "HistoryUpdate"}


def target_of(rig: Lane, folder: Path) -> DeviceTarget:
    limits = Limits(requests_per_second=1_000, request_seconds=PATIENT)
    certificate, key = folder / "client.pem", folder / "client.key.pem"
    access = Access(rig.server.url, certificate, key, user=LOGIN.name, password=LOGIN.password, limits=limits)
    return DeviceTarget(access, Observing(0.5))


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of the services that clients ask the server for."""
    names = {
        ua.NodeId(value): name.removesuffix("Request_Encoding_DefaultBinary")
        for name, value in vars(ua.ObjectIds).items()
        if name.endswith("Request_Encoding_DefaultBinary")
    }
    asked: set[str] = set()
    usual = Processor._process_message

    async def recorded(self, typeid, requesthdr, seqhdr, body):
        asked.add(names[typeid])
        return await usual(self, typeid, requesthdr, seqhdr, body)

    monkeypatch.setattr(Processor, "_process_message", recorded)
    return asked


async def swept(rig: Lane) -> None:
    """Take away what the mutants of other tests have kept."""
    await rig.server.forget()
    core = rig.server.server.iserver
    core._external_sessions.clear()
    core.subscription_service.subscriptions.clear()


async def gone(rig: Lane) -> None:
    core = rig.server.server.iserver
    async with asyncio.timeout(PATIENT):
        while core._external_sessions or core.subscription_service.subscriptions:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)


async def test_a_run_writes_and_calls_nothing_and_leaves_nothing(rig: Lane, services: set[str]) -> None:
    await swept(rig)
    target = target_of(rig, rig.server.config.certificate.parent)
    report = await run(target, shipped(), settings=Settings(), only=SEVERAL)
    assert {"Read", "Browse", "Publish", "CreateMonitoredItems"} <= services
    assert services.isdisjoint(WRITING)
    blocked = {one.check.id for one in report.results if one.state == "blocked" and "--allow-writes" in one.blocked_by}
    assert {"device.behaviour.service.write-refused", "device.behaviour.service.call-arguments"} <= blocked
    assert report.count(State.PASS) > 25
    assert not [one.check.id for one in report.results if one.state == "error"]
    await gone(rig)


async def test_a_run_that_is_stopped_leaves_nothing(rig: Lane) -> None:
    await swept(rig)
    target = target_of(rig, rig.server.config.certificate.parent)
    seen: list[str] = []
    task = asyncio.create_task(
        run(target, shipped(), settings=Settings(), only=SEVERAL, progress=lambda one, *_: seen.append(one.check.id))
    )
    core = rig.server.server.iserver
    async with asyncio.timeout(PATIENT):
        while len(seen) < 4 or not core.subscription_service.subscriptions:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await gone(rig)
