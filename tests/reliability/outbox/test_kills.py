"""Killed at random moments: what the outbox acknowledged is there, each number once."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from gateway.outbox import Limits, Outbox

CHILD = Path(__file__).with_name("writing_child.py")


def killed_run(path, lifetime):
    """The last line that the child wrote before it was killed `lifetime` seconds after it was ready; how it began."""
    child = subprocess.Popen([sys.executable, str(CHILD), str(path)], stdout=subprocess.PIPE)
    try:
        first = child.stdout.readline()
        time.sleep(lifetime)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        rest = child.stdout.read().splitlines(keepends=True)
        child.stdout.close()
        child.wait(30)
    assert first.startswith(b"ready "), first
    lines = [line for line in rest if line.endswith(b"\n")]
    return int(first.split()[1]), lines[-1].split() if lines else None


def content(path):
    """Messages as another program sees them after the crash."""
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
        return connection.execute("SELECT id, machine, seq, payload FROM messages ORDER BY id").fetchall()
    finally:
        connection.close()


def check_kills(path, kills, seed):
    randomly = random.Random(seed)
    acknowledged, epochs = 0, set()
    for _ in range(kills):
        began, last = killed_run(path, randomly.uniform(0.0, 0.12))
        # At most the one commit that was not yet told may be there beyond the acknowledged ones.
        assert acknowledged <= began <= acknowledged + 1
        acknowledged = began if last is None else int(last[0])
        if last is not None:
            epochs.add(last[1])
            assert int(last[2]) == int(last[0]), "a number was used twice or left out"
        rows = content(path)
        for machine in ("M1", "M2"):
            numbers = [seq for _, name, seq, _ in rows if name == machine]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else acknowledged == 0
            assert not numbers or acknowledged <= numbers[-1] <= acknowledged + 1
        for _, _, seq, payload in rows:
            assert msgspec.json.decode(payload)["samples"][0]["value"] == seq
    assert len(epochs) == 1
    assert acknowledged > kills
    return acknowledged


def test_thirty_kills_lose_nothing_that_was_acknowledged(tmp_path):
    check_kills(tmp_path / "outbox.sqlite", 30, seed=20261122)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_thousand_kills_lose_nothing_that_was_acknowledged(tmp_path):
    check_kills(tmp_path / "outbox.sqlite", 1000, seed=1)


async def test_after_a_kill_delivery_goes_on_where_it_was(tmp_path):
    path = tmp_path / "outbox.sqlite"
    _, last = await asyncio.to_thread(killed_run, path, 0.3)
    outbox = await Outbox.open(path, limits=Limits(reserve=0), sinks=["broker"])
    cursor = outbox.cursor("broker")
    messages = await outbox.read(cursor, 10**6, 10**9)
    assert [message.id for message in messages] == list(range(cursor + 1, outbox.last_id + 1))
    assert len(messages) >= 50
    assert msgspec.json.decode(messages[-1].payload)["seq"] >= int(last[2])
    await outbox.close()
