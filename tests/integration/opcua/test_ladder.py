"""The recovery ladder, rung by rung, against a simulated machine whose ledger says what is true."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from asyncua import ua

from adapters.opcua.progress import decode_progress
from security.pki.lab import LabPki
from simulators.opcua.control import Control
from simulators.opcua.server import SimulatorServer
from simulators.opcua.services import fault

from .ladder_rig import NEW, SAME_SESSION, TAKEN_OVER, Ladder, assert_each_once, config_of, simulator

TOOL = "Equipment/Tools/T9"


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(lab: LabPki, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SimulatorServer]:
    made = simulator(lab, tmp_path_factory.mktemp("ladder") / "ledger.jsonl")
    await made.start()
    yield made
    await made.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def server(shared: SimulatorServer) -> AsyncIterator[SimulatorServer]:
    """The module's server; afterwards nothing of the test is left in it."""
    yield shared
    assert shared.runner is not None
    if TOOL in shared.runner.machines[0].instance.entries:
        await Control(shared).do({"do": "remove-tool", "name": "T9"})
    await shared.forget()


@pytest_asyncio.fixture(loop_scope="module")
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
    tool = f"{TOOL}/Identifier"
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
    await ladder.read(lambda: bool(ladder.samples(f"{TOOL}/Identifier")))
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
    assert (gap.cause, gap.begin) == ("connection", stored.skew.begin(stored.complete))
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


async def test_what_a_gateway_leaves_that_is_killed_before_its_first_commit_ends_by_its_lifetime(
    server: SimulatorServer, lab: LabPki
) -> None:
    short = {"publishing_interval": 0.1, "keep_alive": 0.3, "lifetime": 1.0}
    orphan = Ladder(config_of(lab, server.url, subscription=short))
    await orphan.connect()
    await orphan.kill()
    (number,) = subscriptions(server)
    after = Ladder(config_of(lab, server.url))
    await after.connect()
    assert after.source._rung == NEW
    await after.read(lambda: number not in subscriptions(server))
    await after.more(5)
    assert len(subscriptions(server)) == 1
    assert after.gaps() == []
    await after.source.close()
