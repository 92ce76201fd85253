"""The rules that judge a network: each measures once, tells the value, and holds it against its check's limit."""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from conformance.broker import wire
from conformance.broker.client import Client
from conformance.broker.rules.common import came, subscribed
from conformance.broker.wire import Kind, Prop
from conformance.network import clock
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome, absent, failed, passed, untried
from conformance.suite.target import TargetError

if TYPE_CHECKING:
    from conformance.network.target import NetworkTarget

NetworkRule = Callable[["NetworkTarget", Check], Awaitable[Outcome]]

_BETWEEN = 0.02
"""Seconds between two probes of a series."""


def _held(value: float, most: float, words: str, *evidence: object) -> Outcome:
    proof = tuple(came("value", one) for one in evidence)
    return passed(words, *proof) if value <= most else failed(f"{words}; at most {most:g} are asked for", *proof)


async def reached(target: NetworkTarget, _: Check) -> Outcome:
    """The broker is reached and accepts the client."""
    async with await target.client() as client:
        await client.ping()
    return passed("connected over TLS, PINGREQ answered")


async def resolved(target: NetworkTarget, check: Check) -> Outcome:
    """The name is resolved in time, again and again."""
    if target.is_address:
        return absent("the broker is named by its address")
    times: list[float] = []
    for _ in range(int(check.parameters["times"])):
        begun = time.monotonic()
        await target.addresses()
        times.append(time.monotonic() - begun)
    most = max(times)
    return _held(most, check.parameters["seconds"], f"the slowest of {len(times)} answers took {most:.3f} s", times)


async def every_address(target: NetworkTarget, _: Check) -> Outcome:
    """Every address of the name answers: clients may take any of them."""
    if target.is_address:
        return absent("the broker is named by its address")
    found = await target.addresses()
    dead = [address for _, address in found if not await _answers(target, address)]
    if dead:
        return failed(f"no TCP connection to {', '.join(dead)}, of {len(found)} addresses")
    return passed(f"all answer: {', '.join(address for _, address in found)}")


async def ipv6(target: NetworkTarget, _: Check) -> Outcome:
    """Where the name has an IPv6 address, it answers."""
    found = [address for family, address in await target.addresses() if family == socket.AF_INET6]
    if not found:
        return absent("the broker has no IPv6 address")
    dead = [address for address in found if not await _answers(target, address)]
    return failed(f"no TCP connection to {', '.join(dead)}") if dead else passed(f"{', '.join(found)} answers")


async def _answers(target: NetworkTarget, address: str) -> bool:
    try:
        async with asyncio.timeout(target.access.patience):
            _reader, writer = await asyncio.open_connection(address, target.access.port)
    except OSError:  # TimeoutError is one
        return False
    writer.transport.abort()
    return True


async def every_time(target: NetworkTarget, check: Check) -> Outcome:
    """Of many TCP connections none fails."""
    count = int(check.parameters["connections"])
    lost = 0
    for _ in range(count):
        lost += not await _stays(target)
    return failed(f"{lost} of {count} TCP connections failed") if lost else passed(f"{count} of {count} came about")


async def _stays(target: NetworkTarget) -> bool:
    """A TLS handshake comes about: a middlebox may answer TCP for a host that it does not reach."""
    try:
        async with await target.dial():
            return True
    except TargetError:
        return False


async def round_trip(target: NetworkTarget, check: Check) -> Outcome:
    """From PINGREQ to PINGRESP: the median."""
    times = await _pings(target, int(check.parameters["probes"]))
    middle = statistics.median(times)
    return _held(middle, check.parameters["seconds"], f"median {middle * 1000:.1f} ms of {len(times)}", _brief(times))


async def jitter(target: NetworkTarget, check: Check) -> Outcome:
    """How much more than the median the slow ones take."""
    times = sorted(await _pings(target, int(check.parameters["probes"])))
    more = times[int(len(times) * 0.9)] - statistics.median(times)
    words = f"one of ten takes {more * 1000:.1f} ms more than the median"
    return _held(more, check.parameters["seconds"], words, _brief(times))


async def _pings(target: NetworkTarget, count: int) -> list[float]:
    times: list[float] = []
    async with await target.client() as client:
        for _ in range(count):
            begun = time.monotonic()
            await client.ping()
            times.append(time.monotonic() - begun)
            await asyncio.sleep(_BETWEEN)
    return times


def _brief(times: list[float]) -> str:
    return " ".join(f"{one * 1000:.1f}" for one in times) + " ms"


