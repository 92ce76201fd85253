"""The audit of a running gateway by a plain consumer: did everything arrive, in order, and how late?

Pure: messages go in as they came from the broker, a report comes out. Without a ledger it judges by the streams alone
(`epoch`, `seq`, gaps); with the simulators' ledgers it compares value by value what the machines showed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from conformance.consumer import Received
from conformance.delivery import DeliveryReport, Entry, Gap, Signal, compare, compare_events, values_by_signal
from conformance.latency import Latencies
from conformance.observer import MachineView, Observer
from conformance.stream import Hole, StreamReport

SHOWN = 20
"""Single findings that a report lists; the rest is counted."""


@dataclass(slots=True)
class MachineAudit:
    """What the audit knows of one machine.

    Attributes:
        id: Identity.
        stream: Messages, repeats, holes, announced gaps.
        values: Samples and events, repeats not counted.
        backfilled: Of these, values that the gateway read from the machine's history.
        lost: Values that gap messages told to be lost, where they told the number.
        losses: Gaps that name something, and are not of messages alone (which holes show).
        from_source: Source time to arrival, of the live samples with a source time within the audit.
        from_taken: Taken by the gateway to arrival, of live messages.
    """

    id: str
    stream: StreamReport
    values: int = 0
    backfilled: int = 0
    lost: int = 0
    losses: int = 0
    from_source: Latencies = field(default_factory=Latencies)
    from_taken: Latencies = field(default_factory=Latencies)

    @property
    def told_all(self) -> bool:
        """Nothing is missing without a word, altered or out of order."""
        return self.stream.complete

    @property
    def lossless(self) -> bool:
        """As far as the stream shows: no hole, and no gap but those of messages that are here."""
        return self.told_all and not self.stream.announced and not self.losses

    def facts(self) -> dict[str, Any]:
        """For machines."""
        return {
            "machine": self.id,
            "messages": self.stream.messages,
            "repeats": self.stream.repeats,
            "values": self.values,
            "backfilled": self.backfilled,
            "holes": [_hole(one) for one in self.stream.holes],
            "announcedHoles": [_hole(one) for one in self.stream.announced],
            "altered": self.stream.altered,
            "late": self.stream.late,
            "displaced": self.stream.displaced,
            "epochs": self.stream.epochs,
            "gaps": dict(self.stream.gaps),
            "lostAsAnnounced": self.lost,
            "sourceToArrival": self.from_source.facts(),
            "takenToArrival": self.from_taken.facts(),
        }


@dataclass(slots=True)
class AuditReport:
    """The findings.

    Attributes:
        machines: Each with a stream.
        unreadable: Messages that could not be understood.
        values: Comparison with the ledgers; None without them.
        events: Findings about events of the ledgers.
        unknown: Machines of the ledgers of which nothing came.
    """

    machines: list[MachineAudit]
    unreadable: list[str]
    values: DeliveryReport | None = None
    events: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    @property
    def flowed(self) -> bool:
        """Something came at all."""
        return any(machine.stream.messages for machine in self.machines)

    @property
    def told_all(self) -> bool:
        """Whatever is missing was announced, and everything else is as it was."""
        return (
            self.flowed
            and not (self.unreadable or self.events or self.unknown)
            and all(machine.told_all for machine in self.machines)
            and (self.values is None or self.values.complete)
        )

    @property
    def lossless(self) -> bool:
        """Nothing is missing: by the streams, or by the ledgers, which know whether a gap was one of values."""
        if self.values is not None:
            return self.told_all and not self.values.announced
        return self.told_all and all(machine.lossless for machine in self.machines)

    def facts(self) -> dict[str, Any]:
        """For machines."""
        return {
            "lossless": self.lossless,
            "announcedOnly": self.told_all and not self.lossless,
            "machines": [machine.facts() for machine in self.machines],
            "unreadable": self.unreadable[:SHOWN],
            "ledger": None if self.values is None else self._ledger(self.values),
        }

    def _ledger(self, values: DeliveryReport) -> dict[str, Any]:
        return {
            "expected": values.expected,
            "delivered": values.delivered,
            "backfilled": values.backfilled,
            "repeated": values.repeated,
            "missing": len(values.missing),
            "announced": len(values.announced),
            "wrong": len(values.wrong),
            "disordered": len(values.disordered),
            "never": len(values.never),
            "events": len(self.events),
            "unknownMachines": self.unknown,
            "findings": self.findings()[:SHOWN],
        }

    def findings(self) -> list[str]:
        """A sentence for each thing that is not as it should be."""
        found = [f"nothing ever came of {machine}" for machine in self.unknown]
        for machine in self.machines:
            found += [f"hole: {machine.id} seq {low} to {high}" for _, low, high in machine.stream.holes]
            if machine.stream.altered:
                found.append(f"{machine.id}: {machine.stream.altered} repeats differ from their originals")
            if machine.stream.late:
                found.append(f"{machine.id}: {machine.stream.late} messages came after younger ones")
        found += self.unreadable
        if self.values is not None:
            found += [str(one) for one in (*self.values.missing, *self.values.wrong)]
            found += [f"out of order: {machine} {path}" for machine, path in self.values.disordered]
            found += [f"nothing ever delivered: {machine} {path}" for machine, path in self.values.never]
        return found + self.events


class Audit:
    """Follows everything that a consumer receives.

    Args:
        begin: Unix time at which it begins: older source times are of values that were current before.
        keep: Values and events are kept, to be compared with ledgers; memory grows with them.
    """

    def __init__(self, begin: float, *, keep: bool = False) -> None:
        self.begin = begin
        self._observer = Observer(keep=keep, listener=self._heard)
        self._audits: dict[str, tuple[Latencies, Latencies]] = {}

    def take(self, messages: Iterable[Received]) -> None:
        """Take what came."""
        self._observer.take(messages)

    @property
    def machines(self) -> Mapping[str, MachineView]:
        """What is known of each machine."""
        return self._observer.machines

    def report(self, ledger: Sequence[Mapping[str, Any]] | None = None, *, until: float | None = None) -> AuditReport:
        """What was found.

        Args:
            ledger: Lines of the simulators' ledgers.
            until: Unix time after which source times are not judged: such values may still be on their way.
        """
        observer = self._observer
        machines = [self._machine(view) for view in observer.machines.values() if view.stream.report().messages]
        report = AuditReport(sorted(machines, key=lambda machine: machine.id), list(observer.unreadable))
        if ledger is not None:
            self._compare(report, ledger, None if until is None else iso(until))
        return report

    def _compare(self, report: AuditReport, ledger: Sequence[Mapping[str, Any]], until: str | None) -> None:
        views = self._observer.machines
        due = {view.id: view.first or "" for view in views.values()}
        shown = {line["machine"] for line in ledger}
        heard = {view.id for view in views.values() if view.first}
        report.unknown = sorted(shown - heard)
        judged = shown & heard
        gaps = [Gap.of(gap) for view in views.values() for gap in view.gaps]
        delivered = _judged(self._observer.delivered, judged, until)
        filled = _judged(self._observer.backfilled, judged, until)
        truth = _judged(values_by_signal(ledger), judged, until)
        truth = {
            signal: shown
            for signal, shown in truth.items()  # of a signal that did not change since, a late consumer sees nothing
            if signal in delivered or signal in filled or any((one.time or "") > due[signal[0]] for one in shown)
        }
        report.values = compare(truth, delivered, due_from=due, gaps=gaps, backfilled=filled)
        events = [event for event in self._observer.events if event["machine"] in judged and _in(event, until)]
        lines = [line for line in ledger if line["machine"] in judged and _in(line, until)]
        report.events = compare_events(lines, events, due_from=due, gaps=gaps)

    def _machine(self, view: MachineView) -> MachineAudit:
        source, taken = self._audits.get(view.id, (Latencies(), Latencies()))
        lost = sum(gap.get("lost") or 0 for gap in view.gaps)
        losses = sum(gap["cause"] != "evicted" and _names_something(gap) for gap in view.gaps)
        values = view.count + view.events
        return MachineAudit(view.id, view.stream.report(), values, view.backfilled, lost, losses, source, taken)

    def _heard(self, view: MachineView, body: Mapping[str, Any], message: Received) -> None:
        """A new message of a stream: how old is it?"""
        if message.retained:
            return
        source, taken = self._audits.setdefault(view.id, (Latencies(), Latencies()))
        taken.add(message.at - unix(body["taken"]))
        for sample in body.get("samples", ()):
            if sample["time"] is not None and not sample.get("backfilled"):
                shown = unix(sample["time"])
                if shown >= self.begin:
                    source.add(message.at - shown)


def _names_something(gap: Mapping[str, Any]) -> bool:
    """Not if the machine was only subscribed anew, and its history holds all that was shown meanwhile."""
    return gap["signals"] != [] or bool(gap.get("events"))


def unix(text: str) -> float:
    """Unix seconds of a time of the messages (seven decimals)."""
    return datetime.fromisoformat(text[:19] + "+00:00").timestamp() + float("0" + text[19:-1])


def iso(seconds: float) -> str:
    """Unix seconds as the messages write times."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}0Z"


def _judged(
    entries: Mapping[Signal, Sequence[Entry]], machines: set[str], until: str | None
) -> dict[Signal, list[Entry]]:
    """Of these machines, each signal up to the first value that is younger than `until`."""
    result: dict[Signal, list[Entry]] = {}
    for signal, shown in entries.items():
        if signal[0] in machines:
            late = (at for at, one in enumerate(shown) if until is not None and (one.time or "") > until)
            result[signal] = list(shown[: next(late, len(shown))])
    return {signal: shown for signal, shown in result.items() if shown}


def _in(line: Mapping[str, Any], until: str | None) -> bool:
    return until is None or line["time"] is None or line["time"] <= until


def _hole(hole: Hole) -> dict[str, Any]:
    epoch, first, last = hole
    return {"epoch": epoch, "first": first, "last": last}
