"""What rules of brokers share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps
from typing import TYPE_CHECKING

from conformance.broker.client import Client
from conformance.broker.wire import Properties
from conformance.suite.check import Check
from conformance.suite.outcome import Evidence, Outcome, absent
from conformance.suite.target import TargetError

if TYPE_CHECKING:  # the target knows the rules
    from conformance.broker.target import BrokerTarget

BrokerRule = Callable[["BrokerTarget", Check], Awaitable[Outcome]]


def modern(rule: BrokerRule) -> BrokerRule:
    """A rule about MQTT 5; what a broker of 3.1.1 alone does not claim."""

    @wraps(rule)
    async def asked(target: BrokerTarget, check: Check) -> Outcome:
        if not target.modern:
            return absent("the broker speaks MQTT 3.1.1 alone")
        return await rule(target, check)

    return asked


@asynccontextmanager
async def pair(
    target: BrokerTarget, *, topic: str = "", options: int = 1, entries: Properties = (), of_reader: Properties = ()
) -> AsyncIterator[tuple[Client, Client, str]]:
    """A publisher, a reader that is subscribed, and their topic.

    Args:
        target: The broker.
        topic: A new one where it is empty.
        options: Of the subscription.
        entries: Properties of the SUBSCRIBE.
        of_reader: Properties of the reader's CONNECT.
    """
    topic = topic or target.channel()
    async with await target.client() as publisher, await target.client("reader", entries=of_reader) as reader:
        await subscribed(reader, topic, options=options, entries=entries)
        yield publisher, reader, topic


async def subscribed(reader: Client, topic: str, *, options: int = 1, entries: Properties = ()) -> int:
    """Subscribe where it has to succeed; the reason code.

    Raises:
        TargetError: It is refused.
    """
    code = await reader.subscribe(topic, options=options, entries=entries)
    if code >= 0x80:
        raise TargetError(f"subscription to {topic} refused with 0x{code:02X}")
    return code


def sent(data: bytes) -> Evidence:
    """Bytes that the suite sent."""
    return Evidence(what="bytes", where="sent", content=data[:200].hex(" "))


def came(what: str, content: object, where: str = "") -> Evidence:
    """Something that came from the broker."""
    return Evidence(what=what, where=where, content=str(content)[:400])
