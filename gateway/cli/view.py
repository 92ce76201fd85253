"""The live view of machines in the terminal, drawn from what a consumer of the broker knows.

Every line is cut to the width, and there are never more lines than the terminal has: nothing wraps or scrolls.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from conformance.observer import MachineView, Observer
from gateway.cli.output import printable

_RATE_SECONDS = 5.0
_CHOICE_SECONDS = (2.0, 2.0, 15.0)
"""Seconds until the signals shown are chosen anew, in the end rarely: a row that changes its meaning is unreadable."""

_PER_COMPONENT = 2
_COLUMN = 38
"""Width of a column of signals."""

_MOST_ROWS = 3
_MOST_ALARMS = 3
_WIDE = 100
"""Columns from which on the head of a machine has room for more."""


MODE = "Monitoring/MachineTool/OperationMode"
ITEM_STATE = "Monitoring/MachineTool/MachineryItemState/CurrentState"
_WORDS = re.compile(r"(?:'[^']*'|[^ '])+")
_PROGRAM = ("Production/ActiveProgram/Name", "Production/ActiveProgram/State/CurrentState")


@dataclass(slots=True)
class Rates:
    """Values per second over the last seconds, from the counts of an observer."""

    _marks: dict[str, deque[tuple[float, int]]] = field(default_factory=dict)

    def of(self, machine: MachineView, now: float) -> float:
        """Values per second of this machine now."""
        marks = self._marks.setdefault(machine.id, deque())
        marks.append((now, machine.count))
        while len(marks) > 2 and now - marks[1][0] > _RATE_SECONDS:
            marks.popleft()
        (begin, before), (end, after) = marks[0], marks[-1]
        return (after - before) / (end - begin) if end > begin else 0.0


@dataclass(slots=True)
class Liveliest:
    """The signals of a machine that are worth looking at: with a unit, often changed, of several components."""

    _last: dict[str, Any] = field(default_factory=dict)
    _changes: Counter[str] = field(default_factory=Counter)
    _chosen: list[str] = field(default_factory=list)
    _next: float = float("-inf")
    _choices: int = 0

    def choose(self, machine: MachineView, now: float, number: int) -> list[str]:
        """At most so many paths, in their order; the choice is kept for some seconds."""
        for path, sample in machine.values.items():
            described = machine.signals.get(path, {})
            if described.get("unit") and _is_number(sample["value"]) and self._last.get(path) != sample["value"]:
                self._changes[path] += 1
                self._last[path] = sample["value"]
        if now >= self._next or len(self._chosen) != number:
            self._next = now + _CHOICE_SECONDS[min(self._choices, len(_CHOICE_SECONDS) - 1)]
            self._choices += 1
            self._chosen = self._best(number)
            self._changes = Counter(dict.fromkeys(self._changes, 0)) + Counter(self._chosen)
        return self._chosen

    def _best(self, number: int) -> list[str]:
        ranked = sorted(self._last, key=lambda path: (-self._changes[path], not path.startswith("Monitoring/"), path))
        taken: Counter[str] = Counter()
        first: list[str] = []
        rest: list[str] = []
        for path in ranked:
            component = path.rpartition("/")[0]
            taken[component] += 1
            (first if taken[component] <= _PER_COMPONENT else rest).append(path)
        return sorted([*first, *rest][:number])


@dataclass(slots=True)
class LiveView:
    """Draws the state of all machines again and again.

    Attributes:
        observer: What is known.
        rates: Values per second.
    """

    observer: Observer
    rates: Rates = field(default_factory=Rates)
    _liveliest: dict[str, Liveliest] = field(default_factory=dict)

    def draw(
        self, now: float, facts: dict[str, str], hints: Sequence[str], size: tuple[int, int] = (120, 40)
    ) -> RenderableType:
        """One picture: a line of facts, a block for each machine, hints below.

        Args:
            now: Seconds of any steady clock.
            facts: Shown in the title line, in this order, for example ``outbox``: ``0 messages``.
            hints: Commands and sentences below; long ones are continued with a backslash, so that they can be copied.
            size: Columns and lines of the terminal.
        """
        columns, lines = size
        below = [line for hint in hints for line in continued(hint, columns)]
        machines = sorted(self.observer.machines.values(), key=lambda one: one.id)
        room = max((lines - 2 - len(below)) // max(len(machines), 1), 3)
        alarms = min(max(room - 5, 1), _MOST_ALARMS)
        rows = min(room - 2 - alarms, _MOST_ROWS)
        parts: list[RenderableType] = [_cut(_facts(facts))]
        for machine in machines:
            parts += [self._head(machine, now, columns), *self._signals(machine, now, rows, columns)]
            parts += [_cut(line) for line in _alarms(machine, alarms)]
        if not machines:
            parts.append(Text("no machine has been heard of yet"))
        parts += [_cut(Text(line, style="cyan" if " " in line else "dim")) for line in below]
        return Group(*parts)

    def _head(self, machine: MachineView, now: float, columns: int) -> RenderableType:
        lost = lost_of(machine)
        mode, program, state = map(printable, (mode_of(machine), *(shown_value(machine, p) for p in _PROGRAM)))
        executing = f" {printable(shown_value(machine, ITEM_STATE))}" if columns >= _WIDE else ""
        left = Text.assemble(
            ("━━ ", "blue"), (_name(machine), "bold"), "  ", mode, executing, "  ", (program, "green"), " ", state,
        )  # fmt: skip
        count = f"  {machine.count:,} values" if columns >= _WIDE else ""
        right = Text.assemble(
            f"{self.rates.of(machine, now):3.0f} values/s", (count, "dim"), "  ",
            (f"lost {lost}", "red bold" if lost else "green"),
        )  # fmt: skip
        left.truncate(max(columns - right.cell_len - 2, 10), overflow="ellipsis")
        filler = Text(" " + "━" * max(columns - left.cell_len - right.cell_len - 2, 0) + " ", style="blue")
        return _cut(left + filler + right)

    def _signals(self, machine: MachineView, now: float, rows: int, columns: int) -> list[RenderableType]:
        across = max(columns // _COLUMN, 1)
        liveliest = self._liveliest.setdefault(machine.id, Liveliest())
        chosen = liveliest.choose(machine, now, rows * across)
        table = Table.grid(padding=(0, 1), expand=True)
        for _ in range(across):
            table.add_column(ratio=3, no_wrap=True, overflow="ellipsis")
            table.add_column(ratio=2, no_wrap=True, overflow="ellipsis", justify="right")
        for row in range(rows):
            cells: list[Text] = []
            for path in chosen[row * across : (row + 1) * across]:
                cells += [Text("  " + _label(path), style="dim"), Text(_short(machine, path))]
            table.add_row(*cells)
        return [table] if rows else []


def continued(command: str, columns: int) -> list[str]:
    """A command on lines of this width, broken at spaces outside of quotes with a backslash, as a shell reads it."""
    lines, line = [], ""
    for word in _WORDS.findall(command):
        if line and len(line) + 1 + len(word) + 2 > columns:
            lines.append(line + " \\")
            line = "  " + word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line]


def lost_of(machine: MachineView) -> int:
    """Messages missing without a word, and values announced as lost (at least one for each gap)."""
    report = machine.stream.report()
    silent = sum(last - first + 1 for _, first, last in report.holes)
    return silent + sum(gap.get("lost") or 1 for gap in machine.gaps)


def shown_value(machine: MachineView, path: str) -> str:
    """The latest value of a signal for people, `-` where there is none."""
    sample = machine.values.get(path)
    return "-" if sample is None else shown_sample(sample, machine.signals.get(path, {}))


def shown_sample(sample: dict[str, Any], signal: dict[str, Any]) -> str:
    """Value with unit, or its name for an enumeration, or its status when it is bad."""
    if sample.get("quality", "good") == "bad":
        return str(sample.get("status", "bad"))
    value = sample["value"]
    if isinstance(value, dict):
        return str(value.get("text") or value)
    if "enumeration" in signal:
        return str(signal["enumeration"].get(str(value), value))
    number = f"{value:.3f}" if isinstance(value, float) else str(value)
    return f"{number} {_unit(signal)}".strip()


def mode_of(machine: MachineView) -> str:
    """Operation mode by its name; why there is none when the machine is not heard."""
    state = (machine.status or {}).get("state", "")
    return shown_value(machine, MODE) if state in {"", "online"} else state


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _unit(signal: dict[str, Any]) -> str:
    unit = signal.get("unit") or {}
    symbol = str(unit.get("symbol") or unit.get("code") or "")
    return "" if symbol == "1" else symbol  # a plain number needs none


def _short(machine: MachineView, path: str) -> str:
    """A number with so many digits as can be read while it changes."""
    sample, signal = machine.values[path], machine.signals.get(path, {})
    value = sample["value"]
    if sample.get("quality", "good") == "bad" or not isinstance(value, float):
        return shown_sample(sample, signal)
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2
    return f"{value:,.{digits}f} {_unit(signal)}".strip()


def _label(path: str) -> str:
    return printable(" ".join(path.split("/")[-2:]))


def _name(machine: MachineView) -> str:
    return printable(str((machine.description or {}).get("name") or machine.id))


def _facts(facts: dict[str, str]) -> Text:
    line = Text("area4", style="bold")
    for name, value in facts.items():
        line.append(f"  {name} ", style="dim").append(
            value, style="red bold" if name == "lost" and value != "0" else ""
        )
    return line


def _cut(line: Text) -> Text:
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def _alarms(machine: MachineView, most: int) -> list[Text]:
    """The worst alarms, always so many lines: a view that changes its height flickers."""
    worst = sorted(machine.conditions.values(), key=lambda event: (-event["severity"], event["id"]))
    lines = []
    for event in worst[:most]:
        condition = event["condition"]
        active = "active" if condition.get("active") else "gone"
        acked = "acknowledged" if condition.get("acked", True) else "not acknowledged"
        text = printable((event.get("message") or {}).get("text") or event["type"])
        style = "red" if condition.get("active") else "yellow"
        lines.append(Text(f"  ! {text} ({active}, {acked}, severity {event['severity']})", style=style))
    if len(worst) > most:
        lines[-1].append(f" and {len(worst) - most} more")
    if not worst:
        lines.append(Text(f"  no alarm; {machine.events} events so far", style="dim"))
    return [*lines, *[Text("") for _ in range(most - len(lines))]]
