"""Power cuts at random moments, with torn and reordered unsynced writes: what the outbox acknowledged is there."""

import contextlib
import random
import sqlite3
from importlib import util
from pathlib import Path

import msgspec
import pytest

from gateway.core.coalesce import Draft
from gateway.errors import StorageError
from gateway.model import Sample, Samples, SignalRef
from gateway.outbox import Limits, files
from gateway.outbox.facts import Positions
from gateway.outbox.writer import Writer

_spec = util.spec_from_file_location("power", Path(__file__).with_name("power.py"))
power = util.module_from_spec(_spec)
_spec.loader.exec_module(power)

SIGNAL = SignalRef("Monitoring/Counter")
NOW = 134_000_000_000_000_000


class Rig:
    """The outbox' writer on a disk whose power is cut again and again."""

    def __init__(self, folder, monkeypatch, seed, synchronous):
        self.disk = power.Disk(seed)
        self.dice = random.Random(seed)
        self.path = folder / "outbox.sqlite"
        self.vfs = power.Vfs(self.disk)
        self.connections = []
        self.acknowledged = 0
        self.lost = []

        def connect(path, **_):
            through = power.Through(self.disk, path, synchronous)
            self.connections.append(through)
            return through

        monkeypatch.setattr(sqlite3, "connect", connect)
        monkeypatch.setattr(files, "CHECKPOINT_PAGES", 64)  # folding the log is part of it

    def run(self):
        """From the start of the gateway to the cut: everything that was acknowledged before is looked for."""
        writer = Writer(self.path, Limits(reserve=0), ["broker"], lambda: NOW)
        if self.dice.random() < 0.2:
            self.disk.steps_left = self.dice.randrange(20)  # during the start
        try:
            writer.open()
            self.check(writer)
            self.disk.steps_left = self.dice.randrange(600)
            while True:
                self.commit(writer)
        except power.PowerCutError:
            self.disk.steps_left = 0
        finally:
            writer._lock.release()
            for connection in self.connections:
                self.close(connection)
            self.connections.clear()
        self.disk.cut()

    def commit(self, writer):
        number = int(writer.progress.get("counter", b"0")) + 1
        size = self.dice.choice((10, 500, 9000))
        drafts = [
            Draft(NOW, Samples(machine, [Sample(SIGNAL, number, 0), Sample(SIGNAL, "x" * size, 0)]))
            for machine in ("M1", "M2")
        ]
        ahead = {"broker": {"M2": max(0, writer.next_id - 10)}} if number % 3 else {}
        writer.commit(drafts, {"counter": b"%d" % number}, Positions({"broker": max(0, writer.next_id - 30)}, ahead))
        self.acknowledged = number

    def close(self, connection):
        with contextlib.suppress(power.PowerCutError, sqlite3.Error):  # the power is off
            connection.close()

    def check(self, writer):
        """What is there must be everything acknowledged, and nothing half."""
        assert writer._loss is None, "the file was taken for damaged"
        there = int(writer.progress.get("counter", b"0"))
        if there < self.acknowledged:
            self.lost.append((self.acknowledged, there))
        else:
            assert there <= self.acknowledged + 1, "more than was ever written"
        self.acknowledged = there
        messages = writer.read(0, 10**6, 10**9)
        for machine in ("M1", "M2"):
            bodies = [msgspec.json.decode(message.payload) for message in messages if message.machine == machine]
            seqs = [body["seq"] for body in bodies]
            assert seqs == list(range(there - len(seqs) + 1, there + 1)), "a hole, or a number twice"
            assert [body["samples"][0]["value"] for body in bodies] == seqs
        assert len(messages) >= min(2 * there, 30) - 20 or self.lost


def cuts(tmp_path, monkeypatch, count, *, synchronous="FULL", seed=20261122):
    rig = Rig(tmp_path, monkeypatch, seed, synchronous)
    for _ in range(count):
        rig.run()
    assert rig.disk.syncs > count or synchronous != "FULL"
    return rig


def test_a_hundred_power_cuts_lose_nothing_that_was_acknowledged(tmp_path, monkeypatch):
    rig = cuts(tmp_path, monkeypatch, 100)
    assert rig.lost == []
    assert rig.acknowledged > 300


@pytest.mark.soak
def test_five_hundred_power_cuts_lose_nothing_that_was_acknowledged(tmp_path, monkeypatch):
    rig = cuts(tmp_path, monkeypatch, 500, seed=5)
    assert rig.lost == []


def test_without_a_sync_at_each_commit_the_same_cuts_lose_something(tmp_path, monkeypatch):
    rig = cuts(tmp_path, monkeypatch, 100, synchronous="NORMAL")
    assert len(rig.lost) > 10, "the test could not fail"


def test_a_disk_that_fails_to_sync_is_told_and_what_was_acknowledged_stays(tmp_path, monkeypatch):
    rig = Rig(tmp_path, monkeypatch, 7, "FULL")
    failures = 0
    for _ in range(30):
        writer = Writer(rig.path, Limits(reserve=0), ["broker"], lambda: NOW)
        writer.open()
        rig.check(writer)
        for _ in range(8):
            rig.commit(writer)
            rig.disk.failing_syncs = rig.dice.choice((0, 0, 1))
            if rig.disk.failing_syncs:
                with pytest.raises(StorageError, match="the disk refused to read or write"):
                    rig.commit(writer)
                failures += 1
            else:
                rig.commit(writer)
        rig.disk.steps_left = 0
        writer._lock.release()
        for connection in rig.connections:
            rig.close(connection)
        rig.connections.clear()
        rig.disk.cut()
    assert failures > 20
    assert rig.lost == []
