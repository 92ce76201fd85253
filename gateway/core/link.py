"""The states of a connection, from the first attempt to the last goodbye.

A connection starts as `connecting`. The first success makes it `online`, a failure `offline` (nobody there) or
`refused` (somebody there, but one side does not accept the other). Further attempts change nothing that a person would
see: it stays `offline` with its reason until an attempt succeeds, so a status page does not flicker. While it stands it
may be `degraded` (something of it is refused or quarantined) or `silent` (nothing comes), and `online` again. `stopped`
is final until a new attempt.

::

    event        connecting  online    degraded  silent    refused   offline   stopped
    ATTEMPT      connecting  -         -         -         refused   offline   connecting
    CONNECTED    online      online    degraded  online    online    online    -
    DEGRADED     -           degraded  degraded  degraded  -         -         -
    CLEARED      -           online    online    silent    -         -         -
    SILENT       -           silent    silent    silent    -         -         -
    HEARD        -           online    degraded  online    -         -         -
    FAILED       offline     offline   offline   offline   offline   offline   -
    REFUSED      refused     refused   refused   refused   refused   refused   -
    STOPPED      stopped     stopped   stopped   stopped   stopped   stopped   stopped

`-` changes nothing: a late word of a connection that is over.

What is told to people is decided here, as data: the first time that a reason is heard in an outage it is WARNING, its
repeats are DEBUG, the recovery is INFO.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

State = Literal["connecting", "online", "degraded", "silent", "refused", "offline", "stopped"]

STATES: tuple[State, ...] = ("connecting", "online", "degraded", "silent", "refused", "offline", "stopped")

REASONS_KEPT = 16
"""Reasons remembered per outage; a peer that invents a new one each time is a warning no more."""


class Happening(Enum):
    """What happened to a connection."""

    ATTEMPT = auto()
    CONNECTED = auto()
    DEGRADED = auto()
    CLEARED = auto()
    SILENT = auto()
    HEARD = auto()
    FAILED = auto()
    REFUSED = auto()
    STOPPED = auto()


_TABLE: dict[Happening, tuple[State | None, ...]] = {
    Happening.ATTEMPT: ("connecting", None, None, None, "refused", "offline", "connecting"),
    Happening.CONNECTED: ("online", "online", "degraded", "online", "online", "online", None),
    Happening.DEGRADED: (None, "degraded", "degraded", "degraded", None, None, None),
    Happening.CLEARED: (None, "online", "online", "silent", None, None, None),
    Happening.SILENT: (None, "silent", "silent", "silent", None, None, None),
    Happening.HEARD: (None, "online", "degraded", "online", None, None, None),
    Happening.FAILED: ("offline", "offline", "offline", "offline", "offline", "offline", None),
    Happening.REFUSED: ("refused", "refused", "refused", "refused", "refused", "refused", None),
    Happening.STOPPED: ("stopped", "stopped", "stopped", "stopped", "stopped", "stopped", "stopped"),
}

_TROUBLE: frozenset[State] = frozenset(("degraded", "silent", "refused", "offline"))


@dataclass(frozen=True, slots=True)
class Told:
    """What the log should say of a happening.

    Attributes:
        level: Of `logging`.
        changed: The state is another one than before.
    """

    level: int
    state: State
    reason: str
    changed: bool


class Link:
    """State of one connection.

    Attributes:
        state: The present one.
        since: When it began, by the clock that the caller passes.
        reason: One sentence; empty when online.
        advice: What to do; often empty.
    """

    __slots__ = ("_heard", "advice", "reason", "since", "state")

    def __init__(self, now: float) -> None:
        self.state: State = "connecting"
        self.since = now
        self.reason = ""
        self.advice = ""
        self._heard: set[str] = set()

    def tell(self, happening: Happening, now: float, reason: str = "", advice: str = "") -> Told:
        """Take note of what happened; the answer says how loud to be about it."""
        target = _TABLE[happening][STATES.index(self.state)]
        if target is None:
            return Told(logging.DEBUG, self.state, reason, changed=False)
        changed = target != self.state
        if changed:
            self.state, self.since = target, now
        if changed or reason:
            self.reason, self.advice = reason, advice
        return Told(self._level(target, reason, changed=changed), target, reason, changed)

    def _level(self, state: State, reason: str, *, changed: bool) -> int:
        if state not in _TROUBLE:
            self._heard.clear()
            return logging.INFO if changed else logging.DEBUG
        if reason in self._heard or len(self._heard) >= REASONS_KEPT or not (reason or changed):
            return logging.DEBUG
        self._heard.add(reason)
        return logging.WARNING
