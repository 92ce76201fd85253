"""Alarms of a machine: their causes come, somebody acknowledges and remedies them, they go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from simulators.machine import Condition, Localized, RefusedError
from simulators.machines.board import Board


class Reaction(Enum):
    """What an alarm does to the program."""

    NONE = "none"
    INTERRUPT = "interrupt"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class AlarmKind:
    """A kind of alarm: what it says and does, and the seconds that its remedy takes (None: it goes by itself)."""

    name: str
    source: str
    text: str
    severity: int
    code: str
    reaction: Reaction
    remedy: float | None


@dataclass(slots=True)
class _Alarm:
    kind: AlarmKind
    message: Localized
    active: bool = False
    acked: bool = True
    time: int = 0
    comment: str | None = None
    raised: float = 0.0
    acked_at: float | None = None

    @property
    def open(self) -> bool:
        return self.active or not self.acked


class AlarmBook:
    """All alarms of a machine; each kind is active at most once."""

    def __init__(self, board: Board, kinds: Iterable[AlarmKind]) -> None:
        self._board = board
        self._alarms = {kind.name: _Alarm(kind, Localized(kind.text)) for kind in kinds}

    def names(self) -> list[str]:
        """Names of all kinds."""
        return list(self._alarms)

    def raise_(self, name: str, seconds: float, time: int, detail: str = "") -> bool:
        """The cause has come; False if it was there already."""
        alarm = self._alarms[name]
        if alarm.active:
            return False
        text = f"{alarm.kind.text}: {detail}" if detail else alarm.kind.text
        alarm.message = Localized(text)
        alarm.active, alarm.acked, alarm.comment = True, False, None
        alarm.raised, alarm.acked_at = seconds, None
        self._tell(alarm, time)
        return True

    def clear(self, name: str, time: int) -> None:
        """The cause has gone."""
        alarm = self._alarms[name]
        if alarm.active:
            alarm.active = False
            self._tell(alarm, time)

    def acknowledge(self, name: str, comment: str | None, seconds: float, time: int) -> None:
        """Somebody has seen it.

        Raises:
            RefusedError: There is no such alarm, or nothing to acknowledge.
        """
        alarm = self._alarms.get(name)
        if alarm is None:
            raise RefusedError("BadNodeIdUnknown", f"no alarm {name!r}; known: {', '.join(self._alarms)}")
        if alarm.acked:
            raise RefusedError("BadConditionBranchAlreadyAcked", f"alarm {name} has nothing to acknowledge")
        alarm.acked, alarm.comment, alarm.acked_at = True, comment, seconds
        self._tell(alarm, time)

    def waiting(self, seconds: float, delay: float) -> list[str]:
        """Alarms that nobody has acknowledged for `delay` seconds."""
        return [n for n, a in self._alarms.items() if not a.acked and seconds >= a.raised + delay]

    def remediable(self, seconds: float) -> list[str]:
        """Active alarms, acknowledged, whose remedy is done by now."""
        done: list[str] = []
        for name, alarm in self._alarms.items():
            remedy = alarm.kind.remedy
            if (
                alarm.active
                and alarm.acked_at is not None
                and remedy is not None
                and seconds >= alarm.acked_at + remedy
            ):
                done.append(name)
        return done

    def is_active(self, name: str) -> bool:
        """Its cause is present."""
        return self._alarms[name].active

    def is_open(self, name: str) -> bool:
        """It is active or not acknowledged."""
        return self._alarms[name].open

    def kind(self, name: str) -> AlarmKind:
        """The kind by its name."""
        return self._alarms[name].kind

    @property
    def blocking(self) -> list[str]:
        """Open alarms that keep the program from running."""
        return [n for n, a in self._alarms.items() if a.open and a.kind.reaction is not Reaction.NONE]

    @property
    def count(self) -> int:
        """How many are open."""
        return sum(alarm.open for alarm in self._alarms.values())

    def conditions(self) -> list[Condition]:
        """All that are of interest now."""
        return [self._condition(alarm) for alarm in self._alarms.values() if alarm.open]

    def _tell(self, alarm: _Alarm, time: int) -> None:
        alarm.time = time
        self._board.tell(self._condition(alarm))

    def _condition(self, alarm: _Alarm) -> Condition:
        return Condition(
            type="AlertType",
            name=alarm.kind.name,
            source=alarm.kind.source,
            message=alarm.message,
            severity=alarm.kind.severity,
            active=alarm.active,
            acked=alarm.acked,
            retain=alarm.open,
            time=alarm.time,
            fields={"ErrorCode": alarm.kind.code},
            comment=alarm.comment,
        )
