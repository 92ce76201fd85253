"""Killed at random moments: what the outbox acknowledged is there, each number once."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

from gateway.outbox import Limits, Outbox

CHILD = Path(__file__).with_name("writing_child.py")


@pytest.fixture
def writers():
    """The process that forks those to be killed; it ends with its standard input, or is killed where it hangs."""
    with subprocess.Popen([sys.executable, str(CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
            process.stdin.close()
            assert process.wait(30) == 0
        finally:
            process.kill()


def killed_run(writers, path, lifetime, least=0):
    """How a writer began, and the last line that it wrote before it was killed.

    That is `lifetime` seconds after it was ready, and not before it wrote at least so many lines.
    """
    writers.stdin.write(b"%s\n" % str(path).encode())
    writers.stdin.flush()
    first = writers.stdout.readline()
    assert first.startswith(b"ready "), first
    _, began, pid = first.split()
    reader = threading.Thread(target=lines_of, args=(writers.stdout, lines := []))
    reader.start()
    time.sleep(lifetime)
    end = time.monotonic() + 60
    while len(lines) < least and time.monotonic() < end:
        time.sleep(0.01)
    os.kill(int(pid), signal.SIGKILL)
    reader.join(30)
    assert lines[-1].endswith(b"ended\n")
    return int(began), lines[-2].split() if len(lines) > 1 else None


def lines_of(stream, lines):
    """All up to the one with the word that the writer ended, which may be behind a piece of a line."""
    while not (line := stream.readline()).endswith(b"ended\n") and line:
        lines.append(line)
    lines.append(line)


def content(path):
    """Messages as another program sees them after the crash."""
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
        return connection.execute("SELECT id, machine, seq, payload FROM messages ORDER BY id").fetchall()
    finally:
        connection.close()


def check_kills(writers, path, kills, seed):
    randomly = random.Random(seed)
    acknowledged, epochs = 0, set()
    for _ in range(kills):
        began, last = killed_run(writers, path, randomly.uniform(0.0, 0.12))
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


def test_thirty_kills_lose_nothing_that_was_acknowledged(tmp_path, writers):
    check_kills(writers, tmp_path / "outbox.sqlite", 30, seed=20261122)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_thousand_kills_lose_nothing_that_was_acknowledged(tmp_path, writers):
    check_kills(writers, tmp_path / "outbox.sqlite", 1000, seed=1)


async def test_after_a_kill_delivery_goes_on_where_it_was(tmp_path, writers):
    path = tmp_path / "outbox.sqlite"
    _, last = await asyncio.to_thread(killed_run, writers, path, 0.1, 30)
    outbox = await Outbox.open(path, limits=Limits(reserve=0), sinks=["broker"])
    cursor = outbox.cursor("broker")
    messages = await outbox.read(cursor, 10**6, 10**9)
    assert [message.id for message in messages] == list(range(cursor + 1, outbox.last_id + 1))
    assert len(messages) >= 50
    assert msgspec.json.decode(messages[-1].payload)["seq"] >= int(last[2])
    await outbox.close()
