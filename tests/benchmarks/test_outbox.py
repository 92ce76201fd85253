"""The outbox alone: a transaction of messages with synchronous=FULL, and forgetting them."""

import asyncio

import pytest

from gateway.core.coalesce import Draft
from gateway.model import Sample, Samples, SignalRef
from gateway.outbox import Limits, Outbox

pytestmark = pytest.mark.benchmark
MESSAGES, SAMPLES, START = 20, 50, 134_000_000_000_000_000


def test_transaction(benchmark, tmp_path) -> None:
    signals = [SignalRef(f"Monitoring/Spindle{number}/Override") for number in range(SAMPLES)]
    drafts = [
        Draft(START, Samples(f"urn:maker:mill:{at}", [Sample(one, 1.5, START) for one in signals]))
        for at in range(MESSAGES)
    ]
    benchmark.extra_info.update(label="outbox, 20 messages of 50 samples, durable", count=MESSAGES, per="message")
    runner = asyncio.Runner()
    outbox = runner.run(Outbox.open(tmp_path / "outbox.db", limits=Limits(reserve=0), sinks=["broker"]))

    async def store() -> None:
        stored = await outbox.commit(drafts, {})
        assert stored is not None

    try:
        benchmark(lambda: runner.run(store()))
    finally:
        runner.run(outbox.close())
        runner.close()
