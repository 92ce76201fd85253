"""QoS 1: acknowledged, complete, in order, repeated where it has to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.broker import wire
from conformance.broker.link import ClosedError, SilenceError
from conformance.broker.rules.common import came, modern, pair, subscribed
from conformance.broker.wire import Kind, Message, Prop
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome, failed, informational, passed
from conformance.suite.target import TargetError

if TYPE_CHECKING:
    from conformance.broker.target import BrokerTarget


async def acknowledged(target: BrokerTarget, _: Check) -> Outcome:
    """PUBACK with the packet identifier of the PUBLISH."""
    async with pair(target) as (client, _reader, topic):
        for packet_id in (1, 255, 256, 65_535):
            await client.send(wire.publish(topic, b"x", packet_id=packet_id, version=target.version))
            await client.acknowledged(packet_id, Kind.PUBACK)
    return passed("PUBACK for each, with its packet identifier")


async def granted(target: BrokerTarget, _: Check) -> Outcome:
    """A subscription with QoS 1 is granted as such and served as such."""
    async with await target.client("reader") as reader, await target.client() as client:
        topic = target.channel()
        reason = await subscribed(reader, topic)
        await client.publish(topic, b"x")
        message = await reader.message()
    if reason != 1 or message.qos != 1:
        return failed(f"SUBACK 0x{reason:02X}, delivered with QoS {message.qos}", came("message", message))
    return passed("granted and delivered with QoS 1")


async def order(target: BrokerTarget, check: Check) -> Outcome:
    """All messages of a topic, in the order of their publication."""
    payloads = [f"{number:05d}".encode() for number in range(int(check.parameters["messages"]))]
    async with pair(target) as (client, reader, topic):
        done = await client.flood(topic, payloads)
        if done != len(payloads):
            return failed(f"{len(payloads) - done} of {len(payloads)} were acknowledged with a failure")
        found = [one.payload for one in await reader.messages_until(payloads[-1])] + [payloads[-1]]
    unique = list(dict.fromkeys(found))
    if unique == payloads:
        return passed(f"{len(payloads)} messages in order")
    place = next(index for index, (one, two) in enumerate(zip([*unique, b""], payloads, strict=False)) if one != two)
    return failed(
        f"{len(unique)} of {len(payloads)} came, the first difference at number {place}",
        came("message", unique[place : place + 5]),
    )


async def repeated(target: BrokerTarget, _: Check) -> Outcome:
    """What was not acknowledged comes again after a reconnect, with the same packet identifier and DUP."""
    client_id, topic = target.client_id(), target.channel()
    async with await target.client("reader", client_id=client_id, keep=120) as reader:
        reader.acknowledge = False
        await subscribed(reader, topic)
        async with await target.client() as client:
            await client.publish(topic, b"once")
        before = await reader.message()
    async with await target.client("reader", client_id=client_id, clean=False, keep=120) as reader:
        try:
            again = await reader.message()
        except SilenceError:
            return failed(f"not repeated within {target.access.patience:g} s of the reconnect", came("message", before))
        await reader.leave()
    return _same(before, again)


def _same(before: Message, again: Message) -> Outcome:
    proof = (came("message", before, "before"), came("message", again, "after"))
    if again.payload != before.payload:
        return failed("another message came after the reconnect", *proof)
    if again.packet_id != before.packet_id:
        return failed("repeated with another packet identifier", *proof)
    if not again.dup:
        return failed("repeated without DUP", *proof)
    return passed("repeated with DUP and the same packet identifier", *proof)


async def dup_not_passed_on(target: BrokerTarget, _: Check) -> Outcome:
    """A publisher's DUP says nothing about the broker's own delivery."""
    async with pair(target) as (client, reader, topic):
        await client.publish(topic, b"x", dup=True)
        message = await reader.message()
    return failed("DUP was passed on") if message.dup else passed("DUP was not passed on")


async def receive_maximum(target: BrokerTarget, _: Check) -> Outcome:
    """Never more unacknowledged messages than the client's Receive Maximum."""
    most, count = 3, 12
    async with pair(target, of_reader=((Prop.RECEIVE_MAXIMUM, most),)) as (client, reader, topic):
        reader.acknowledge = False
        await client.flood(topic, [bytes([number]) for number in range(count)])
        got = [await reader.message() for _ in range(most)]
        await reader.ping()
        if reader.inbox:
            return failed(f"more than {most} messages without an acknowledgement", came("message", reader.inbox[0]))
        while len(got) < count:
            await reader.send(wire.acknowledge(Kind.PUBACK, got[len(got) - most].packet_id))
            got.append(await reader.message())
    if [one.payload[0] for one in got] != list(range(count)):
        return failed("messages are missing or out of order", came("message", [one.payload for one in got]))
    return passed(f"{count} messages, at most {most} at a time")


@modern
async def announced(target: BrokerTarget, _: Check) -> Outcome:
    """Tells how many messages a client may have in flight, and takes as many at once."""
    most = wire.number(target.welcome.properties, Prop.RECEIVE_MAXIMUM, 65_535)
    count = min(most, 200)
    async with pair(target) as (client, _reader, topic):
        await client.send(
            b"".join(
                wire.publish(topic, b"x", packet_id=number, version=target.version) for number in range(1, count + 1)
            )
        )
        for number in range(1, count + 1):
            await client.acknowledged(number, Kind.PUBACK)
    return passed(f"Receive Maximum {most}; {count} in flight were all acknowledged")


