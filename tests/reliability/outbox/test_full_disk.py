"""A disk that is really full: a small file system in memory, filled up."""

import os
import subprocess
import time

import pytest

from gateway.core.coalesce import Draft
from gateway.errors import StorageError
from gateway.model import Sample, Samples, SignalRef
from gateway.model.times import ticks_from_unix_ns
from gateway.outbox import Limits, Outbox
from gateway.outbox.facts import Positions

SIGNAL = SignalRef("Monitoring/Log")
ALL = 10**9


@pytest.fixture
def disk(tmp_path):
    """A disk of 32 MiB; mounting needs root, as the CI's container has."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "outbox-test", str(place)], check=True, timeout=30)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True, timeout=30)


def fill(disk, leave=0):
    """Use up the disk but for so many bytes."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - leave
    with (disk / "filler").open("ab") as file:
        if free > 0:
            os.posix_fallocate(file.fileno(), file.tell(), free)


def draft(number):
    samples = [Sample(SIGNAL, number, 0), Sample(SIGNAL, "x" * 3000, 0)]
    return Draft(ticks_from_unix_ns(time.time_ns()), Samples("M1", samples))


async def fill_with_messages(outbox):
    """Commit until it fails; how many messages were accepted."""
    accepted = 0
    while accepted < 10_000:
        try:
            await outbox.commit([draft(accepted + number) for number in range(10)], {"s": b"%d" % (accepted + 10)})
        except StorageError as error:
            return accepted, error
        accepted += 10
    raise AssertionError("the disk is not as small as it should be")


async def test_what_was_accepted_stays_and_what_was_not_is_not_half_there(disk):
    outbox = await Outbox.open(disk / "o.sqlite", limits=Limits(reserve=8 << 20, tail=0), sinks=["broker"])
    accepted, error = await fill_with_messages(outbox)
    assert accepted > 500
    assert "the disk is full" in str(error)
    assert "Make space" in error.advice
    assert outbox.progress("s") == b"%d" % accepted
    for _ in range(5):
        with pytest.raises(StorageError):
            await outbox.commit([draft(0)], {"s": b"wrong"})
    messages = await outbox.read(0, 10**6, ALL)
    assert [message.id for message in messages] == list(range(1, accepted + 1))
    await outbox.close()
    again = await Outbox.open(disk / "o.sqlite", limits=Limits(reserve=8 << 20), sinks=["broker"])
    assert again.last_id == accepted
    assert again.progress("s") == b"%d" % accepted
    await again.close()


async def test_a_full_disk_drains_by_its_reserve_and_takes_again(disk):
    outbox = await Outbox.open(disk / "o.sqlite", limits=Limits(reserve=8 << 20, tail=0), sinks=["broker"])
    accepted, _ = await fill_with_messages(outbox)
    fill(disk)
    delivered = 0
    while delivered < accepted:
        messages = await outbox.read(delivered, 50, ALL)
        delivered = messages[-1].id
        outbox.acknowledge("broker", delivered)
        outbox._timer.cancel()
        outbox._timer = None
        await outbox._submit(lambda cursor=delivered: outbox._writer.forget(Positions({"broker": cursor})), None)
        assert outbox.first_id == delivered + 1
    assert outbox.depth().messages == 0
    committed = await outbox.commit([draft(1)], {"s": b"on"})  # nobody made space: what was delivered did
    assert committed.ids == range(accepted + 1, accepted + 2)
    assert (disk / "o.sqlite.reserve").stat().st_size == 8 << 20
    await outbox.close()


async def test_it_takes_again_when_somebody_makes_space(disk):
    outbox = await Outbox.open(disk / "o.sqlite", limits=Limits(reserve=8 << 20), sinks=["broker"])
    await outbox.commit([draft(0)], {})
    fill(disk)
    await fill_with_messages(outbox)
    last = outbox.last_id
    (disk / "filler").unlink()
    committed = await outbox.commit([draft(7)], {})
    assert committed.ids == range(last + 1, last + 2)
    await outbox.close()


async def test_a_disk_that_is_full_from_the_beginning_is_told(disk):
    fill(disk)
    with pytest.raises(StorageError, match=r"disk is full|disk refused"):
        await Outbox.open(disk / "o.sqlite", sinks=["broker"])
    (disk / "filler").unlink()
    outbox = await Outbox.open(disk / "o.sqlite", limits=Limits(reserve=4096), sinks=["broker"])
    await outbox.commit([draft(1)], {})
    await outbox.close()
