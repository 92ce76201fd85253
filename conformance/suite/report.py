"""The report of a run: one model, from which every form of it (page, JSON, JUnit, SARIF, terminal) is made."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from conformance.suite.check import Check, Goal, Obligation, Requirement
from conformance.suite.claims import Claim, Waiver
from conformance.suite.outcome import Evidence, State, Verdict

FORMAT = "area4-conformance-report/1"
_SUCCESS = frozenset({State.PASS, State.NON_STRICT, State.INFORMATIONAL, State.NOT_CLAIMED, State.MANUAL})
_JUDGED = frozenset({State.PASS, State.NON_STRICT, State.FAIL})


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Result(_Written):
    """One check's line.

    Attributes:
        check: What was asked, whole, so that the report can be read alone.
        state: What came out.
        verdict: What the rule said, where the claim made another state of it (not claimed, but passes).
        seen: What the target did.
        evidence: The proof.
        nodes: Browse paths it is about.
        blocked_by: Ids, or the option that would allow it.
        waiver: The vendor knows of this failure.
        seconds: How long it took.
        repeat: The command line that does this one again.
    """

    check: Check
    state: State
    verdict: Verdict | None = None
    seen: str
    evidence: tuple[Evidence, ...] = ()
    nodes: tuple[str, ...] = ()
    blocked_by: tuple[str, ...] = ()
    waiver: Waiver | None = None
    seconds: float = 0.0
    repeat: str = ""

    @property
    def not_allowed(self) -> bool:
        """Nobody allowed the suite to try it, or gave what it takes."""
        return any(one.startswith("--") for one in self.blocked_by)

    @property
    def breaks(self) -> bool:
        """It keeps the target from conforming: a MUST that failed or could not be tried, or the suite's own error.

        What a vendor waived, and what the caller did not allow, does not.
        """
        if self.waiver is not None or self.state in _SUCCESS or self.not_allowed:
            return False
        return self.state is not State.BLOCKED or self.check.obligation is Obligation.MUST


class Level(_Written):
    """A profile, or one of Area 4's goals, and whether it is reached.

    Attributes:
        name: Of the profile, or `Area 4 connected`.
        claimed: Somebody says so.
        reached: Every MUST of it passed and at least one was tried.
        passed: Number of its checks that passed, non-strict ones included.
        asked: Number of its checks that say something of this target.
        open: Ids that keep it from being reached.
        unjudged: Conformance units of a profile of which nothing was judged, by no fault of the target.
    """

    name: str
    claimed: bool
    reached: bool
    passed: int
    asked: int
    open: tuple[str, ...] = ()
    unjudged: tuple[str, ...] = ()


class TreeNode(_Written):
    """A node of a device's address space, for the report's tree.

    Attributes:
        path: Browse path below the machine; the machine itself has its name alone.
        kind: Its type's name, or node class.
        value: Short text of its value, where it has one.
        children: Below it.
    """

    path: str
    kind: str = ""
    value: str = ""
    children: tuple[TreeNode, ...] = ()


class Report(_Written):
    """A run, whole.

    Attributes:
        format: Of this document.
        suite: Version of the suite.
        seed: Of everything random in the run.
        started: UTC.
        finished: UTC.
        complete: Nobody stopped it, and it was within its time.
        target: Address or name of what was judged.
        fingerprint: What identifies it: product, versions, certificate thumbprints, by name.
        options: Settings of the run that matter to the result, by name.
        claim: What it was held against.
        results: In the catalogue's order.
        levels: Profiles first, then Area 4's goals.
        requirements: Rows that are asked of this kind of target.
        tree: The machines found.
    """

    format: str = FORMAT
    suite: str
    seed: int
    started: datetime
    finished: datetime
    complete: bool
    target: str
    fingerprint: dict[str, str]
    options: dict[str, str]
    claim: Claim
    results: tuple[Result, ...]
    levels: tuple[Level, ...]
    requirements: tuple[Requirement, ...] = ()
    tree: tuple[TreeNode, ...] = ()

    @property
    def conforms(self) -> bool:
        """Something was judged, nothing that the claim asks for is broken, and the run came to its end."""
        judged = any(one.state in _JUDGED for one in self.results)
        return self.complete and judged and not any(one.breaks for one in self.results)

    def count(self, state: State) -> int:
        """Results in a state."""
        return sum(1 for one in self.results if one.state is state)


def goal_levels(results: tuple[Result, ...]) -> list[Level]:
    """Area 4 connected, interoperable, secure."""
    return [
        _level(f"Area 4 {goal}", True, [one for one in results if goal in one.check.goals])
        for goal in Goal
        if any(goal in one.check.goals for one in results)
    ]


def profile_level(name: str, claimed: bool, units: set[str], results: tuple[Result, ...]) -> Level:
    """A profile: all checks of its units; those that nobody claimed count by their verdict."""
    mine = [one for one in results if not units.isdisjoint(one.check.units)]
    seen = {unit for one in mine if _judged(one) for unit in one.check.units}
    return _level(name, claimed, mine).model_copy(update={"unjudged": tuple(sorted(units - seen))})


def _level(name: str, claimed: bool, results: list[Result]) -> Level:
    tried = [one for one in results if _judged(one)]
    good = [one for one in tried if _good(one)]
    bad = [one for one in tried if not _good(one) and one.check.obligation is Obligation.MUST]
    untried = [one for one in results if one.state in {State.BLOCKED, State.ERROR}]
    blocked = [one for one in untried if one.check.obligation is Obligation.MUST]
    return Level(
        name=name,
        claimed=claimed,
        reached=bool(good) and not bad and not blocked,
        passed=len(good),
        asked=len(tried),
        open=tuple(one.check.id for one in (*bad, *blocked)),
    )


def _judged(one: Result) -> bool:
    if one.state is State.NOT_CLAIMED:
        return one.verdict in {Verdict.PASS, Verdict.NON_STRICT, Verdict.FAIL}
    return one.state in {State.PASS, State.NON_STRICT, State.FAIL}


def _good(one: Result) -> bool:
    if one.state is State.NOT_CLAIMED:
        return one.verdict in {Verdict.PASS, Verdict.NON_STRICT}
    return one.state in {State.PASS, State.NON_STRICT}
