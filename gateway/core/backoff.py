"""How long to wait before the next attempt: exponential, with full jitter, forgotten after a stable time.

A floor of machines that lost power comes back at once; a hundred connections that all try every four seconds on the
second would meet again and again. So each delay is drawn evenly between nothing and a ceiling that doubles with every
failure in a row.

A connection that was made counts as success only once it has stood for `stable` seconds: a peer that accepts and hangs
up at once is not hammered.
"""

from __future__ import annotations

from random import Random


class Backoff:
    """The delays of one connection.

    Args:
        random: Where the jitter comes from; seeded in tests.
        first: Ceiling of the first delay in seconds.
        longest: Highest ceiling in seconds.
        stable: Seconds that a connection must have stood to be forgiven its failures.
    """

    __slots__ = ("_connected", "_failures", "_first", "_longest", "_random", "_stable")

    def __init__(self, random: Random, *, first: float = 0.5, longest: float = 4.0, stable: float = 30.0) -> None:
        self._random = random
        self._first = first
        self._longest = longest
        self._stable = stable
        self._failures = 0
        self._connected: float | None = None

    @property
    def failures(self) -> int:
        """Failures in a row, as far as they count."""
        return self._failures

    @property
    def ceiling(self) -> float:
        """The longest that the next delay can be, in seconds."""
        doublings = min(self._failures, 60)  # beyond, a float only grows without use
        return min(self._longest, self._first * 2.0**doublings)

    def succeeded(self, now: float) -> None:
        """The connection was made at `now` (seconds of any steady clock)."""
        self._connected = now

    def failed(self, now: float) -> float:
        """The attempt failed, or the connection was lost, at `now`: wait this many seconds, then try again."""
        if self._connected is not None and now - self._connected >= self._stable:
            self._failures = 0
        self._connected = None
        delay = self._random.uniform(0.0, self.ceiling)
        self._failures += 1
        return delay
