"""Rules: whom a gateway trusts, and what it shows of itself."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from conformance.gateway.findings import SHOWN
from conformance.gateway.stage import Witness
from conformance.suite.check import Check
from conformance.suite.outcome import Evidence, Outcome, failed, passed, untried
from conformance.suite.target import Rule, TargetError

if TYPE_CHECKING:
    from conformance.gateway.target import GatewayTarget

AFTER_ATTEMPT = 2.0
"""Seconds that an impostor listens on after the first attempt, for what is said behind the handshake."""


async def broker_impostor(target: GatewayTarget, check: Check) -> Outcome:
    """Somebody else at the broker's address hears nothing."""
    kind: Any = check.parameters["kind"]
    await target.recording.end()  # our own consumer must not be heard
    impostor = target.stage.broker_impostor(kind)
    try:
        return await _impostor(target, impostor, check, "a broker", target.recording.begin)
    finally:
        await target.recording.begin()


async def server_impostor(target: GatewayTarget, check: Check) -> Outcome:
    """Somebody else at the server's address gets no session."""
    kind: Any = check.parameters["kind"]
    return await _impostor(target, target.stage.server_impostor(kind), check, "a server", _nothing)


async def log_without_secrets(target: GatewayTarget, check: Check) -> Outcome:  # noqa: ARG001 - a rule
    """No private key stands in the log."""
    if not target.stage.startable:
        return untried("the suite did not start the gateway, so it does not see its log", "--command")
    log = target.stage.log()
    if not log:
        return failed("it wrote no log at all")
    if any(secret in log for secret in target.stage.secrets()):
        return failed("a private key stands in its log")
    return passed(f"no private key in {len(log.splitlines())} lines of log")


async def loopback_only(target: GatewayTarget, check: Check) -> Outcome:  # noqa: ARG001
    """It listens nowhere but on loopback."""
    if not target.stage.startable:
        return untried("the suite did not start the gateway, so it does not see its sockets", "--command")
    sockets = target.stage.sockets()
    open_ = [one for one in sockets if not ipaddress.ip_address(one.host).is_loopback]
    if open_:
        evidence = [Evidence(what="socket", where=f"{one.host}:{one.port}") for one in open_[:SHOWN]]
        return failed(f"it listens on {open_[0].host}:{open_[0].port}, for everybody", *evidence)
    return passed(f"it listens on {len(sockets)} addresses of loopback")


async def reads_only(target: GatewayTarget, check: Check) -> Outcome:  # noqa: ARG001
    """Nothing was written, no method was called."""
    asked = await target.stage.altering()
    if any(asked.values()):
        return failed(f"the machines were asked for {asked}", Evidence(what="services", content=str(asked)))
    return passed("the machines were asked for no Write and no Call, but to tell their alarms again")


async def no_other_connections(target: GatewayTarget, check: Check) -> Outcome:
    """It is connected to its servers and its broker, and to nobody else."""
    if not target.stage.startable:
        return untried("the suite did not start the gateway, so it does not see its sockets", "--command")
    end = time.monotonic() + float(check.parameters["seconds"])
    while time.monotonic() < end:
        if other := target.stage.connections():
            evidence = [Evidence(what="socket", where=f"{one.host}:{one.port}") for one in other[:SHOWN]]
            return failed(f"it is connected to {other[0].host}:{other[0].port}, which nobody configured", *evidence)
        await asyncio.sleep(0.1)
    return passed("it is connected to its servers and its broker alone")


async def _impostor(
    target: GatewayTarget,
    instead: AbstractAsyncContextManager[Witness],
    check: Check,
    what: str,
    afterwards: Callable[[], Awaitable[None]],
) -> Outcome:
    within = float(check.parameters.get("seconds", target.settings.wait))
    async with instead as witness:
        end = time.monotonic() + within
        while not witness.attempts and time.monotonic() < end:  # noqa: ASYNC110 - of time
            await asyncio.sleep(0.1)
        attempts = witness.attempts
        if attempts:
            await asyncio.sleep(AFTER_ATTEMPT)
        heard = list(witness.heard)
    await afterwards()
    await target.recording.moving(target.stage.machines, target.settings.wait)
    if not attempts:
        raise TargetError(f"it did not try to connect to {what} within {within:g} s of losing the true one")
    if heard:
        return failed(
            f"{what} with a certificate that is {check.parameters['kind']} heard: {heard[0][:120]}",
            *(Evidence(what="bytes", content=one) for one in heard[:SHOWN]),
        )
    return passed(f"it tried {attempts} times, and said nothing")


async def _nothing() -> None:
    """Our consumer stayed."""


RULES: Mapping[str, Rule] = {
    "broker-impostor": broker_impostor,
    "server-impostor": server_impostor,
    "log-without-secrets": log_without_secrets,
    "loopback-only": loopback_only,
    "reads-only": reads_only,
    "no-other-connections": no_other_connections,
}
