"""Did every value of the ledger arrive, equal in value, source time and quality, in order, and nothing else?

The ledger is the simulators' record of the truth (one JSON object per line, docs/simulators.md). Per signal, what
was delivered must be the end of what the ledger says, from the value that was current when the subscription began.
What a `gap` message names is told apart from what is missing without a word. Backfilled samples come beside the live
ones, so each of the two is judged by its own order. Pure; it shares no code with the gateway.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

Signal: TypeAlias = tuple[str, str]
"""Machine and path."""


class Entry(NamedTuple):
    """A value as the ledger or a message has it, ready to be compared: `value` is canonical JSON."""

    value: str
    time: str | None
    quality: str
    status: str | None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Entry:
        """From a ledger line or from a sample of a data message."""
        return cls(
            json.dumps(fields.get("value"), sort_keys=True),
            fields.get("time"),
            fields.get("quality", "good"),
            fields.get("status"),
        )


class Gap(NamedTuple):
    """An announced loss: what of a machine may be missing, by source time from `begin` to `end`, both included.

    Attributes:
        signals: Paths; None names every signal and event of the machine.
        events: Events are named too.
        resubscribed: The source began anew: it tells current values again, also those of signals that are not named.
    """

    machine: str
    signals: frozenset[str] | None
    begin: str
    end: str
    events: bool = False
    resubscribed: bool = False

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> Gap:
        """From the body of a gap message."""
        signals = message["signals"]
        named = None if signals is None else frozenset(signals)
        events = bool(message.get("events"))
        return cls(
            message["machine"], named, message["begin"], message["end"], events, message.get("cause") == "connection"
        )

    def names(self, machine: str, path: str | None, time: str | None) -> bool:
        """Whether this loss was announced; an event has no path, and what has no time is never announced."""
        named = self.signals is None or (self.events if path is None else path in self.signals)
        return named and machine == self.machine and time is not None and self.begin <= time <= self.end


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is missing or wrong, with what is needed to find it."""

    kind: str
    machine: str
    path: str
    entry: Entry

    def __str__(self) -> str:
        value, time, quality, _ = self.entry
        return f"{self.kind}: {self.machine} {self.path} = {value} at {time} ({quality})"


