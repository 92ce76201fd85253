"""What a new subscription cannot know: the holes that history is to fill, and the gaps for what no history brings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from adapters.opcua.history import Hole
from adapters.opcua.progress import Progress, Span, short_name
from adapters.opcua.reading import Reading
from gateway.model import Gap


@dataclass(frozen=True, slots=True)
class Outage:
    """From where on nothing is known, and since when all is again, as source times in ticks."""

    begin: int
    end: int


def outage_of(resume: Progress, now: int, expected: int) -> Outage:
    """The outage between a predecessor's progress and the server time `now`, whichever clock values are stamped by.

    Args:
        resume: What is stored.
        now: Server time after the new subscription was made.
        expected: What it would be, had nobody set the server's clock.
    """
    return Outage(resume.skew.begin(min(resume.complete, now)), resume.skew.end(max(now, expected)))


def holes(reading: Reading, resume: Progress, outage: Outage) -> Iterable[Hole]:
    """Of each signal with history, what to read: from its last stored value on where its time is known."""
    times = resume.last_times()
    return (
        Hole(machine, path, times.get(short_name(machine, path), outage.begin), outage.end)
        for machine, path in reading.recorded()
    )


def gaps(reading: Reading, resume: Progress, outage: Outage) -> list[Gap]:
    """For each machine that was known, what no history brings.

    Where history holds everything the gap names nothing. It is told all the same: the machine's current values come
    again, and this is how a consumer knows.
    """
    return [_gap(reading, machine, outage) for machine in resume.descriptions]


def _gap(reading: Reading, machine: str, outage: Outage) -> Gap:
    recorded = {path for name, path in reading.recorded() if name == machine}
    if not recorded:
        detail = "the gateway was not connected, and the server keeps no data for a new subscription"
        return Gap(machine, None, outage.begin, outage.end, "connection", detail)
    others = sorted({path for name, path in reading.paths() if name == machine} - recorded)
    detail = "the gateway was not connected; the server keeps no history of these"
    if not others and not reading.with_events:
        detail = "the gateway was not connected; what was shown meanwhile is read from the server's history"
    return Gap(machine, others, outage.begin, outage.end, "connection", detail, events=reading.with_events)


def unfilled(reading: Reading, hole: Span) -> list[Gap]:
    """A predecessor was killed while it read history: what it had already told is not known."""
    detail = "the gateway ended while it read the server's history of these"
    machines: dict[str, list[str]] = {}
    for machine, path in reading.recorded():
        machines.setdefault(machine, []).append(path)
    return [Gap(machine, paths, *hole, "connection", detail) for machine, paths in machines.items()]
