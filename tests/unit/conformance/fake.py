"""A target without a protocol and a catalogue for it: with these the runner, reports and commands are tested."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from conformance.suite.catalogue import Catalogue
from conformance.suite.check import Check, Goal, Obligation, Profile, Requirement, TargetKind
from conformance.suite.claims import Claim
from conformance.suite.outcome import Evidence, absent, failed, informational, non_strict, passed, untried
from conformance.suite.report import TreeNode
from conformance.suite.target import TargetError

HOSTILE = "<script>document.title='stolen'</script>\x1b[31mred\r\nINJECTED: 1\u202egnp.exe</td>\"'&amp;"
"""What a hostile device calls its nodes."""


def check(name: str, rule: str, **more: Any) -> Check:
    body: dict[str, Any] = {
        "id": name if "." in name else f"device.fake.{name}",
        "title": f"what {name} looks at",
        "target": TargetKind.DEVICE,
        "goals": (Goal.INTEROPERABLE,),
        "sources": ("OPC 40501-1 1.02, 8.4",),
        "expected": "it does what is asked",
        "method": "the fake says so",
        "rule": rule,
        "mutants": ("device.fake",),
    }
    return Check.model_validate(body | more)


def catalogue(*checks: Check, profiles: tuple[Profile, ...] = (), rows: tuple[Requirement, ...] = ()) -> Catalogue:
    made = Catalogue(
        {one.id: one for one in checks}, {one.id: one for one in rows}, {one.name: one for one in profiles}
    )
    made.verify()
    return made


def requirement(name: str, goal: Goal = Goal.SECURE) -> Requirement:
    return Requirement(
        id=name,
        title=f"What {name} asks for.",
        goal=goal,
        sources=("IEC 62443-4-2 CR 1.2",),
        targets=(TargetKind.DEVICE,),
        procedure="Look at it.",
    )


async def _pass(_target, _check):
    return passed("it does", Evidence(what="node", where="Monitoring/Spindle1", content="ns=2;i=7"))


async def _fail(_target, _check):
    return failed(
        "it does not",
        Evidence(what="bytes", where="opc.tcp://127.0.0.1:4840", content="4d53474630000000"),
        nodes=("Monitoring/Spindle1",),
    )


async def _non_strict(_target, _check):
    return non_strict("it does, in a way that is advised against")


async def _informational(_target, _check):
    return informational("it is called so")


async def _absent(_target, _check):
    return absent("it has no such thing")


async def _untried(_target, _check):
    return untried("no key was given", "--ca-key")


async def _raise(_target, _check):
    raise ZeroDivisionError("the rule divides")


async def _gone(_target, _check):
    raise TargetError("connection lost after 12 bytes")


async def _nonsense(_target, _check):
    return "fine"


async def _hang(_target, _check):
    await asyncio.Event().wait()


async def _deaf(_target, _check):
    """Does not heed its cancellation, until it was told often enough."""
    for _ in range(2):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue
    return passed("never told")


async def _leak(_target, _check):
    task = asyncio.ensure_future(asyncio.Event().wait())
    task.cancel()
    await task


async def _huge(_target, _check):
    return failed("x" * 50_000_000, *(Evidence(what="value", content="y" * 100_000) for _ in range(100)))


async def _hostile(_target, _check):
    return failed(HOSTILE, Evidence(what="node", where=HOSTILE, content=HOSTILE), nodes=(HOSTILE,))


RULES = {
    "pass": _pass,
    "fail": _fail,
    "non-strict": _non_strict,
    "informational": _informational,
    "absent": _absent,
    "untried": _untried,
    "raise": _raise,
    "gone": _gone,
    "nonsense": _nonsense,
    "hang": _hang,
    "deaf": _deaf,
    "leak": _leak,
    "huge": _huge,
    "hostile": _hostile,
}


@dataclass
class FakeTarget:
    """Answers by the rules above; `opens` may be an error, or a number of seconds that it never reaches."""

    kind: TargetKind = TargetKind.DEVICE
    name: str = "opc.tcp://machine:4840"
    rules: dict[str, Any] = field(default_factory=lambda: dict(RULES))
    opens: Exception | None = None
    claimed: Claim | None = None
    facts: dict[str, str] = field(default_factory=lambda: {"product": "MC-500"})
    roots: tuple[TreeNode, ...] = ()
    closed: int = 0

    async def open(self) -> None:
        if self.opens is not None:
            raise self.opens

    async def close(self) -> None:
        self.closed += 1

    async def claim(self) -> Claim:
        return self.claimed or Claim(target=self.kind, written=False)

    def fingerprint(self) -> dict[str, str]:
        return self.facts

    def options(self) -> dict[str, str]:
        return {"window": "30 s"}

    def tree(self) -> tuple[TreeNode, ...]:
        return self.roots

    def repeat(self, check_id: str) -> str:
        return f"area4 conform device {self.name} --only {check_id}"


MANY = [
    check("found", "pass", units=("Unit A",), goals=(Goal.CONNECTED, Goal.INTEROPERABLE)),
    check("named", "fail", units=("Unit A",), requirements=("I-01",)),
    check("advised", "non-strict", obligation=Obligation.SHOULD),
    check("counted", "informational"),
    check("optional", "absent", units=("Unit B",)),
    check("unclaimed", "pass", units=("Unit B",)),
    check("blocked", "pass", needs=("device.fake.named",)),
    check("writing", "pass", writes=True, goals=(Goal.SECURE,), requirements=("C-01",)),
    check("mistaken", "raise", goals=(Goal.SECURE,)),
    check("hostile", "hostile", goals=(Goal.SECURE,)),
]
PROFILES = (
    Profile(name="Basic Profile", uri="urn:basic", units=("Unit A",)),
    Profile(name="More Profile", uri="urn:more", units=("Unit B",)),
)
ROWS = (requirement("C-01"), requirement("C-02"), requirement("I-01", Goal.INTEROPERABLE))


def many() -> Catalogue:
    """One check for each state."""
    return catalogue(*MANY, profiles=PROFILES, rows=ROWS).completed()


def machine() -> tuple[TreeNode, ...]:
    """A machine with a hostile name in it."""
    spindle = TreeNode(
        path="Monitoring/Spindle1",
        kind="SpindleMonitoringType",
        children=(TreeNode(path="Monitoring/Spindle1/Override", kind="AnalogUnitRangeType", value="100.0 %"),),
    )
    other = TreeNode(path=HOSTILE, kind=HOSTILE, value=HOSTILE)
    return (
        TreeNode(
            path="MC-500",
            kind="MachineToolType",
            children=(TreeNode(path="Monitoring", kind="MonitoringType", children=(spindle, other)),),
        ),
    )
