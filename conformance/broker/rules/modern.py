"""What MQTT 5 adds and gateways rely on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from conformance.broker import wire
from conformance.broker.link import ClosedError, SilenceError
from conformance.broker.rules.common import came, modern, pair, subscribed
from conformance.broker.wire import Kind, Prop, Properties
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome, absent, failed, informational, passed

if TYPE_CHECKING:
    from conformance.broker.target import BrokerTarget

_NO_LOCAL = 0x04


async def older(target: BrokerTarget, _: Check) -> Outcome:
    """Clients of MQTT 3.1.1 are served too."""
    async with await target.dial(version=wire.V311) as client:
        answer = await client.connect(target.client_id())
    if answer.reason:
        return failed(f"CONNACK 0x{answer.reason:02X}")
    return passed("MQTT 3.1.1 is spoken")


@modern
async def passed_on(target: BrokerTarget, check: Check) -> Outcome:
    """Properties of a PUBLISH that are the receiver's come unchanged and in their order."""
    entries: Properties = tuple((Prop[name], _value(value)) for name, value in check.parameters["properties"])
    async with pair(target) as (client, reader, topic):
        await client.publish(topic, b"payload", entries=entries)
        message = await reader.message()
    wanted = {key for key, _value_ in entries}
    got = tuple(one for one in message.properties if one[0] in wanted)
    if sorted(got, key=lambda one: one[0]) != sorted(entries, key=lambda one: one[0]):
        return failed("the properties that came differ", came("properties", got), came("properties", entries, "sent"))
    return passed(f"{len(entries)} properties came unchanged")


def _value(value: object) -> wire.Value:
    if isinstance(value, list):
        return str(value[0]), str(value[1])
    if isinstance(value, str) and value.startswith("hex:"):
        return bytes.fromhex(value[4:])
    return value if isinstance(value, int | str) else str(value)


@modern
async def expired(target: BrokerTarget, _: Check) -> Outcome:
    """A message whose expiry has passed while the subscriber was away is not delivered."""
    client_id, topic = target.client_id(), target.channel()
    for wait in (2.0, 6.0):
        async with await target.client("reader", client_id=client_id, keep=120) as reader:
            await subscribed(reader, topic)
            await reader.leave()
        async with await target.client() as client:
            await client.publish(topic, b"stale", entries=((Prop.MESSAGE_EXPIRY, 1),))
            await asyncio.sleep(wait)
            await client.publish(topic, b"fence")
        async with await target.client("reader", client_id=client_id, clean=False, keep=120) as reader:
            found = await reader.messages_until(b"fence")
            await reader.leave()
        if not found:
            return passed(f"a message of 1 s was not delivered after {wait:g} s")
    return failed("a message of 1 s was delivered after 6 s", came("message", found[0]))


@modern
async def remaining(target: BrokerTarget, _: Check) -> Outcome:
    """What is left of the expiry is what the receiver is told."""
    client_id, topic = target.client_id(), target.channel()
    async with await target.client("reader", client_id=client_id, keep=120) as reader:
        await subscribed(reader, topic)
        await reader.leave()
    async with await target.client() as client:
        await client.publish(topic, b"x", entries=((Prop.MESSAGE_EXPIRY, 1000),))
    await asyncio.sleep(2.1)
    async with await target.client("reader", client_id=client_id, clean=False, keep=120) as reader:
        message = await reader.message()
        await reader.leave()
    left = wire.first(message.properties, Prop.MESSAGE_EXPIRY)
    if not isinstance(left, int) or not 0 < left <= 998:
        return failed(f"1000 s given, after 2.1 s {left!r} s are told", came("properties", message.properties))
    return passed(f"1000 s given, {left} s told after 2.1 s")


@modern
async def alias(target: BrokerTarget, _: Check) -> Outcome:
    """A topic alias stands for the topic that it was set to."""
    most = wire.number(target.welcome.properties, Prop.TOPIC_ALIAS_MAXIMUM, 0)
    if not most:
        return absent("the broker takes no topic aliases")
    other = target.channel()
    async with pair(target) as (client, reader, topic):
        await subscribed(reader, other)
        await client.publish(topic, b"1", entries=((Prop.TOPIC_ALIAS, 1),))
        await client.publish("", b"2", entries=((Prop.TOPIC_ALIAS, 1),))
        await client.publish(other, b"3", entries=((Prop.TOPIC_ALIAS, 1),))
        await client.publish("", b"4", entries=((Prop.TOPIC_ALIAS, 1),))
        found = [await reader.message() for _ in range(4)]
    got = [(one.topic, one.payload) for one in found]
    if got != [(topic, b"1"), (topic, b"2"), (other, b"3"), (other, b"4")]:
        return failed("the alias stood for another topic", came("message", got))
    return passed(f"aliases up to {most}; set, used and set anew")


@modern
async def alias_limit(target: BrokerTarget, _: Check) -> Outcome:
    """An alias of 0 or beyond the announced maximum ends the connection."""
    most = wire.number(target.welcome.properties, Prop.TOPIC_ALIAS_MAXIMUM, 0)
    for number in (0, most + 1):
        if number > 65_535:
            continue
        async with await target.client() as client:
            data = wire.publish(target.channel(), b"x", entries=((Prop.TOPIC_ALIAS, number),))
            await client.send(data)
            if not await client.ended():
                return failed(f"alias {number} is taken, where {most} is the maximum")
    return passed(f"aliases 0 and {most + 1} end the connection")


