from __future__ import annotations

import asyncio

import pytest

from gateway.contracts import Batch
from gateway.pipeline.intake import Intake, Taken

LONG = 600.0


def taken(source: str = "a", values: int = 1) -> Taken:
    return Taken(source, Batch([], None, values, lambda: None), 0)


async def passes(task: asyncio.Task[list[Taken]]) -> bool:
    """Whether it ends by itself, with nothing more to wait for than other tasks."""
    for _ in range(20):
        await asyncio.sleep(0)
    return task.done()


async def test_after_a_pause_the_first_batch_goes_at_once_and_the_next_waits() -> None:
    intake = Intake(1000, ["a", "b"])
    await intake.put(taken("a"))
    await intake.put(taken("b"))
    async with asyncio.timeout(20):
        assert len(await intake.gather(LONG)) == 2
    await intake.put(taken())
    second = asyncio.create_task(intake.gather(LONG))
    assert not await passes(second)
    await intake.put(taken())
    intake.close()
    async with asyncio.timeout(20):
        assert len(await second) == 2
        assert await intake.gather(LONG) == []


async def test_what_comes_along_with_the_first_is_waited_for() -> None:
    intake = Intake(1000, ["a"])
    await intake.put(taken())
    first = asyncio.create_task(intake.gather(LONG, LONG))
    assert not await passes(first)
    intake.close()
    async with asyncio.timeout(20):
        assert len(await first) == 1


async def test_settling_takes_no_longer_than_lingering() -> None:
    intake = Intake(1000, ["a"])
    await intake.put(taken())
    async with asyncio.timeout(20):
        assert len(await intake.gather(0.0, LONG)) == 1


async def test_a_source_that_waits_for_room_ends_all_waiting() -> None:
    intake = Intake(10, ["a"])
    await intake.put(taken(values=8))
    gathering = asyncio.create_task(intake.gather(LONG, LONG))
    putting = asyncio.create_task(intake.put(taken(values=8)))
    async with asyncio.timeout(20):
        items = await gathering
        assert not putting.done()
        intake.give_back(items)
        await putting
    assert intake.values == 8


@pytest.mark.parametrize("linger", [0.0, 0.01])
async def test_nothing_is_given_twice(linger: float) -> None:
    intake = Intake(1000, ["a"])
    seen = 0
    async with asyncio.timeout(20):
        for _ in range(5):
            await intake.put(taken())
            seen += len(await intake.gather(linger, linger))
    assert seen == 5
