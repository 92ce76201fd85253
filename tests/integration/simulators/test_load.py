"""The load source as its subscribers see it, over SignAndEncrypt, as a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from asyncua import Client, ua
from asyncua.crypto.security_policies import (
    SecurityPolicyAes128Sha256RsaOaep,
    SecurityPolicyAes256Sha256RsaPss,
    SecurityPolicyBasic256Sha256,
)

from adapters.opcua.discovery import discover
from adapters.opcua.limits import read_limits
from simulators.load.layout import GOOD_OVERFLOW, SCALARS, kind_of
from simulators.load.process import LoadOptions, LoadProcess
from simulators.machine import Localized
from simulators.opcua.values import datetime_from_ticks, ticks_from_datetime
from simulators.process import SimulatorProcessError

TYPES = (*SCALARS, "Double[10]")
MACHINES, SIGNALS, QUEUE = 2, len(TYPES), 300
RATE = 2000.0
STEP = 5_000  # ticks between two changes
FLOOD = 40_000.0
WHOLE = {"Int32", "UInt32", "Int64", "UInt64", "Double"}
"""Types whose value is the counter."""

WITHIN = 60


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def load(pki: Any) -> AsyncIterator[LoadProcess]:
    options = LoadOptions(
        pki.server.certificate, pki.server.key, (pki.trust,), servers=2, machines=MACHINES, signals=SIGNALS,
        types=TYPES, rate=2 * RATE, queue=QUEUE, burst=100, anonymous=True,
    )  # fmt: skip
    async with LoadProcess(options) as process:
        yield process


pytestmark = pytest.mark.asyncio(loop_scope="module")


class Reader:
    """A subscriber that asks for each publication by itself, and remembers what it saw of each signal."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.session = client.uaclient.session
        self.subscription = 0
        self.kinds: list[Any] = []
        self.seen: list[list[ua.DataValue]] = []
        self.numbers: list[int] = []
        self.acks: list[ua.SubscriptionAcknowledgement] = []

    async def subscribe(self, signals: list[tuple[ua.NodeId, Any]], stamps: Any = ua.TimestampsToReturn.Source) -> None:
        request = ua.CreateSubscriptionRequest()
        request.Parameters = ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=20, RequestedLifetimeCount=3000, RequestedMaxKeepAliveCount=50,
            PublishingEnabled=True,
        )  # fmt: skip
        body = await self.session._send_request(request)
        created = ua.ua_binary.struct_from_binary(ua.CreateSubscriptionResponse, body)
        self.subscription = created.Parameters.SubscriptionId
        items = [
            ua.MonitoredItemCreateRequest(
                ua.ReadValueId(node, ua.AttributeIds.Value), ua.MonitoringMode.Reporting,
                ua.MonitoringParameters(ClientHandle=handle, SamplingInterval=0, QueueSize=QUEUE),
            )
            for handle, (node, _) in enumerate(signals)
        ]  # fmt: skip
        self.kinds = [kind for _, kind in signals]
        self.seen = [[] for _ in signals]
        results = await self.client.uaclient.create_monitored_items(
            ua.CreateMonitoredItemsParameters(self.subscription, stamps, items)
        )
        assert [(one.StatusCode.is_good(), one.RevisedQueueSize) for one in results] == [(True, QUEUE)] * len(items)

    async def publish(self) -> ua.PublishResult:
        acks, self.acks = self.acks, []
        response = await asyncio.wait_for(self.session.publish(acks), WITHIN)
        result = response.Parameters
        message = result.NotificationMessage
        for data in message.NotificationData:
            self.numbers += [message.SequenceNumber] if message.SequenceNumber not in self.numbers else []
            for note in data.MonitoredItems:
                self.seen[note.ClientHandle].append(note.Value)
        if message.NotificationData:
            self.acks.append(ua.SubscriptionAcknowledgement(self.subscription, message.SequenceNumber))
        return result

    async def until(self, enough: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN):
            while not enough():
                await self.publish()


@pytest.fixture
def connect(pki: Any) -> Callable[..., Any]:
    def make(url: str, policy: Any = SecurityPolicyAes256Sha256RsaPss) -> Any:
        client = Client(url, timeout=WITHIN)
        client.application_uri = pki.client.uri

        class Connected:
            async def __aenter__(self) -> Client:
                await client.set_security(policy, pki.client.certificate, pki.client.key,
                                          server_certificate=pki.server.certificate)  # fmt: skip
                await client.connect()
                return client

            async def __aexit__(self, *_: object) -> None:
                await client.disconnect()

        return Connected()

    return make


