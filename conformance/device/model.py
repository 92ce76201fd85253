"""Rules over a device's address space: pure functions of the snapshot and a check's parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from conformance.device.snapshot import Snapshot
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome
from conformance.suite.target import Rule

Judge = Callable[[Snapshot, Mapping[str, Any]], Outcome]

JUDGES: dict[str, Judge] = {}


def _rule(judge: Judge) -> Rule:
    async def rule(target: Any, check: Check) -> Outcome:  # noqa: ANN401 - the device target, which imports this
        return judge(target.snapshot, check.parameters)

    return rule


RULES: dict[str, Rule] = {name: _rule(judge) for name, judge in JUDGES.items()}
