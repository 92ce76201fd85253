"""Looking for machines again while values flow: on request, and from time to time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from adapters.opcua.plan import Discovery
from gateway.errors import Area4Error

logger = logging.getLogger("adapters.opcua")

SETTLE = 0.5
"""Seconds to wait after a request: changes of an address space come in crowds."""


class Rediscovery:
    """A task that discovers beside the reading; its result is taken by the reader when it is there.

    Args:
        discover: One discovery on the present connection.
        period: Seconds between two without a request; 0: only on request.
        found: Called when a result is there.
    """

    def __init__(self, discover: Callable[[], Awaitable[Discovery]], period: float, found: Callable[[], None]) -> None:
        self._discover = discover
        self._period = period
        self._found = found
        self._wanted = asyncio.Event()
        self._result: Discovery | None = None
        self._busy = False
        self._task: asyncio.Task[None] | None = None

    def start(self, name: str) -> None:
        """Begin to wait."""
        self._task = asyncio.create_task(self._run(), name=f"opcua rediscovery {name}")

    def request(self) -> None:
        """Discover soon."""
        self._wanted.set()

    @property
    def owing(self) -> bool:
        """Somebody asked, and what was found is not taken yet."""
        return self._wanted.is_set() or self._busy or self._result is not None

    def result(self) -> Discovery | None:
        """A result that was not taken yet."""
        found, self._result = self._result, None
        return found

    async def stop(self) -> None:
        """End the task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._period or None):
                    await self._wanted.wait()
            if self._wanted.is_set():
                await asyncio.sleep(SETTLE)
            self._wanted.clear()
            self._busy = True
            try:
                self._result = await self._discover()
            except Area4Error as problem:  # the reader notices a lost connection by itself
                logger.info("looking for machines again failed: %s", problem)
                continue
            self._busy = False
            self._found()