@dataclass(slots=True)
class DeliveryReport:
    """Comparison of the ledger with what was delivered.

    Attributes:
        expected: Values of the ledger that were due.
        delivered: Values that were delivered, each once, backfilled ones among them.
        backfilled: Of these, read from the machine's history.
        missing: Due, but not delivered, and no gap names it.
        announced: Due, but not delivered, as a gap says.
        repeated: Delivered again by the new subscription after a gap: its current value was known already.
        wrong: Delivered, but not in the ledger.
        disordered: Signals of which values came in another order than they were shown.
        never: Signals of the ledger of which nothing was ever delivered, unless gaps name all that they showed.
    """

    expected: int = 0
    delivered: int = 0
    backfilled: int = 0
    missing: list[Difference] = field(default_factory=list)
    announced: list[Difference] = field(default_factory=list)
    repeated: int = 0
    wrong: list[Difference] = field(default_factory=list)
    disordered: list[Signal] = field(default_factory=list)
    never: list[Signal] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Every value that was due is there or named by a gap, none is wrong, none out of order."""
        return not (self.missing or self.wrong or self.disordered or self.never)


def read_ledger(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """The lines of ledger files.

    Raises:
        ValueError: A line is no JSON object; the last line of a file may be unfinished and is then left out.
    """
    for path in paths:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith("\n"):
                    break
                try:
                    yield json.loads(line)
                except json.JSONDecodeError as error:
                    raise ValueError(f"{path}:{number}: not a line of a ledger: {error}") from error


def values_by_signal(ledger: Iterable[Mapping[str, Any]]) -> dict[Signal, list[Entry]]:
    """The value lines of a ledger per signal, in their order."""
    truth: dict[Signal, list[Entry]] = {}
    for line in ledger:
        if line["kind"] == "value":
            truth.setdefault((line["machine"], line["path"]), []).append(Entry.of(line))
    return truth


def compare(
    truth: Mapping[Signal, Sequence[Entry]],
    delivered: Mapping[Signal, Sequence[Entry]],
    *,
    due_from: Mapping[str, str],
    gaps: Sequence[Gap] = (),
    backfilled: Mapping[Signal, Sequence[Entry]] | None = None,
) -> DeliveryReport:
    """Compare all that was shown with all that was delivered.

    Args:
        truth: What the ledger says, per signal.
        delivered: New live samples (no repeats) per signal in the order of the stream, that is of `epoch` and `seq`.
        due_from: Per machine the moment from which every value is due, whatever was delivered first.
        gaps: What was announced as lost.
        backfilled: New samples from the machines' history, likewise; they must be in the order of their source times.
    """
    report = DeliveryReport()
    filled = backfilled or {}
    for signal in sorted({*truth, *delivered, *filled}):
        shown, live, old = truth.get(signal, ()), delivered.get(signal, ()), filled.get(signal, ())
        report.delivered += len(live) + len(old)
        report.backfilled += len(old)
        if not live and not old and not _all_named(signal, shown, gaps):
            report.never.append(signal)
        start = _first_due(shown, live, due_from.get(signal[0], ""))
        expected = list(shown[start:])
        report.expected += len(expected)
        if old or expected != list(live):
            _differ(report, signal, (shown[:start], expected), (live, old), gaps)
    return report


def _differ(
    report: DeliveryReport,
    signal: Signal,
    shown: tuple[Sequence[Entry], Sequence[Entry]],
    came: tuple[Sequence[Entry], Sequence[Entry]],
    gaps: Sequence[Gap],
) -> None:
    """One signal: `shown` before and since it was due, `came` live and from history."""
    (before, expected), (live, old) = shown, came
    left, early = _count(expected), _count(before)
    fresh = _fresh(left, live)
    filled = [entry for entry in old if _take(left, entry) or _take(early, entry)]
    missing = [entry for entry in expected if _take(left, entry)]
    own = [gap for gap in gaps if gap.machine == signal[0]]
    named = any(gap.resubscribed or gap.signals is None or signal[1] in gap.signals for gap in own)
    known = set(expected) if named else set()
    surplus = _surplus(live, fresh)
    wrong = [entry for entry in surplus if entry not in known]
    report.repeated += len(surplus) - len(wrong)
    wrong += _surplus(old, filled)  # history is told once
    announced = [entry for entry in missing if any(gap.names(*signal, entry.time) for gap in own)]
    told = set(announced)
    silent = [entry for entry in missing if entry not in told]
    report.announced += [Difference("announced as lost", *signal, entry) for entry in announced]
    report.missing += [Difference("missing", *signal, entry) for entry in silent]
    report.wrong += [Difference("wrong", *signal, entry) for entry in wrong]
    ordered = _in_order(fresh, expected) and _in_order(filled, [*before, *expected])
    if not silent and not wrong and not ordered:
        report.disordered.append(signal)


def _fresh(left: dict[Entry, int], came: Iterable[Entry]) -> list[Entry]:
    """Those of `came` that are still expected, taken out of `left`."""
    return [entry for entry in came if _take(left, entry)]


def _surplus(came: Iterable[Entry], taken: Iterable[Entry]) -> list[Entry]:
    """Those of `came` that were not taken; of equal ones, the last."""
    counts = _count(taken)
    return [entry for entry in came if not _take(counts, entry)]


def _all_named(signal: Signal, shown: Sequence[Entry], gaps: Sequence[Gap]) -> bool:
    """Whether gaps name everything that a signal showed, as of one that was only there during an outage."""
    return bool(shown) and all(any(gap.names(*signal, entry.time) for gap in gaps) for entry in shown)


def _in_order(part: Sequence[Entry], whole: Sequence[Entry]) -> bool:
    """Whether `part` is `whole` with some left out."""
    rest = iter(whole)
    return all(entry in rest for entry in part)


def _first_due(shown: Sequence[Entry], came: Sequence[Entry], due: str) -> int:
    """Index of the first entry that must have been delivered: the first delivered one, or the first after `due`."""
    late = next((index for index, entry in enumerate(shown) if entry.time is not None and entry.time > due), len(shown))
    if not came:
        return late
    return min((index for index, entry in enumerate(shown[:late]) if entry == came[0]), default=late)


def _count(entries: Iterable[Entry]) -> dict[Entry, int]:
    counts: dict[Entry, int] = {}
    for entry in entries:
        counts[entry] = counts.get(entry, 0) + 1
    return counts


def _take(counts: dict[Entry, int], entry: Entry) -> bool:
    if not counts.get(entry):
        return False
    counts[entry] -= 1
    return True


_EVENT_FIELDS = ("type", "time", "severity", "source", "message")


def compare_events(
    ledger: Iterable[Mapping[str, Any]],
    delivered: Iterable[Mapping[str, Any]],
    *,
    due_from: Mapping[str, str],
    gaps: Sequence[Gap] = (),
) -> list[str]:
    """Compare the events of a ledger with the delivered ones by their EventId.

    Args:
        ledger: Lines of the ledger.
        delivered: Bodies of event messages with their `machine`; an event that is told again by a refresh may be older.
        due_from: Per machine the moment from which every event is due.
        gaps: What was announced as lost; an event is named by a gap of all signals, or of events.

    Returns:
        A sentence for each event that is missing or differs; empty when all is well.
    """
    truth = {(line["machine"], line["id"]): line for line in ledger if line["kind"] == "event"}
    came = {(event["machine"], event["id"]): event for event in delivered}
    findings = []
    for key, line in truth.items():
        event = came.get(key)
        if event is None:
            due = (line["time"] or "") > due_from.get(key[0], "")
            if due and not any(gap.names(key[0], None, line["time"]) for gap in gaps):
                findings.append(f"missing event: {key[0]} {line['type']} at {line['time']}")
            continue
        findings += [
            f"wrong event: {key[0]} {line['type']} at {line['time']}: {name} is {event.get(name)!r}, was {line[name]!r}"
            for name in _EVENT_FIELDS
            if line.get(name) != event.get(name)
        ]
    findings += [
        f"wrong event: {event['machine']} {event['type']} at {event['time']} was never shown"
        for key, event in came.items()
        if key not in truth
    ]
    return findings
