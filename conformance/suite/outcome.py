"""What a check finds, and the states that it gets in a report, each with its meaning."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Verdict(StrEnum):
    """What a check itself says of the target."""

    PASS = "pass"  # noqa: S105 - a state, no password
    NON_STRICT = "non-strict"
    FAIL = "fail"
    INFORMATIONAL = "informational"
    ABSENT = "absent"
    UNTRIED = "untried"


class State(StrEnum):
    """What stands in the report, once the claim is taken into account."""

    PASS = "pass"  # noqa: S105 - a state, no password
    NON_STRICT = "non-strict"
    FAIL = "fail"
    INFORMATIONAL = "informational"
    NOT_CLAIMED = "not-claimed"
    BLOCKED = "blocked"
    MANUAL = "manual"
    ERROR = "error"


MEANING: dict[State, str] = {
    State.PASS: "The target does what is expected.",
    State.NON_STRICT: "The target does something that the standard permits but advises against, or breaks a SHOULD.",
    State.FAIL: "The target does not do what a MUST of the standard asks for.",
    State.INFORMATIONAL: "Something to know; nothing is judged.",
    State.NOT_CLAIMED: "The target does not have this, or nobody claims that it does; what was seen is told.",
    State.BLOCKED: "Not tried: what it needs did not succeed, was not given to the suite, or was not allowed.",
    State.MANUAL: "A person has to find out; the procedure stands there.",
    State.ERROR: "The suite itself failed, which says nothing about the target: report it.",
}


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Evidence(_Written):
    """What was seen, so that a reader can find it again.

    Attributes:
        what: `node`, `bytes`, `message`, `value`, `log` ... in a word.
        where: Browse path, topic or address; empty where there is none.
        content: As text; bytes as hexadecimal digits.
    """

    what: str
    where: str = ""
    content: str = ""


class Outcome(_Written):
    """What a check's rule returns.

    Attributes:
        verdict: Its judgement.
        seen: One sentence: what the target did.
        evidence: The proof; the rule limits it to a few.
        nodes: Browse paths of the nodes that it is about, below the machine; the report's tree shows it there.
        option: Of the command line, where something was not given and so nothing was tried (`--ca-key`).
    """

    verdict: Verdict
    seen: str
    evidence: tuple[Evidence, ...] = ()
    nodes: tuple[str, ...] = ()
    option: str = ""


def passed(seen: str, *evidence: Evidence, nodes: Iterable[str] = ()) -> Outcome:
    """The target does what is expected."""
    return Outcome(verdict=Verdict.PASS, seen=seen, evidence=evidence, nodes=tuple(nodes))


def failed(seen: str, *evidence: Evidence, nodes: Iterable[str] = ()) -> Outcome:
    """It does not."""
    return Outcome(verdict=Verdict.FAIL, seen=seen, evidence=evidence, nodes=tuple(nodes))


def non_strict(seen: str, *evidence: Evidence, nodes: Iterable[str] = ()) -> Outcome:
    """Permitted, but advised against."""
    return Outcome(verdict=Verdict.NON_STRICT, seen=seen, evidence=evidence, nodes=tuple(nodes))


def informational(seen: str, *evidence: Evidence, nodes: Iterable[str] = ()) -> Outcome:
    """Something to know."""
    return Outcome(verdict=Verdict.INFORMATIONAL, seen=seen, evidence=evidence, nodes=tuple(nodes))


def absent(seen: str, *evidence: Evidence, nodes: Iterable[str] = ()) -> Outcome:
    """The target has nothing of what the check is about: right where it is optional and nobody claims it."""
    return Outcome(verdict=Verdict.ABSENT, seen=seen, evidence=evidence, nodes=tuple(nodes))


def untried(seen: str, option: str) -> Outcome:
    """Nothing was tried, because the caller did not give what `option` names: says nothing about the target."""
    return Outcome(verdict=Verdict.UNTRIED, seen=seen, option=option)