def signals_of(client_namespaces: list[str], server: int = 1) -> list[tuple[ua.NodeId, Any]]:
    """NodeId and type of every signal, in the order in which they change."""
    found = []
    for machine in range(1, MACHINES + 1):
        name = f"Load{server}-{machine}"
        namespace = client_namespaces.index(f"urn:area4:load:{name}")
        for at, kind in enumerate(TYPES):
            node = ua.NodeId(f"{name}/Load/G000/S{at:05d}", namespace)
            found.append((node, kind_of(kind)))
    return found


def plain(value: Any) -> Any:
    if isinstance(value, ua.LocalizedText):
        return Localized(value.Text, value.Locale)
    return value


def truth(kind: Any, counter: int) -> Any:
    value = kind.value(counter)
    return datetime_from_ticks(value) if kind.name == "DateTime" else value


def check(reader: Reader) -> int:
    """Everything that was seen is true and complete; how many values, after the first of each signal, that were."""
    base, total = None, 0
    for signal, (kind, seen) in enumerate(zip(reader.kinds, reader.seen, strict=True)):
        times = [ticks_from_datetime(value.SourceTimestamp) for value in seen[1:]]
        period = STEP * len(reader.seen)
        assert times == [times[0] + at * period for at in range(len(times))]
        base = times[0] - signal * STEP if base is None else base
        assert (times[0] - signal * STEP - base) % period == 0
        begin = next(one for one in range(1 << 16) if truth(kind, one) == plain(seen[1].Value.Value))
        assert [plain(value.Value.Value) for value in seen[1:]] == [truth(kind, begin + at) for at in range(len(times))]
        assert set(_states(seen)) == {0}
        total += len(times)
    return total


@pytest.mark.parametrize(
    "policy", [SecurityPolicyAes256Sha256RsaPss, SecurityPolicyAes128Sha256RsaOaep, SecurityPolicyBasic256Sha256]
)
async def test_every_value_is_seen_once_and_is_true(load: LoadProcess, connect: Any, policy: Any) -> None:
    async with connect(load.url, policy) as client:
        reader = Reader(client)
        await reader.subscribe(signals_of(await client.get_namespace_array()))
        await reader.until(lambda: all(len(seen) >= 12 for seen in reader.seen))
        assert check(reader) >= 11 * len(reader.seen)
        assert reader.numbers == list(range(1, len(reader.numbers) + 1))


async def test_both_times_are_sent_to_who_asks_for_both(load: LoadProcess, connect: Any) -> None:
    async with connect(load.urls[1]) as client:
        reader = Reader(client)
        await reader.subscribe(signals_of(await client.get_namespace_array(), 2), ua.TimestampsToReturn.Both)
        await reader.until(lambda: all(len(seen) >= 5 for seen in reader.seen))
        assert all(value.ServerTimestamp == value.SourceTimestamp for seen in reader.seen for value in seen)
        check(reader)


async def test_a_message_stays_for_republish_until_it_is_acknowledged(load: LoadProcess, connect: Any) -> None:
    async with connect(load.url) as client:
        reader = Reader(client)
        await reader.subscribe(signals_of(await client.get_namespace_array()))
        await reader.until(lambda: len(reader.numbers) >= 2)
        reader.acks.clear()
        result = await reader.publish()
        number = result.NotificationMessage.SequenceNumber
        assert number in result.AvailableSequenceNumbers
        again = await client.uaclient.session.republish(reader.subscription, number)
        assert again.NotificationData == result.NotificationMessage.NotificationData
        assert number not in (await reader.publish()).AvailableSequenceNumbers
        with pytest.raises(ua.UaStatusCodeError, match="BadMessageNotAvailable"):
            await client.uaclient.session.republish(reader.subscription, number)


