"""Sessions: kept while they are to be kept, gone when they are to be gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from conformance.broker import wire
from conformance.broker.link import SilenceError
from conformance.broker.rules.common import came, modern, subscribed
from conformance.broker.wire import Kind, Prop
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome, absent, failed, passed

if TYPE_CHECKING:
    from conformance.broker.target import BrokerTarget


async def _leave_session(target: BrokerTarget, keep: int) -> tuple[str, str]:
    """A session of the reader, subscribed and offline: client identifier and topic."""
    client_id, topic = target.client_id(), target.channel()
    async with await target.client("reader", client_id=client_id, keep=keep) as reader:
        await subscribed(reader, topic)
        await reader.leave()
    return client_id, topic


async def kept(target: BrokerTarget, _: Check) -> Outcome:
    """What was published while the subscriber was away comes when it is back."""
    client_id, topic = await _leave_session(target, 120)
    async with await target.client() as client:
        for number in range(20):
            await client.publish(topic, str(number).encode())
    async with await target.client("reader", client_id=client_id, clean=False, keep=120) as reader:
        if not reader.welcome.session_present:
            return failed("CONNACK says that no session was present")
        try:
            got = [(await reader.message()).payload for _ in range(20)]
        except SilenceError as error:
            return failed(f"messages of the time away are missing: {error}")
        await reader.leave()
    if got != [str(number).encode() for number in range(20)]:
        return failed("messages of the time away came in another order", came("message", got))
    return passed("session present, 20 of 20 messages of the time away")


async def cleaned(target: BrokerTarget, _: Check) -> Outcome:
    """A clean start discards the session that was there."""
    client_id, topic = await _leave_session(target, 120)
    async with await target.client() as client:
        await client.publish(topic, b"old")
    async with await target.client("reader", client_id=client_id) as reader:
        if reader.welcome.session_present:
            return failed("CONNACK says session present after a clean start")
        fence = target.channel()
        await subscribed(reader, fence)
        async with await target.client() as client:
            await client.publish(topic, b"new")
            await client.publish(fence, b"fence")
        found = await reader.messages_until(b"fence")
    if found:
        return failed("the discarded session still delivers", came("message", found[0]))
    return passed("no session, no message, no subscription was left")


@modern
async def expires(target: BrokerTarget, _: Check) -> Outcome:
    """A session is gone when its Session Expiry Interval has passed."""
    for wait in (2.0, 6.0):
        client_id, _topic = await _leave_session(target, 1)
        await asyncio.sleep(wait)
        if not await _present(target, client_id):
            return passed(f"a session of 1 s was gone after {wait:g} s")
    return failed("a session of 1 s was still there after 6 s")


@modern
async def ends_at_once(target: BrokerTarget, _: Check) -> Outcome:
    """Without a Session Expiry Interval the session ends with the connection."""
    client_id, topic = target.client_id(), target.channel()
    async with await target.client("reader", client_id=client_id) as reader:
        await subscribed(reader, topic)
        await reader.leave()
    if await _present(target, client_id):
        return failed("session present although it was to end with the connection")
    return passed("the session ended with the connection")


@modern
async def shortened(target: BrokerTarget, _: Check) -> Outcome:
    """A DISCONNECT with Session Expiry Interval 0 ends the session."""
    client_id = target.client_id()
    async with await target.client("reader", client_id=client_id, keep=120) as reader:
        await subscribed(reader, target.channel())
        await reader.leave(entries=((Prop.SESSION_EXPIRY, 0),))
    if await _present(target, client_id):
        return failed("session present although the DISCONNECT ended it")
    return passed("the DISCONNECT ended the session")


async def _present(target: BrokerTarget, client_id: str) -> bool:
    async with await target.client("reader", client_id=client_id, clean=False) as reader:
        present = reader.welcome.session_present
        await reader.leave()
    return present


async def taken_over(target: BrokerTarget, _: Check) -> Outcome:
    """A second connection with the same client identifier ends the first."""
    client_id = target.client_id()
    async with await target.client(client_id=client_id) as old, await target.client(client_id=client_id) as new:
        if not await old.ended():
            return failed("both connections live on")
        await new.ping()
    words = "" if old.farewell is None else f" with reason 0x{old.farewell.reason:02X}"
    return passed(f"the older connection was ended{words}")


@modern
async def assigned(target: BrokerTarget, _: Check) -> Outcome:
    """Who gives no client identifier gets one, and is told."""
    names: list[object] = []
    for _attempt in range(2):
        async with await target.dial() as client:
            answer = await client.connect("")
            if answer.reason:
                return failed(f"an empty client identifier is refused with 0x{answer.reason:02X}")
            names.append(wire.first(answer.properties, Prop.ASSIGNED_CLIENT_ID))
    if not all(names) or names[0] == names[1]:
        return failed(f"assigned client identifiers: {names}")
    return passed(f"assigned {names[0]!r}")


async def nameless(target: BrokerTarget, _: Check) -> Outcome:
    """MQTT 3.1.1: an empty client identifier with clean session is served, without it refused with 0x02."""
    async with await target.dial(version=wire.V311) as client:
        await client.send(wire.connect("", version=wire.V311))
        answer = await client.answer(Kind.CONNACK)
        if answer.body[1] == 1:
            return absent("the broker does not speak MQTT 3.1.1")
        if answer.body[1]:
            return failed(f"with clean session refused with 0x{answer.body[1]:02X}")
    async with await target.dial(version=wire.V311) as client:
        await client.send(wire.connect("", version=wire.V311, clean=False))
        answer = await client.answer(Kind.CONNACK)
    if answer.body[1] != 2:
        return failed(f"without clean session answered with 0x{answer.body[1]:02X}, not 0x02")
    return passed("served with clean session, refused with 0x02 without")


RULES = {
    "sessions.kept": kept,
    "sessions.cleaned": cleaned,
    "sessions.expires": expires,
    "sessions.ends": ends_at_once,
    "sessions.shortened": shortened,
    "sessions.taken-over": taken_over,
    "sessions.assigned": assigned,
    "sessions.nameless": nameless,
}
"""By name."""