@modern
async def subscription_id(target: BrokerTarget, _: Check) -> Outcome:
    """The identifier of a subscription comes with each of its messages."""
    if not wire.number(target.welcome.properties, Prop.SUBSCRIPTION_ID_AVAILABLE, 1):
        return absent("the broker announces that it has none")
    async with pair(target, entries=((Prop.SUBSCRIPTION_ID, 200_000),)) as (client, reader, topic):
        await client.publish(topic, b"x")
        message = await reader.message()
    if wire.first(message.properties, Prop.SUBSCRIPTION_ID) != 200_000:
        return failed("the message came without it", came("properties", message.properties))
    return passed("the message came with it")


@modern
async def shared(target: BrokerTarget, _: Check) -> Outcome:
    """Each message of a shared subscription goes to exactly one of its subscribers."""
    if not wire.number(target.welcome.properties, Prop.SHARED_AVAILABLE, 1):
        return absent("the broker announces that it has none")
    topic, fence = target.channel(), target.channel()
    group = f"$share/{target.client_id()}/{topic}"
    async with (
        await target.client("reader") as one,
        await target.client("reader") as two,
        await target.client() as client,
    ):
        for reader in (one, two):
            await subscribed(reader, group)
            await subscribed(reader, fence)
        for number in range(20):
            await client.publish(topic, bytes([number]))
        await client.publish(fence, b"fence")
        got = [len(await reader.messages_until(b"fence")) for reader in (one, two)]
    if sum(got) != 20:
        return failed(f"20 messages, delivered {got[0]} and {got[1]} times")
    return passed(f"20 messages, {got[0]} to one and {got[1]} to the other")


@modern
async def no_local(target: BrokerTarget, _: Check) -> Outcome:
    """With No Local one's own messages do not come back."""
    quiet, fence = target.channel(), target.channel()
    async with await target.client() as client:
        await client.subscribe(quiet, options=1 | _NO_LOCAL)
        await client.subscribe(fence)
        await client.publish(quiet, b"own")
        await client.publish(fence, b"fence")
        try:
            first = await client.message(within=min(target.access.patience, 2.0))
        except (SilenceError, ClosedError):
            return informational("the client may not read what it publishes")
    if first.topic == quiet:
        return failed("an own message came back", came("message", first))
    return passed("none came back, while it does without No Local")


@modern
async def packet_limit(target: BrokerTarget, _: Check) -> Outcome:
    """A message larger than the client's Maximum Packet Size is not sent to it; the next one is."""
    async with pair(target, of_reader=((Prop.MAXIMUM_PACKET, 300),)) as (client, reader, topic):
        await client.publish(topic, bytes(2000))
        await client.publish(topic, b"small")
        try:
            message = await reader.message()
        except ClosedError as error:
            return failed(f"the reader was disconnected: {error}")
    if message.payload != b"small":
        return failed(f"{len(message.payload)} bytes were sent to a client that takes 300")
    return passed("the larger one was left out, the next one came")


@modern
async def own_limit(target: BrokerTarget, _: Check) -> Outcome:
    """A packet larger than the broker's Maximum Packet Size ends the connection; others are served on."""
    limit = wire.number(target.welcome.properties, Prop.MAXIMUM_PACKET, 0)
    if not limit or limit > 16 * 1024 * 1024:
        return informational("the broker announces no Maximum Packet Size up to 16 MiB")
    async with pair(target) as (client, reader, topic):
        async with await target.client() as large:
            try:
                await large.send(wire.publish(topic, bytes(limit + 1)))
                ended = await large.ended()
            except ClosedError:
                ended = True
        if not ended:
            return failed(f"a packet beyond {limit} bytes did not end the connection")
        await client.publish(topic, b"fence")
        found = await reader.messages_until(b"fence")
    if found:
        return failed(f"a message beyond {limit} bytes was delivered")
    return passed(f"a packet beyond {limit} bytes ended the connection, others were served on")


@modern
async def not_subscribed(target: BrokerTarget, _: Check) -> Outcome:
    """UNSUBACK tells what was there."""
    async with await target.client("reader") as reader:
        topic = target.channel()
        await subscribed(reader, topic)
        first = await reader.unsubscribe(topic)
        second = await reader.unsubscribe(topic)
    if first.reasons != (0,) or second.reasons != (0x11,):
        return failed(f"reason codes {first.reasons} and {second.reasons}, not (0,) and (17,)")
    return passed("0x00 for a subscription that was there, 0x11 for none")


@modern
async def reason_told(target: BrokerTarget, _: Check) -> Outcome:
    """Before it ends a connection for a protocol error the broker tells the reason."""
    async with await target.client() as client:
        await client.send(wire.connect(target.client_id()))
        await client.ended()
    if client.farewell is None:
        return failed("the connection ended without a DISCONNECT")
    if client.farewell.reason < 0x80:
        return failed(f"DISCONNECT 0x{client.farewell.reason:02X}")
    return passed(f"{Kind.DISCONNECT.name} 0x{client.farewell.reason:02X}")


RULES = {
    "modern.older": older,
    "modern.passed-on": passed_on,
    "modern.expired": expired,
    "modern.remaining": remaining,
    "modern.alias": alias,
    "modern.alias-limit": alias_limit,
    "modern.subscription-id": subscription_id,
    "modern.shared": shared,
    "modern.no-local": no_local,
    "modern.packet-limit": packet_limit,
    "modern.own-limit": own_limit,
    "modern.not-subscribed": not_subscribed,
    "modern.reason-told": reason_told,
}
"""By name."""
