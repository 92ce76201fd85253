"""What all security rules share: their table, and the two questions `is it refused` and `is there what it takes`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from conformance.device.authority import TestAuthority
from conformance.device.prober import Prober
from conformance.device.wire.errors import Refused
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome, failed, passed, untried


def no_certificate() -> Outcome:
    """The suite has no certificate to come with."""
    return untried("no client certificate was given (--certificate, --key)", "--certificate")


class Device(Protocol):
    """What a security rule asks of the target."""

    prober: Prober


SecurityRule = Callable[[Device, Check], Awaitable[Outcome]]
Judge = Callable[[Prober, Check], Awaitable[Outcome]]


class Rules(dict[str, SecurityRule]):
    """Rules by name."""

    def add(self, name: str) -> Callable[[Judge], Judge]:
        """Register a rule that asks with the target's prober."""

        def register(judge: Judge) -> Judge:
            async def rule(device: Device, check: Check) -> Outcome:
                return await judge(device.prober, check)

            self[name] = rule
            return judge

        return register

    def secured(self, name: str) -> Callable[[Judge], Judge]:
        """Register a rule that needs the suite's own certificate."""

        def register(judge: Judge) -> Judge:
            async def rule(device: Device, check: Check) -> Outcome:
                return no_certificate() if device.prober.identity is None else await judge(device.prober, check)

            self[name] = rule
            return judge

        return register

    def trusting(self, name: str) -> Callable[[Callable[[Prober, TestAuthority], Awaitable[Outcome]]], None]:
        """Register a rule that needs the test authority, beside the suite's own certificate."""

        def register(judge: Callable[[Prober, TestAuthority], Awaitable[Outcome]]) -> None:
            async def rule(device: Device, _check: Check) -> Outcome:
                authority = device.prober.authority
                if authority is None:
                    return untried("no test authority that the device trusts was given", "--test-ca")
                return no_certificate() if device.prober.identity is None else await judge(device.prober, authority)

            self[name] = rule

        return register


async def refused(attempt: Awaitable[object], what: str) -> Outcome:
    """Pass where the attempt is refused; `what` begins the sentence."""
    try:
        await attempt
    except Refused as refusal:
        return passed(f"{what} is refused: {refusal}")
    return failed(f"{what} is accepted")


async def accepted(attempt: Awaitable[object], what: str) -> Outcome:
    """Pass where the attempt succeeds."""
    try:
        await attempt
    except Refused as refusal:
        return failed(f"{what} is refused: {refusal}")
    return passed(f"{what} is accepted")
