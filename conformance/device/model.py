"""Rules over a device's address space, by the name that checks give."""

from __future__ import annotations

from typing import Any

from conformance.device import basics, declared
from conformance.device.judged import Judge
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome
from conformance.suite.target import Rule

JUDGES: dict[str, Judge] = {**declared.JUDGES, **basics.JUDGES}


def _rule(judge: Judge) -> Rule:
    async def rule(target: Any, check: Check) -> Outcome:  # noqa: ANN401 - the device target, which imports this
        return judge(target.snapshot, check.parameters)

    return rule


RULES: dict[str, Rule] = {name: _rule(judge) for name, judge in JUDGES.items()}
