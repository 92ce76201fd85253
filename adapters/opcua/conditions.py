"""Which conditions are of interest, across reconnections: what ended while nobody listened is told as ended.

A ConditionRefresh tells the states of all conditions with Retain. One that was of interest before and is not among
them has ended meanwhile; its end gets an event of its own, marked as told by a refresh.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

from gateway.model import Event, EventBody


class ConditionBook:
    """Conditions with Retain by machine and id, with their last event; one book per source.

    A refresh is told per notifier, so it speaks of the machines of that notifier alone.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], EventBody] = {}
        self._seen: dict[str, set[str]] = {}

    def refreshing(self, machine: str) -> bool:
        """Between the begin and the end of a refresh of this machine."""
        return machine in self._seen

    def __len__(self) -> int:
        return len(self._kept)

    def begin_refresh(self, machines: Iterable[str]) -> None:
        """RefreshStartEvent came for these machines."""
        self._seen |= {machine: set() for machine in machines}

    def take(self, event: Event) -> None:
        """An event of a condition came."""
        condition = event.event.condition
        if condition is None or condition.branch is not None:
            return
        if event.machine in self._seen:
            self._seen[event.machine].add(condition.id)
        if condition.retain:
            self._kept[event.machine, condition.id] = event.event
        else:
            self._kept.pop((event.machine, condition.id), None)

    def end_refresh(self, machines: Iterable[str], time: str | None) -> list[Event]:
        """RefreshEndEvent came for these machines: the ends that were missed."""
        ended = []
        for machine in machines:
            seen = self._seen.pop(machine, None)
            if seen is None:
                continue
            gone = [key for key in self._kept if key[0] == machine and key[1] not in seen]
            ended += [Event(machine, _ended(self._kept.pop(key), time)) for key in gone]
        return ended


def _ended(last: EventBody, time: str | None) -> EventBody:
    assert last.condition is not None
    digest = hashlib.sha256(f"{last.id} ended before {time}".encode()).digest()[:16]
    ended = last.condition.model_copy(update={"active": None, "acked": None, "confirmed": None, "retain": False})
    return last.model_copy(
        update={
            "id": base64.b64encode(digest).decode(),
            "time": time,
            "condition": ended,
            "refresh": True,
            "fields": {},
        }
    )
