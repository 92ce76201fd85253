"""What a check is: one sentence of a standard, its source, and how a target is found out."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

Id = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(\.[A-Za-z0-9_-]+)+$", max_length=160)]
"""Dotted, and for ever: `device.security.C-01`, `broker.tls.no-certificate`. Others begin with their vendor's word."""


class TargetKind(StrEnum):
    """What can be judged."""

    DEVICE = "device"
    GATEWAY = "gateway"
    BROKER = "broker"
    NETWORK = "network"


class Obligation(StrEnum):
    """How strong the requirement is (RFC 2119)."""

    MUST = "MUST"
    SHOULD = "SHOULD"


class Goal(StrEnum):
    """What Area 4 of the plan for Industry 4.0 asks for; each is a level of the report."""

    CONNECTED = "connected"
    INTEROPERABLE = "interoperable"
    SECURE = "secure"


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Check(_Written):
    """One line of the catalogue.

    Attributes:
        id: Stable name; never used for anything else.
        title: What is looked at, in a few words.
        target: What kind of thing is judged.
        obligation: MUST or SHOULD.
        goals: The levels of Area 4 that it counts for.
        requirements: Rows of catalogue/requirements.toml that it answers (`C-01`).
        sources: Document and clause, `OPC 40501-1 1.02, 8.4`.
        units: Conformance units that contain it; empty: asked of every target of its kind.
        expected: What a conforming target does.
        method: How the suite finds out; for a manual check the procedure for a person.
        manual: No machine can find out; the report lists it with its procedure.
        rule: Name of the function that judges it, of the target's table; several checks may share one.
        parameters: What that function needs to know.
        needs: Checks without whose success this one says nothing.
        writes: It writes or calls something on the target; runs only when that is allowed.
        stress: It loads or provokes the target; runs only when that is allowed.
        observes: It judges what came during the observation window.
        mutants: Broken targets on which it fails, at least one (none for a manual check).
    """

    id: Id
    title: str = Field(min_length=8, max_length=200)
    target: TargetKind
    obligation: Obligation = Obligation.MUST
    goals: tuple[Goal, ...] = Field(min_length=1)
    requirements: tuple[str, ...] = ()
    sources: tuple[str, ...] = Field(min_length=1)
    units: tuple[str, ...] = ()
    expected: str = Field(min_length=8)
    method: str = Field(min_length=8)
    manual: bool = False
    rule: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    needs: tuple[Id, ...] = ()
    writes: bool = False
    stress: bool = False
    observes: bool = False
    mutants: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Check:
        if self.manual and (self.rule or self.mutants):
            raise ValueError("a manual check has neither rule nor mutants")
        if not self.manual and not (self.rule and self.mutants):
            raise ValueError("a check needs a rule and a mutant on which it fails")
        return self


class Requirement(_Written):
    """One row of the requirements that checks answer.

    Attributes:
        id: `C-01`.
        title: In one sentence.
        goal: Area 4's goal that it serves.
        sources: Where it comes from.
        targets: What it is asked of.
        procedure: For a person, where no check answers it.
    """

    id: str = Field(pattern=r"^[A-Z]+-\d{2}$")
    title: str
    goal: Goal
    sources: tuple[str, ...]
    targets: tuple[TargetKind, ...]
    procedure: str = ""


class Profile(_Written):
    """A profile of a standard: a name that a vendor claims, and the conformance units that it stands for.

    Attributes:
        name: `MachineTool Basic Server`.
        uri: As a server's ServerProfileArray has it; empty where the standard gives none.
        target: What claims it.
        units: Conformance units that it requires.
        includes: Names of the profiles that it contains.
    """

    name: str
    uri: str = ""
    target: TargetKind = TargetKind.DEVICE
    units: tuple[str, ...] = ()
    includes: tuple[str, ...] = ()
