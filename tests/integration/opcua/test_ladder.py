"""The recovery ladder, rung by rung, against a simulated machine whose ledger says what is true."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from cryptography import x509

from adapters.opcua.progress import decode_progress
from security.pki.authority import Authority
from security.pki.folder import PkiFolder
from security.pki.lab import LabPki
from simulators.opcua.control import Control
from simulators.opcua.server import SimulatorServer
from simulators.opcua.services import fault

from .ladder_rig import MACHINE, Ladder, assert_each_once, bench_machine, config_of, simulator

SAME_SESSION = "the session was taken up again"
TAKEN_OVER = "the subscription was taken over"
NEW = "by a new subscription"


@pytest.fixture
async def server(lab: LabPki, tmp_path: Path) -> AsyncIterator[SimulatorServer]:
    made = simulator(lab, tmp_path / "ledger.jsonl")
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def ladder(lab: LabPki, server: SimulatorServer) -> AsyncIterator[Ladder]:
    made = Ladder(config_of(lab, server.url))
    await made.connect()
    await made.more(20)
    yield made
    await made.source.close()


def subscriptions(server: SimulatorServer) -> list[int]:
    return list(server.server.iserver.subscription_service.subscriptions)


async def test_a_cut_connection_takes_its_session_up_again(ladder: Ladder, server: SimulatorServer) -> None:
    sessions = list(server.server.iserver._external_sessions)
    for _ in range(3):
        server.drop()
        await ladder.lost()
        await asyncio.sleep(0.5)
        await ladder.connect()
        assert ladder.source._rung == SAME_SESSION
        await ladder.more(10)
    assert ladder.gaps() == []
    assert list(server.server.iserver._external_sessions) == sessions
    assert_each_once(ladder, server)


async def test_a_killed_gateways_successor_takes_the_subscription_over(ladder: Ladder, server: SimulatorServer) -> None:
    before = subscriptions(server)
    for _ in range(3):
        await ladder.read(lambda: False, commit=False)  # read, not stored: killed before the commit
        await ladder.kill()
        await asyncio.sleep(0.7)
        await ladder.connect()
        assert ladder.source._rung == TAKEN_OVER
        await ladder.more(10)
    assert ladder.gaps() == []
    assert subscriptions(server) == before
    assert_each_once(ladder, server)


async def test_a_stopped_gateways_successor_takes_the_subscription_over(
    ladder: Ladder, server: SimulatorServer
) -> None:
    await ladder.source.close()
    assert len(subscriptions(server)) == 1
    assert not server.server.iserver._external_sessions
    ladder.new_process()
    await asyncio.sleep(1.5)
    await ladder.connect()
    assert ladder.source._rung == TAKEN_OVER
    await ladder.more(40)
    assert ladder.gaps() == []
    assert_each_once(ladder, server)


async def test_a_forgotten_session_costs_nothing_while_the_subscription_lives(
    ladder: Ladder, server: SimulatorServer
) -> None:
    core = server.server.iserver
    for session in list(core._external_sessions.values()):
        await session.close_session(delete_subs=False)
    server.drop()
    await ladder.lost()
    await ladder.connect()
    assert ladder.source._rung == TAKEN_OVER
    await ladder.more(10)
    assert ladder.gaps() == []
    assert_each_once(ladder, server)


async def test_items_that_came_later_are_known_to_a_successor(ladder: Ladder, server: SimulatorServer) -> None:
    tool = "Equipment/Tools/T9/Identifier"
    control = Control(server)
    await control.do({"do": "add-tool", "name": "T9"})
    await ladder.read(lambda: bool(ladder.samples(tool)))
    await ladder.kill()
    await ladder.connect()
    assert ladder.source._rung == TAKEN_OVER
    await control.do({"do": "remove-tool", "name": "T9"})
    await ladder.read(lambda: len(ladder.samples(tool)) >= 2)  # its value says that it is gone
    await ladder.more(10)
    assert ladder.gaps() == []
    assert_each_once(ladder, server)


async def test_a_machine_that_changed_meanwhile_is_subscribed_anew(ladder: Ladder, server: SimulatorServer) -> None:
    before = subscriptions(server)
    await ladder.kill()
    await Control(server).do({"do": "add-tool", "name": "T9"})
    await ladder.connect()
    assert ladder.source._rung == NEW
    await ladder.read(lambda: bool(ladder.samples("Equipment/Tools/T9/Identifier")))
    assert [gap.cause for gap in ladder.gaps()] == ["connection"]
    assert len(subscriptions(server)) == 1
    assert subscriptions(server) != before


async def refuse(server: SimulatorServer, monkeypatch: pytest.MonkeyPatch, status: str, *, service: bool) -> None:
    """TransferSubscriptions is refused: as a service, or for the subscription."""

    async def refused(params: Any, *_: Any) -> list[ua.TransferResult]:
        if service:
            raise fault(status)
        code = ua.StatusCode(getattr(ua.StatusCodes, status))
        return [ua.TransferResult(code) for _ in params.SubscriptionIds]

    monkeypatch.setattr(server.server.iserver.subscription_service, "transfer_subscriptions", refused)


@pytest.mark.parametrize(
    ("status", "service"),
    [("BadServiceUnsupported", True), ("BadSubscriptionIdInvalid", False), ("BadUserAccessDenied", False)],
)
async def test_a_refused_transfer_is_a_gap_and_reading_goes_on(
    ladder: Ladder, server: SimulatorServer, monkeypatch: pytest.MonkeyPatch, status: str, *, service: bool
) -> None:
    await refuse(server, monkeypatch, status, service=service)
    await ladder.kill()
    stored = decode_progress(ladder.progress)
    assert stored is not None
    await ladder.connect()
    assert ladder.source._rung == NEW
    await ladder.more(10)
    (gap,) = ladder.gaps()
    assert (gap.cause, gap.begin) == ("connection", stored.complete)
    ladder.records = ladder.records[ladder.records.index(gap) :]
    assert_each_once(ladder, server)


async def test_a_server_that_forgets_everything_is_a_gap(ladder: Ladder, server: SimulatorServer) -> None:
    await server.forget()
    await ladder.lost()
    await ladder.connect()
    assert ladder.source._rung == NEW
    await ladder.more(10)
    assert [gap.cause for gap in ladder.gaps()] == ["connection"]
    server.drop()  # and the new one is taken up as the first was
    await ladder.lost()
    await ladder.connect()
    assert ladder.source._rung == SAME_SESSION


async def test_a_server_that_lost_messages_is_a_gap_of_these_alone(ladder: Ladder, server: SimulatorServer) -> None:
    await ladder.read(lambda: False, commit=False)
    await ladder.kill()
    assert server.lose(1000) > 0
    await ladder.connect()
    assert ladder.source._rung == TAKEN_OVER
    await ladder.more(10)
    (gap,) = ladder.gaps()
    assert gap.cause == "missing-sequence"


async def test_other_settings_are_another_subscription_and_the_old_one_is_deleted(
    ladder: Ladder, server: SimulatorServer, lab: LabPki
) -> None:
    before = subscriptions(server)
    await ladder.kill()
    ladder.new_process(config_of(lab, server.url, overrides=[{"path": "Odd/*", "ignore": True}]))
    await ladder.connect()
    assert ladder.source._rung == NEW
    await ladder.more(10)
    assert [gap.cause for gap in ladder.gaps()] == ["connection"]
    assert len(subscriptions(server)) == 1
    assert subscriptions(server) != before


async def test_a_subscription_that_somebody_took_over_is_not_taken_back(
    ladder: Ladder, server: SimulatorServer, lab: LabPki
) -> None:
    other = Ladder(config_of(lab, server.url), progress=ladder.progress)
    await other.connect()
    assert other.source._rung == TAKEN_OVER
    problem = await ladder.lost()
    assert "GoodSubscriptionTransferred" in str(problem)
    await ladder.connect()
    assert ladder.source._rung == NEW
    await ladder.more(5)
    await other.more(5)
    await other.source.close()


def renew(lab: LabPki, folder: Path) -> PkiFolder:
    """Another certificate and key of the same authority and names for the server."""
    before = x509.load_pem_x509_certificate(lab.machines["m1"].certificate.read_bytes())
    return Authority.load(lab.opcua_authority).renew(before).install(PkiFolder(folder / "renewed"))


@pytest.mark.parametrize("renewed", [False, True], ids=["namespaces", "certificate"])
async def test_a_server_that_comes_back_as_another_process(
    ladder: Ladder, server: SimulatorServer, lab: LabPki, tmp_path: Path, *, renewed: bool
) -> None:
    port = int(server.url.rsplit(":", 1)[1].strip("/"))
    await server.stop()
    await ladder.lost()
    options: dict[str, Any] = {}
    machines = [bench_machine()]
    if renewed:
        renewed_own = renew(lab, tmp_path)
        options = {"certificate": renewed_own.certificate, "key": renewed_own.key}
    else:
        machines.insert(0, bench_machine(name="Other", serial="B-0"))  # its namespace comes first
    again = simulator(lab, tmp_path / "again.jsonl", *machines, port=port, **options)
    await again.start()
    try:
        await ladder.connect()
        assert ladder.source._rung == NEW
        await ladder.more(10)
        (gap,) = ladder.gaps()
        assert (gap.machine, gap.cause) == (MACHINE, "connection")
        since = ladder.records.index(gap)
        ladder.records = [one for one in ladder.records[since:] if one.machine == MACHINE]
        assert_each_once(ladder, again)
    finally:
        await ladder.source.close()
        await again.stop()
