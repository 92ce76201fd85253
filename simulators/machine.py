"""What a simulated machine is to the server that shows it: points, changes, conditions, notices; no protocol.

A machine model is a deterministic function of its seed and of the simulated time that is passed in. It declares
what it shows (`Machine.points`, `Machine.methods`), and `Machine.advance` returns, in order, all that happened until
a moment. Paths are browse paths below the machine, joined by `/`, browse names as they stand in OPC 40501-1
(`Monitoring/Spindle1/Override`). Times are OPC UA times: 100 ns ticks since 1601-01-01 UTC.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

TICKS_PER_SECOND = 10_000_000
"""OPC UA DateTime counts units of 100 nanoseconds (OPC 10000-6, 5.2.2.5)."""

GOOD = 0

Value: TypeAlias = Any
"""What a point can hold, as `Point.initial` says."""


@dataclass(frozen=True, slots=True)
class Unit:
    """An engineering unit by its UNECE Recommendation 20 common code, for example ``MMT`` for millimetre."""

    code: str
    symbol: str
    description: str


@dataclass(frozen=True, slots=True)
class Point:
    """One variable of a machine.

    Attributes:
        path: Browse path below the machine. Where a part of it is declared by the type definitions of OPC 40001-1 and
            OPC 40501-1 (mandatory, optional or placeholder), the declaration decides its class and data type;
            everything else is a vendor's addition in the machine's own namespace.
        initial: Its value before the first change; plain Python: bool, int, float, str, bytes, None, lists of these,
            `Localized`, `State` for the CurrentState of a state machine, `Structure` for structures.
        data_type: Only for a vendor's addition: name of an OPC UA built-in type, for example ``Double``.
        unit: Engineering unit, where it has one.
        low: Lower end of its range (EURange), where it has one.
        high: Upper end of its range.
        writable: A client may write it; `Machine.write` is called first and may refuse.
        text: Description for people.
        status: Initial OPC UA status code.
    """

    path: str
    initial: Any
    data_type: str | None = None
    unit: Unit | None = None
    low: float | None = None
    high: float | None = None
    writable: bool = False
    text: str = ""
    status: int = GOOD


@dataclass(frozen=True, slots=True)
class Part:
    """An object of a machine that needs a type to be named: what fills a placeholder, or a vendor's component.

    Attributes:
        path: Browse path below the machine, for example ``Monitoring/Spindle1``.
        type: Browse name of its type in OPC 40501-1 or OPC 40001-1, for example ``SpindleMonitoringType``;
            ``None`` is a plain object (BaseObjectType or FolderType) in the vendor's namespace.
        name: Display name, if it differs from the browse name.
    """

    path: str
    type: str | None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Localized:
    """A text with its locale, for example ``de-DE``."""

    text: str
    locale: str = "en"


@dataclass(frozen=True, slots=True)
class State:
    """Value of a state machine's CurrentState or LastTransition: name and number, as its type declares them."""

    name: str
    number: int


@dataclass(frozen=True, slots=True)
class Structure:
    """Value of a structured data type by its browse name (``ProcessIrregularity`` ...) with its fields by name."""

    type: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """A variable took a value.

    Attributes:
        path: The point's path.
        value: As in `Point.initial`.
        time: Source time in OPC UA ticks.
        status: OPC UA status code; Good is 0.
    """

    path: str
    value: Any
    time: int
    status: int = GOOD


@dataclass(frozen=True, slots=True)
class Condition:
    """A new state of an alarm or of an interruption condition; all that a client needs to show it.

    Attributes:
        type: Browse name of its type, for example ``AlertType``.
        name: ConditionName, unique in the machine, for example ``Spindle1ToolBroken``.
        source: Path of the object that it belongs to.
        message: Text for people.
        severity: 1 to 1000.
        active: The cause is present.
        acked: An operator has acknowledged it.
        retain: It is of interest to a client (active or not acknowledged).
        time: When this state began, in OPC UA ticks.
        fields: Further fields by browse name, for example ``ErrorCode``.
        comment: The operator's comment, if any.
    """

    type: str
    name: str
    source: str
    message: Localized
    severity: int
    active: bool
    acked: bool
    retain: bool
    time: int
    fields: Mapping[str, Any] = field(default_factory=dict)
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """An event without state: a message (NotificationEventType) or a transition (ProductionProgramTransitionEventType).

    Attributes:
        type: Browse name of its event type.
        source: Path of the object that it belongs to.
        message: Text for people.
        severity: 1 to 1000.
        time: When it happened, in OPC UA ticks.
        fields: Further fields by browse name, for example ``Identifier``; a nested field's name has its path,
            for example ``Transition/Number``.
    """

    type: str
    source: str
    message: Localized
    severity: int
    time: int
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Appeared:
    """An object with its points came into being while the machine runs, for example a tool put into the magazine."""

    part: Part
    points: tuple[Point, ...]
    time: int


@dataclass(frozen=True, slots=True)
class Vanished:
    """The object at `path` and all below it is gone."""

    path: str
    time: int


Happening = Change | Condition | Notice | Appeared | Vanished


class RefusedError(Exception):
    """The machine refuses a write or a call; `status` is the OPC UA status name that says why."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(f"{status}: {reason}")
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a method: name, OPC UA built-in type, text for people."""

    name: str
    data_type: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class MethodPoint:
    """A method that a machine offers: path, arguments in, arguments out."""

    path: str
    inputs: tuple[Argument, ...] = ()
    outputs: tuple[Argument, ...] = ()
    text: str = ""


class Machine(ABC):
    """A machine tool as a physical model: the same seed and the same calls give the same run."""

    name: str
    """Browse name of the machine below the Machines folder."""

    type: str = "MachineToolType"
    """Browse name of its type definition."""

    namespace: str
    """URI of the machine's own namespace, for its instances and for the vendor's additions."""

    complete: bool = False
    """Optional members of the companion specifications are shown too, with neutral values where the model has none."""

    @property
    @abstractmethod
    def parts(self) -> Sequence[Part]:
        """Objects whose type must be named, parents before children."""

    @property
    @abstractmethod
    def points(self) -> Sequence[Point]:
        """All variables at the start of the run, every one with a valid value."""

    @property
    @abstractmethod
    def methods(self) -> Sequence[MethodPoint]:
        """Methods that a client may call."""

    @abstractmethod
    def advance(self, now: int) -> list[Happening]:
        """Run the model until `now` (OPC UA ticks, never earlier than before) and tell what happened, in order.

        The first call only sets the clock. The source times returned lie between the last call and `now`. A point is
        told only when its value or status differs from what was told last.
        """

    @abstractmethod
    def write(self, path: str, value: Value, now: int) -> list[Happening]:
        """A client writes; what follows at once is returned.

        Raises:
            RefusedError: The machine does not take this value now.
        """

    @abstractmethod
    def call(self, path: str, arguments: Sequence[Any], now: int) -> tuple[list[Any], list[Happening]]:
        """A client calls a method: output values, and what follows at once.

        Raises:
            RefusedError: The machine does not do this now.
        """

    @abstractmethod
    def acknowledge(self, condition: str, comment: str | None, now: int) -> list[Happening]:
        """An operator acknowledges the condition named `condition`.

        Raises:
            RefusedError: There is nothing to acknowledge.
        """

    @abstractmethod
    def conditions(self) -> Sequence[Condition]:
        """Every condition that is of interest now (Retain), for ConditionRefresh."""
