"""Whether the gateway hears each machine: told by the sources, announced by every sink."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from gateway.contracts import Sink
from gateway.model import MachineState, MachineStatus
from gateway.model.messages import dump
from gateway.model.times import iso_from_ticks, ticks_from_unix_ns


@dataclass(frozen=True, slots=True)
class Heard:
    """State of a machine, since when (ticks), and why."""

    state: MachineState
    since: int
    reason: str


def _now() -> int:
    return ticks_from_unix_ns(time.time_ns())


class MachineStates:
    """The `MachineListener` to construct sources with; the pipeline attaches the sinks."""

    def __init__(self, clock: Callable[[], int] = _now) -> None:
        self._clock = clock
        self._heard: dict[str, Heard] = {}
        self._sinks: tuple[Sink, ...] = ()

    def __call__(self, machine: str, state: MachineState, reason: str) -> None:
        """Take note; announced only when something changed."""
        known = self._heard.get(machine)
        if known is not None and (known.state, known.reason) == (state, reason):
            return
        since = known.since if known is not None and known.state == state else self._clock()
        self._heard[machine] = Heard(state, since, reason)
        self._announce(machine, self._sinks)

    def attach(self, sinks: Sequence[Sink]) -> None:
        """Announce to these, what is known already included."""
        self._sinks = tuple(sinks)
        for machine in self._heard:
            self._announce(machine, self._sinks)

    def all(self) -> Mapping[str, Heard]:
        """Every machine that was ever heard of."""
        return self._heard

    def stopped(self, reason: str) -> None:
        """Nobody listens to the machines any more."""
        for machine, heard in list(self._heard.items()):
            if heard.state != "offline":
                self(machine, "offline", reason)

    def _announce(self, machine: str, sinks: Sequence[Sink]) -> None:
        heard = self._heard[machine]
        status = MachineStatus(
            machine=machine, state=heard.state, since=iso_from_ticks(heard.since), reason=heard.reason or None
        )
        payload = msgspec.json.encode(dump(status))
        for sink in sinks:
            sink.announce("status", machine, payload)
