"""How a machine is run: loading, programs, alarms and their remedies, jobs, shifts; ends in states, lamps, messages."""

from __future__ import annotations

from enum import Enum

from simulators.machine import Localized, Notice, State
from simulators.machines import declare
from simulators.machines.alarms import AlarmBook, Reaction
from simulators.machines.board import Board
from simulators.machines.crew import DEMONSTRATION, Shift, shift_at
from simulators.machines.plant import Plant
from simulators.machines.production import Production
from simulators.machines.states import ITEM_STATES, MODE_STATES

INITIALIZING_SECONDS = 1.5
RESTART_SECONDS = 4.0
SETUP_SECONDS = 240.0
STOP_SECONDS = 30.0
"""After M0 and M1 the operator looks and starts again."""

AUTOMATIC_LOADING_SECONDS = 25.0
"""At night a pallet changer or bar feeder loads."""


class Phase(Enum):
    """What the machine is doing."""

    LOADING = "loading"
    INITIALIZING = "initializing"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    ABORTED = "aborted"
    SETUP = "setup"
    STOPPED = "stopped"


class Cycle:
    """The sequence of a machine; `begin` is what starts the channels, `halt` what stops them."""

    def __init__(self, board: Board, plant: Plant, production: Production, alarms: AlarmBook) -> None:
        self._board = board
        self._plant = plant
        self._production = production
        self._alarms = alarms
        self.phase = Phase.LOADING
        self.until = 3.0
        self.started = 0.0
        self.ended = 0
        self.wants_start = False
        self.shift: Shift | None = None
        self.scrapped = False
        self.demonstrated = False

    @property
    def holding(self) -> bool:
        """The channels have to hold."""
        return self.phase is not Phase.RUNNING

    def crew(self, time: int) -> None:
        """Shift change, if it is time for one."""
        shift = DEMONSTRATION if self.demonstrated else shift_at(time)
        if shift == self.shift:
            return
        put = self._board.put
        put("Operator/Name", shift.operator, time)
        put("Operator/PersonnelNumber", shift.number, time)
        put("Operator/Shift", shift.name, time)
        put("Operator/Present", shift.manned, time)
        if self.shift is not None:
            self.message("ShiftChange", f"Schichtwechsel: {shift.name}", 50, time)
        self.shift = shift

    def message(self, identifier: str, text: str, severity: int, time: int) -> None:
        """A message without state (NotificationEventType)."""
        notice = Notice(
            "NotificationEventType", "Notification/Messages", Localized(text, "de-DE"), severity, time,
            {"Identifier": identifier},
        )  # fmt: skip
        self._board.tell(notice)

    def advance(self, seconds: float, time: int) -> bool:
        """Move on; True when the channels are to begin their programs now."""
        self._people(seconds, time)
        if self._alarms.blocking:
            self.react(time)
        elif self.phase is Phase.INTERRUPTED and seconds >= self.until:
            self._resume(time)
        elif (self.phase is Phase.ABORTED and seconds >= self.until) or (
            self.phase is Phase.SETUP and seconds >= self.until
        ):
            self._load(seconds)
        elif (self.phase is Phase.LOADING and seconds >= self.until) or (
            self.phase is Phase.STOPPED and self.wants_start
        ):
            self._initialize(seconds, time)
        elif self.phase is Phase.INITIALIZING and seconds >= self.until:
            self.phase, self.started, self.ended = Phase.RUNNING, seconds, 0
            self.scrapped = False
            self._production.go("Running", time)
            self._production.running(time)
            return True
        if self._alarms.blocking:
            self.until = max(self.until, seconds + RESTART_SECONDS)
        return False

    def _people(self, seconds: float, time: int) -> None:
        reaction = self.shift.reaction if self.shift is not None else 60.0
        for name in self._alarms.waiting(seconds, reaction):
            self._alarms.acknowledge(name, "quittiert am Bedienpult", seconds, time)

    def react(self, time: int) -> None:
        """Interrupt or abort the program as the open alarms demand."""
        if not self._alarms.blocking:
            return
        abort = any(self._alarms.kind(name).reaction is Reaction.ABORT for name in self._alarms.blocking)
        if self.phase is Phase.RUNNING:
            self.phase = Phase.ABORTED if abort else Phase.INTERRUPTED
            self._production.go("Aborted" if abort else "Interrupted", time)
            self._production.interrupted(time)
        elif abort and self.phase in {Phase.INTERRUPTED, Phase.INITIALIZING}:
            self.phase = Phase.ABORTED
            self._production.go("Aborted", time)
        if self.phase is Phase.ABORTED and abort and not self.scrapped:
            self.scrapped = True
            self._production.scrap(time)

    def interrupt(self, seconds: float, time: int, pause: float) -> None:
        """The program stops for `pause` seconds (M0, M1, the Stop method)."""
        if self.phase is Phase.RUNNING:
            self.phase, self.until = Phase.INTERRUPTED, seconds + pause
            self._production.go("Interrupted", time)
            self._production.interrupted(time)

    def abort(self, time: int) -> None:
        """Give up the program and wait for a start."""
        if self._production.program.may("Aborted"):
            self._production.go("Aborted", time)
        self.phase, self.wants_start = Phase.STOPPED, False

    def _resume(self, time: int) -> None:
        self.phase = Phase.RUNNING
        self._production.go("Running", time)
        self._production.running(time)

    def _load(self, seconds: float) -> None:
        manned = self.shift is not None and self.shift.manned
        pause = self._production.product.loading if manned else AUTOMATIC_LOADING_SECONDS
        self.phase, self.until = Phase.LOADING, seconds + pause

    def _initialize(self, seconds: float, time: int) -> None:
        self.phase, self.until, self.wants_start = Phase.INITIALIZING, seconds + INITIALIZING_SECONDS, False
        if self._production.program.name != "Initializing":
            self._production.go("Initializing", time)
        self._production.select(time)

    def finish(self, seconds: float, time: int) -> None:
        """All channels have ended their programs."""
        production = self._production
        production.go("Ended", time)
        complete = production.finish(seconds=seconds - self.started, time=time)
        self.message("PartFinished", f"Teil fertig: {production.job.product.name}", 10, time)
        if complete:
            production.next_job(time)
            self.phase, self.until = Phase.SETUP, seconds + SETUP_SECONDS
            self.message("JobChange", f"Umrüsten auf {production.job.product.name}", 100, time)
        else:
            self._load(seconds)

    def show(self, time: int) -> None:
        """States and lamps of the machine."""
        put = self._board.put
        running = self.phase is Phase.RUNNING
        fault = bool(self._alarms.blocking)
        setup = self.phase is Phase.SETUP
        item = "OutOfService" if fault else "Executing" if running else "NotExecuting"
        mode = "Setup" if setup else "Maintenance" if fault else "Processing"
        base = declare.MACHINE
        put(base + "/MachineryItemState/CurrentState", State(item, ITEM_STATES[item]), time)
        put(base + "/MachineryOperationMode/CurrentState", State(mode, MODE_STATES[mode]), time)
        put(base + "/OperationMode", 2 if setup else 1, time)
        put(base + "/Obligation/EndUserObligated", fault, time)
        light = "Monitoring/Stacklight/"
        put(light + "RedLight/SignalOn", fault, time)
        put(light + "YellowLight/SignalOn", not running and not fault, time)
        put(light + "GreenLight/SignalOn", running, time)
        blink = 1 if self.phase in {Phase.INTERRUPTED, Phase.STOPPED} and not fault else 0
        put(light + "YellowLight/SignalMode", blink, time)
        put("Diagnostics/OpenAlarms", self._alarms.count, time)
        lamps = (fault << 0) | ((not running and not fault) << 1) | (running << 2) | (self._plant.pumping << 3)
        put("Diagnostics/PlcOutputs", bytes([lamps, self._alarms.count, 0, 0x5A]), time)
        for unit in self._plant.units:
            state = 0 if running and unit.channel.active else 1 if unit.channel.active else 2
            put(f"Monitoring/Channel{unit.number}/ChannelState", state, time)
            put(f"Monitoring/Channel{unit.number}/ChannelMode", 2 if setup else 0, time)