async def test_a_full_queue_drops_the_oldest_and_says_so(load: LoadProcess, connect: Any) -> None:
    async with connect(load.url) as client:
        reader = Reader(client)
        await reader.subscribe(signals_of(await client.get_namespace_array()))
        await reader.until(lambda: all(len(seen) >= 3 for seen in reader.seen))
        assert (await load.count())["dropped"] == 0
        await load.rate(2 * FLOOD)
        await asyncio.sleep(2 * QUEUE * len(reader.seen) / FLOOD)  # nobody asks: the queues fill
        dropped = (await load.rate(2 * RATE))["dropped"]
        await reader.until(lambda: all(GOOD_OVERFLOW in _states(seen) for seen in reader.seen))
        assert dropped >= QUEUE * len(reader.seen) // 2
        missing = 0
        for kind, seen in zip(reader.kinds, reader.seen, strict=True):
            assert _states(seen).count(GOOD_OVERFLOW) == 1
            if kind.name in WHOLE:
                jumps = [after - before - 1 for before, after in pairwise(_counters(seen))]
                assert [at for at, jump in enumerate(jumps, 1) if jump] == [_states(seen).index(GOOD_OVERFLOW)]
                missing += sum(jumps)
        share = sum(kind.name in WHOLE for kind in reader.kinds) / len(reader.kinds)
        assert missing == pytest.approx(dropped * share, rel=0.01, abs=len(reader.kinds))


def _states(seen: list[ua.DataValue]) -> list[int]:
    return [value.StatusCode.value for value in seen]


def _counters(seen: list[ua.DataValue]) -> list[int]:
    return [int(value.Value.Value) for value in seen]


async def test_read_shows_what_is_published(load: LoadProcess, connect: Any) -> None:
    async with connect(load.url) as client:
        node, kind = signals_of(await client.get_namespace_array())[4]
        assert kind.name == "Int32"
        before = await client.get_node(node).read_value()
        async with asyncio.timeout(WITHIN):
            while (after := await client.get_node(node).read_value()) == before:
                pass
        assert after > before
        with pytest.raises(ua.UaStatusCodeError, match="BadNotWritable"):
            await client.get_node(node).write_value(ua.DataValue(ua.Variant(1, ua.VariantType.Int32)))


async def test_the_gateway_finds_all_machines_and_signals(load: LoadProcess, connect: Any) -> None:
    found = {}
    for number, url in enumerate(load.urls, 1):
        async with connect(url) as client:
            discovery = await discover(client, source="load", limits=await read_limits(client))
        assert discovery.problems == []
        for machine in discovery.machines:
            assert machine.description.type == "MachineToolType"
            assert machine.description.lacks == []
            paths = [one.path for one in machine.description.signals if one.path.startswith("Load/")]
            assert len(paths) == SIGNALS
            found[machine.description.id] = number
    assert sorted(found) == sorted(load.machines)


async def test_without_a_rate_the_subscriber_gets_what_it_asks_for(load: LoadProcess, connect: Any) -> None:
    async with connect(load.url) as client:
        reader = Reader(client)
        await reader.subscribe(signals_of(await client.get_namespace_array()))
        await reader.publish()
        await load.rate(None)
        try:
            known = sum(map(len, reader.seen))
            before = len(reader.numbers)
            await reader.until(lambda: len(reader.numbers) >= before + 30)
            assert sum(map(len, reader.seen)) - known >= 29 * 100
            counts = await load.count()
        finally:
            await load.rate(2 * RATE)
        assert counts["rate"] is None
        assert counts["dropped"] == 0
        assert counts["generated"] >= 29 * 100
        assert counts["sent"] >= 29 * 100
        assert counts["sent"] >= counts["acknowledged"] > 0
        for kind, seen in zip(reader.kinds, reader.seen, strict=True):
            if kind.name in WHOLE:
                assert {after - before for before, after in pairwise(_counters(seen))} == {1}


async def test_it_ends_with_a_summary_and_says_what_is_wrong(pki: Any, tmp_path: Path) -> None:
    options = LoadOptions(pki.server.certificate, pki.server.key, (pki.trust,), types=("Doubel",))
    with pytest.raises(SimulatorProcessError, match="there is no type 'Doubel'"):
        await LoadProcess(options).start()
    few = LoadOptions(pki.server.certificate, pki.server.key, (pki.trust,), machines=1, signals=1, anonymous=True)
    process = LoadProcess(few)
    await process.start()
    with pytest.raises(SimulatorProcessError, match="is no command"):
        await process.command(do="jump")
    assert await process.stop() == 0
    assert process.summary["sent"] == 0
    assert process.summary["limited"] is False
