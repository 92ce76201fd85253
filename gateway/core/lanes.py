"""Which machine's messages a sink sends next: each machine has a lane, in order; among lanes it goes round.

Within a lane everything goes in the order of its ids. A lane with a backlog, or one whose topic the broker refuses,
holds up no other: lanes that have something to send take turns, and a turn is short (`TURN_MESSAGES` shared among
them), so a machine without backlog is never late because another has one.

A refused message stops its lane: nothing more of it is sent until the broker has answered for all that is on its way;
then, after a delay that grows, it is sent again from the refused message on, one at a time until one is taken::

    event         flowing    answering  waiting  trying
    refused       answering  -          -        answering
    all answered  -          waiting    -        -
    time          -          -          trying   -
    taken         -          -          -        flowing

Those that were on their way behind a refused message arrive early, and again in their place.

The cursor is the highest id up to which every message of every lane is delivered. A lane that is further on has its own
position beyond the cursor.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from enum import Enum, auto
from random import Random

from gateway.core.backoff import Backoff
from gateway.core.window import Window

TURN_MESSAGES = 256
"""Messages of one round through all lanes that have something to send."""


class Mood(Enum):
    """How a lane stands with the broker."""

    FLOWING = auto()
    ANSWERING = auto()
    WAITING = auto()
    TRYING = auto()


class Lane:
    """One machine's messages on their way to one sink.

    Attributes:
        machine: Identity.
        window: What is sent and not answered; its cursor is the lane's position.
        end: The highest id that is known to be stored.
        floor: No message of the machine up to this id is undelivered.
        describe: The machine's latest description is to be sent first, as a repeat.
        describing: Id of that description while the broker has not answered for it; 0 otherwise.
        refusal: Topic and reason, while something is refused.
        retry_at: When it is tried again, while waiting.
    """

    __slots__ = ("_backoff", "describe", "describing", "end", "floor", "machine", "mood", "queued", "refusal",
                 "retry_at", "window")  # fmt: skip

    def __init__(self, machine: str, position: int, end: int, backoff: Backoff) -> None:
        self.machine = machine
        self.window = Window(position)
        self.end = end
        self.floor = position
        self.describe = False
        self.describing = 0
        self.mood = Mood.FLOWING
        self.refusal: tuple[str, str] | None = None
        self.retry_at = 0.0
        self.queued = False
        self._backoff = backoff

    @property
    def busy(self) -> bool:
        """Something of the stream is not delivered."""
        return self.end > self.window.cursor

    @property
    def after(self) -> int:
        """The next message to send is the first one behind this id."""
        return max(self.window.last, self.floor)

    @property
    def settled(self) -> bool:
        """Everything is delivered, as far as the broker takes it."""
        return self.refusal is not None or not (self.busy or self.describe or self.describing)

    @property
    def unanswered(self) -> bool:
        """The broker has not answered for everything that was sent."""
        return self.window.untold > 0 or self.describing > 0

    @property
    def may_send(self) -> bool:
        """There is something to send, and it may go now."""
        if not (self.describe or self.end > self.window.last):
            return False
        return self.mood is Mood.FLOWING or (self.mood is Mood.TRYING and not self.unanswered)

    def sent(self, messages: Iterable[int]) -> None:
        """These ids are about to be sent."""
        for message in messages:
            self.window.sent(message)

    def described(self, message: int) -> None:
        """The description with this id is about to be sent."""
        self.describe, self.describing = False, message

    def nothing_left(self) -> None:
        """What was believed to be stored behind the last sent message is not there any more."""
        self.end = self.window.last

    def took(self, message: int) -> bool:
        """The broker has it; True if the lane's position moved."""
        if message == self.describing:
            self.describing = 0
            moved = False
        else:
            moved = self.window.acknowledged(message)
            if moved:
                self.floor = self.window.cursor
        if self.mood is Mood.TRYING and not self.unanswered:
            self.mood, self.refusal = Mood.FLOWING, None
        return moved

    def refuse(self, message: int, refusal: tuple[str, str]) -> bool:
        """The broker does not want it; False for an id that is not on its way."""
        if message == self.describing:
            self.describing, self.describe = 0, True
        elif not self.window.refused(message):
            return False
        self.mood, self.refusal = Mood.ANSWERING, refusal
        return True

    def rest(self, now: float) -> None:
        """Everything is answered: wait before it is tried again from the refused message on."""
        self.mood = Mood.WAITING
        self.retry_at = now + self._backoff.failed(now)
        self.window.rewind()

    def flowed(self, now: float) -> None:
        """Something was taken again: in time the failures are forgiven."""
        self._backoff.succeeded(now)


