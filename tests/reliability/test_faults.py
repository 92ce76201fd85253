"""A slow broker, a full disk, a clock that jumps, dead connections: noticed, bounded, told, recovered."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.faults.clock import Clock
from tests.faults.disk import SmallDisk, cannot_mount
from tests.faults.network import Cable, cannot_namespace
from tests.faults.processes import resident_bytes

from .plant import BEHIND_CABLE, MACHINES, SETTINGS, Plant, running

ONE = MACHINES[:1]
HOUR = 3600.0
READ = 'area4_values_in_total{source="first"}'
MEMORY = 20_000_000
"""Bytes by which the gateway may grow while its broker is slow."""

BROKER_NOTICED = 5 + 1 + 4.0
"""Seconds: the window's timeout, the second between two looks at it, and some for a busy computer."""

SERVER_NOTICED = 3 * 1.0 + 1 + 4
"""Seconds: three keep-alives, the grace, and some for a busy computer."""


async def told(plant: Plant, text: str, within: float, since: int) -> float:
    """Wait until the gateway's log says so behind `since`; the seconds that took."""
    begin = time.monotonic()
    await plant.until(lambda: text in plant.lab.gateway_log.read_text(encoding="utf-8")[since:], within)
    return time.monotonic() - begin


def logged(plant: Plant) -> int:
    return len(plant.lab.gateway_log.read_text(encoding="utf-8"))


async def enough(plant: Plant, full: str) -> bool:
    """Look for a second: several evictions were told, or nothing is read any more."""
    before = await plant.metric(READ)
    await asyncio.sleep(1)
    if full == "evict":
        return (await plant.metric('area4_gaps_total{cause="evicted"}') or 0.0) >= 10
    return await plant.metric("area4_outbox_writable") == 0.0 and await plant.metric(READ) == before


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("full", "cause"), [("evict", "evicted"), ("wait", "queue-overflow")])
async def test_a_slow_broker_costs_neither_memory_nor_a_word(tmp_path, monkeypatch, full, cause):
    """20 messages a second of about 240: the outbox takes the rest on disk, until it is full.

    Then the oldest leave it, or reading waits and the server's queues overflow: both is told.
    """
    monkeypatch.setenv("AREA4_LOAD", "50x2400")
    settings = SETTINGS | {
        "max_message_samples = 500": "max_message_samples = 5",
        'max_bytes = "2GB"': f'full = "{full}"\nmax_bytes = "1MB"',
        "queue_size = 100 ": "queue_size = 5 ",
    }
    async with running(tmp_path / "plant", machines=ONE, settings=settings) as plant:
        sent, messages = plant.broker.passed("up"), plant.messages
        await asyncio.sleep(2)
        size = (plant.broker.passed("up") - sent) / (plant.messages - messages)
        before, memory = resident_bytes(plant.gateway), []
        with plant.broker.throttle(20 * size, way="up"):
            await asyncio.sleep(1)
            messages, begin = plant.messages, time.monotonic()
            while not await enough(plant, full):
                memory.append(resident_bytes(plant.gateway))
                assert time.monotonic() - begin < 90, plant.lab.log_tail()
            rate = (plant.messages - messages) / (time.monotonic() - begin)
            plant.faults["slow broker"] += 1
            assert 5 < rate < 30, "the fault did not bite"
        growth = max(memory) - before
        print(
            f"slow broker, {full}: {rate:.0f} messages/s, memory {before / 1e6:.0f} MB and at most "
            f"{growth / 1e6:.1f} MB more"
        )
        assert growth < MEMORY
        verdict = await plant.settle()
    plant.assert_sound(verdict)
    assert verdict.gaps[cause] > 0
    assert (verdict.gaps["evicted"] > 0) == (full == "evict")
    assert verdict.announced > 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seconds", [4, pytest.param(60, marks=pytest.mark.soak)])
