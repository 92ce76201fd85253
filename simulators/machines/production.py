"""Programs, jobs and counters of a machine, with the states of OPC 40501-1."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from simulators.machine import Localized, Notice, Part, Point, State
from simulators.machines.board import Board
from simulators.machines.spec import MachineSpec, Product
from simulators.machines.states import ProductionState, Transition

ACTIVE = "Production/ActiveProgram"
PLAN = "Production/ProductionPlan"
PLAN_LENGTH = 3
"""Jobs in the plan at a time: one running or to run next, the others planned."""


@dataclass(slots=True)
class Job:
    """A production job; a run makes one part."""

    identifier: str
    order: str
    customer: str
    product: Product
    planned: int
    completed: int = 0
    good: int = 0
    state: ProductionState = field(default_factory=ProductionState)

    @property
    def path(self) -> str:
        """Where it stands."""
        return f"{PLAN}/{self.identifier}"


class Production:
    """Production of a machine: the plan, the active program, what was made."""

    def __init__(self, board: Board, spec: MachineSpec, rng: Random) -> None:
        self._board = board
        self._spec = spec
        self._rng = rng
        self._serial = rng.randrange(1000, 5000)
        self.program = ProductionState()
        self.lifetime = rng.randrange(20_000, 90_000)
        self.parts_good = 0
        self.parts_bad = 0
        self.jobs = [self._new_job(number) for number in range(PLAN_LENGTH)]
        self.forced: Product | None = None
        self._declare()

    @property
    def job(self) -> Job:
        """The job that is made now."""
        return self.jobs[0]

    @property
    def product(self) -> Product:
        """The part that is made now."""
        return self.forced or self.job.product

    def _new_job(self, number: int) -> Job:
        self._serial += 1
        rng = self._rng
        product = self._spec.products[number % len(self._spec.products)]
        order = f"AU-{rng.randrange(10**6):06d}"
        return Job(f"Job{self._serial}", order, f"KD-{rng.randrange(10**4):04d}/Ä", product, rng.randrange(6, 25))

    def _declare(self) -> None:
        board = self._board
        board.point(f"{ACTIVE}/Name", self.product.programs[0])
        board.point(f"{ACTIVE}/NumberInList", 0)
        board.point(f"{ACTIVE}/JobIdentifier", self.job.identifier)
        board.point(f"{ACTIVE}/State/CurrentState", self.program.state)
        board.point(f"{ACTIVE}/State/LastTransition", State("EndedToInitializing", 2))
        board.point("Production/Statistics/PartsProducedInLifetime", self.lifetime)
        board.part(PLAN, None)
        for number, job in enumerate(self.jobs):
            part, points = _job_points(job, number)
            board.parts.append(part)
            board.parts.extend(_program_parts(job))
            for point in points:
                board.point(point.path, point.initial, point.data_type)
        board.point("Production/PartName", self.product.name, "String", text="Part that is made now")
        board.point("Production/PartsGood", 0, "UInt32", text="Good parts since the start")
        board.point("Production/PartsBad", 0, "UInt32", text="Scrap since the start")
        board.point("Production/LastPartFinished", 132_223_104_000_000_000, "DateTime", text="End of the last part")
        board.point("Production/CycleTime", 0.0, "Double", text="Time of the last part in s")

    def go(self, name: str, time: int) -> None:
        """The active program changes its state.

        Raises:
            TransitionError: It may not.
        """
        transition = self.program.go(name)
        board = self._board
        board.put(f"{ACTIVE}/State/CurrentState", transition.after, time)
        board.put(f"{ACTIVE}/State/LastTransition", transition.via, time)
        text = f"{self.product.programs[0]}: {transition.before.name} -> {name}"
        fields = {
            **_transition_fields(transition),
            "Name": self.product.programs[0],
            "JobIdentifier": self.job.identifier,
        }
        board.tell(
            Notice("ProductionProgramTransitionEventType", f"{ACTIVE}/State", Localized(text), 100, time, fields)
        )

    def _job_state(self, job: Job, name: str, time: int) -> None:
        if not job.state.may(name):
            return
        transition = job.state.go(name)
        board = self._board
        board.put(f"{job.path}/State/CurrentState", transition.after, time)
        board.put(f"{job.path}/State/LastTransition", transition.via, time)
        fields = {
            **_transition_fields(transition),
            "Identifier": job.identifier,
            "OrderIdentifier": job.order,
            "RunsCompleted": job.completed,
            "RunsPlanned": job.planned,
            "RunsPlanned/IsValid": True,
        }
        text = Localized(f"{job.identifier}: {transition.before.name} -> {name}")
        board.tell(Notice("ProductionJobTransitionEventType", f"{job.path}/State", text, 100, time, fields))

    def select(self, time: int) -> None:
        """Show the program that is to run next."""
        board = self._board
        board.put(f"{ACTIVE}/Name", self.product.programs[0], time)
        board.put(f"{ACTIVE}/NumberInList", self._spec.products.index(self.product), time)
        board.put(f"{ACTIVE}/JobIdentifier", "" if self.forced else self.job.identifier, time)
        board.put("Production/PartName", self.product.name, time)

    def running(self, time: int) -> None:
        """A run of the job begins or goes on."""
        if self.forced is None and self.job.state.name != "Running":
            self._job_state(self.job, "Running", time)

    def interrupted(self, time: int) -> None:
        """The run stands still."""
        if self.forced is None and self.job.state.name == "Running":
            self._job_state(self.job, "Interrupted", time)

    def finish(self, *, seconds: float, time: int) -> bool:
        """A good part is done; True if its job is complete with it."""
        board, job = self._board, self.job
        self.parts_good += 1
        self.lifetime += 1
        board.put("Production/PartsGood", self.parts_good, time)
        board.put("Production/Statistics/PartsProducedInLifetime", self.lifetime, time)
        for counter in ("OperationCycleCounter", "PartsProducedInLifetime"):
            board.put(f"Monitoring/MachineTool/OperationCounters/{counter}", self.lifetime, time)
        board.put("Production/LastPartFinished", time, time)
        board.put("Production/CycleTime", round(seconds, 2), time)
        if self.forced is not None:
            self.forced = None
            return False
        job.completed += 1
        job.good += 1
        board.put(f"{job.path}/RunsCompleted", job.completed, time)
        board.put(f"{job.path}/PartsCompleted", job.completed, time)
        board.put(f"{job.path}/PartsGood", job.good, time)
        return job.completed >= job.planned

    def scrap(self, time: int) -> None:
        """The part in work is lost."""
        self.parts_bad += 1
        self._board.put("Production/PartsBad", self.parts_bad, time)

    def next_job(self, time: int) -> None:
        """The job is done: it leaves the plan, a new one is planned."""
        done = self.job
        self._job_state(done, "Ended", time)
        self._board.vanish(done.path, time)
        self.jobs.pop(0)
        planned = self._new_job(self._serial)
        self.jobs.append(planned)
        part, points = _job_points(planned, len(self.jobs) - 1)
        self._board.appear(part, points, time)
        for number, job in enumerate(self.jobs):
            self._board.put(f"{job.path}/NumberInList", number, time)


def _transition_fields(transition: Transition) -> dict[str, object]:
    return {"Transition": transition.via, "FromState": transition.before, "ToState": transition.after}


def _program_parts(job: Job) -> list[Part]:
    return [
        Part(f"{job.path}/ProductionPrograms/Program{number}", "ProductionProgramType")
        for number in range(1, len(job.product.programs) + 1)
    ]


def _job_points(job: Job, number: int) -> tuple[Part, list[Point]]:
    path = job.path
    points = [
        Point(f"{path}/Identifier", job.identifier),
        Point(f"{path}/NumberInList", number),
        Point(f"{path}/OrderIdentifier", job.order),
        Point(f"{path}/CustomerOrderIdentifier", job.customer),
        Point(f"{path}/RunsPlanned", job.planned),
        Point(f"{path}/RunsPlanned/IsValid", initial=True),
        Point(f"{path}/RunsCompleted", job.completed),
        Point(f"{path}/PartsCompleted", job.completed),
        Point(f"{path}/PartsGood", job.good),
        Point(f"{path}/State/CurrentState", job.state.state),
        Point(f"{path}/State/LastTransition", State("EndedToInitializing", 2)),
    ]
    for index, name in enumerate(job.product.programs):
        program = f"{path}/ProductionPrograms/Program{index + 1}"
        points += [Point(f"{program}/Name", name), Point(f"{program}/NumberInList", index)]
    return Part(path, "ProductionJobType"), points
