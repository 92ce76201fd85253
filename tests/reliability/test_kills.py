"""Killed at random moments under load: every value arrives or is named by a gap; none is wrong or out of order."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

import pytest

from tests.faults.processes import Moments

from .plant import MACHINES, PERSIST, SETTINGS, Plant, running

PATIENCE = 6.0
"""Seconds to wait for values before a gateway is killed all the same: broker and servers may be away too."""


@dataclass(frozen=True)
class Campaign:
    """How many faults of each kind, side by side, at moments that the seed decides.

    Attributes:
        scale: Of the partitions, which last 1 to 60 s at scale 1.
    """

    seed: int
    gateway: int = 0
    broker: int = 0
    server: int = 0
    partitions: int = 0
    scale: float = 0.1

    async def run(self, plant: Plant) -> None:
        """All faults, each kind by itself."""
        with plant.broker.delay(PERSIST, way="down"):
            async with asyncio.TaskGroup() as group:
                for kind in (self._gateway, self._broker, self._server, self._partitions):
                    group.create_task(kind(plant), name=kind.__name__)

    async def _gateway(self, plant: Plant) -> None:
        """Half of them while values flow, half at any moment, most of these while it starts and reconnects."""
        moments = Moments(self.seed)
        for number in range(self.gateway):
            if number % 2:
                await asyncio.sleep(moments.within(0.2, 3.0))
            else:
                await plant.moving(PATIENCE)
                await asyncio.sleep(moments.within(0.0, 2.0))
            await plant.kill_gateway(moments.within(0.0, 0.5))

    async def _broker(self, plant: Plant) -> None:
        moments = Moments(self.seed + 1)
        for _ in range(self.broker):
            await asyncio.sleep(moments.within(0.5, 11.0))
            await plant.kill_broker(moments.within(0.0, 1.0))

    async def _server(self, plant: Plant) -> None:
        moments = Moments(self.seed + 2)
        names = sorted(plant.servers)
        for number in range(self.server):
            await asyncio.sleep(moments.within(0.5, 8.0))
            await plant.kill_server(names[number % len(names)], moments.within(0.0, 1.0))

    async def _partitions(self, plant: Plant) -> None:
        moments = Moments(self.seed + 3)
        proxies = [plant.broker, *plant.servers.values()]
        for number in range(self.partitions):
            await asyncio.sleep(moments.within(0.5, 9.0))
            await plant.partition(proxies[number % len(proxies)], self.scale * moments.spread(1, 60))


SOAK = int(os.environ.get("AREA4_SOAK_KILLS", "1000"))
SCALE = float(os.environ.get("AREA4_SOAK_SCALE", "0.3"))


@pytest.mark.timeout(300)
async def test_killed_gateways_lose_nothing_at_all(tmp_path):
    """The servers live on and keep what they have shown: there is nothing that a gap could name."""
    settings = SETTINGS | {"queue_size = 100 ": "queue_size = 2000 "}
    async with running(tmp_path / "plant", machines=MACHINES[:1], settings=settings) as plant:
        await Campaign(seed=11, gateway=4).run(plant)
        verdict = await plant.settle()
    plant.assert_sound(verdict)
    assert verdict.announced == 0


@pytest.mark.timeout(600)
async def test_kills_and_partitions_side_by_side(tmp_path):
    """30 kills of the gateway, 10 of the broker, 10 of servers, 10 partitions of 0.1 to 6 s."""
    async with running(tmp_path / "plant") as plant:
        await Campaign(seed=20261122, gateway=30, broker=10, server=10, partitions=10).run(plant)
        plant.assert_sound(await plant.settle())


@pytest.mark.soak
async def test_a_thousand_kills(tmp_path, capsys):
    """AREA4_SOAK_KILLS of them, three fifths of the gateway; as many partitions as kills of brokers.

    The partitions last 0.3 to 18 s, and 1 to 60 s with AREA4_SOAK_SCALE=1.
    """
    others = SOAK // 5
    async with running(tmp_path / "plant") as plant:
        campaign = Campaign(1, SOAK - 2 * others, others, others, others, scale=SCALE)
        await campaign.run(plant)
        verdict = await plant.settle()
    with capsys.disabled():
        plant.assert_sound(verdict)
