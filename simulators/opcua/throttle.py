"""Who logs in wrongly has to wait (IEC 62443-4-2, CR 1.11): longer each time, never for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable

FREE = 4
"""Wrong logins in a row before anybody waits."""
_STEP = 0.7
_LONGEST = 2.1
_FORGET = 60.0
_MOST = 1_000


class Throttle:
    """Counts wrong logins in a row by client.

    Attributes:
        free: Wrong logins before the first wait.
    """

    def __init__(self, clock: Callable[[], float], *, free: int = FREE) -> None:
        self.free = free
        self._clock = clock
        self._wrong: dict[Hashable, tuple[int, float]] = {}

    def delay(self, client: Hashable) -> float:
        """Seconds that this client waits before its next login is looked at."""
        count, last = self._wrong.get(client, (0, 0.0))
        if count < self.free or self._clock() - last > _FORGET:
            return 0.0
        return min(_STEP * (count - self.free + 1), _LONGEST)

    async def wait(self, client: Hashable) -> None:
        """Wait as long as `delay` says."""
        seconds = self.delay(client)
        if seconds:
            await asyncio.sleep(seconds)

    def failed(self, client: Hashable) -> None:
        """This client's login was wrong."""
        count, last = self._wrong.pop(client, (0, 0.0))
        now = self._clock()
        self._wrong[client] = (1 if now - last > _FORGET else count + 1, now)
        while len(self._wrong) > _MOST:
            del self._wrong[next(iter(self._wrong))]

    def succeeded(self, client: Hashable) -> None:
        """It was right."""
        self._wrong.pop(client, None)
