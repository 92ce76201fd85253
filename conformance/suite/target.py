"""What a target is to the runner: something that is opened, asked by rules, and closed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from conformance.suite.check import Check, TargetKind
from conformance.suite.claims import Claim
from conformance.suite.outcome import Outcome
from conformance.suite.report import TreeNode

Rule = Callable[[Any, Check], Awaitable[Outcome]]
"""Judges a target (its first argument is the target itself) by one check.

Raises TargetError where the target went away."""


class TargetError(Exception):
    """The target does not answer, or answers what cannot be read: a finding about the target, never about the suite."""


class Target(Protocol):
    """One thing that is judged.

    Attributes:
        kind: Which checks are asked.
        name: Address or name.
        rules: The functions that judge it, by the name that checks give.
    """

    kind: TargetKind
    name: str
    rules: Mapping[str, Rule]

    async def open(self) -> None:
        """Connect and find out what all checks need (a snapshot, the observation window).

        Raises:
            TargetError: Not reachable at all; then every check is blocked by that.
        """

    async def close(self) -> None:
        """Leave nothing behind: no session, no subscription, no retained message. Never raises."""

    async def claim(self) -> Claim:
        """What it says of itself, where no claim file is given."""

    def fingerprint(self) -> dict[str, str]:
        """What identifies it, by name."""

    def options(self) -> dict[str, str]:
        """Settings that matter to the result, by name."""

    def tree(self) -> tuple[TreeNode, ...]:
        """Its machines and their nodes; empty where it has none."""

    def repeat(self, check_id: str) -> str:
        """The command line that does one check again."""
