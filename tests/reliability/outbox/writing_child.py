"""Processes that write batches to an outbox for ever and tell each one that was acknowledged; made to be killed.

For each line on standard input, the path of a database, one is forked, which saves it the imports. It tells `ready`,
the last number and its own process id; then for each batch: number, epoch and last seq of both machines. A sink takes
what is older than 50 messages, so deleting is under way too. Once it was killed, `ended` follows.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import msgspec

from gateway.core.coalesce import Draft
from gateway.model import Sample, Samples, SignalRef
from gateway.model.times import ticks_from_unix_ns
from gateway.outbox import Limits, Outbox

SIGNAL = SignalRef("Monitoring/Counter")


async def write(path: Path) -> None:
    outbox = await Outbox.open(path, limits=Limits(reserve=65536), sinks=["broker"])
    number = int(outbox.progress("counter") or b"0")
    os.write(1, b"ready %d %d\n" % (number, os.getpid()))
    while True:
        number += 1
        drafts = [
            Draft(
                ticks_from_unix_ns(time.time_ns()),
                Samples(machine, [Sample(SIGNAL, number, 0), Sample(SIGNAL, "x" * 500, 0)]),
            )
            for machine in ("M1", "M2")
        ]
        committed = await outbox.commit(drafts, {"counter": b"%d" % number})
        body = msgspec.json.decode(committed.messages[-1].payload)
        os.write(1, b"%d %s %d\n" % (number, body["epoch"].encode(), body["seq"]))
        outbox.acknowledge("broker", max(0, outbox.last_id - 50))


for line in sys.stdin:
    child = os.fork()
    if not child:
        asyncio.run(write(Path(line.rstrip("\n"))))
    os.waitpid(child, 0)
    os.write(1, b"ended\n")
