"""A machine tool with what OPC 40501-1 demands, and as many signals of its vendor as one wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulators.load.layout import Kind
from simulators.machine import (
    Condition,
    Happening,
    Localized,
    Machine,
    MethodPoint,
    Part,
    Point,
    RefusedError,
    State,
)

GROUP = 50
"""Signals below one object."""


class PlainMachine(Machine):
    """Has an identity and its signals; nothing happens, nothing can be written or called.

    Args:
        name: Browse name, and the serial number unless there is another one.
        signals: Path, first value and name of the data type of each.
        parts: The objects that hold them.
    """

    def __init__(
        self, name: str, signals: Sequence[tuple[str, Any, str]], parts: Sequence[str], serial: str = ""
    ) -> None:
        self.name = name
        self.namespace = f"urn:area4:load:{name}"
        self._serial = serial or name
        self._signals = signals
        self._parts = parts

    @property
    def parts(self) -> Sequence[Part]:
        """The objects that hold the signals."""
        return [Part(path, None) for path in self._parts]

    @property
    def points(self) -> Sequence[Point]:
        """What is mandatory, and the signals."""
        fixed = [
            Point("Identification/Manufacturer", Localized("area4")),
            Point("Identification/SerialNumber", self._serial),
            Point("Identification/ProductInstanceUri", f"urn:area4-sim:load:{self._serial}"),
            Point("Monitoring/MachineTool/OperationMode", 1),
            Point("Production/ActiveProgram/Name", "load"),
            Point("Production/ActiveProgram/NumberInList", 0),
            Point("Production/ActiveProgram/State/CurrentState", State("Running", 1)),
        ]
        return fixed + [Point(path, value, data_type=data_type) for path, value, data_type in self._signals]

    @property
    def methods(self) -> Sequence[MethodPoint]:
        """None."""
        return ()

    def advance(self, now: int) -> list[Happening]:  # noqa: ARG002 - no model runs here
        """Nothing happens by itself."""
        return []

    def write(self, path: str, value: Any, now: int) -> list[Happening]:  # noqa: ANN401, ARG002 - values of every type
        """Nothing is writable."""
        raise RefusedError("BadNotWritable", path)

    def call(self, path: str, arguments: Sequence[Any], now: int) -> tuple[list[Any], list[Happening]]:  # noqa: ARG002 - the model's signature
        """There are no methods."""
        raise RefusedError("BadMethodInvalid", path)

    def acknowledge(self, condition: str, comment: str | None, now: int) -> list[Happening]:  # noqa: ARG002 - the model's signature
        """There are no conditions."""
        raise RefusedError("BadConditionNotShelved", condition)

    def conditions(self) -> Sequence[Condition]:
        """None."""
        return ()


class LoadMachine(PlainMachine):
    """Shows its signals; their changes come from the source, not from here."""

    def __init__(self, name: str, kinds: Sequence[Kind]) -> None:
        self.kinds = kinds
        self.paths = [f"Load/G{at // GROUP:03d}/S{at:05d}" for at in range(len(kinds))]
        signals = [(path, kind.value(0), kind.data_type) for path, kind in zip(self.paths, kinds, strict=True)]
        super().__init__(name, signals, ["Load", *dict.fromkeys(path.rpartition("/")[0] for path in self.paths)])
