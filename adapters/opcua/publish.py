"""The publish engine: several PublishRequests wait at the server, and an acknowledgement is sent only after the commit.

What arrives goes through the sequence numbers (OPC 10000-4, 5.14.1.2): a hole is asked for again at once (Republish),
in order, and what the server no longer has becomes `Missing`. Everything is bounded: requests in flight, notifications
waiting here and notifications not yet committed together never exceed `unacknowledged`; when they reach it, no request
is sent until commits come, and the server keeps the rest in its queues.

Requests are written and answers taken without a task or future per cycle: the body is assembled here, sealed by the
channel (adapters.opcua.channel), and the answer's body comes back as bytes within the reading of the socket.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from asyncua import ua
from asyncua.ua.ua_binary import nodeid_to_binary

from adapters.opcua.connection import Connection
from adapters.opcua.decode import Decoder, MalformedError, PublishResult, decode, decode_republished
from adapters.opcua.transport import Answered
from gateway.errors import UnreachableError
from gateway.model import GapCause
from gateway.model.times import TICKS_PER_SECOND, ticks_from_unix_ns

MAX_REPUBLISH = 1000
"""A hole larger than any server's queue of sent messages is not asked for number by number."""

FARTHEST = 100_000
"""Sent messages whose numbers are farther from the committed one are not of the subscription that we knew."""

MAX_READ = 20_000
"""Values that one `next` gathers; what is beyond waits for the next."""

SILENT_AFTER, LOST_AFTER = 2.0, 3.0
"""Times of the revised keep-alive: without any answer the server is silent, then lost."""

UNPROVEN_AFTER = 1.5
"""The same for a resumed subscription that has not spoken yet: some servers never publish on a transferred one."""

SHOWN_WITHIN = TICKS_PER_SECOND
"""Ticks from a value's source time to the moment when a server shows it: a scan cycle, a busy computer.

What is published is complete only up to so long before: a gap that began with the last publication would not name a
value that had its source time already and was not yet shown.
"""

GRACE = 1.0
"""Seconds added to both: a busy computer is no silent server."""

_TYPE = struct.pack("<BBH", 1, 0, ua.ObjectIds.PublishRequest_Encoding_DefaultBinary)
_HEADER = struct.Struct("<qIIiI3x")  # time, handle, no diagnostics, no audit entry, no timeout; no additional header
_ACKNOWLEDGEMENT = struct.Struct("<II")
_COUNT = struct.Struct("<i")
_LAST_NUMBER = 0xFFFF_FFFF

_GONE = frozenset({"BadNoSubscription", "BadSubscriptionIdInvalid"})
"""The subscription itself is gone, not only the session or the channel."""

_LOST = frozenset(
    {
        "BadNoSubscription",
        "BadSubscriptionIdInvalid",
        "BadSessionIdInvalid",
        "BadSessionClosed",
        "BadSessionNotActivated",
        "BadSecureChannelClosed",
        "BadSecureChannelIdInvalid",
        "BadServerHalted",
        "BadShutdown",
    }
)


def following(number: int) -> int:
    """The sequence number after `number`; after the last one comes 1."""
    return number + 1 if number < _LAST_NUMBER else 1


def distance(expected: int, found: int) -> int:
    """How many numbers lie between: 0 if it is the expected one, negative for one from before."""
    ahead = (found - expected) % _LAST_NUMBER
    return ahead if ahead < _LAST_NUMBER // 2 else ahead - _LAST_NUMBER


class SubscriptionLostError(UnreachableError):
    """There is no way back to this subscription; the connection may be sound."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Notifications that the server no longer had, or that could not be decoded; between two server times in ticks."""

    begin: int
    end: int
    cause: GapCause
    detail: str


class _Answer(Answered):
    """What waits for the answer of one PublishRequest."""

    __slots__ = ("_acknowledgements", "_engine", "_open")

    def __init__(self, engine: PublishEngine, acknowledgements: list[int]) -> None:
        self._engine = engine
        self._acknowledgements = acknowledgements
        self._open = True

    def done(self) -> bool:
        return not self._open

    def take(self, body: bytes) -> None:
        self._open = False
        self._engine.answered(body, self._acknowledgements)

    def set_exception(self, problem: BaseException) -> None:  # noqa: ARG002 - whatever it was, the acknowledgements count
        self._open = False
        self._engine.unanswered(self._acknowledgements)


