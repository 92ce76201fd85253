"""The attempts of one connection: again and again, its state for people, its delays, how loud the log is about it."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Literal, Never

from gateway.contracts import LinkStatus, Sink, Source
from gateway.core.backoff import Backoff
from gateway.core.link import Happening, Link
from gateway.errors import Area4Error, ConfigurationError, RefusedError, UnreachableError
from gateway.pipeline.settings import PipelineSettings

logger = logging.getLogger("gateway.pipeline")


class Attempts:
    """One source's or sink's connection: whatever happens to it stays in here.

    Args:
        kind: What it is, for the log.
        peer: Whose connection.
        settings: Delays and deadlines.
        failures: Counted by name.
    """

    def __init__(
        self, kind: Literal["source", "sink"], peer: Source | Sink, settings: PipelineSettings, failures: Counter[str]
    ) -> None:
        jitter = random.Random()  # noqa: S311 - jitter is no secret
        self.link = Link(time.time())
        self._name = f"{kind} {peer.name}"
        self._peer = peer
        self._settings = settings
        self._failures = failures
        self._usual = Backoff(
            jitter, first=settings.retry_first, longest=settings.retry_longest, stable=settings.stable
        )
        self._seldom = Backoff(
            jitter, first=settings.retry_first, longest=settings.retry_refused, stable=settings.stable
        )
        self._tries = 0
        self._failing = False

    async def forever(self, once: Callable[[], Awaitable[Never]]) -> Never:
        """Until cancelled: `once` connects and works until something fails; then close, wait, and again.

        Cancelled, it leaves the peer open: `close` is for later.
        """
        while True:
            try:
                await once()
            except Exception as error:  # noqa: BLE001 - a broken peer must not disturb the others; it is told and tried again
                delay = self._failed(error)
            except asyncio.CancelledError:
                if being_cancelled():
                    raise
                delay = self._failed(UnreachableError("The connection was given up from within."))
            await self._leave()
            end_if_cancelled()
            await asyncio.sleep(delay)

    async def connect(self, connecting: Awaitable[None]) -> None:
        """Await the peer's `connect()`, for so long."""
        self._tries += 1
        self._tell(Happening.ATTEMPT)
        async with asyncio.timeout(self._settings.connect_timeout):
            await connecting
        end_if_cancelled()
        now = time.monotonic()
        self._usual.succeeded(now)
        self._seldom.succeeded(now)
        tries = f"{self._tries} attempt{'s' if self._tries > 1 else ''}"
        self._tell(Happening.CONNECTED, note=f", recovered after {tries}" if self._failing else "")
        self._tries, self._failing = 0, False

    def degraded(self, reason: str, advice: str = "") -> None:
        """The connection stands, but something is refused."""
        self._tell(Happening.DEGRADED, reason, advice)

    def cleared(self) -> None:
        """What was refused is accepted."""
        self._tell(Happening.CLEARED)

    async def close(self) -> None:
        """Leave, for good."""
        await self._leave()
        self._tell(Happening.STOPPED)

    @property
    def status(self) -> LinkStatus:
        """The peer's own status, unless we know that the connection is down, stopped or degraded."""
        link, own = self.link, self._peer.status
        if link.state in {"online", "connecting", "silent"}:
            return own
        return replace(own, state=link.state, since=link.since, reason=link.reason, advice=link.advice)

    def _failed(self, error: BaseException) -> float:
        """The attempt or the connection failed: seconds to wait before the next one."""
        self._failures[self._peer.name] += 1
        self._failing = True
        now = time.monotonic()
        if isinstance(error, RefusedError | ConfigurationError):
            self._tell(Happening.REFUSED, str(error), error.advice)
            return self._seldom.failed(now)
        if isinstance(error, Area4Error):
            self._tell(Happening.FAILED, str(error), error.advice)
        elif isinstance(error, TimeoutError):
            self._tell(Happening.FAILED, "The attempt to connect took too long.")
        else:
            logger.error("%s: unexpected error; it is closed and tried again", self._name, exc_info=error)
            self._tell(Happening.FAILED, f"Unexpected error: {type(error).__name__}: {error}", "Please report this.")
        return self._usual.failed(now)

    async def _leave(self) -> None:
        """Close politely, for so long; what it fails with is for the debug log, since we leave anyway."""
        try:
            async with asyncio.timeout(self._settings.close_timeout):
                await self._peer.close()
        except Exception as error:  # noqa: BLE001 - a goodbye that fails must not keep us from trying again
            logger.debug("%s: closing failed: %s", self._name, error)

    def _tell(self, happening: Happening, reason: str = "", advice: str = "", note: str = "") -> None:
        told = self.link.tell(happening, time.time(), reason, advice)
        if told.changed or told.reason:
            text = f": {told.reason} {advice}".rstrip() if told.reason else note
            logger.log(told.level, "%s is %s%s", self._name, told.state, text)


def being_cancelled() -> bool:
    """The present task is asked to end: else a cancellation came from within a peer, and is a failure of it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def end_if_cancelled() -> None:
    """For a cancellation that a peer's library kept to itself: asked once to end, a task must end.

    Raises:
        asyncio.CancelledError: The present task is asked to end.
    """
    if being_cancelled():
        raise asyncio.CancelledError
