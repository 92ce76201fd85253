"""Resident memory under load for half an hour: what grows a little all the time ends a gateway after weeks."""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import time
import urllib.request
from pathlib import Path

import pytest

from simulators.broker import HOST
from tests.benchmarks.stage import LoadLab
from tests.faults.processes import resident_bytes

SECONDS = float(os.environ.get("AREA4_SOAK_FLAT_SECONDS", "1800"))
SHAPE = {"servers": 2, "machines": 10, "signals": 250, "rate": 500.0}
RATE = 2000.0

GROWTH = 2_000_000
"""Bytes by which the last part may be above the one after warming up: a page here and there, and no trend."""

PART = 0.1
"""Of the whole time: what is compared, its median. Before the first one goes twice as much, in which caches fill."""


def _metric(port: int, name: str) -> float:
    """Sum of a metric over its labels."""
    with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return sum(float(found) for found in re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE))


async def _watched(process: int, seconds: float) -> list[int]:
    found, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        found.append(resident_bytes(process))
        await asyncio.sleep(0.5)
    return found


@pytest.mark.soak
async def test_memory_is_flat_under_load(tmp_path: Path, capsys):
    """Two servers of 10 machines with 250 signals each, 2,000 values a second, everything on."""
    lab = LoadLab(tmp_path / "lab", load=SHAPE)
    try:
        await lab.start_machines()
        await lab.start_gateway()
        assert lab.gateway is not None
        process = lab.gateway.pid
        await lab.source.rate(RATE)
        await _watched(process, 2 * PART * SECONDS)
        before = statistics.median(await _watched(process, PART * SECONDS))
        await _watched(process, (1 - 4 * PART) * SECONDS)
        after = statistics.median(await _watched(process, PART * SECONDS))
        source = await lab.source.rate(0.0)
        await asyncio.sleep(2)
        delivered = await asyncio.to_thread(_metric, lab.http_port, "area4_messages_out_total")
        waiting = await asyncio.to_thread(_metric, lab.http_port, "area4_outbox_messages")
        assert lab.gateway.returncode is None, lab.log_tail()
    finally:
        await lab.stop()
    with capsys.disabled():
        print(
            f"\n{SECONDS:.0f} s at {RATE:.0f} values/s: {before / 1e6:.1f} MB, at the end {after / 1e6:.1f} MB; "
            f"{delivered:.0f} messages"
        )
    assert source["dropped"] == 0
    assert delivered > SECONDS
    assert waiting == 0
    assert after - before < GROWTH
