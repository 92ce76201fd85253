"""The attempts of one connection: its state for people, its delays, and how loud the log is about it."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable
from dataclasses import replace

from gateway.contracts import LinkStatus
from gateway.core.backoff import Backoff
from gateway.core.link import Happening, Link
from gateway.errors import Area4Error, ConfigurationError, RefusedError
from gateway.pipeline.settings import PipelineSettings

logger = logging.getLogger("gateway.pipeline")


class Attempts:
    """Bookkeeping of one source's or sink's connection.

    Args:
        name: In the configuration.
        settings: Delays.
        failures: Counted by name.
    """

    def __init__(self, name: str, settings: PipelineSettings, failures: Counter[str]) -> None:
        jitter = random.Random()  # noqa: S311 - jitter is no secret
        self.name = name
        self.link = Link(time.time())
        self._failures = failures
        self._usual = Backoff(
            jitter, first=settings.retry_first, longest=settings.retry_longest, stable=settings.stable
        )
        self._seldom = Backoff(
            jitter, first=settings.retry_first, longest=settings.retry_refused, stable=settings.stable
        )

    def attempt(self) -> None:
        """An attempt begins."""
        self._tell(Happening.ATTEMPT)

    def succeeded(self) -> None:
        """The connection stands."""
        now = time.monotonic()
        self._usual.succeeded(now)
        self._seldom.succeeded(now)
        self._tell(Happening.CONNECTED)

    def degraded(self, reason: str, advice: str = "") -> None:
        """The connection stands, but something is refused."""
        self._tell(Happening.DEGRADED, reason, advice)

    def cleared(self) -> None:
        """What was refused is accepted."""
        self._tell(Happening.CLEARED)

    def failed(self, error: BaseException) -> float:
        """The attempt or the connection failed: seconds to wait before the next one."""
        self._failures[self.name] += 1
        now = time.monotonic()
        if isinstance(error, RefusedError | ConfigurationError):
            self._tell(Happening.REFUSED, str(error), error.advice)
            return self._seldom.failed(now)
        if isinstance(error, Area4Error):
            self._tell(Happening.FAILED, str(error), error.advice)
        elif isinstance(error, TimeoutError):
            self._tell(Happening.FAILED, "The attempt to connect took too long.")
        else:
            logger.error("%s: unexpected error; it is closed and tried again", self.name, exc_info=error)
            self._tell(Happening.FAILED, f"Unexpected error: {type(error).__name__}: {error}", "Please report this.")
        return self._usual.failed(now)

    def stopped(self) -> None:
        """There will be no further attempt."""
        self._tell(Happening.STOPPED)

    def status(self, own: LinkStatus) -> LinkStatus:
        """The peer's own status, unless we know that the connection is down, stopped or degraded."""
        link = self.link
        if link.state in {"online", "connecting", "silent"}:
            return own
        return replace(own, state=link.state, since=link.since, reason=link.reason, advice=link.advice)

    def _tell(self, happening: Happening, reason: str = "", advice: str = "") -> None:
        told = self.link.tell(happening, time.time(), reason, advice)
        if told.changed or told.reason:
            text = f"{told.reason} {advice}".strip() if told.reason else ""
            logger.log(told.level, "%s is %s%s", self.name, told.state, f": {text}" if text else "")


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


async def quietly(name: str, goodbye: Awaitable[None], seconds: float) -> None:
    """Await a `close()`, for so long; what it fails with is for the debug log, since we leave anyway."""
    try:
        async with asyncio.timeout(seconds):
            await goodbye
    except Exception as error:  # noqa: BLE001 - a goodbye that fails must not keep us from trying again
        logger.debug("%s: closing failed: %s", name, error)