async def handshake(target: NetworkTarget, check: Check) -> Outcome:
    """TCP and TLS together: the median of some."""
    times: list[float] = []
    for _ in range(int(check.parameters["times"])):
        begun = time.monotonic()
        async with await target.dial():
            times.append(time.monotonic() - begun)
    middle = statistics.median(times)
    return _held(middle, check.parameters["seconds"], f"median {middle * 1000:.1f} ms", _brief(times))


async def idle(target: NetworkTarget, check: Check) -> Outcome:
    """A connection that is silent for a while still carries: no middlebox has forgotten it."""
    seconds = float(check.parameters["seconds"])
    async with await target.client() as client:
        await asyncio.sleep(seconds)
        try:
            await client.ping()
        except TargetError as error:
            return failed(f"after {seconds:g} s of silence: {error}")
    return passed(f"it carries after {seconds:g} s of silence")


async def segment(target: NetworkTarget, check: Check) -> Outcome:
    """The path takes packets of full size: TCP's segments."""
    async with await target.client() as client:
        counters = target.path.counters(client.transport.get_extra_info("socket"))
    if counters is None:
        return absent("the operating system does not tell")
    least = int(check.parameters["bytes"])
    words = f"segments of {counters.segment} bytes"
    return passed(words) if counters.segment >= least else failed(f"{words}; {least} are asked for")


async def loss(target: NetworkTarget, check: Check) -> Outcome:
    """Of what TCP sent, how much it had to send again."""
    payload = bytes(int(check.parameters["bytes"]))
    async with await target.client() as client:
        for _ in range(int(check.parameters["messages"])):
            await client.publish(target.channel(), payload)
        counters = target.path.counters(client.transport.get_extra_info("socket"))
    if counters is None or not counters.sent:
        return absent("the operating system does not tell")
    share = counters.retransmitted / counters.sent
    words = f"{counters.retransmitted} of {counters.sent} segments were sent again ({share:.2%})"
    return _held(share, check.parameters["share"], words)


async def throughput(target: NetworkTarget, check: Check) -> Outcome:
    """Publishing over TLS to a subscriber of our own, for some seconds: payload bits that came through."""
    size, seconds = int(check.parameters["bytes"]), float(check.parameters["seconds"])
    topic, payload = target.channel(), bytes(size)
    async with await target.client("reader") as reader, await target.client() as client:
        await subscribed(reader, topic)
        window = min(wire.number(client.welcome.properties, Prop.RECEIVE_MAXIMUM, 65_535), 20)
        begun = time.monotonic()
        sending = asyncio.create_task(_send(target, topic, payload, window, client, begun + seconds), name="sending")
        received = 0
        try:
            while (left := begun + seconds - time.monotonic()) > 0:
                received += len((await reader.message(within=left)).payload)
        except TargetError:
            pass  # the time is over, or the way is: what has come counts
        finally:
            took = time.monotonic() - begun
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    rate, least = received * 8 / max(took, seconds) / 1e6, float(check.parameters["megabits"])
    words = f"{rate:.1f} Mbit/s of payload over {max(took, seconds):.1f} s"
    return passed(words) if rate >= least else failed(f"{words}; {least:g} are asked for")


async def _send(target: NetworkTarget, topic: str, payload: bytes, window: int, client: Client, until: float) -> None:
    in_flight = 0
    while time.monotonic() < until:
        await client.send(wire.publish(topic, payload, packet_id=client.number(), version=target.version))
        in_flight += 1
        while in_flight >= window:
            await client.answer(Kind.PUBACK)
            in_flight -= 1


async def clocks(target: NetworkTarget, check: Check) -> Outcome:
    """This computer's clock and the time server's agree."""
    if target.time_server is None:
        return untried("no time server was given", "--time-server")
    ahead, took = await clock.offset(*target.time_server, target.access.patience)
    words = f"the time server is {ahead:+.3f} s ahead (exchange of {took:.3f} s)"
    return _held(abs(ahead) - took / 2, check.parameters["seconds"], words)


RULES: dict[str, NetworkRule] = {
    "network.reached": reached,
    "network.resolved": resolved,
    "network.every-address": every_address,
    "network.ipv6": ipv6,
    "network.every-time": every_time,
    "network.round-trip": round_trip,
    "network.jitter": jitter,
    "network.handshake": handshake,
    "network.idle": idle,
    "network.segment": segment,
    "network.loss": loss,
    "network.throughput": throughput,
    "network.clocks": clocks,
}
"""By the name that checks give."""
