"""Rules about subscriptions, asked with a clock that every server has (OPC 10000-4, 5.13, 5.14)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from asyncua import ua

from conformance.device.prober import Prober
from conformance.device.security.table import Rules
from conformance.device.wire.errors import Refused, Silent, status_name
from conformance.device.wire.feed import Feed, Message, ended, item
from conformance.suite.check import Check
from conformance.suite.outcome import Evidence, Outcome, absent, failed, passed

RULES = Rules()
CLOCK = ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime)
STATE = ua.NodeId(ua.ObjectIds.Server_ServerStatus_State)
_HANDLE = 4_711
_OVERFLOW = 0x0480
_NOBODY = 0x7FFF_0001
"""Number of a subscription or message that is not there."""


@asynccontextmanager
async def feeding(prober: Prober, *nodes: ua.NodeId, **how: float) -> AsyncIterator[Feed]:
    """A subscription to nodes on a session of its own; deleted afterwards with the session."""
    named = {key: int(value) if key in {"alive", "lifetime"} else value for key, value in how.items()}
    async with prober.session() as session:
        feed = await Feed(session).create(**named)  # type: ignore[arg-type] # as the signature says
        if nodes:
            results = await feed.monitor([item(node, _HANDLE + at) for at, node in enumerate(nodes)])
            for one in results:
                if not one.StatusCode.is_good():
                    raise Refused("CreateMonitoredItems", one.StatusCode.name)
        yield feed


@RULES.secured("subscription.initial")
async def initial(prober: Prober, _check: Check) -> Outcome:
    """The first notification holds the current value."""
    async with feeding(prober, STATE) as feed:
        try:
            found = await feed.data(within=3)
        except Silent:
            return failed("a new monitored item does not report the value that its variable has")
    if [handle for handle, _ in found.values] != [_HANDLE]:
        return failed(f"the first notification holds the handles {[handle for handle, _ in found.values]}")
    return passed("a new monitored item reports the current value once, with its handle")


def in_order(messages: Sequence[Message]) -> Outcome:
    """Sequence numbers of messages with notifications begin at 1 and count on."""
    numbers = [one.number for one in messages if not one.empty]
    if numbers == list(range(1, len(numbers) + 1)) and numbers:
        return passed(f"messages 1 to {len(numbers)} in order")
    shown = Evidence(what="sequence numbers", content=", ".join(map(str, numbers[:50])))
    return failed("sequence numbers do not begin at 1 and count on", shown)


@RULES.secured("subscription.sequence")
async def sequence(prober: Prober, _check: Check) -> Outcome:
    """Three messages with values."""
    found: list[Message] = []
    async with feeding(prober, CLOCK) as feed:
        for _ in range(3):
            found.append(await feed.data(*([found[-1].number] if found else [])))
    return in_order(found)


@RULES.secured("subscription.keep-alive")
async def keep_alive(prober: Prober, _check: Check) -> Outcome:
    """Without values a keep-alive comes, and says the next sequence number."""
    async with feeding(prober, STATE, interval=100, alive=3) as feed:
        await feed.data()
        patience = feed.created.RevisedPublishingInterval * (feed.created.RevisedMaxKeepAliveCount + 2) / 1000 + 5
        found = await feed.quiet(patience, 1)
    if found is None:
        return failed(f"no keep-alive within {patience:.1f} s")
    if not found.empty or found.number != 2:
        return failed(f"after message 1 a keep-alive says {found.number} instead of the next number 2")
    return passed("a keep-alive comes and says the next sequence number")


@RULES.secured("subscription.first")
async def first_message(prober: Prober, _check: Check) -> Outcome:
    """An empty subscription says that it is there at its first publishing interval."""
    async with feeding(prober, interval=200, alive=100) as feed:
        patience = 10 * feed.created.RevisedPublishingInterval / 1000 + 2
        found = await feed.quiet(patience)
    if found is None:
        return failed(f"a new subscription says nothing for {patience:.1f} s, ten publishing intervals and more")
    return passed("a new subscription says that it is there at its first publishing interval")


@RULES.secured("subscription.revised")
async def revised(prober: Prober, _check: Check) -> Outcome:
    """Revised counts and interval are usable."""
    async with feeding(prober, interval=0, alive=5, lifetime=5) as feed:
        made = feed.created
    counts = (made.RevisedPublishingInterval, made.RevisedMaxKeepAliveCount, made.RevisedLifetimeCount)
    text = f"interval {counts[0]:g} ms, keep-alive {counts[1]}, lifetime {counts[2]}"
    if counts[0] <= 0 or counts[1] < 1:
        return failed(f"an interval of 0 is revised to {text}")
    if counts[2] < 3 * counts[1]:
        return failed(f"the lifetime is less than three keep-alives: {text}")
    return passed(f"revised to {text}")


@RULES.secured("subscription.republish")
async def republish(prober: Prober, _check: Check) -> Outcome:
    """A message that was not acknowledged comes again, the same."""
    async with feeding(prober, STATE) as feed:
        found = await feed.data()
        again = await feed.republish(found.number)
        if found.number not in found.available:
            return failed(f"message {found.number} is not among the available ones, {found.available}")
    if (again.number, again.values) != (found.number, found.values):
        return failed(f"message {found.number} comes again with {len(again.values)} values and number {again.number}")
    return passed(f"message {found.number} comes again as it was")


@RULES.secured("subscription.republish-gone")
async def republish_gone(prober: Prober, _check: Check) -> Outcome:
    """A message that never was, or that was acknowledged, is not there."""
    async with feeding(prober, CLOCK) as feed:
        first = await feed.data()
        await feed.data(first.number)
        for number, what in ((first.number, "acknowledged"), (_NOBODY, "never sent")):
            try:
                await feed.republish(number)
            except Refused as refusal:
                if refusal.status != "BadMessageNotAvailable":
                    return failed(f"a message that was {what} is answered with {refusal.status}")
            else:
                return failed(f"a message that was {what} is answered as if it were there")
    return passed("BadMessageNotAvailable for messages that are not kept")


@RULES.secured("subscription.acknowledge")
async def acknowledge(prober: Prober, _check: Check) -> Outcome:
    """Acknowledging tells whether the number was known."""
    async with feeding(prober, CLOCK) as feed:
        first = await feed.data()
        found = await feed.publish(first.number, _NOBODY)
    names = [status_name(one) for one in found.results]
    if names != ["Good", "BadSequenceNumberUnknown"]:
        return failed(f"acknowledging a known and an unknown number gives {names}")
    if first.number in found.available:
        return failed("a message that was acknowledged is still told to be available")
    return passed("a known number is Good, an unknown one BadSequenceNumberUnknown")


@RULES.secured("subscription.disabled")
async def disabled(prober: Prober, _check: Check) -> Outcome:
    """With publishing disabled no values come; enabled again they do."""
    async with feeding(prober, CLOCK, interval=100, alive=5) as feed:
        await feed.data()
        await feed.modify(enabled=False)
        for _ in range(3):
            found = await feed.publish()
            if found.values:
                return failed("values come although publishing is disabled")
        await feed.modify(enabled=True)
        await feed.data()
    return passed("no values while publishing is disabled, and values again afterwards")


@RULES.secured("subscription.lifetime")
async def lifetime(prober: Prober, _check: Check) -> Outcome:
    """A subscription that nobody asks ends."""
    async with feeding(prober, STATE, interval=100, alive=1, lifetime=3) as feed:
        made = feed.created
        seconds = made.RevisedPublishingInterval * made.RevisedLifetimeCount / 1000
        if seconds > 20:
            return absent(f"the shortest lifetime is {seconds:.0f} s, too long for this run")
        await asyncio.sleep(2 * seconds + 1)
        how = await ended(feed)
    if not how:
        return failed(f"a subscription lives on after {2 * seconds + 1:.1f} s, twice its lifetime of {seconds:.1f} s")
    return passed(f"after its lifetime of {seconds:.1f} s the subscription is gone: {how}")


@RULES.secured("subscription.delete")
async def delete(prober: Prober, _check: Check) -> Outcome:
    """A deleted subscription is gone."""
    async with feeding(prober, STATE) as feed:
        first = [status_name(one.value) for one in await feed.delete()]
        second = [status_name(one.value) for one in await feed.delete()]
    if (first, second) != (["Good"], ["BadSubscriptionIdInvalid"]):
        return failed(f"deleting gives {first}, and again {second}")
    return passed("deleting works once, the second time it is BadSubscriptionIdInvalid")


@RULES.secured("subscription.transfer")
async def transfer(prober: Prober, _check: Check) -> Outcome:
    """A subscription goes to another session of the same client, with what was not acknowledged."""
    async with feeding(prober, CLOCK) as feed, prober.session() as other:
        first = await feed.data()
        moved, result = await feed.transfer(other)
        if result is None or not result.StatusCode.is_good():
            return failed(f"TransferSubscriptions: {result.StatusCode.name if result is not None else 'no result'}")
        if first.number not in (result.AvailableSequenceNumbers or ()):
            return failed("the message that was not acknowledged is not available after the transfer")
        again = await moved.republish(first.number)
        later = await moved.data()
    if again.values != first.values or later.number <= first.number:
        return failed("after the transfer messages are others, or numbers begin anew")
    return passed("the subscription goes on in another session, its messages are kept")


@RULES.secured("subscription.transfer-unknown")
async def transfer_unknown(prober: Prober, _check: Check) -> Outcome:
    """A subscription that is not there cannot be transferred."""
    async with prober.session() as session:
        feed = Feed(session)
        feed.created.SubscriptionId = _NOBODY
        _, result = await feed.transfer(session)
    name = result.StatusCode.name if result is not None else "no result"
    if name == "BadSubscriptionIdInvalid":
        return passed("BadSubscriptionIdInvalid for a subscription that is not there")
    return failed(f"transferring a subscription that is not there gives {name}")


@RULES.secured("subscription.overflow")
async def overflow(prober: Prober, _check: Check) -> Outcome:
    """A queue that is too short says so, at the oldest value that it still has."""
    async with prober.session() as session:
        feed = await Feed(session).create(interval=200.0, enabled=False)
        await feed.monitor([item(CLOCK, _HANDLE, queue=2, sampling=100.0)])
        await asyncio.sleep(4.5)
        await feed.modify(enabled=True)
        found = (await feed.data()).values
    codes = [int(one.StatusCode.value) if one.StatusCode is not None else 0 for _, one in found]
    shown = Evidence(what="value", content=", ".join(f"0x{one:08X}" for one in codes))
    if len(codes) > 2:
        return failed(f"a queue of 2 holds {len(codes)} values", shown)
    if len(codes) == 2 and codes[0] & _OVERFLOW == _OVERFLOW and not codes[1] & 0x80:
        return passed("a queue of 2 that has lost values sets the Overflow bit at its oldest one", shown)
    return failed("values were lost from a queue of 2, and its oldest value has no Overflow bit", shown)


@RULES.secured("item.unknown")
async def unknown_item(prober: Prober, _check: Check) -> Outcome:
    """A node that is not there, and an attribute that it has not."""
    nowhere = ua.NodeId("area4 conform: no such node", 0)
    wrong = item(STATE, 2, attribute=99)
    async with feeding(prober) as feed:
        found = [one.StatusCode.name for one in await feed.monitor([item(nowhere, 1), wrong])]
    if found == ["BadNodeIdUnknown", "BadAttributeIdInvalid"]:
        return passed("BadNodeIdUnknown and BadAttributeIdInvalid")
    return failed(f"monitoring a node and an attribute that are not there gives {found}")


@RULES.secured("item.disabled")
async def disabled_item(prober: Prober, _check: Check) -> Outcome:
    """An item that is disabled reports nothing; one beside it does."""
    async with feeding(prober) as feed:
        await feed.monitor([item(CLOCK, 1, mode=ua.MonitoringMode.Disabled), item(CLOCK, 2)])
        found = [handle for _ in range(2) for handle, _value in (await feed.data()).values]
    if 1 in found:
        return failed("an item that is disabled reports values")
    return passed(f"the disabled item is silent, the other one has reported {len(found)} times")


@RULES.secured("item.revised")
async def revised_item(prober: Prober, _check: Check) -> Outcome:
    """Revised sampling interval and queue size are honest."""
    async with feeding(prober) as feed:
        (one, two) = await feed.monitor(
            [item(CLOCK, 1, sampling=-1.0, queue=0), item(CLOCK, 2, sampling=250.0, queue=5)]
        )
    for what, found, least in (("-1 and 0", one, 1), ("250 and 5", two, 1)):
        text = (
            f"sampling and queue {what} are revised to {found.RevisedSamplingInterval:g} and {found.RevisedQueueSize}"
        )
        if not found.StatusCode.is_good() or found.RevisedSamplingInterval < 0 or found.RevisedQueueSize < least:
            return failed(text)
    return passed("revised sampling intervals and queue sizes are usable")


@RULES.secured("item.timestamps")
async def timestamps(prober: Prober, _check: Check) -> Outcome:
    """Only the timestamps that were asked for come."""
    seen = {}
    for name in ("Source", "Neither"):
        async with feeding(prober) as feed:
            await feed.monitor([item(STATE, 1)], getattr(ua.TimestampsToReturn, name))
            ((_, value),) = (await feed.data()).values
            seen[name] = (value.SourceTimestamp is not None, value.ServerTimestamp is not None)
    if seen == {"Source": (True, False), "Neither": (False, False)}:
        return passed("TimestampsToReturn is obeyed")
    return failed(f"asked for Source and Neither, timestamps (source, server) are there: {seen}")