class Lanes:
    """All lanes of a sink's connection.

    Args:
        cursor: Every message up to this id is delivered.
        jitter: For the delays.
        first: Ceiling of the first delay after a refusal, in seconds.
        longest: Highest ceiling.
        stable: How long a lane must have flowed to be forgiven.

    Attributes:
        cursor: Every message of every lane up to this id is delivered.
    """

    def __init__(self, cursor: int, jitter: Random, *, first: float, longest: float, stable: float) -> None:
        self.cursor = cursor
        self._last = cursor
        self._delays = (jitter, first, longest, stable)
        self._lanes: dict[str, Lane] = {}
        self._busy: dict[str, Lane] = {}
        self._flight: dict[int, Lane] = {}
        self._held: dict[str, Lane] = {}
        self._ready: deque[Lane] = deque()

    def open(self, machine: str, position: int, end: int, *, describe: bool = False) -> None:
        """A machine with messages up to `end`, delivered up to `position`."""
        jitter, first, longest, stable = self._delays
        lane = Lane(machine, position, max(position, end), Backoff(jitter, first=first, longest=longest, stable=stable))
        lane.describe = describe
        self._lanes[machine] = lane
        self._last = max(self._last, end)
        if lane.busy:
            self._busy[machine] = lane
        self.queue(lane)

    def settle(self) -> None:
        """All lanes are open: the cursor may be further on than it was known to be."""
        self._move()

    def grown(self, machine: str, message: int) -> None:
        """A message was stored."""
        lane = self._lanes.get(machine)
        if lane is None:
            self.open(machine, message - 1, message)
            return
        self._last = message
        if not lane.busy:
            lane.floor = message - 1
            lane.end = message
            self._busy[machine] = lane
            if len(self._busy) == 1:
                self._move()
        lane.end = message
        self.queue(lane)

    def next(self, now: float) -> Lane | None:
        """The lane whose turn it is, until `back` is called."""
        for lane in [lane for lane in self._held.values() if lane.mood is Mood.WAITING and lane.retry_at <= now]:
            lane.mood = Mood.TRYING
            self.queue(lane)
        while self._ready:
            lane = self._ready.popleft()
            if lane.may_send:
                return lane
            lane.queued = False
        return None

    def back(self, lane: Lane) -> None:
        """Its turn is over: if it has more to send, it comes behind the others."""
        lane.queued = False
        self.queue(lane)

    def queue(self, lane: Lane) -> None:
        """Let it have a turn, if it has something to send and does not wait for one, or has it."""
        if not lane.queued and lane.may_send:
            lane.queued = True
            self._ready.append(lane)

    def turn(self) -> int:
        """How many messages the present turn may be."""
        return max(1, TURN_MESSAGES // (len(self._ready) + 1))

    @property
    def ready(self) -> int:
        """Lanes that wait for their turn."""
        return len(self._ready)

    def sent(self, lane: Lane, messages: Sequence[int]) -> None:
        """These ids are about to be sent."""
        lane.sent(messages)
        self._flight.update(dict.fromkeys(messages, lane))

    def described(self, lane: Lane, message: int) -> None:
        """The machine's description is about to be sent."""
        lane.described(message)
        self._flight[message] = lane

    def nothing_left(self, lane: Lane) -> None:
        """There is nothing more to read of this lane."""
        lane.nothing_left()
        self._move_if(lane)

    def took(self, message: int, now: float) -> Lane | None:
        """The broker has it; the lane if its position moved."""
        lane = self._flight.pop(message, None)
        if lane is None:
            return None
        floor, held = lane.floor, lane.refusal is not None
        moved = lane.took(message)
        if held and lane.refusal is None:
            lane.flowed(now)
            del self._held[lane.machine]
        self._answered(lane, now)
        if moved and floor <= self.cursor:
            self._move_if(lane)
        elif not lane.busy:
            self._busy.pop(lane.machine, None)
        return lane if moved else None

    def refused(self, message: int, topic: str, reason: str, now: float) -> Lane | None:
        """The broker does not want it; the lane that stops, None for an id that is not on its way."""
        lane = self._flight.pop(message, None)
        if lane is None or not lane.refuse(message, (topic, reason)):
            return None
        self._held[lane.machine] = lane
        self._answered(lane, now)
        return lane

    @property
    def held(self) -> Sequence[Lane]:
        """Lanes that the broker refuses something of."""
        return list(self._held.values())

    @property
    def settled(self) -> bool:
        """Everything is delivered, but for what the broker refuses."""
        return all(lane.settled for lane in self._lanes.values())

    def wait(self, now: float) -> float | None:
        """Seconds until a refused lane is tried again; None when none waits."""
        times = [lane.retry_at for lane in self._held.values() if lane.mood is Mood.WAITING]
        return max(0.0, min(times) - now) if times else None

    def _answered(self, lane: Lane, now: float) -> None:
        if lane.mood is Mood.ANSWERING and not lane.unanswered:
            lane.rest(now)
        self.queue(lane)

    def _move_if(self, lane: Lane) -> None:
        if not lane.busy:
            self._busy.pop(lane.machine, None)
        self._move()

    def _move(self) -> None:
        if self._busy:
            self.cursor = max(self.cursor, min([lane.floor for lane in self._busy.values()]))
        else:
            self.cursor = max(self.cursor, self._last)