class PublishEngine:
    """Reads one subscription.

    Args:
        connection: With an active session.
        subscription: Its id at the server.
        keep_alive: Seconds, as the server revised them: interval times count.
        window: PublishRequests in flight.
        unacknowledged: Bound of everything on its way.
        on_silent: Called once when the server has been silent for too long, before it counts as lost.
        last: Sequence number of the last data notification that is committed; 0 for a new subscription.
        complete: Source time in ticks up to which everything is known; `SHOWN_WITHIN` before the server's time.
        decoder: From the body of a PublishResponse to its content.
    """

    def __init__(
        self,
        connection: Connection,
        subscription: int,
        *,
        keep_alive: float,
        window: int,
        unacknowledged: int,
        on_silent: Callable[[float], None] = lambda _seconds: None,
        last: int = 0,
        complete: int = 0,
        decoder: Decoder = decode,
    ) -> None:
        self.subscription = subscription
        self.last = last
        self.complete = complete
        self.undecodable = 0
        self.republished = 0
        self.most_waiting = 0
        self._connection = connection
        self._session = connection.client.uaclient.session
        self._decode = decoder
        self._window = window
        self._bound = unacknowledged
        self._keep_alive = keep_alive
        self._on_silent = on_silent
        self._in_flight = 0
        self._uncommitted = 0
        self._inbox: deque[PublishResult] = deque()
        self._acknowledgements: list[int] = []
        self._news = asyncio.Event()
        self._heard = time.monotonic()
        self._silent = False
        self._stopped = False
        self._unproven = False
        self._committed_before: int | None = None
        self._farewell = False
        self._prefix = _TYPE + nodeid_to_binary(self._session.authentication_token)
        connection.on_lost = self._news.set

    def start(self) -> None:
        """Send the first requests."""
        self._heard = time.monotonic()
        self.pump()

    async def recover(self, available: Sequence[int] | None) -> None:
        """Take up a subscription after `last`: what was sent and not committed is fetched before anything new.

        What is missing then shows as a hole before the next message, as always. To be called before `start`.

        Args:
            available: Numbers that the server can send again; None where it did not say.

        Raises:
            SubscriptionLostError: The server does not know this subscription.
            UnreachableError: The connection was lost.
        """
        self._unproven = True
        number = self._committed_before = following(self.last)
        ahead = [one for one in available or () if distance(number, one) >= 0]
        if available is not None:
            if any(abs(distance(number, one)) > FARTHEST for one in available):
                raise self._ended("another subscription has its number")
            self._acknowledge_old(available)
            self._farewell = True
        for _ in range(self._bound if available is None else min(len(ahead), self._bound)):
            again = await self._republish(number)
            if again is None:
                return
            self._inbox.append(again)
            number = following(number)

    def _acknowledge_old(self, available: Sequence[int]) -> None:
        """What was committed while its acknowledgement did not reach the server any more."""
        before, self._committed_before = self._committed_before, None
        if before is not None:
            self._acknowledgements += [one for one in available if distance(before, one) < 0]

    def stop(self) -> None:
        """Send no further request."""
        self._stopped = True

    def wake(self) -> None:
        """Let `next` return, with nothing if nothing has arrived."""
        self._news.set()

    @property
    def in_flight(self) -> int:
        """Requests that wait at the server."""
        return self._in_flight

    @property
    def waiting(self) -> int:
        """Notifications received and not yet committed."""
        return len(self._inbox) + self._uncommitted

    def pump(self) -> None:
        """Send as many requests as window and bound allow."""
        protocol = self._connection.client.uaclient.protocol
        if self._stopped or self._connection.lost.is_set() or protocol is None or protocol.transport is None:
            return
        if self._in_flight == 0:
            self._heard = time.monotonic()
        while self._in_flight < self._window and self._in_flight + self.waiting < self._bound:
            acknowledgements, self._acknowledgements = self._acknowledgements, []
            protocol._request_handle += 1
            body = self.request(protocol._request_handle, acknowledgements)
            protocol.request(body, _Answer(self, acknowledgements))
            self._in_flight += 1

    def request(self, handle: int, acknowledgements: list[int]) -> bytes:
        """The body of a PublishRequest (OPC 10000-4, 5.14.5.2)."""
        parts = [self._prefix, _HEADER.pack(ticks_from_unix_ns(time.time_ns()), handle, 0, -1, 0)]
        parts.append(_COUNT.pack(len(acknowledgements)))
        parts += [_ACKNOWLEDGEMENT.pack(self.subscription, number) for number in acknowledgements]
        return b"".join(parts)

    def answered(self, body: bytes, acknowledgements: list[int]) -> None:
        """An answer has arrived; called within asyncua's parsing of the socket, so it never raises."""
        self._in_flight -= 1
        self._heard = time.monotonic()
        self._silent = False
        try:
            result = self._decode(body)
        except MalformedError:  # which one it was shows the hole before the next
            self.undecodable += 1
        else:
            if result.fault is not None:
                self._faulted(result.fault, acknowledgements)
            elif result.subscription in {self.subscription, 0}:
                self._unproven = False
                if self._committed_before is not None:
                    self._acknowledge_old(result.available)
                self._inbox.append(result)
                self.most_waiting = max(self.most_waiting, self.waiting)
        self.pump()
        self._news.set()

    def unanswered(self, acknowledgements: list[int]) -> None:
        """The connection ended before the answer."""
        self._in_flight -= 1
        self._acknowledgements = acknowledgements + self._acknowledgements
        self._news.set()

    def _faulted(self, fault: str, acknowledgements: list[int]) -> None:
        self._acknowledgements = acknowledgements + self._acknowledgements
        if fault == "BadTooManyPublishRequests" and self._window > 1:
            self._window -= 1
            return
        if fault in {"BadTimeout", "BadRequestTimeout"}:
            return
        why = (
            "the server no longer knows session or subscription" if fault in _LOST else "the server stopped publishing"
        )
        url = self._connection.config.url
        kind = SubscriptionLostError if fault in _GONE else UnreachableError
        self._connection.fail(kind(f"{url}: {why} ({fault}).", advice="It is connected anew."))

    def committed(self, numbers: Iterable[int]) -> None:
        """These notifications are durable: acknowledge them with the next request."""
        for number in numbers:
            self._acknowledgements.append(number)
            self._uncommitted -= 1
        self.pump()
        self._news.set()

    async def next(self) -> list[PublishResult | Missing]:
        """What has arrived, complete and in order; empty after `wake`.

        Every data notification in it is to be given to `committed` later.

        Raises:
            UnreachableError: The connection or the subscription is lost, or the server fell silent.
        """
        await self._arrival()
        found: list[PublishResult | Missing] = []
        values = 0
        while self._inbox and values < MAX_READ:
            result = self._inbox.popleft()
            if not result.keep_alive:
                self._uncommitted += 1
            values += len(result.values)
            await self._in_order(result, found)
        self.pump()
        return found

    async def _arrival(self) -> None:
        while not self._inbox:
            if self._connection.lost.is_set():
                raise self._connection.reason or UnreachableError(f"{self._connection.config.url}: connection lost.")
            woken = self._news.is_set()
            self._news.clear()
            if woken:
                return
            try:
                async with asyncio.timeout(self._patience()):
                    await self._news.wait()
            except TimeoutError:
                self._check_silence()

    @property
    def _lost_after(self) -> float:
        return UNPROVEN_AFTER if self._unproven else LOST_AFTER

    def _patience(self) -> float:
        """Seconds until silence means more."""
        times = self._lost_after if self._silent or self._unproven else SILENT_AFTER
        return max(0.05, self._heard + times * self._keep_alive + GRACE - time.monotonic())

    def _check_silence(self) -> None:
        if self._in_flight == 0:  # we asked for nothing: commits are late, not the server
            self._heard = time.monotonic()
            return
        seconds = time.monotonic() - self._heard
        if seconds >= self._lost_after * self._keep_alive + GRACE:
            raise (SubscriptionLostError if self._unproven else UnreachableError)(
                f"{self._connection.config.url} is silent: neither data nor keep-alive for {seconds:.0f} s "
                f"(agreed were {self._keep_alive:g} s).",
                advice="It is connected anew; if this stays so, look at the server's load and log.",
            )
        if seconds >= SILENT_AFTER * self._keep_alive + GRACE and not self._silent:
            self._silent = True
            self._on_silent(seconds)

    async def _in_order(self, result: PublishResult, found: list[PublishResult | Missing]) -> None:
        """Append `result` to `found`, after what is missing before it."""
        if result.status == "GoodSubscriptionTransferred" and self._farewell:
            # node-opcua numbers its farewell to the old session as a message of the subscription
            self._farewell = False
            result.status = None
        if result.status == "GoodSubscriptionTransferred" or (result.status or "Good").startswith(("Bad", "Uncertain")):
            raise self._ended(result.status or "")
        ahead = distance(following(self.last), result.sequence)
        if ahead < 0:
            if not result.keep_alive:  # a repeat of what was taken before: acknowledged again, not read again
                self.committed([result.sequence])
            return
        if ahead:
            await self._repair(ahead, result, found)
        if result.keep_alive:
            found.append(result)
        else:
            await self._take(result, found)
            self.last = result.sequence
        self.complete = max(self.complete, result.time - SHOWN_WITHIN)

    def _ended(self, status: str) -> UnreachableError:
        url = self._connection.config.url
        if status in _LOST - _GONE:
            return UnreachableError(f"{url}: the session ended ({status}).", advice="It is connected anew.")
        return SubscriptionLostError(
            f"{url}: the server ended the subscription ({status}).", advice="It is subscribed anew."
        )

    async def _repair(self, count: int, before: PublishResult, found: list[PublishResult | Missing]) -> None:
        """Ask for `count` notifications after the last one; what cannot be had is `Missing`."""
        missing = 0
        for _ in range(min(count, MAX_REPUBLISH)):
            number = following(self.last)
            again = await self._republish(number)
            if again is None:
                missing += 1
            else:
                self._uncommitted += 1
                await self._take(again, found, final=True)
            self.last = number
        missing += max(0, count - MAX_REPUBLISH)
        if missing:
            detail = f"{missing} notifications were numbered by the server and could not be had again"
            found.append(Missing(self.complete, before.time, "missing-sequence", detail))
        for _ in range(count - MAX_REPUBLISH):
            self.last = following(self.last)

    async def _take(self, result: PublishResult, found: list[PublishResult | Missing], *, final: bool = False) -> None:
        """One data notification; what cannot be decoded is asked for once more, then told."""
        if result.undecodable is not None:
            self.undecodable += 1
            again = None if final else await self._republish(result.sequence)
            if again is not None and again.undecodable is None:
                result = again
        if result.undecodable is not None:
            found.append(Missing(self.complete, result.time, "undecodable", result.undecodable))
        found.append(result)

    async def _republish(self, number: int) -> PublishResult | None:
        """The notification again, or None if the server no longer has it."""
        request = ua.RepublishRequest()
        request.Parameters.SubscriptionId = self.subscription
        request.Parameters.RetransmitSequenceNumber = number
        try:
            result = decode_republished(bytes(await self._session._send_request(request)))
        except ua.UaStatusCodeError as problem:
            status = ua.StatusCode(problem.code).name
            if status in _LOST:
                raise self._ended(status) from problem
            return None
        except MalformedError:
            return None
        except (OSError, ua.UaError) as problem:
            url = self._connection.config.url
            raise UnreachableError(f"{url}: the connection was lost during Republish ({problem}).") from problem
        if result.fault is not None or result.keep_alive or result.sequence != number:
            return None  # some servers answer an empty message instead of BadMessageNotAvailable
        self.republished += 1
        result.subscription = self.subscription
        return result