async def qos2(target: BrokerTarget, _: Check) -> Outcome:
    """The exchange of QoS 2, where the broker offers it."""
    if wire.number(target.welcome.properties, Prop.MAXIMUM_QOS, 2) < 2:
        return informational("the broker announces Maximum QoS 1")
    async with pair(target) as (client, reader, topic):
        data = wire.publish(topic, b"two", qos=2, packet_id=9, version=target.version)
        await client.send(data)
        await client.acknowledged(9, Kind.PUBREC)
        await client.send(wire.publish(topic, b"two", qos=2, packet_id=9, dup=True, version=target.version))
        await client.acknowledged(9, Kind.PUBREC)
        await client.send(wire.acknowledge(Kind.PUBREL, 9))
        await client.acknowledged(9, Kind.PUBCOMP)
        await client.publish(topic, b"fence")
        found = await reader.messages_until(b"fence")
    if [one.payload for one in found] != [b"two"]:
        return failed(f"delivered {len(found)} times", came("message", found))
    return passed("delivered once although it was sent twice")


async def unsubscribed(target: BrokerTarget, _: Check) -> Outcome:
    """After UNSUBACK nothing more comes."""
    fence = target.channel()
    async with pair(target) as (client, reader, topic):
        await subscribed(reader, fence)
        await reader.unsubscribe(topic)
        await client.publish(topic, b"late")
        await client.publish(fence, b"fence")
        found = await reader.messages_until(b"fence")
    return failed("a message came after UNSUBACK", came("message", found[0])) if found else passed("nothing came")


async def filters(target: BrokerTarget, check: Check) -> Outcome:
    """A filter matches what it should and nothing else."""
    base = target.channel()
    place = target.access.topic.split("/").index(next(one for one in target.access.topic.split("/") if "{}" in one))
    levels = base.split("/")
    pattern = str(check.parameters["filter"]).format(
        topic=base,
        plus="/".join([*levels[:place], "+", *levels[place + 1 :]]),
        short="/".join([*levels[:-2], "+"]),
        swapped=base.swapcase(),
    )
    expected = bool(check.parameters["matches"])
    async with await target.client("reader") as reader, await target.client() as client:
        code = await reader.subscribe(pattern)
        if code >= 0x80:
            return failed(f"subscription to {pattern} refused with 0x{code:02X}")
        fence = target.channel()
        await subscribed(reader, fence)
        await client.publish(base, b"seen")
        await client.publish(fence, b"fence")
        found = [one for one in await reader.messages_until(b"fence") if one.topic == base]
    if bool(found) != expected:
        return failed(f"{pattern} {'does not match' if expected else 'matches'} {base}")
    return passed(f"{pattern} {'matches' if expected else 'does not match'} {base}")


async def payload(target: BrokerTarget, check: Check) -> Outcome:
    """A large payload arrives byte by byte."""
    size = int(check.parameters["bytes"])
    limit = wire.number(target.welcome.properties, Prop.MAXIMUM_PACKET, wire.MAX_VARINT)
    if size + 200 > limit:
        return failed(f"the broker takes packets of at most {limit} bytes")
    content = bytes(range(256)) * (size // 256)
    async with pair(target) as (client, reader, topic):
        try:
            await client.publish(topic, content)
        except ClosedError as error:
            return failed(f"{size} bytes ended the connection: {error}")
        message = await reader.message()
    if message.payload != content:
        return failed(f"{len(message.payload)} bytes came, not the {size} that were sent")
    return passed(f"{size} bytes came as they were sent")


async def unicode(target: BrokerTarget, _: Check) -> Outcome:
    """Topic names of any language."""
    names = ("Fräsmaschine", "加工中心", "станок", "🛠", "a b", "é-é")  # composed and not
    wrong: list[str] = []
    async with await target.client("reader") as reader, await target.client() as client:
        for name in names:
            topic = target.access.topic.format(f"{target.client_id()}-{name}")
            await subscribed(reader, topic)
            await client.publish(topic, name.encode())
            try:
                message = await reader.message()
            except TargetError as error:
                return failed(f"{name!r}: {error}")
            if (message.topic, message.payload) != (topic, name.encode()):
                wrong.append(name)
    return failed(f"changed: {', '.join(wrong)}") if wrong else passed(f"{len(names)} names came unchanged")


RULES = {
    "delivery.acknowledged": acknowledged,
    "delivery.granted": granted,
    "delivery.order": order,
    "delivery.repeated": repeated,
    "delivery.dup": dup_not_passed_on,
    "delivery.receive-maximum": modern(receive_maximum),
    "delivery.announced": announced,
    "delivery.qos2": qos2,
    "delivery.unsubscribed": unsubscribed,
    "delivery.filters": filters,
    "delivery.payload": payload,
    "delivery.unicode": unicode,
}
"""By name."""
