"""The broker checks: the small broker and mosquitto as it is shipped pass, and every mutant fails what names it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from conformance.broker.access import Access, AccessError, Identity, address
from conformance.broker.target import BrokerTarget
from conformance.suite.catalogue import Catalogue, shipped
from conformance.suite.check import Obligation, TargetKind
from conformance.suite.outcome import State
from conformance.suite.report import Report
from conformance.suite.runner import run
from simulators.mutants.broker import BrokerLab, BrokerMutant, broker_mutants
from tests.tools import broker_runs, foreign_brokers
from tests.tools.broker_runs import SETTINGS, closed_port, identity, judged, unnoticed

PATIENT = 40.0
"""For brokers that are to pass: a computer under load is no finding."""

AT_ONCE = 12
KNOWN_OF_MOSQUITTO = {"broker.mqtt5.disconnect-reason", "broker.restart.clean-start-session"}
"""SHOULDs that mosquitto 2.0.11 does not keep (docs/conformance/findings.md)."""


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return shipped()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> BrokerLab:
    return BrokerLab.create(tmp_path_factory.mktemp("lab") / "lab")


def not_passed(report: Report) -> dict[str, str]:
    good = {State.PASS, State.MANUAL, State.INFORMATIONAL}
    return {one.check.id: f"{one.state}: {one.seen}" for one in report.results if one.state not in good}


def parts_of(catalogue: Catalogue) -> list[list[str]]:
    """Most of a run is waiting: parts of it go side by side. The long queue is left to the soak test."""
    ids = [one.id for one in catalogue.of(TargetKind.BROKER) if one.id != "broker.limits.offline-queue"]
    restarts = [one for one in ids if one.startswith("broker.restart")]
    others = [one for one in ids if one not in restarts]
    return [restarts, *(others[place::4] for place in range(4))]


@pytest.mark.timeout(400)
async def test_the_small_broker_passes_everything(lab: BrokerLab, catalogue: Catalogue, tmp_path: Path) -> None:
    runs = [
        judged(lab, catalogue, tmp_path / str(number), only=part, patience=PATIENT)
        for number, part in enumerate([*parts_of(catalogue), ["broker.limits.offline-queue"]])
    ]
    reports = await asyncio.gather(*runs)
    assert [not_passed(report) for report in reports] == [{}] * len(runs)
    assert all(report.conforms for report in reports)
    assert len({one.check.id for report in reports for one in report.results if one.state is State.PASS}) >= 110


@pytest.mark.timeout(600)
async def test_every_mutant_fails_the_checks_that_name_it(lab: BrokerLab, catalogue: Catalogue, tmp_path: Path) -> None:
    checks = [one for one in catalogue.of(TargetKind.BROKER) if not one.manual]
    assert {name for one in checks for name in one.mutants} == set(broker_mutants())
    room = asyncio.Semaphore(AT_ONCE)

    async def judge(fault: str, only: Sequence[str], patience: float) -> Report:
        async with room:
            return await judged(lab, catalogue, tmp_path / f"{fault}-{patience}", fault, only=only, patience=patience)

    survivors = await asyncio.gather(*(unnoticed(judge, checks, one) for one in broker_mutants()))
    assert {key: seen for some in survivors for key, seen in some.items()} == {}


@pytest.mark.timeout(400)
async def test_mosquitto_as_it_is_shipped_passes(lab: BrokerLab, catalogue: Catalogue, tmp_path: Path) -> None:
    runs = [
        broker_runs.mosquitto(lab, catalogue, tmp_path / str(number), only=part, patience=PATIENT)
        for number, part in enumerate(parts_of(catalogue))
    ]
    found: dict[str, str] = {}
    passes = set()
    for report in await asyncio.gather(*runs):
        found |= not_passed(report)
        passes |= {one.check.id for one in report.results if one.state is State.PASS}
        assert report.conforms
    assert set(found) <= KNOWN_OF_MOSQUITTO, found
    assert len(passes) >= 105
    must = {one.id for one in catalogue.of(TargetKind.BROKER) if one.obligation is Obligation.MUST and not one.manual}
    assert must <= passes | {"broker.mqtt5.no-local"}


@pytest.mark.soak
async def test_mosquitto_as_it_is_shipped_passes_in_one_run(
    lab: BrokerLab, catalogue: Catalogue, tmp_path: Path
) -> None:
    report = await broker_runs.mosquitto(lab, catalogue, tmp_path / "broker", patience=PATIENT)
    assert set(not_passed(report)) <= KNOWN_OF_MOSQUITTO
    assert report.conforms


async def test_what_was_not_given_is_not_tried(lab: BrokerLab, catalogue: Catalogue, tmp_path: Path) -> None:
    broker = BrokerMutant(lab, tmp_path / "broker")
    await broker.start()
    try:
        access = Access(
            "127.0.0.1", broker.port, lab.ca, identity(lab.of("client")), topic="area4/v1/own/{}/data",
            plain_ports=(closed_port(),), patience=PATIENT,
        )  # fmt: skip
        only = ["broker.client", "broker.restart", "broker.rights.read"]
        report = await run(BrokerTarget(access), catalogue, settings=SETTINGS, only=only)
    finally:
        await broker.stop()
    untried = {one.check.id: one.blocked_by for one in report.results if one.state is State.BLOCKED}
    assert untried["broker.client.expired"] == ("--ca-key",)
    assert untried["broker.client.revoked"] == ("--revoked-certificate",)
    assert untried["broker.restart.session"] == ("--restart-command",)
    assert untried["broker.rights.read"] == ("--other-certificate",)
    assert {one.check.id for one in report.results if one.state is State.PASS} >= {"broker.client.rogue"}


async def test_a_run_leaves_nothing_behind(lab: BrokerLab, catalogue: Catalogue, tmp_path: Path) -> None:
    broker = BrokerMutant(lab, tmp_path / "broker")
    await broker.start()
    try:
        target = BrokerTarget(broker_runs.access_to(lab, broker, patience=PATIENT))
        only = ["broker.retained", "broker.session.kept", "broker.rights.retained", "broker.qos1.repeated"]
        report = await run(target, catalogue, settings=SETTINGS, only=only)
        assert not_passed(report) == {}
        assert broker.left() == ({}, set())
    finally:
        await broker.stop()


async def test_an_absent_broker_ends_in_a_report(lab: BrokerLab, catalogue: Catalogue) -> None:
    access = Access("127.0.0.1", closed_port(), lab.ca, identity(lab.of("client")), patience=5)
    report = await run(BrokerTarget(access), catalogue, settings=SETTINGS)
    assert not report.conforms
    assert {one.state for one in report.results} == {State.BLOCKED, State.MANUAL}


async def test_a_listener_that_says_nothing_ends_in_a_report(lab: BrokerLab, catalogue: Catalogue) -> None:
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        access = Access("127.0.0.1", port, lab.ca, identity(lab.of("client")), patience=1)
        report = await run(BrokerTarget(access), catalogue, settings=SETTINGS)
    finally:
        for writer in writers:
            writer.transport.abort()
        server.close()
    assert not report.conforms
    assert report.count(State.ERROR) == 0


@pytest.mark.parametrize("url", ["mqtt://host", "mqtts://", "host:8883", "mqtts://host:99999"])
def test_a_wrong_url_is_told(url: str) -> None:
    with pytest.raises(AccessError, match="mqtts"):
        address(url)


def test_wrong_files_and_topics_are_told(lab: BrokerLab, tmp_path: Path) -> None:
    client = identity(lab.of("client"))
    with pytest.raises(AccessError, match="topic"):
        Access("localhost", 1, lab.ca, client, topic="a/b")
    with pytest.raises(AccessError, match="missing"):
        Access("localhost", 1, lab.ca, Identity(tmp_path / "missing.pem", client.key))
    assert address("mqtts://plant.example") == ("plant.example", 8883)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mosquitto-default", {"broker.restart.queued", "broker.restart.retained", "broker.limits.offline-queue"}),
        ("aedes", {"broker.restart.queued", "broker.qos1.repeated", "broker.malformed.nul"}),
        ("nats", {"broker.client.revoked"}),
        ("amqtt", {"broker.client.no-certificate", "broker.session.taken-over", "broker.restart.queued"}),
    ],
)
async def test_what_is_known_of_other_brokers_is_found(name: str, expected: set[str], tmp_path: Path) -> None:
    """docs/conformance/findings.md; the suite itself never fails, and what these do right is not denied."""
    cache = Path.home() / ".cache" / "area4-foreign"
    report = await foreign_brokers.judged(name, cache, tmp_path, patience=10)
    failed = {one.check.id for one in report.results if one.state in {State.FAIL, State.NON_STRICT}}
    assert expected <= failed
    assert report.count(State.ERROR) == 0
    passed = {one.check.id for one in report.results if one.state is State.PASS}
    assert passed >= {"broker.connect.accepted", "broker.client.rogue"}
