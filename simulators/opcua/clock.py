"""The simulated clock: at factor 1 the wall clock, else a time that begins at the wall clock and runs faster.

Source timestamps are simulated time. At factor 1 that is wall-clock UTC; at any other factor it begins at the wall
clock of the start and runs away into the future, so that all rates and intervals look as they would on the machine.
"""

from __future__ import annotations

from collections.abc import Callable

from simulators.opcua.values import ticks_from_unix

FASTEST = 1000.0
_MICROSECOND = 10


class Clock:
    """Simulated time in OPC UA ticks, whole microseconds, never backwards.

    Attributes:
        factor: Simulated seconds per second, 1 to 1000.
    """

    def __init__(self, factor: float, wall: Callable[[], float], monotonic: Callable[[], float]) -> None:
        if not 1 <= factor <= FASTEST:
            raise ValueError(f"time factor {factor:g} is not possible: 1 to {FASTEST:g} are")
        self.factor = factor
        self._wall = wall
        self._monotonic = monotonic
        self._began = wall()
        self._mark = monotonic()
        self._last = 0

    def now(self) -> int:
        """Simulated time now."""
        run = self._began + (self._monotonic() - self._mark) * self.factor
        seconds = self._wall() if self.factor == 1 else run
        self._last = max(self._last, ticks_from_unix(seconds) // _MICROSECOND * _MICROSECOND)
        return self._last
