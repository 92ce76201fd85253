"""One OPC UA server as a source: connected, its machines found, its values and events read batch by batch."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from pydantic import BaseModel

from adapters.opcua import losses
from adapters.opcua.clocks import Clocks
from adapters.opcua.conditions import ConditionBook
from adapters.opcua.config import OpcUaConfig
from adapters.opcua.connection import Connection, NonceMemory, open_connection, stage
from adapters.opcua.decode import PublishResult
from adapters.opcua.discovery import discover
from adapters.opcua.history import Backfill
from adapters.opcua.plan import Discovery
from adapters.opcua.probe import probe_source
from adapters.opcua.progress import Progress, decode_progress
from adapters.opcua.publish import SHOWN_WITHIN, Missing, PublishEngine, SubscriptionLostError
from adapters.opcua.reading import Reading
from adapters.opcua.resume import Facts, Kept, discard, read_facts, transfer
from adapters.opcua.subscribe import create_subscription
from adapters.opcua.watch import Rediscovery
from gateway.contracts import Batch, LinkState, LinkStatus, MachineListener, ProbeStep
from gateway.errors import Area4Error, ConfigurationError, RefusedError, UnreachableError
from gateway.model import MachineState, Record
from gateway.model.times import ticks_from_unix_ns

logger = logging.getLogger("adapters.opcua")


class OpcUaSource:
    """`gateway.contracts.Source` for one server; see there for what each verb means."""

    def __init__(self, name: str, config: BaseModel, *, on_machine: MachineListener) -> None:
        if not isinstance(config, OpcUaConfig):
            raise TypeError(f"the configuration of {name} is {type(config).__name__}, not OpcUaConfig")
        self._name = name
        self._config = config
        self._on_machine = on_machine
        self._nonces = NonceMemory()
        self._book = ConditionBook()
        self._states: dict[str, MachineState] = {}
        self._connection: Connection | None = None
        self._engine: PublishEngine | None = None
        self._reading: Reading | None = None
        self._rediscovery: Rediscovery | None = None
        self._pending: list[Record] = []
        self._backfill = Backfill()
        self._clocks = Clocks()
        self._kept: Kept | None = None
        self._lost: Area4Error | None = None
        self._dead = 0
        self._made = False
        self._found: Discovery | None = None
        self._rung = ""
        self._status = LinkStatus(config.url, "offline", time.time(), waivers=config.waivers)

    @property
    def name(self) -> str:
        """Name in the configuration."""
        return self._name

    @property
    def status(self) -> LinkStatus:
        """How the connection stands now."""
        return self._status

    async def connect(self, resume: bytes | None) -> None:
        """One attempt; continues after `resume` where the server still can, else what was not read is told as a gap."""
        await self.close()
        self._tell("connecting")
        try:
            await self._connect(decode_progress(resume))
        except BaseException as problem:
            await self._drop()
            if isinstance(problem, RefusedError | ConfigurationError):
                self._tell("refused", str(problem), problem.advice)
            elif isinstance(problem, Area4Error):
                self._tell("offline", str(problem), problem.advice)
            else:
                self._tell("offline")
            raise

    async def _connect(self, resume: Progress | None) -> None:
        kept = self._kept
        if resume is None:
            self._backfill = Backfill()
        elif not self._clocks.measured:
            self._clocks = Clocks(resume.skew)  # of a predecessor
        if resume is None or kept is None or kept.reading.subscription.id != resume.subscription:
            kept = None
        connection = await open_connection(self._config, self._nonces, kept.ticket if kept is not None else None)
        self._connection = connection
        if kept is not None:
            kept.ticket = None  # from here on the session is this connection's
        facts = await read_facts(connection)
        if resume is None or not await self._resume(connection, facts, resume, kept):
            self._kept = None
            await self._begin(connection, facts, resume)
        assert self._engine is not None
        assert self._reading is not None
        self._engine.start()
        if self._reading.take_refresh_wish():
            with stage(self._config.url, "subscribe"):
                await self._reading.refresh()
        self._rediscovery = Rediscovery(self._discover, self._config.subscription.rediscovery, self._engine.wake)
        self._rediscovery.start(self._name)
        if kept is not None and kept.owing:
            self._rediscovery.request()
        self._kept = None
        self._backfill.start(connection, self._reading.recorded(), self._engine.wake)
        logger.info("%s: %s is read: %s", self._name, self._config.url, self._rung)
        self._online()

    async def _resume(self, connection: Connection, facts: Facts, resume: Progress, kept: Kept | None) -> bool:
        """The rungs that lose nothing; False if the subscription cannot be had again."""
        if resume.server != facts.run or resume.subscription == self._dead:
            return False
        available: list[int] | None = None
        reading = kept.reading if kept is not None else await self._restored(connection, resume)
        if reading is None:
            await discard(connection, resume.subscription)
            return False
        if not connection.taken_up:
            answer = await transfer(connection, resume.subscription)
            if isinstance(answer, str):
                logger.info("%s: the server does not hand over the earlier subscription: %s", self._name, answer)
                return False
            available = answer
        reading.move(connection)
        reading.remember(resume.last_times())
        engine = self._new_engine(connection, reading, resume.sequence, resume.complete)
        try:
            await engine.recover(available)
        except SubscriptionLostError as problem:
            logger.info("%s: %s", self._name, problem)
            return False
        if kept is None:
            assert self._found is not None
            with stage(self._config.url, "subscribe"):
                self._pending = await reading.adopt(self._found, resume.descriptions)
            self._pending += reading.quarantine_gaps(resume.complete)
        self._reading, self._engine = reading, engine
        if kept is None:
            self._pending = [*self._unfilled(reading, resume), *self._pending]
        self._rung = "the session was taken up again" if connection.taken_up else "the subscription was taken over"
        return True

    async def _restored(self, connection: Connection, resume: Progress) -> Reading | None:
        """The items of a predecessor's subscription, if they still mean the same."""
        if resume.layout is None:
            return None
        self._found = await self._discover()
        return Reading.restored(
            self._config, connection, resume.subscription, resume.server, resume.layout, self._found
        )

    async def _begin(self, connection: Connection, facts: Facts, resume: Progress | None) -> None:
        """A new subscription: it starts with current values, and what was before is a gap."""
        discovery = self._found or await self._discover()
        self._made = True
        subscription = await create_subscription(connection)
        reading = self._reading = Reading(self._config, subscription, facts.run)
        with stage(self._config.url, "subscribe"):
            records = await reading.adopt(discovery, resume.descriptions if resume is not None else {})
        now = (await read_facts(connection)).now
        self._engine = self._new_engine(connection, reading, 0, now - SHOWN_WITHIN)
        unfilled = self._unfilled(reading, resume)
        self._pending = [*unfilled, *self._outage(reading, resume, now), *records, *reading.quarantine_gaps(now)]
        self._clocks.created(time.monotonic())
        reading.want_refresh()
        self._dead, self._made = 0, False
        self._rung = "by a new subscription"

    def _new_engine(self, connection: Connection, reading: Reading, last: int, complete: int) -> PublishEngine:
        return PublishEngine(
            connection,
            reading.subscription.id,
            keep_alive=reading.subscription.keep_alive,
            window=self._config.subscription.requests_in_flight,
            unacknowledged=self._config.subscription.unacknowledged,
            on_silent=self._silent,
            last=last,
            complete=complete,
        )

    async def _discover(self) -> Discovery:
        assert self._connection is not None
        with stage(self._config.url, "read"):
            return await discover(
                self._connection.client, source=self._name, limits=self._connection.limits, book=self._book
            )

    def _outage(self, reading: Reading, resume: Progress | None, now: int) -> list[Record]:
        """A new subscription starts with current values: what was between is read from history, else lost and told."""
        if resume is None:
            return []
        expected = self._clocks.expected(resume.complete, now, ticks_from_unix_ns(time.time_ns()), time.monotonic())
        outage = losses.outage_of(resume, now, expected)
        reading.remember(resume.last_times())
        self._backfill.add(losses.holes(reading, resume, outage))
        return [*losses.gaps(reading, resume, outage)]

    def _unfilled(self, reading: Reading, resume: Progress | None) -> list[Record]:
        if resume is None or resume.hole is None or self._backfill.span is not None:
            return []
        return [*losses.unfilled(reading, resume.hole)]

    async def read(self) -> Batch:
        """The next batch."""
        engine, reading = self._engine, self._reading
        if engine is None or reading is None or self._connection is None:
            raise UnreachableError(f"{self._config.url} is not connected.", advice="Connect first.")
        try:
            while True:
                if self._pending:
                    records, self._pending = self._pending, []
                    return Batch(records, self._progress(engine, reading), 0, _nothing)
                if (page := self._backfill.take()) is not None:
                    records, count, stored = page
                    return Batch(records, self._progress(engine, reading), count, stored)
                if self._rediscovery is not None and (found := self._rediscovery.result()) is not None:
                    await self._adopt(found, engine, reading)
                    continue
                if reading.take_refresh_wish():
                    with stage(self._config.url, "read"):
                        await reading.refresh()
                complete = engine.complete
                messages = await engine.next()
                if messages:
                    self._heard()
                    return self._batch(engine, reading, messages, complete)
        except Area4Error as problem:
            self._lost = problem
            self._tell("offline", str(problem), problem.advice)
            self._all_machines("offline", str(problem))
            if isinstance(problem, UnreachableError):
                raise
            raise UnreachableError(str(problem), advice=problem.advice) from problem

    def _batch(
        self, engine: PublishEngine, reading: Reading, messages: Sequence[PublishResult | Missing], complete: int
    ) -> Batch:
        skew = self._clocks.skew
        widened = [
            replace(one, begin=skew.begin(one.begin), end=skew.end(one.end)) if isinstance(one, Missing) else one
            for one in messages
        ]
        records, count = reading.dispatcher.records(widened, skew.begin(complete))
        sent = _sent(messages[-1])
        engine.complete = min(engine.complete, sent - SHOWN_WITHIN)  # the server's clock was set back
        self._clocks.heard(sent, records, ticks_from_unix_ns(time.time_ns()), time.monotonic())
        numbers = [one.sequence for one in messages if isinstance(one, PublishResult) and not one.keep_alive]
        self._backfill.live(records)
        if reading.take_rediscovery_wish():
            self.request_rediscovery()
        return Batch(records, self._progress(engine, reading), count, lambda: engine.committed(numbers))

    def _progress(self, engine: PublishEngine, reading: Reading) -> bytes:
        return reading.progress(engine.last, engine.complete, self._backfill.span, self._clocks.skew)

    async def _adopt(self, discovery: Discovery, engine: PublishEngine, reading: Reading) -> None:
        """The server's machines were looked for again: subscribe what is new, drop what is gone."""
        before = set(reading.machines)
        with stage(self._config.url, "subscribe"):
            self._pending += await reading.adopt(discovery, reading.digests)
            self._pending += reading.quarantine_gaps(engine.complete)
        self._clocks.created(time.monotonic())
        for machine in before - set(reading.machines):
            self._machine(machine, "offline", "the server no longer offers this machine")
        self._online()

    def request_rediscovery(self) -> None:
        """Look for machines and nodes again, soon and without a restart."""
        if self._rediscovery is not None:
            self._rediscovery.request()

    async def close(self) -> None:
        """Leave politely, within seconds; the server keeps the subscription for its lifetime, for a successor."""
        was_connected = self._connection is not None
        await self._drop()
        if was_connected:
            self._all_machines("offline", "the gateway closed the connection")
            self._tell("offline", "closed")

    async def _drop(self) -> None:
        """End the connection; what the next one of this process can take up is kept."""
        lost, connection, reading = self._lost, self._connection, self._reading
        owing = self._rediscovery is not None and self._rediscovery.owing
        if self._rediscovery is not None:
            await self._rediscovery.stop()
        await self._backfill.stop()
        if self._engine is not None:
            self._engine.stop()
        self._connection = self._engine = self._reading = self._rediscovery = self._lost = self._found = None
        made, self._made = self._made, False
        self._pending = []
        if connection is None:
            return
        if isinstance(lost, SubscriptionLostError):
            self._dead = reading.subscription.id if reading is not None else 0
            await connection.close()
        elif lost is not None and reading is not None and reading.whole:
            self._kept = Kept(reading, connection.ticket(), owing)
            await connection.abandon()
        else:
            await connection.close(keep_subscriptions=not made)

    def probe(self) -> AsyncIterator[ProbeStep]:
        """Try the connection step by step, without subscribing."""
        return probe_source(self._name, self._config, self._nonces)

    def _online(self) -> None:
        """Say how the connection stands, and that its machines are heard."""
        assert self._reading is not None
        assert self._connection is not None
        for machine in self._reading.machines:
            self._machine(machine, "online", "")
        trouble = self._reading.trouble()
        if trouble:
            advice = "See the description's `quarantined` and the notes in the status."
            self._tell("degraded", trouble, advice, self._reading.details())
        else:
            self._tell("online", details=self._reading.details())

    def _heard(self) -> None:
        if self._status.state == "silent":
            self._online()

    def _silent(self, seconds: float) -> None:
        reason = f"neither data nor keep-alive for {seconds:.0f} s"
        logger.warning("%s: %s is silent: %s", self._name, self._config.url, reason)
        self._tell("silent", f"{self._config.url} is silent: {reason}.", "Look at the server's load and log.")
        self._all_machines("silent", reason)

    def _all_machines(self, state: MachineState, reason: str) -> None:
        for machine in list(self._states):
            self._machine(machine, state, reason)

    def _machine(self, machine: str, state: MachineState, reason: str) -> None:
        if self._states.get(machine) != state:
            self._states[machine] = state
            self._on_machine(machine, state, reason)

    def _tell(
        self, state: LinkState, reason: str = "", advice: str = "", details: dict[str, str | int | float] | None = None
    ) -> None:
        since = self._status.since if self._status.state == state else time.time()
        expiry = self._connection.expiry if self._connection is not None else self._status.certificate_expiry
        self._status = LinkStatus(
            self._config.url, state, since, reason, advice, expiry, self._config.waivers, details or {}
        )


def _nothing() -> None:
    """There is nothing to acknowledge to the server."""


def _sent(message: PublishResult | Missing) -> int:
    return message.time if isinstance(message, PublishResult) else message.end
