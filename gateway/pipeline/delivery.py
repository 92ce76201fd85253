"""One sink: connected with back-off, given the stored messages machine by machine, its answers turned into positions.

Each machine's messages go in their order (gateway.core.lanes); the machines take turns. So a machine whose topic the
broker refuses, and one that has a long backlog after an outage, hold up no other, and live data of the others goes on.
Live data of the same machine waits for its backlog: its order is kept. What waits on disk may have a ceiling; what is
still in memory is not slowed by it.

After every connect the latest description of each machine is sent first, with the numbers that it had: a broker that
lost what it retained has them again. Then everything that is not acknowledged is sent; what a lost connection left
untold is sent again.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Sequence
from typing import Never

from gateway.contracts import Outgoing, Refusal, Sink
from gateway.core.ceiling import Ceiling
from gateway.core.lanes import Lane, Lanes, Mood
from gateway.errors import StorageError
from gateway.outbox import Outbox
from gateway.pipeline.attempts import Attempts, end_if_cancelled
from gateway.pipeline.counters import Counters
from gateway.pipeline.settings import PipelineSettings

logger = logging.getLogger("gateway.pipeline")


class Delivery:
    """The task of one sink; whatever happens to it stays in it."""

    def __init__(
        self,
        sink: Sink,
        outbox: Outbox,
        settings: PipelineSettings,
        counters: Counters,
        *,
        backlog_rate: float | None = None,
    ) -> None:
        self.sink = sink
        self.attempts = Attempts("sink", sink, settings, counters.failures)
        self._outbox = outbox
        self._settings = settings
        self._counters = counters
        self._ceiling = Ceiling(backlog_rate)
        self._lanes: Lanes | None = None
        self._descriptions: dict[str, Outgoing] = {}
        self._fetched: dict[str, deque[Outgoing]] = {}
        self._highest: dict[str, int] = {}
        self._unreadable = False
        self._news = asyncio.Event()
        self._moved = asyncio.Event()
        self._flowing = False
        self._sent = asyncio.Event()
        self._sent.set()
        outbox.subscribe(self._stored)

    async def run(self) -> Never:
        """Until cancelled."""
        await self.attempts.forever(self._once)

    @property
    def connected(self) -> bool:
        """The connection stands."""
        return self.attempts.link.state in {"online", "degraded", "silent"}

    async def drained(self) -> None:
        """Return once the broker has everything that is stored and that it does not refuse."""
        while self._lanes is None or not self._lanes.settled:
            self._moved.clear()
            await self._moved.wait()

    @property
    def sent(self) -> asyncio.Event:
        """Set while a connected sink has been given everything that it may have now, and while it is not connected.

        Who stores more waits a moment for it, so that a computer with too much to do does not store alone.
        """
        return self._sent

    def unpaced(self) -> None:
        """Nobody waits for it any more."""
        self._flowing = False
        self._sent.set()

    async def _once(self) -> Never:
        """Connect and deliver until the connection is lost."""
        self._lanes = None
        await self.attempts.connect(self.sink.connect(self._delivered))
        lanes = self._lanes = self._opened()
        name = self.sink.name
        pump = asyncio.create_task(self._pump(lanes), name=f"deliver to {name}")
        lost = asyncio.create_task(self.sink.wait_lost(), name=f"watch {name}")
        try:
            await asyncio.wait((pump, lost), return_when=asyncio.FIRST_COMPLETED)
            if lost.done():
                raise lost.result()
            pump.result()
        finally:
            self.unpaced()
            pump.cancel()
            lost.cancel()
            await asyncio.gather(pump, lost, return_exceptions=True)

    def _opened(self) -> Lanes:
        """A lane for every machine that has something stored, or a description to repeat."""
        name, settings, outbox = self.sink.name, self._settings, self._outbox
        jitter = random.Random()  # noqa: S311 - jitter is no secret
        lanes = Lanes(
            outbox.cursor(name), jitter, first=settings.retry_first, longest=settings.retry_refused,
            stable=settings.stable,
        )  # fmt: skip
        self._fetched = {}
        described = {item.machine: item for item in outbox.descriptions()}
        ends = outbox.ends()
        self._descriptions = {}
        for machine in {**described, **ends}:
            position = outbox.position(name, machine)
            item = described.get(machine)
            repeated = item is not None and (item.id <= position or item.id < outbox.first_id)
            if item is not None and repeated:  # else it comes in its place in the stream
                self._descriptions[machine] = item
            lanes.open(machine, position, ends.get(machine, 0), describe=repeated)
        lanes.settle()
        return lanes

    async def _pump(self, lanes: Lanes) -> Never:
        self._flowing = True
        while True:
            self._news.clear()
            passed: list[Lane] = []
            while (lane := lanes.next(time.monotonic())) is not None:
                if await self._turn(lanes, lane):
                    lanes.back(lane)
                else:
                    passed.append(lane)
                if passed and self._ceiling.allowed(1, time.monotonic()):
                    break
            for lane in passed:
                lanes.back(lane)
            self._moved.set()
            if not lanes.ready or passed:
                self._sent.set()
                await self._pause(lanes, waiting=bool(passed))

    async def _pause(self, lanes: Lanes, *, waiting: bool) -> None:
        """Until there are news, a refused lane is tried again, or the ceiling lets backlog go on."""
        waits = [lanes.wait(time.monotonic()), self._ceiling.wait() if waiting else None]
        seconds = min((one for one in waits if one is not None), default=None)
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            pass  # it is time to go on

    async def _turn(self, lanes: Lanes, lane: Lane) -> bool:
        """Send what the lane may send now; False if it must wait for the ceiling."""
        if lane.describe:
            item = self._descriptions[lane.machine]
            lanes.described(lane, item.id)
            await self._send(lane, [item])
            return True
        wanted = 1 if lane.mood is Mood.TRYING else min(lanes.turn(), self._settings.read_messages)
        found = self._outbox.recent(lane.machine, lane.after, wanted, self._settings.read_bytes)
        if found is None:
            wanted = self._ceiling.allowed(wanted, time.monotonic())
            if not wanted:
                return False
            found = await self._from_disk(lanes, lane, wanted)
            self._ceiling.took(len(found))
        elif not found:
            lanes.nothing_left(lane)
        if found:
            lanes.sent(lane, [message.id for message in found])
            await self._send(lane, found)
        return True

    async def _from_disk(self, lanes: Lanes, lane: Lane, wanted: int) -> Sequence[Outgoing]:
        """The next messages of a lane with a backlog; more than wanted are read at a time, within a shared bound."""
        after, end = lane.after, lane.end
        ahead = self._fetched.get(lane.machine)
        while ahead and ahead[0].id <= after:
            ahead.popleft()
        if not ahead:
            size = self._settings.read_bytes // (lanes.ready + 1)
            read = await self._read(lane, max(wanted, self._settings.read_messages), size)
            if lane.after != after or not lane.may_send:
                return ()  # refused meanwhile: it begins anew from there
            if not read:
                self._fetched.pop(lane.machine, None)
                if lane.end == end:
                    lanes.nothing_left(lane)
                return ()
            ahead = self._fetched[lane.machine] = deque(read)
        found = [ahead.popleft() for _ in range(min(wanted, len(ahead)))]
        if not ahead:
            del self._fetched[lane.machine]
        return found

    async def _read(self, lane: Lane, messages: int, size: int) -> Sequence[Outgoing]:
        while True:
            try:
                found = await self._outbox.read(lane.after, messages, size, lane.machine)
            except StorageError as error:
                level = logging.DEBUG if self._unreadable else logging.WARNING
                logger.log(level, "%s waits for the outbox: %s", self.sink.name, error.told)
                self._unreadable = True
                await asyncio.sleep(self._settings.retry_longest)
                continue
            self._unreadable = False
            return found

    async def _send(self, lane: Lane, messages: Sequence[Outgoing]) -> None:
        name = self.sink.name
        highest = self._highest.get(lane.machine, 0)
        self._counters.sent[name] += len(messages)
        self._counters.repeats[name] += sum(message.id <= highest for message in messages)
        self._highest[lane.machine] = max(highest, messages[-1].id)
        await self.sink.send(messages)
        end_if_cancelled()

    def _stored(self, messages: Sequence[Outgoing]) -> None:
        if self._lanes is not None:
            for message in messages:
                self._lanes.grown(message.machine, message.id)
            self._news.set()
            if self._flowing:
                self._sent.clear()

    def _delivered(self, message: int, refusal: Refusal | None) -> None:
        """What the broker said about a message; words about an earlier connection's messages change nothing."""
        name, lanes = self.sink.name, self._lanes
        counter = self._counters.delivered if refusal is None else self._counters.refused
        counter[name] += 1
        if lanes is None:
            return
        held = len(lanes.held)
        if refusal is not None:
            lane = lanes.refused(message, refusal.topic, refusal.reason, time.monotonic())
            if lane is not None:
                self._fetched.pop(lane.machine, None)
        else:
            lane = lanes.took(message, time.monotonic())
            if lane is not None:
                self._outbox.acknowledge(name, lanes.cursor, lane.machine, lane.window.cursor)
                self._moved.set()
        if held or refusal is not None:
            self._tell(lanes)
            self._news.set()

    def _tell(self, lanes: Lanes) -> None:
        """Say in the sink's status which topics are refused."""
        if not lanes.held:
            self.attempts.cleared()
            return
        topic, reason = lanes.held[0].refusal or ("", "")
        others = len(lanes.held) - 1
        more = f" Topics of {others} more machines are refused too." if others else ""
        self.attempts.degraded(
            f"The broker refuses the topic {topic}: {reason}.{more}",
            "Allow the gateway to publish it in the broker's access rules; the machine's messages wait for that, "
            "others go on.",
        )
