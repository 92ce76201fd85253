"""What an identity may: publishing and reading where others are at home."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.broker.client import Client
from conformance.broker.link import ClosedError, SilenceError
from conformance.broker.rules.common import came, modern, pair, subscribed
from conformance.broker.wire import Message, Will
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome, absent, failed, passed, untried
from conformance.suite.target import TargetError

if TYPE_CHECKING:
    from conformance.broker.target import BrokerTarget

GRACE = 0.3
"""Seconds to wait for what must not come, after everything else has come."""

_NO_OTHER = "no other identity was given"


async def publish(target: BrokerTarget, _: Check) -> Outcome:
    """The client's message on a foreign topic reaches nobody."""
    topic = target.channel(target.access.foreign_topic)
    async with await target.client("reader") as watcher:
        await watcher.subscribe(topic)
        told = await _denied(target, topic, b"forged")
        arrived = await _fenced(target, watcher, topic)
    if arrived:
        return failed(f"published on {topic}, where it may not", came("message", arrived[0]))
    return passed(f"nothing arrived on the foreign topic ({told})")


async def retained(target: BrokerTarget, _: Check) -> Outcome:
    """Nor is it kept for those who come later."""
    topic = target.remember_retained(target.channel(target.access.foreign_topic))
    told = await _denied(target, topic, b"forged", retain=True)
    async with await target.client("reader") as watcher:
        await watcher.subscribe(topic)
        arrived = await _fenced(target, watcher, topic)
    if arrived:
        return failed(f"a retained message stands on {topic}", came("message", arrived[0]))
    return passed(f"nothing is kept on the foreign topic ({told})")


async def _denied(target: BrokerTarget, topic: str, payload: bytes, *, retain: bool = False) -> str:
    async with await target.client() as client:
        try:
            reason = await client.publish(topic, payload, retain=retain)
        except ClosedError as error:
            return str(error)
    return f"PUBACK 0x{reason:02X}"


async def _fenced(target: BrokerTarget, watcher: Client, topic: str) -> list[Message]:
    """What arrives before a message that may; without somebody who may send one, in a moment."""
    if target.access.other is not None:
        async with await target.client("other") as other:
            await other.publish(topic, b"fence")
        return await watcher.messages_until(b"fence")
    return await _quiet(watcher)


async def _quiet(client: Client) -> list[Message]:
    await client.ping()
    try:
        return [await client.message(within=GRACE)]
    except SilenceError:
        return []


@modern
async def told(target: BrokerTarget, _: Check) -> Outcome:
    """The client learns that it was denied: by a reason code, or by a DISCONNECT."""
    topic = target.channel(target.access.foreign_topic)
    async with await target.client() as client:
        try:
            reason = await client.publish(topic, b"forged")
        except ClosedError as error:
            if client.farewell is None:
                return failed("the connection ended without a reason")
            return passed(str(error))
    if reason < 0x80:
        return failed(f"PUBACK 0x{reason:02X}: the client believes that its message was published")
    return passed(f"PUBACK 0x{reason:02X}")


async def read(target: BrokerTarget, check: Check) -> Outcome:
    """The client receives nothing of a foreign topic, by whichever filter it subscribes."""
    if target.access.other is None:
        return untried(_NO_OTHER, "--other-certificate")
    topic = target.channel(target.access.foreign_topic)
    pattern = str(check.parameters["filter"]).format(topic=topic)
    if pattern.startswith("$share") and not target.modern:
        return absent("shared subscriptions belong to MQTT 5")
    async with await target.client() as client, await target.client("other") as other:
        try:
            reason = await client.subscribe(pattern)
        except ClosedError as error:
            return passed(f"subscribing ended the connection: {error}")
        await other.publish(topic, b"secret")
        arrived = [one for one in await _quiet(client) if one.topic == topic]
    if arrived:
        return failed(f"the client read {topic} by subscribing to {pattern}", came("message", arrived[0]))
    return passed(f"nothing came (SUBACK 0x{reason:02X})")


async def system(target: BrokerTarget, _: Check) -> Outcome:
    """The client learns nothing of the broker's inside."""
    async with await target.client() as client:
        try:
            reason = await client.subscribe("$SYS/#")
            await client.ping()
            message = await client.message(within=1.0)
        except SilenceError:
            return passed(f"nothing came of $SYS/# (SUBACK 0x{reason:02X})")
        except ClosedError as error:
            return passed(f"subscribing ended the connection: {error}")
    return failed(f"the client reads {message.topic}", came("message", message))


async def will(target: BrokerTarget, _: Check) -> Outcome:
    """A will on a foreign topic is not published."""
    topic = target.channel(target.access.foreign_topic)
    own = target.channel()
    async with await target.client("reader") as watcher:
        await watcher.subscribe(topic)
        await subscribed(watcher, own)
        try:
            async with await target.client(will=Will(topic, b"forged")):
                pass
        except TargetError as error:
            return passed(f"refused: {error}")
        async with await target.client(will=Will(own, b"fence")):
            pass
        arrived = await watcher.messages_until(b"fence")
    if arrived:
        return failed(f"the will was published on {topic}", came("message", arrived[0]))
    return passed("the will on the foreign topic was not published")


async def session(target: BrokerTarget, _: Check) -> Outcome:
    """With somebody else's client identifier one does not get somebody else's messages."""
    if not target.access.separate and target.access.other is None:
        return untried(_NO_OTHER, "--other-certificate")
    thief = "client" if target.access.separate else "other"
    client_id = target.client_id()
    topic = target.channel()
    async with await target.client("reader", client_id=client_id, keep=120) as reader:
        await subscribed(reader, topic)
        await reader.leave()
    async with await target.client() as client:
        await client.publish(topic, b"secret")
    try:
        async with await target.client(thief, client_id=client_id, clean=False, keep=120) as stolen:  # type: ignore[arg-type]  # a role
            arrived = await _quiet(stolen)
    except TargetError as error:
        return passed(f"refused: {error}")
    if arrived:
        return failed("the queue of one identity was delivered to another", came("message", arrived[0]))
    return passed("nothing of the session was delivered to another identity")


async def shared_topic(target: BrokerTarget, _: Check) -> Outcome:
    """The client still publishes where it may after it was denied."""
    async with pair(target) as (client, reader, topic):
        try:
            await client.publish(target.channel(target.access.foreign_topic), b"forged")
        except ClosedError:
            return passed("a denied publication ends the connection")
        await client.publish(topic, b"allowed")
        message = await reader.message()
    return passed("the next message arrived") if message.payload == b"allowed" else failed("another message arrived")


RULES = {
    "rights.publish": publish,
    "rights.retained": retained,
    "rights.told": told,
    "rights.read": read,
    "rights.system": system,
    "rights.will": will,
    "rights.session": session,
    "rights.goes-on": shared_topic,
}
"""By name."""
