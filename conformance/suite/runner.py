"""Runs checks against a target, one after the other, and always comes back with a report."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from conformance.suite.catalogue import Catalogue
from conformance.suite.check import Check, Obligation
from conformance.suite.claims import Claim
from conformance.suite.outcome import Outcome, State, Verdict
from conformance.suite.report import Report, Result, goal_levels, profile_level
from conformance.suite.target import Target, TargetError

_LOG = logging.getLogger(__name__)

OPEN = "the target could be opened"
STOPPED = "the run was stopped"


@dataclass(frozen=True)
class Settings:
    """How a run goes.

    Attributes:
        allow_writes: Checks that write or call may run.
        allow_stress: Checks that load or provoke may run.
        check_seconds: Longest time of one check; a target that takes longer fails it.
        open_seconds: Longest time until the target is open.
        total_seconds: Longest time of all; what is left then is blocked.
        seed: Of everything random.
        version: Of the suite.
    """

    allow_writes: bool = False
    allow_stress: bool = False
    check_seconds: float = 60.0
    open_seconds: float = 180.0
    total_seconds: float = 1800.0
    seed: int = 1
    version: str = ""


Progress = Callable[[Result, int, int], None]
"""Told of each result, its number, and how many there will be."""


async def run(
    target: Target,
    catalogue: Catalogue,
    *,
    settings: Settings,
    claim: Claim | None = None,
    only: Sequence[str] = (),
    progress: Progress = lambda _result, _number, _of: None,
) -> Report:
    """Every check of the target's kind, or `only` those whose id is given or begins with one given and a dot.

    Checks that an `only` one needs run before it. It never raises for what the target does; when it is cancelled, the
    target is closed and the cancellation goes on.
    """
    run_of = _Run(target, catalogue, settings)
    started = datetime.now(UTC)
    try:
        await run_of.open(claim)
        await run_of.all(_selected(catalogue.of(target.kind), only), progress)
        return run_of.report(started)
    finally:
        await _quietly(target)


class _Run:
    def __init__(self, target: Target, catalogue: Catalogue, settings: Settings) -> None:
        self.target = target
        self.catalogue = catalogue
        self.settings = settings
        self.claim = Claim(target=target.kind, written=False)
        self.unreachable = ""
        self.results: dict[str, Result] = {}
        self.complete = True
        self._end = time.monotonic() + settings.total_seconds

    async def open(self, claim: Claim | None) -> None:
        if claim is not None:
            self.claim = claim
        try:
            async with asyncio.timeout(self.settings.open_seconds):
                await self.target.open()
                if claim is None:
                    self.claim = await self.target.claim()
        except TimeoutError:
            self.unreachable = f"not open after {self.settings.open_seconds:g} s"
        except TargetError as error:
            self.unreachable = str(error)

    async def all(self, checks: Sequence[Check], progress: Progress) -> None:
        units = self.claim.claimed_units(self.catalogue)
        for number, check in enumerate(checks, 1):
            begun = time.monotonic()
            result = await self._one(check, asked=self.claim.asks(check, units))
            waiver = self.claim.waiver(check.id, _today()) if result.state is State.FAIL else None
            result = result.model_copy(
                update={
                    "seconds": round(time.monotonic() - begun, 3),
                    "repeat": self.target.repeat(check.id),
                    "waiver": waiver,
                }
            )
            self.results[check.id] = result
            progress(result, number, len(checks))

    async def _one(self, check: Check, *, asked: bool) -> Result:
        if check.manual:
            return Result(check=check, state=State.MANUAL, seen=check.method)
        blocked = self._blocked(check)
        if blocked is not None:
            return blocked
        try:
            async with asyncio.timeout(self.settings.check_seconds):
                outcome = await self.target.rules[check.rule](self.target, check)
        except TimeoutError:
            outcome = Outcome(verdict=Verdict.FAIL, seen=f"not finished within {self.settings.check_seconds:g} s")
        except TargetError as error:
            outcome = Outcome(verdict=Verdict.FAIL, seen=str(error))
        except Exception as error:  # noqa: BLE001 - the report says that the suite failed, and where
            _LOG.debug("check %s failed by itself", check.id, exc_info=True)
            return Result(check=check, state=State.ERROR, seen=f"{type(error).__name__}: {error}{_place(error)}")
        return _judged(check, outcome, asked=asked, written=self.claim.written)

    def _blocked(self, check: Check) -> Result | None:
        by: list[str] = []
        why = ""
        if self.unreachable:
            by, why = [OPEN], self.unreachable
        elif time.monotonic() >= self._end:
            self.complete = False
            by, why = [STOPPED], f"the run took longer than {self.settings.total_seconds:g} s"
        elif check.writes and not self.settings.allow_writes:
            by, why = ["--allow-writes"], "it writes or calls something on the target"
        elif check.stress and not self.settings.allow_stress:
            by, why = ["--allow-stress"], "it loads or provokes the target"
        else:
            by = [need for need in check.needs if not _usable(self.results.get(need))]
            why = "what it needs did not succeed"
        if not by:
            return None
        return Result(check=check, state=State.BLOCKED, seen=why, blocked_by=tuple(by))

    def report(self, started: datetime) -> Report:
        results = tuple(self.results.values())
        claimed = self.claim.claimed_units(self.catalogue)
        levels = [
            profile_level(
                profile.name,
                self.catalogue.units_of([profile.name]) <= claimed,
                self.catalogue.units_of([profile.name]),
                results,
            )
            for profile in self.catalogue.profiles.values()
            if profile.target is self.target.kind
        ]
        return Report(
            suite=self.settings.version,
            seed=self.settings.seed,
            started=started,
            finished=datetime.now(UTC),
            complete=self.complete,
            target=self.target.name,
            fingerprint=self.target.fingerprint(),
            options=self.target.options(),
            claim=self.claim,
            results=results,
            levels=(*levels, *goal_levels(results)),
            tree=self.target.tree(),
        )


def _judged(check: Check, outcome: Outcome, *, asked: bool, written: bool) -> Result:
    """The state of an outcome: what nobody claims cannot fail, what a claim file names cannot be absent."""
    verdict: Verdict | None = None
    if outcome.verdict is Verdict.ABSENT:
        state = _failed(check) if asked and written and check.units else State.NOT_CLAIMED
    elif not asked:
        state, verdict = State.NOT_CLAIMED, outcome.verdict
    elif outcome.verdict is Verdict.FAIL:
        state = _failed(check)
    else:
        state = State(outcome.verdict.value)
    return Result(
        check=check, state=state, verdict=verdict, seen=outcome.seen, evidence=outcome.evidence, nodes=outcome.nodes
    )


def _failed(check: Check) -> State:
    """A SHOULD that is not met is no failure."""
    return State.FAIL if check.obligation is Obligation.MUST else State.NON_STRICT


def _usable(result: Result | None) -> bool:
    if result is None:
        return False
    if result.state is State.NOT_CLAIMED:
        return result.verdict in {Verdict.PASS, Verdict.NON_STRICT}
    return result.state in {State.PASS, State.NON_STRICT, State.INFORMATIONAL}


def _selected(checks: Iterable[Check], only: Sequence[str]) -> list[Check]:
    """In an order in which what is needed comes first."""
    known = {one.id: one for one in checks}
    wanted = [
        one
        for one in known.values()
        if not only or any(one.id == name or one.id.startswith(f"{name}.") for name in only)
    ]
    ordered: dict[str, Check] = {}

    def add(one: Check) -> None:
        for need in one.needs:
            if need not in ordered:
                add(known[need])
        ordered.setdefault(one.id, one)

    for one in wanted:
        add(one)
    return list(ordered.values())


def _place(error: Exception) -> str:
    """Where in the suite it happened."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f" ({trace.tb_frame.f_code.co_name}, line {trace.tb_lineno})"


def _today() -> date:
    return datetime.now(UTC).date()


async def _quietly(target: Target) -> None:
    try:
        async with asyncio.timeout(30):
            await target.close()
    except TimeoutError:
        _LOG.warning("%s did not let itself be closed within 30 s", target.name)
