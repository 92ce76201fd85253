"""Retained messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.broker.rules.common import came, modern, subscribed
from conformance.broker.wire import Message
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome, failed, passed

if TYPE_CHECKING:
    from conformance.broker.target import BrokerTarget

RETAIN_AS_PUBLISHED = 0x08
SEND_IF_NEW = 0x10
NEVER_SEND = 0x20


async def _publish(target: BrokerTarget, topic: str, *payloads: bytes) -> None:
    target.remember_retained(topic)
    async with await target.client() as client:
        for one in payloads:
            await client.publish(topic, one, retain=True)


async def _fresh(target: BrokerTarget, topic: str, *, options: int = 1) -> list[Message]:
    """What a new subscriber gets before a message that is published after it subscribed."""
    async with await target.client("reader") as reader, await target.client() as client:
        fence = target.channel()
        await subscribed(reader, fence)
        await subscribed(reader, topic, options=options)
        await client.publish(fence, b"fence")
        return await reader.messages_until(b"fence")


async def kept(target: BrokerTarget, _: Check) -> Outcome:
    """The last retained message comes to a new subscriber, marked as retained."""
    topic = target.channel()
    await _publish(target, topic, b"first", b"second")
    found = await _fresh(target, topic)
    if [one.payload for one in found] != [b"second"]:
        return failed("a new subscriber gets something else than the last one", came("message", found))
    if not found[0].retain:
        return failed("the retained message comes without its flag", came("message", found[0]))
    return passed("the last one came, marked as retained")


async def removed(target: BrokerTarget, _: Check) -> Outcome:
    """An empty retained message removes it."""
    topic = target.channel()
    await _publish(target, topic, b"first", b"")
    found = await _fresh(target, topic)
    return failed("it is still there", came("message", found[0])) if found else passed("nothing is left")


async def live(target: BrokerTarget, _: Check) -> Outcome:
    """To a subscription that stood before, the message comes without the retain flag."""
    topic = target.remember_retained(target.channel())
    async with await target.client("reader") as reader, await target.client() as client:
        await subscribed(reader, topic)
        await client.publish(topic, b"now", retain=True)
        message = await reader.message()
    return failed("marked as retained", came("message", message)) if message.retain else passed("not marked")


async def not_kept(target: BrokerTarget, _: Check) -> Outcome:
    """A message without the retain flag is not kept, and does not touch the one that is."""
    topic = target.channel()
    await _publish(target, topic, b"kept")
    async with await target.client() as client:
        await client.publish(topic, b"passing")
    found = await _fresh(target, topic)
    if [one.payload for one in found] != [b"kept"]:
        return failed("a new subscriber gets something else", came("message", found))
    return passed("the retained one stayed")


@modern
async def as_published(target: BrokerTarget, _: Check) -> Outcome:
    """With Retain As Published the flag comes as the publisher set it."""
    topic = target.remember_retained(target.channel())
    async with await target.client("reader") as reader, await target.client() as client:
        await subscribed(reader, topic, options=1 | RETAIN_AS_PUBLISHED)
        await client.publish(topic, b"now", retain=True)
        message = await reader.message()
    return passed("marked as published") if message.retain else failed("the flag was taken away")


@modern
async def handling(target: BrokerTarget, _: Check) -> Outcome:
    """Retain Handling 2 asks for no retained messages."""
    topic = target.channel()
    await _publish(target, topic, b"kept")
    found = await _fresh(target, topic, options=1 | NEVER_SEND)
    return failed("it came all the same", came("message", found[0])) if found else passed("nothing came")


@modern
async def only_new(target: BrokerTarget, _: Check) -> Outcome:
    """Retain Handling 1 sends retained messages to a new subscription alone."""
    topic = target.channel()
    await _publish(target, topic, b"kept")
    async with await target.client("reader") as reader, await target.client() as client:
        await subscribed(reader, topic, options=1 | SEND_IF_NEW)
        first = await reader.message()
        await subscribed(reader, topic, options=1 | SEND_IF_NEW)
        await client.publish(topic, b"fence")
        found = await reader.messages_until(b"fence")
    if first.payload != b"kept" or found:
        return failed("a repeated subscription got it again", came("message", found))
    return passed("it came once")


RULES = {
    "retained.kept": kept,
    "retained.removed": removed,
    "retained.live": live,
    "retained.not-kept": not_kept,
    "retained.as-published": as_published,
    "retained.handling": handling,
    "retained.only-new": only_new,
}
"""By name."""
