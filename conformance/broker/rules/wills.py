"""Last wills and keep-alive: how others learn that a gateway is gone."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from conformance.broker.link import SilenceError
from conformance.broker.rules.common import came, modern, subscribed
from conformance.broker.wire import Prop, Will
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome, failed, passed

if TYPE_CHECKING:
    from conformance.broker.target import BrokerTarget

_DISCONNECT_WITH_WILL = 0x04


async def published(target: BrokerTarget, _: Check) -> Outcome:
    """The connection breaks without a DISCONNECT: the will is published."""
    topic = target.channel()
    async with await target.client("reader") as reader:
        await subscribed(reader, topic)
        async with await target.client(will=Will(topic, b"gone")):
            pass
        try:
            message = await reader.message()
        except SilenceError as error:
            return failed(f"the will was not published: {error}")
    if message.payload != b"gone":
        return failed("something else was published", came("message", message))
    return passed("the will was published")


async def withdrawn(target: BrokerTarget, _: Check) -> Outcome:
    """A DISCONNECT withdraws the will."""
    topic = target.channel()
    async with await target.client("reader") as reader:
        await subscribed(reader, topic)
        client = await target.client(will=Will(topic, b"gone"))
        await client.leave()
        async with await target.client(will=Will(topic, b"fence")):
            pass
        found = await reader.messages_until(b"fence")
    return failed("the will was published", came("message", found[0])) if found else passed("no will came")


async def kept(target: BrokerTarget, _: Check) -> Outcome:
    """A will with the retain flag is retained."""
    topic = target.remember_retained(target.channel())
    async with await target.client("reader") as reader:
        await subscribed(reader, topic)
        async with await target.client(will=Will(topic, b"gone", retain=True)):
            pass
        await reader.message()
    async with await target.client("reader") as late:
        await subscribed(late, topic)
        try:
            message = await late.message()
        except SilenceError:
            return failed("a later subscriber gets no will")
    return passed("a later subscriber gets it") if message.retain else failed("it comes without its flag")


@modern
async def delayed(target: BrokerTarget, _: Check) -> Outcome:
    """A client that is back within the Will Delay Interval has no will published."""
    topic, client_id = target.channel(), target.client_id()
    will = Will(topic, b"gone", properties=((Prop.WILL_DELAY, 3600),))
    async with await target.client("reader") as reader:
        await subscribed(reader, topic)
        async with await target.client(client_id=client_id, keep=7200, will=will):
            pass
        async with await target.client(client_id=client_id, clean=False, keep=7200) as back:
            await reader.ping()
            await back.publish(topic, b"fence")
            found = await reader.messages_until(b"fence")
            await back.leave()
    return failed("the will came at once", came("message", found[0])) if found else passed("no will was published")


@modern
async def after_delay(target: BrokerTarget, _: Check) -> Outcome:
    """After the Will Delay Interval it is published."""
    topic, client_id = target.channel(), target.client_id()
    will = Will(topic, b"gone", properties=((Prop.WILL_DELAY, 1),))
    async with await target.client("reader") as reader:
        await subscribed(reader, topic)
        async with await target.client(client_id=client_id, keep=60, will=will):
            pass
        try:
            await reader.message(within=target.access.patience + 1)
        except SilenceError as error:
            return failed(f"the will was not published: {error}")
    return passed("the will was published after its delay")


@modern
async def on_request(target: BrokerTarget, _: Check) -> Outcome:
    """DISCONNECT with reason 0x04 asks for the will."""
    topic = target.channel()
    async with await target.client("reader") as reader:
        await subscribed(reader, topic)
        client = await target.client(will=Will(topic, b"gone"))
        await client.leave(reason=_DISCONNECT_WITH_WILL)
        try:
            await reader.message()
        except SilenceError as error:
            return failed(f"the will was not published: {error}")
    return passed("the will was published")


async def silent(target: BrokerTarget, check: Check) -> Outcome:
    """A client that is silent for one and a half keep-alives is ended, and its will published."""
    keep_alive = int(check.parameters["seconds"])
    topic = target.channel()
    async with await target.client("reader") as reader:
        await subscribed(reader, topic)
        begun = time.monotonic()
        async with await target.client(will=Will(topic, b"gone"), keep_alive=keep_alive) as client:
            granted = _granted(client.welcome.properties, keep_alive)
            ended = await client.ended(1.5 * granted + target.access.patience)
            seconds = time.monotonic() - begun
            if not ended:
                return failed(
                    f"still connected {seconds:.1f} s after its last packet, with a keep-alive of {granted} s"
                )
            if seconds < granted:
                return failed(f"ended after {seconds:.1f} s, before its keep-alive of {granted} s")
            try:
                await reader.message()
            except SilenceError as error:
                return failed(f"ended, but the will was not published: {error}")
    return passed(f"ended after {seconds:.1f} s with a keep-alive of {granted} s, will published")


def _granted(properties: tuple[tuple[int, object], ...], asked: int) -> int:
    value = next((one for key, one in properties if key == Prop.SERVER_KEEP_ALIVE), asked)
    return value if isinstance(value, int) else asked


async def alive(target: BrokerTarget, check: Check) -> Outcome:
    """A client that sends PINGREQ in time is answered and stays."""
    keep_alive = int(check.parameters["seconds"])
    async with await target.client(keep_alive=keep_alive) as client:
        end = time.monotonic() + 2.5 * keep_alive
        count = 0
        while time.monotonic() < end:
            await asyncio.sleep(keep_alive / 4)
            await client.ping()
            count += 1
    return passed(f"{count} PINGREQ answered over {2.5 * keep_alive:g} s")


@modern
async def long_keep_alive(target: BrokerTarget, _: Check) -> Outcome:
    """A keep-alive that the broker does not want is answered with its own, not with a refusal."""
    async with await target.client(keep_alive=65_535) as client:
        granted = _granted(client.welcome.properties, 65_535)
        await client.ping()
    return passed(f"65535 s asked, {granted} s granted")


RULES = {
    "wills.published": published,
    "wills.withdrawn": withdrawn,
    "wills.kept": kept,
    "wills.delayed": delayed,
    "wills.after-delay": after_delay,
    "wills.on-request": on_request,
    "keep-alive.silent": silent,
    "keep-alive.alive": alive,
    "keep-alive.long": long_keep_alive,
}
"""By name."""
