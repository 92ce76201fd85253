"""Runs checks against a target, one after the other, and always comes back with a report."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from conformance.suite.attempt import Attempt, attempt, safely, told
from conformance.suite.bounds import bounded, bounded_facts, bounded_tree, cut
from conformance.suite.catalogue import Catalogue
from conformance.suite.check import Check, Obligation
from conformance.suite.claims import Claim
from conformance.suite.outcome import Outcome, State, Verdict, failed
from conformance.suite.report import Level, Report, Result, goal_levels, profile_level
from conformance.suite.selection import selected
from conformance.suite.target import Rule, Target, TargetError

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

OPEN = "the target could be opened"
STOPPED = "the run was stopped"
CLOSE_SECONDS = 30.0


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
    stop: asyncio.Event | None = None,
) -> Report:
    """Every check of the target's kind, or `only` those whose id is given or begins with one given and a dot.

    Checks that an `only` one needs run before it. Once `stop` is set the check under way is ended, the rest is blocked,
    and the report says so. It never raises for what the target does; when it is cancelled, the target is closed and the
    cancellation goes on.

    Raises:
        CatalogueError: `only` selects nothing, or the claim names a profile that nobody knows.
    """
    checks = selected(catalogue, target.kind, only)
    run_of = _Run(target, catalogue, settings, stop or asyncio.Event())
    started = datetime.now(UTC)
    try:
        await run_of.open(claim)
        await run_of.all(checks, progress)
        return run_of.report(started, only)
    finally:
        await _quietly(target)


class _Run:
    def __init__(self, target: Target, catalogue: Catalogue, settings: Settings, stop: asyncio.Event) -> None:
        self.target = target
        self.catalogue = catalogue
        self.settings = settings
        self.stop = stop
        self.claim = Claim(target=target.kind, written=False)
        self.unreachable = ""
        self.broken = ""
        self.results: dict[str, Result] = {}
        self.complete = True
        self._end = time.monotonic() + settings.total_seconds

    async def open(self, claim: Claim | None) -> None:
        if claim is not None:
            self.claim = claim
        tried = await self._try(self._opened(claim), self.settings.open_seconds)
        if tried is None:
            self.unreachable = STOPPED
        elif tried.late:
            self.unreachable = f"not open after {self.settings.open_seconds:g} s"
        elif isinstance(tried.error, TargetError):
            self.unreachable = cut(str(tried.error))
        elif tried.error is not None:
            self.broken = f"opening the target: {told(tried.error)}"

    async def _opened(self, claim: Claim | None) -> None:
        await self.target.open()
        if claim is None:
            self.claim = await self.target.claim()

    async def _try(self, work: Coroutine[Any, Any, _T], seconds: float) -> Attempt[_T] | None:
        """Until it ended or its time is over; None when the run was stopped before."""
        trying = asyncio.ensure_future(attempt(work, seconds))
        stopping = asyncio.ensure_future(self.stop.wait())
        try:
            await asyncio.wait({trying, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if trying.done():
                return trying.result()
            self.complete = False
            return None
        finally:
            stopping.cancel()
            if not trying.done():
                trying.cancel()
                await asyncio.wait({trying})

    async def all(self, checks: Sequence[Check], progress: Progress) -> None:
        units = self.claim.claimed_units(self.catalogue)
        for number, check in enumerate(checks, 1):
            begun = time.monotonic()
            result = await self._one(check, asked=self.claim.asks(check, units))
            waiver = self.claim.waiver(check.id, _today()) if result.state is State.FAIL else None
            result = result.model_copy(
                update={
                    "seconds": round(time.monotonic() - begun, 3),
                    "repeat": cut(safely(lambda one=check: self.target.repeat(one.id), "")),  # type: ignore[misc]
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
        rule = self.target.rules.get(check.rule)
        if rule is None:
            return Result(check=check, state=State.ERROR, seen=f"there is no rule {check.rule!r}")
        left = self._end - time.monotonic()
        seconds = min(self.settings.check_seconds, left)
        tried = await self._try(_asked(rule, self.target, check), seconds)
        if tried is None or (tried.late and left < self.settings.check_seconds):
            return self._stopped(check)
        if tried.late:
            outcome = failed(f"not finished within {self.settings.check_seconds:g} s")
        elif isinstance(tried.error, TargetError):
            outcome = failed(str(tried.error))
        elif not isinstance(tried.value, Outcome):
            wrong = f"it returned {type(tried.value).__name__}" if tried.error is None else told(tried.error)
            return Result(check=check, state=State.ERROR, seen=wrong)
        else:
            outcome = tried.value
        return _judged(check, bounded(outcome), asked=asked, written=self.claim.written)

    def _stopped(self, check: Check) -> Result:
        self.complete = False
        why = "somebody stopped it" if self.stop.is_set() else f"it took longer than {self.settings.total_seconds:g} s"
        return Result(check=check, state=State.BLOCKED, seen=why, blocked_by=(STOPPED,))

    def _blocked(self, check: Check) -> Result | None:
        by: list[str] = []
        why = ""
        if self.stop.is_set() or time.monotonic() >= self._end:
            return self._stopped(check)
        if self.broken:
            return Result(check=check, state=State.ERROR, seen=self.broken)
        if self.unreachable:
            by, why = [OPEN], self.unreachable
        elif check.writes and not self.settings.allow_writes:
            by, why = ["--allow-writes"], "it writes or calls something on the target"
        elif check.stress and not self.settings.allow_stress:
            by, why = ["--allow-stress"], "it loads or provokes the target"
        else:
            return self._lacking(check)
        return Result(check=check, state=State.BLOCKED, seen=why, blocked_by=tuple(by))

    def _lacking(self, check: Check) -> Result | None:
        """What it needs and did not succeed: not given, not there, or broken, by the worst of them."""
        lacking = {need: self.results.get(need) for need in check.needs if not _usable(self.results.get(need))}
        if not lacking:
            return None
        found = [one for one in lacking.values() if one is not None]
        options = tuple(dict.fromkeys(by for one in found if one.not_allowed for by in one.blocked_by))
        missing = [one for one in found if one.state is State.NOT_CLAIMED and one.verdict is None]
        if len(found) == len(lacking) == len(missing):
            return Result(check=check, state=State.NOT_CLAIMED, seen=cut(f"not there: {missing[0].seen}"))
        if options and all(one.not_allowed or one in missing for one in found):
            seen = next(one.seen for one in found if one.not_allowed)
            return Result(check=check, state=State.BLOCKED, seen=seen, blocked_by=options)
        seen = "what it needs did not succeed"
        return Result(check=check, state=State.BLOCKED, seen=seen, blocked_by=tuple(lacking))

    def report(self, started: datetime, only: Sequence[str]) -> Report:
        results = tuple(self.results.values())
        target = self.target
        return Report(
            suite=self.settings.version,
            seed=self.settings.seed,
            started=started,
            finished=datetime.now(UTC),
            complete=self.complete,
            target=cut(target.name),
            fingerprint=bounded_facts(safely(target.fingerprint, {})),
            options={**bounded_facts(safely(target.options, {})), **self._options(only)},
            claim=self.claim,
            results=results,
            levels=(*self._profiles(results), *goal_levels(results)),
            requirements=tuple(one for one in self.catalogue.requirements.values() if target.kind in one.targets),
            tree=bounded_tree(safely(target.tree, ())),
        )

    def _options(self, only: Sequence[str]) -> dict[str, str]:
        """What was allowed, and what was left out."""
        settings = self.settings
        return {
            "writes": "allowed" if settings.allow_writes else "not allowed",
            "stress": "allowed" if settings.allow_stress else "not allowed",
            **({"only": cut(" ".join(only))} if only else {}),
        }

    def _profiles(self, results: tuple[Result, ...]) -> list[Level]:
        """Those that are claimed, and those that would be reached: nobody asks for more."""
        claimed = self.claim.claimed_units(self.catalogue)
        levels = []
        for profile in self.catalogue.profiles.values():
            units = self.catalogue.units_of([profile.name])
            if profile.target is self.target.kind:
                named = not {profile.name, profile.uri}.isdisjoint(self.claim.profiles)
                levels.append(profile_level(profile.name, named or (bool(units) and units <= claimed), units, results))
        return levels


async def _asked(rule: Rule, target: Target, check: Check) -> Outcome:
    return await rule(target, check)


def _judged(check: Check, outcome: Outcome, *, asked: bool, written: bool) -> Result:
    """The state of an outcome: what nobody claims cannot fail, what a claim file names cannot be absent."""
    verdict: Verdict | None = None
    if outcome.verdict is Verdict.UNTRIED:
        return Result(check=check, state=State.BLOCKED, seen=outcome.seen, blocked_by=(outcome.option,))
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


def _today() -> date:
    return datetime.now(UTC).date()


async def _quietly(target: Target) -> None:
    closed = await attempt(target.close(), CLOSE_SECONDS)
    if closed.late:
        _LOG.warning("%s did not let itself be closed within %g s", target.name, CLOSE_SECONDS)
    elif closed.error is not None:
        _LOG.warning("closing %s: %s", target.name, told(closed.error))
