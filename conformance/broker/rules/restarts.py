"""What survives that the broker is killed: all that it has acknowledged."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from conformance.broker.client import Client
from conformance.broker.link import SilenceError
from conformance.broker.rules.common import BrokerRule, came, subscribed
from conformance.broker.rules.limits import drained
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome, failed, passed, untried
from conformance.suite.target import TargetError

if TYPE_CHECKING:
    from conformance.broker.target import BrokerTarget, Role

_AGAIN = 0.2


def restartable(rule: BrokerRule) -> BrokerRule:
    """A rule that needs a way to kill and start the broker."""

    async def asked(target: BrokerTarget, check: Check) -> Outcome:
        if target.access.restart is None:
            return untried("nothing was given that kills and starts the broker", "--restart-command")
        return await rule(target, check)

    return asked


async def _restart(target: BrokerTarget) -> None:
    assert target.access.restart is not None
    await target.access.restart()
    async with await _back(target, "client"):
        return


async def _back(target: BrokerTarget, role: Role, *, client_id: str = "", keep: int = 0) -> Client:
    """A connection as soon as the broker serves again."""
    deadline = asyncio.get_running_loop().time() + target.access.patience
    while True:
        try:
            return await target.client(role, client_id=client_id, clean=not keep, keep=keep)
        except TargetError:
            if asyncio.get_running_loop().time() >= deadline:
                raise
            await asyncio.sleep(_AGAIN)


@restartable
async def retained(target: BrokerTarget, _: Check) -> Outcome:
    """A retained message that was acknowledged is there after a kill."""
    topic = target.remember_retained(target.channel())
    async with await target.client() as client:
        await client.publish(topic, b"kept", retain=True)
    await _restart(target)
    async with await _back(target, "reader") as reader:
        await subscribed(reader, topic)
        try:
            message = await reader.message()
        except SilenceError:
            return failed("the retained message is gone")
    if message.payload != b"kept":
        return failed("another message is retained", came("message", message))
    return passed("the retained message is there after the kill")


@restartable
async def session(target: BrokerTarget, check: Check) -> Outcome:
    """A session with its subscription is there after a kill."""
    client_id, topic = target.client_id(), target.channel()
    clean = bool(check.parameters["clean_start"])
    async with await target.client("reader", client_id=client_id, clean=clean, keep=600) as reader:
        await subscribed(reader, topic)
        await reader.leave()
    await _restart(target)
    async with await target.client() as client:
        await client.publish(topic, b"after")
    async with await _back(target, "reader", client_id=client_id, keep=600) as reader:
        if not reader.welcome.session_present:
            return failed("no session present after the kill")
        try:
            await reader.message()
        except SilenceError:
            return failed("the session is there, but its subscription is gone")
        await reader.leave()
    return passed("session and subscription are there after the kill")


@restartable
async def queued(target: BrokerTarget, check: Check) -> Outcome:
    """Messages that were acknowledged for a subscriber that is away are there after a kill."""
    count = int(check.parameters["messages"])
    client_id, topic = target.client_id(), target.channel()
    async with await target.client("reader", client_id=client_id, clean=False, keep=600) as reader:
        await subscribed(reader, topic)
        await reader.leave()
    payloads = [f"{number:06d}".encode() for number in range(count)]
    async with await target.client() as client:
        accepted = await client.flood(topic, payloads)
    await _restart(target)
    async with await _back(target, "reader", client_id=client_id, keep=600) as reader:
        got = await drained(reader, accepted)
        await reader.leave()
    kept = len(set(got) & set(payloads))
    words = f"{accepted} of {count} acknowledged before the kill, {kept} delivered after it"
    return passed(words) if kept >= accepted else failed(f"{words}: {accepted - kept} lost")


RULES = {"restarts.retained": retained, "restarts.session": session, "restarts.queued": queued}
"""By name."""
