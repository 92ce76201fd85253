"""Load: queues for those who are away, and a reader that does not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.broker.client import Client
from conformance.broker.link import ClosedError, SilenceError
from conformance.broker.rules.common import subscribed
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome, failed, passed
from conformance.suite.target import TargetError

if TYPE_CHECKING:
    from conformance.broker.target import BrokerTarget


async def queue(target: BrokerTarget, check: Check) -> Outcome:
    """What was acknowledged for a subscriber that is away is there when it comes back, or the publisher was told."""
    count = int(check.parameters["messages"])
    client_id, topic = target.client_id(), target.channel()
    async with await target.client("reader", client_id=client_id, keep=600) as reader:
        await subscribed(reader, topic)
        await reader.leave()
    payloads = [f"{number:06d}".encode() for number in range(count)]
    async with await target.client() as client:
        accepted = await client.flood(topic, payloads)
    async with await target.client("reader", client_id=client_id, clean=False, keep=600) as reader:
        got = await drained(reader, accepted)
        await reader.leave()
    kept = len(set(got) & set(payloads))
    words = f"{accepted} of {count} acknowledged as accepted, {kept} delivered after the reconnect"
    return passed(words) if kept >= accepted else failed(f"{words}: {accepted - kept} lost without a word")


async def drained(reader: Client, most: int) -> list[bytes]:
    """Payloads until `most` have come, or nothing more comes."""
    got: list[bytes] = []
    try:
        while len(got) < most:
            got.append((await reader.message()).payload)
    except (SilenceError, ClosedError):
        return got
    return got


async def slow(target: BrokerTarget, check: Check) -> Outcome:
    """A reader that does not read holds up nobody else."""
    count, size = int(check.parameters["messages"]), int(check.parameters["bytes"])
    topic = target.channel()
    async with (
        await target.client("reader", small=True) as stuck,
        await target.client("reader") as reader,
        await target.client() as client,
    ):
        await subscribed(stuck, topic)
        stuck.transport.pause_reading()
        await subscribed(reader, topic)
        got = 0
        try:
            for number in range(count):
                await client.publish(topic, number.to_bytes(4, "big") * (size // 4))
                while got <= number:
                    await reader.message()
                    got += 1
        except TargetError as error:
            return failed(f"after {got} of {count} messages: {error}")
    return passed(f"{count} messages of {size} bytes went past a reader that does not read")


RULES = {"limits.queue": queue, "limits.slow": slow}
"""By name."""
