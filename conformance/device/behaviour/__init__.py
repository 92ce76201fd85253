"""Behaviour rules of the device target: what it does over time, and to questions of all kinds."""

from __future__ import annotations

from typing import Any

from conformance.device.behaviour import events, services, subscriptions, values
from conformance.device.behaviour.values import Judge
from conformance.device.security.table import SecurityRule
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome
from conformance.suite.target import Rule

JUDGES: dict[str, Judge] = {f"behaviour.{name}": judge for name, judge in {**values.JUDGES, **events.JUDGES}.items()}
"""Rules over the observation window, which ask nothing."""


def _observing(judge: Judge) -> Rule:
    async def rule(target: Any, check: Check) -> Outcome:  # noqa: ANN401 - the device target, which imports this
        return judge(await target.observed(), check.parameters)

    return rule


OBSERVING: dict[str, Rule] = {name: _observing(judge) for name, judge in JUDGES.items()}

RULES: dict[str, SecurityRule] = {
    f"behaviour.{name}": rule for module in (subscriptions, services) for name, rule in module.RULES.items()
}
"""By the name that the catalogue gives."""