async def test_a_full_disk_stops_the_reading_and_the_servers_queue_tells_the_rest(tmp_path, seconds):
    """While the broker is away and the disk is full nothing can be kept: reading stops until there is space."""
    if cannot_mount():
        with pytest.raises(PermissionError, match=r"root|mount"), SmallDisk(tmp_path / "disk", 1 << 20):
            raise AssertionError("it was mounted")
        return
    with SmallDisk(tmp_path / "disk", 24 << 20) as disk:
        settings = SETTINGS | {
            'data_dir = "data"': f'data_dir = "{disk.place}"',
            "queue_size = 100 ": "queue_size = 5 ",
        }
        async with running(tmp_path / "plant", machines=ONE, settings=settings) as plant:
            process = plant.gateway
            since = logged(plant)
            with plant.broker.partition():
                await asyncio.sleep(1)
                with disk.full():
                    await told(plant, "Reading waits meanwhile", 20, since)
                    await asyncio.sleep(seconds)  # five values of each signal in one
                await told(plant, "stores again", 20, since)
                await asyncio.sleep(1)
            plant.faults[f"disk full for {seconds} s"] += 1
            verdict = await plant.settle()
            assert plant.gateway == process
        plant.assert_sound(verdict)
        assert verdict.gaps["queue-overflow"] > 0
        assert verdict.announced > 0
        assert not {"evicted", "outbox-lost"} & set(verdict.gaps), "what was accepted is delivered"


@pytest.mark.timeout(300)
async def test_a_clock_that_jumps_changes_neither_content_nor_order(tmp_path):
    """An hour ahead, back, an hour behind, back; and a gateway that is killed and started with the wrong time."""
    clock = Clock(tmp_path / "clock")
    async with running(tmp_path / "plant", machines=ONE, environment=clock.environment) as plant:
        process = plant.gateway
        for hours in (1, -1):
            with clock.jump(hours * HOUR):
                plant.faults[f"{hours:+} h"] += 1
                await asyncio.sleep(3)
                await plant.flowing()
                assert abs(plant.ahead - hours * HOUR) < 30, "the fault did not bite"
            plant.faults[f"{-hours:+} h"] += 1
            await asyncio.sleep(1)
            await plant.flowing()
            assert abs(plant.ahead) < 30
        assert plant.gateway == process
        with clock.jump(HOUR):
            await plant.kill_gateway()
            await plant.flowing()
        verdict = await plant.settle()
    plant.assert_sound(verdict)
    assert verdict.announced == 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("name", "within"), [("broker", BROKER_NOTICED), ("first", SERVER_NOTICED)])
async def test_a_half_open_peer_is_noticed_and_nothing_is_lost_without_a_word(tmp_path, name, within):
    async with running(tmp_path / "plant", machines=ONE) as plant:
        proxy = {"broker": plant.broker, **plant.servers}[name]
        for way in ("both", "down"):
            since, process = logged(plant), plant.gateway
            with proxy.black_hole(way):
                plant.faults[f"half-open {name} ({way})"] += 1
                seconds = await told(plant, f"{name} is offline", within, since)
                print(f"half-open {name} ({way}): noticed after {seconds:.1f} s")
            print(f"values came again after {await plant.flowing():.1f} s")
            assert plant.gateway == process
        verdict = await plant.settle()
    plant.assert_sound(verdict)
    if name == "broker":  # a server may have ended the session meanwhile; then a gap tells of it
        assert verdict.announced == 0


@pytest.mark.timeout(300)
async def test_an_unplugged_cable_loses_nothing(tmp_path):
    """The gateway on a host of its own: TCP itself sees nothing of the others, for a moment and for too long."""
    if cannot_namespace():
        with pytest.raises(PermissionError, match=r"root|namespace|ip"), Cable():
            raise AssertionError("it was made")
        return
    with Cable(8) as cable:
        async with running(tmp_path / "plant", machines=ONE, settings=BEHIND_CABLE, cable=cable) as plant:
            process = plant.gateway
            for seconds in (1, 8):
                with cable.unplugged():
                    plant.faults[f"cable unplugged for {seconds} s"] += 1
                    await asyncio.sleep(0.5)
                    before = plant.values
                    await asyncio.sleep(seconds - 0.5)
                    assert plant.values == before, "the fault did not bite"
                print(f"values came again after {await plant.flowing():.1f} s")
            assert plant.gateway == process
            verdict = await plant.settle()
    plant.assert_sound(verdict)
    assert verdict.announced == 0


@pytest.mark.timeout(300)
async def test_corrupted_bytes_end_connections_and_nothing_else(tmp_path):
    """Every byte is under a signature: what is wrong is never taken for a value."""
    async with running(tmp_path / "plant", machines=ONE) as plant:
        process = plant.gateway
        for proxy, way in ((plant.servers["first"], "down"), (plant.broker, "up"), (plant.broker, "down")):
            with proxy.corrupt(every=300, way=way):
                await plant.until(lambda proxy=proxy, way=way: proxy.corrupted(way) > 0, 30)
                plant.faults["corrupted"] += 1
                await asyncio.sleep(0.5)
            await plant.flowing()
        assert plant.gateway == process
        verdict = await plant.settle()
    plant.assert_sound(verdict)
