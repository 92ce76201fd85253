"""Processes, disks, clocks and cables: each fault bites, and ends."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import subprocess
import sys
import time

import pytest

from tests.faults.clock import Clock, library
from tests.faults.disk import SmallDisk, cannot_mount
from tests.faults.network import Cable, cannot_namespace
from tests.faults.processes import Moments, alive, kill, resident_bytes, standing_still, state_of

COUNTING = (
    "import select, time\nwhile True: print(time.time(), time.monotonic(), flush=True); select.select([], [], [], 0.02)"
)


@pytest.fixture
def counting():
    """A process that writes its clocks."""
    with subprocess.Popen([sys.executable, "-u", "-c", COUNTING], stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def until(condition, within=10.0):
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_moments_are_decided_by_the_seed():
    first, again, other = Moments(3), Moments(3), Moments(4)
    moments = [first.within(0.5, 2.0) for _ in range(50)]
    assert moments == [again.within(0.5, 2.0) for _ in range(50)]
    assert moments != [other.within(0.5, 2.0) for _ in range(50)]
    assert 0.5 <= min(moments) < 0.8
    assert 1.7 < max(moments) <= 2.0
    spread = [first.spread(1, 60) for _ in range(400)]
    assert 1 <= min(spread) <= max(spread) <= 60
    assert 150 < sum(one < 7.75 for one in spread) < 250


def test_a_killed_process_is_gone(counting):
    assert counting.stdout.readline()
    assert resident_bytes(counting.pid) > 1_000_000
    assert alive(counting.pid)
    kill(counting.pid)
    assert counting.wait(10) == -9
    assert not alive(counting.pid)
    with pytest.raises(ProcessLookupError):
        kill(counting.pid)


def test_a_process_that_stands_still_goes_on(counting):
    assert counting.stdout.readline()
    with standing_still(counting.pid):
        until(lambda: state_of(counting.pid) == "T")
    until(lambda: state_of(counting.pid) in "RS")
    assert counting.stdout.readline()
    with standing_still(counting.pid):
        kill(counting.pid)
        counting.wait(10)
    assert not alive(counting.pid)


def test_a_disk_is_full_and_has_space_again(tmp_path):
    if cannot_mount():
        with pytest.raises(PermissionError, match=r"root|mount"), SmallDisk(tmp_path / "disk", 1 << 20):
            raise AssertionError("it was mounted")
        return
    with SmallDisk(tmp_path / "disk", 1 << 20) as disk:
        (disk.place / "before").write_bytes(b"x" * 4096)
        with disk.full():
            assert disk.free == 0
            with pytest.raises(OSError, match=r".") as told:
                (disk.place / "during").write_bytes(b"x" * 4096)
            assert told.value.errno == errno.ENOSPC
            assert (disk.place / "before").read_bytes() == b"x" * 4096
        (disk.place / "after").write_bytes(b"x" * 4096)
        with disk.full(leave=65_536):
            assert 60_000 < disk.free <= 65_536
    assert not list((tmp_path / "disk").iterdir())


def test_the_wall_clock_jumps_and_the_monotonic_clock_does_not(tmp_path):
    assert library() is not None, "libfaketime is not installed; run tests/tools/ensure.sh"
    clock = Clock(tmp_path / "offset")
    with subprocess.Popen(
        [sys.executable, "-u", "-c", COUNTING], stdout=subprocess.PIPE, text=True, env=clock.environment
    ) as process:

        def off():
            wall, monotonic = map(float, process.stdout.readline().split())
            return wall - time.time(), monotonic - time.monotonic()

        assert abs(off()[0]) < 2
        with clock.jump(3600):
            until(lambda: abs(off()[0] - 3600) < 2)
            assert abs(off()[1]) < 2
        until(lambda: abs(off()[0]) < 2)
        with clock.jump(-3600):
            until(lambda: abs(off()[0] + 3600) < 2)
        assert alive(process.pid)
        process.kill()


async def test_an_unplugged_cable_is_silent_and_tcp_goes_on_afterwards():
    if cannot_namespace():
        with pytest.raises(PermissionError, match=r"root|namespace|ip"), Cable():
            raise AssertionError("it was made")
        return
    with Cable(7) as cable:
        lines = []

        async def serve(reader, writer):
            with contextlib.closing(writer):
                while line := await reader.readline():
                    lines.append(line)

        server = await asyncio.start_server(serve, cable.here, 0)
        port = server.sockets[0].getsockname()[1]
        script = (
            "import socket, time\n"
            f"sock = socket.create_connection(('{cable.here}', {port}))\n"
            "while True: sock.send(b'%f\\n' % time.time()); time.sleep(0.02)"
        )
        process = await asyncio.create_subprocess_exec(*cable.command([sys.executable, "-c", script]))
        try:
            await _grow(lines)
            with cable.unplugged():
                await asyncio.sleep(0.2)
                count = len(lines)
                await asyncio.sleep(0.5)
                assert len(lines) == count
            await _grow(lines)
            gaps = [float(after) - float(before) for before, after in itertools.pairwise(lines)]
            assert max(gaps) < 0.5, "TCP sends again what the cable lost"
            assert process.returncode is None
        finally:
            process.kill()
            await process.wait()
            server.close()
            await asyncio.sleep(0.1)


async def _grow(lines):
    count = len(lines)
    async with asyncio.timeout(20):
        while len(lines) < count + 5:  # noqa: ASYNC110 - filled by a callback
            await asyncio.sleep(0.02)
