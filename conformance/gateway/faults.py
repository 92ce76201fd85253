"""Rules that disturb: what a gateway must survive without losing a value in silence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from conformance.gateway.findings import SHOWN, none_of
from conformance.suite.check import Check
from conformance.suite.outcome import Evidence, Outcome, absent, failed, passed, untried
from conformance.suite.target import Rule

if TYPE_CHECKING:
    from conformance.gateway.target import GatewayTarget

STEADY_SECONDS = 2.0
"""Undisturbed flow before a disturbance, so that something is on its way."""


async def disturbed(target: GatewayTarget, check: Check) -> Outcome:
    """After the disturbance `fault`, everything has come or is announced, and data flows again."""
    fault, seconds = str(check.parameters["fault"]), float(check.parameters.get("seconds", 0))
    if fault == "gateway-kill" and not target.stage.startable:
        return untried("the suite did not start the gateway, so it cannot kill it", "--command")
    before = target.judgement
    await target.recording.moving(target.stage.machines, target.settings.wait)
    await asyncio.sleep(STEADY_SECONDS)
    begin = datetime.now(UTC).isoformat(timespec="seconds")
    await _FAULTS[fault](target, seconds)
    await target.recording.moving(target.stage.machines, target.settings.wait)
    await asyncio.sleep(STEADY_SECONDS)
    after = await target.judged()
    known = set(before.lost)
    lost = [one for one in after.lost if one not in known and (one.entry.time or "") >= begin[:19]]
    holes = [
        (name, hole)
        for name, machine in target.recording.observer.machines.items()
        for hole in machine.stream.report().holes
    ]
    if lost:
        return none_of(lost, f"are missing after {fault}, and nothing says so", "")
    if holes and "stream" in target.reader.carries:
        return failed(f"after {fault} numbers are missing in a stream: {holes[:SHOWN]}")
    allowed = bool(check.parameters.get("loss", False))
    announced = [one for one in after.report.announced if (one.entry.time or "") >= begin[:19]]
    if announced and not allowed:
        evidence = [Evidence(what="value", content=str(one)) for one in announced[-SHOWN:]]
        return failed(f"{len(announced)} values were lost (and announced) that need not be", *evidence)
    came = after.report.delivered - before.report.delivered
    return passed(f"{came} values came since the window, {len(announced)} were announced as lost")


async def back_soon(target: GatewayTarget, check: Check) -> Outcome:
    """Data flows again within `seconds` of the server being back."""
    limit = float(check.parameters["seconds"])
    await target.recording.moving(target.stage.machines, target.settings.wait)
    await target.stage.server_restart(float(check.parameters["away"]))
    begin = time.monotonic()
    await target.recording.moving(target.stage.machines, target.settings.wait)
    took = time.monotonic() - begin
    told = f"new data came {took:.1f} s after the server was back"
    return passed(told) if took <= limit else failed(f"{told}, expected are {limit:g} s")


async def will(target: GatewayTarget, check: Check) -> Outcome:
    """When the gateway dies, its last will says so."""
    if target.settings.format != "area4":
        return absent("status is the format's own")
    if not target.stage.startable:
        return untried("the suite did not start the gateway, so it cannot kill it", "--command")
    seen = len(target.recording.raw)
    await target.stage.gateway_kill()
    await target.recording.moving(target.stage.machines, target.settings.wait)
    end = time.monotonic() + float(check.parameters["seconds"])
    while time.monotonic() < end:
        told = [one for one in target.recording.raw[seen:] if "/_gateway/" in one.topic]
        if any(b'"offline"' in one.payload for one in told):
            return passed("its last will said offline")
        await asyncio.sleep(0.1)
    return failed("it was killed, and nothing said that it is offline")


async def _broker_outage(target: GatewayTarget, seconds: float) -> None:
    await target.stage.broker_down()
    await asyncio.sleep(seconds)
    await target.stage.broker_up()


async def _broker_freeze(target: GatewayTarget, seconds: float) -> None:
    await target.stage.broker_freeze(seconds)


async def _broker_renewed(target: GatewayTarget, _: float) -> None:
    await target.stage.broker_renew()


async def _broker_refuses(target: GatewayTarget, seconds: float) -> None:
    await target.stage.broker_refuse(seconds)


async def _server_cut(target: GatewayTarget, _: float) -> None:
    await target.stage.server_cut()


async def _server_restart(target: GatewayTarget, seconds: float) -> None:
    await target.stage.server_restart(seconds)


async def _gateway_kill(target: GatewayTarget, _: float) -> None:
    await target.stage.gateway_kill()


_FAULTS: Mapping[str, Callable[[GatewayTarget, float], Awaitable[None]]] = {
    "broker-outage": _broker_outage,
    "broker-freeze": _broker_freeze,
    "broker-renewed": _broker_renewed,
    "broker-refuses": _broker_refuses,
    "server-cut": _server_cut,
    "server-restart": _server_restart,
    "gateway-kill": _gateway_kill,
}

RULES: Mapping[str, Rule] = {"disturbed": disturbed, "back-soon": back_soon, "will": will}
