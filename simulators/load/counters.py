"""What a load source did, and whether it was itself the limit."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

LATE = 0.5
"""Share of a publishing interval that a publication may be late before it counts as late."""

_TOLERATED = 0.01
_BUSY = 0.9
_WAITED = 0.05


@dataclass(slots=True)
class Counters:
    """Of one source process, all its servers together; values are changes of monitored signals.

    Attributes:
        generated: Values that were due while a subscription monitored them.
        sent: Of these, in publications that were sent.
        acknowledged: Of these, in publications that the subscriber acknowledged.
        dropped: Values that left a full queue; the next one of the signal carries the Overflow bit.
        publications: Messages with values.
        cycles: Publishing intervals of all subscriptions.
        late: Of these, begun late by more than half an interval.
        longest_late: Seconds of the worst one.
        waited: Seconds in which values were due and the subscriber had no PublishRequest at the server.
    """

    generated: int = 0
    sent: int = 0
    acknowledged: int = 0
    dropped: int = 0
    publications: int = 0
    cycles: int = 0
    late: int = 0
    longest_late: float = 0.0
    waited: float = 0.0
    _wall: float = field(default_factory=time.monotonic)
    _cpu: float = field(default_factory=time.process_time)

    def cycle(self, late: float, interval: float) -> None:
        """A publishing interval began, so many seconds late."""
        self.cycles += 1
        self.late += late > interval * LATE
        self.longest_late = max(self.longest_late, late)

    def summary(self, *, elastic: bool) -> dict[str, Any]:
        """All counts, seconds, the share of a core that was used, and `limited`: whether the source was the limit.

        With a rate, that is when publications were late or the process had no time left. Without one, when
        the subscriber hardly ever let it wait.
        """
        wall = max(time.monotonic() - self._wall, 1e-9)
        share = (time.process_time() - self._cpu) / wall
        late = self.late / max(self.cycles, 1)
        limited = self.waited / wall < _WAITED if elastic else late > _TOLERATED or share > _BUSY
        counts = {name: value for name, value in asdict(self).items() if not name.startswith("_")}
        return {**counts, "seconds": wall, "cpu_share": share, "limited": bool(self.publications and limited)}
