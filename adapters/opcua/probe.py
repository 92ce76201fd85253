"""The connection test of a source: each step says what was found and, if it failed, what to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from adapters.opcua.config import OpcUaConfig
from adapters.opcua.connection import (
    Connection,
    NonceMemory,
    close_client,
    get_endpoints,
    new_client,
    open_channel,
    open_session,
    stage,
)
from adapters.opcua.discovery import discover
from adapters.opcua.endpoints import choose_endpoint, choose_user_token, describe
from adapters.opcua.identity import load_identity, thumbprint
from adapters.opcua.limits import read_limits
from adapters.opcua.settings import wanted
from adapters.opcua.transport import check_library, quiet_library
from adapters.opcua.trust import Trusted, verify_server
from gateway.contracts import ProbeStep
from gateway.errors import Area4Error, RefusedError
from gateway.model import Lack

MAX_NAMED = 10
"""Lacks and problems that one step names; the rest is counted."""


async def probe_source(name: str, config: OpcUaConfig, nonces: NonceMemory) -> AsyncIterator[ProbeStep]:
    """Step by step, ending after the first that fails; subscribes nothing and always leaves."""
    step = "own certificate and user"
    connection: Connection | None = None
    try:
        check_library()
        quiet_library()
        identity = load_identity(config)
        own = identity.application.certificate
        yield ProbeStep(step, True, f"valid to {own.not_valid_after_utc:%Y-%m-%d}, thumbprint {thumbprint(own)}")
        step = "host name"
        with stage(config.url, "connect"):
            addresses = await _resolve(config)
        yield ProbeStep(step, True, f"{config.host} is {', '.join(addresses)}")
        step = "network"
        with stage(config.url, "connect"):
            await _dial(config)
        yield ProbeStep(step, True, f"port {config.port} accepts connections")
        step = "endpoints"
        offered = await get_endpoints(config)
        endpoint = choose_endpoint(config, offered)
        token = choose_user_token(config, endpoint)
        names = ", ".join(sorted({describe(one) for one in offered}))
        yield ProbeStep(step, True, f"offered: {names}; used: {describe(endpoint)}")
        step = "server certificate"
        trusted = verify_server(config, endpoint)
        yield ProbeStep(step, True, _certificate(trusted))
        connection = Connection(config, new_client(config), endpoint, identity, trusted)
        step = "secure channel"
        await open_channel(connection)
        yield ProbeStep(step, True, describe(endpoint))
        step = "session and user"
        await open_session(connection, offered, token, nonces)
        yield ProbeStep(step, True, f"logged in as {_user(config)}")
        step = "machines"
        yield await _machines(name, config, connection)
    except Area4Error as problem:
        yield ProbeStep.failed(step, problem)
    finally:
        if connection is not None:
            await close_client(connection.client)


async def _resolve(config: OpcUaConfig) -> list[str]:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(config.transport.timeout):
        found = await loop.getaddrinfo(config.host, config.port)
    return sorted({str(address[0]) for *_, address in found})


async def _dial(config: OpcUaConfig) -> None:
    async with asyncio.timeout(config.transport.timeout):
        _, writer = await asyncio.open_connection(config.host, config.port)
    writer.close()
    await writer.wait_closed()


def _certificate(trusted: Trusted | None) -> str:
    if trusted is None:
        return "not checked: an endpoint without security is allowed by waiver"
    waived = f"; waived: {', '.join(trusted.waived)}" if trusted.waived else ""
    ends = datetime.fromtimestamp(trusted.expiry, UTC)
    return f"trusted, thumbprint {thumbprint(trusted.certificate)}, chain valid to {ends:%Y-%m-%d}{waived}"


def _user(config: OpcUaConfig) -> str:
    if config.user.anonymous:
        return "anonymous"
    return config.user.name or f"the holder of {config.user.certificate}"


async def _machines(name: str, config: OpcUaConfig, connection: Connection) -> ProbeStep:
    with stage(config.url, "read"):
        limits = await read_limits(connection.client)
        discovery = await discover(connection.client, source=name, limits=limits)
    machines = [one for one in discovery.machines if wanted(config.machines, one)]
    problems = "; ".join(discovery.problems[:MAX_NAMED])
    if not machines:
        found = "no machine was found" if not discovery.machines else "every machine is excluded by `machines`"
        advice = "Its server must show machines below the Machines folder (OPC 40001-1)."
        return ProbeStep.failed("machines", RefusedError(f"{found}. {problems}".strip(), advice=advice))
    told = [
        f"{one.description.name} ({one.description.type}, {len(one.signals)} signals{_lacks(one.description.lacks)})"
        for one in machines
    ]
    rest = f". Problems: {problems}" if problems else ""
    return ProbeStep("machines", True, "; ".join(told) + rest)


def _lacks(lacks: Sequence[Lack]) -> str:
    named = ", ".join(lack.path for lack in lacks[:MAX_NAMED])
    more = f" and {len(lacks) - MAX_NAMED} more" if len(lacks) > MAX_NAMED else ""
    return f", lacks {named}{more}" if lacks else ""
