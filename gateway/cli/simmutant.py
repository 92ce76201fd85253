"""`area4 sim mutant` for brokers and networks: in this process, until Ctrl-C."""

from __future__ import annotations

import asyncio
import shlex
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

from gateway.cli.output import say
from gateway.cli.sim import tell
from gateway.errors import ConfigurationError
from simulators.mutants.broker import FOREIGN_TOPIC, TOPIC, BrokerLab, BrokerMutant
from simulators.mutants.mutant import Mutant
from simulators.mutants.network import FORGED, TimeServer, Way
from simulators.mutants.way import HOST

Access = dict[str, object]
"""What a client needs: `urls`, the options of `area4 conform`, and its whole command line as `conform`."""

_HOUR = 3600.0
_One = TypeVar("_One", BrokerMutant, Way)


def serve(mutant: Mutant, folder: Path, port: int, target: str | None, *, as_json: bool) -> None:
    """Be this mutant until SIGINT or SIGTERM.

    Args:
        mutant: A broker, a network or a gateway.
        folder: Where certificates and what is to survive a kill are kept.
        port: Where clients connect; 0 finds a free one.
        target: `host:port` of the broker behind a mutant network; None starts a small one.
        as_json: Tell what a client needs as one line of JSON.

    Raises:
        ConfigurationError: It cannot be started by itself, or not there; the text says how it is.
    """
    family, _, fault = mutant.id.partition(".")
    if family == "gateway":
        raise ConfigurationError(
            f"{mutant.id} is started by what judges it: area4 conform gateway --command "
            f'"python -m simulators.mutants.gateway {mutant.id} --stage {{stage}}".'
        )
    if family == "network" and fault in FORGED:
        raise ConfigurationError(
            f"{mutant.id} is no relay but an answer of the operating system, which only the tests forge "
            "(tests/tools/network_runs.py)."
        )
    behind = _address(target) if target is not None else None
    asyncio.run(_serve(mutant, folder.resolve() / "mutant-broker", port, behind, as_json=as_json))


async def _serve(mutant: Mutant, folder: Path, port: int, behind: tuple[str, int] | None, *, as_json: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    family, _, fault = mutant.id.partition(".")
    made = _broker(fault, folder, port) if family == "broker" else _network(fault, folder, port, behind)
    async with made as access:
        if not as_json:
            say(f"{mutant.title}: {mutant.breaks} ({mutant.source})")
        tell(access, as_json=as_json)
        await stop.wait()


@asynccontextmanager
async def _broker(fault: str, folder: Path, port: int) -> AsyncIterator[Access]:
    lab = await asyncio.to_thread(BrokerLab.kept, folder / "pki")
    async with _started(BrokerMutant(lab, folder / (fault or "right"), fault, listen=port), port) as broker:
        options = _options(lab)
        for name in ("other", "revoked"):
            options |= _identity(lab, name, f"{name}-")
        options |= {"ca-key": lab.ca_key, "foreign-topic": FOREIGN_TOPIC}
        if broker.plain_port:
            options["plain-port"] = broker.plain_port
        yield _access("broker", f"mqtts://{HOST}:{broker.port}", options)


@asynccontextmanager
async def _network(fault: str, folder: Path, port: int, behind: tuple[str, int] | None) -> AsyncIterator[Access]:
    async with AsyncExitStack() as stack:
        options: dict[str, object] = {}
        if behind is None:
            lab = await asyncio.to_thread(BrokerLab.kept, folder / "pki")
            broker = await stack.enter_async_context(_started(BrokerMutant(lab, folder / "right"), 0))
            behind, options = (HOST, broker.port), _options(lab)
        relay = await stack.enter_async_context(_started(Way(behind[1], fault, behind[0], port=port), port))
        if fault == "wrong-clock":
            clock = TimeServer(_HOUR)
            await clock.start()
            stack.callback(clock.stop)
            options["time-server"] = f"{HOST}:{clock.port}"
        yield _access("network", f"mqtts://{HOST}:{relay.port}", options)


@asynccontextmanager
async def _started(one: _One, port: int) -> AsyncIterator[_One]:
    try:
        await one.start()
    except OSError as problem:
        await one.stop()
        raise ConfigurationError(f"port {port} cannot be used: {problem.strerror}.") from problem
    try:
        yield one
    finally:
        await one.stop()


def _options(lab: BrokerLab) -> dict[str, object]:
    return {"ca": lab.ca, **_identity(lab, "client", ""), **_identity(lab, "reader", "reader-"), "topic": TOPIC}


def _identity(lab: BrokerLab, name: str, prefix: str) -> dict[str, object]:
    own = lab.of(name)
    return {f"{prefix}certificate": own.certificate, f"{prefix}key": own.key}


def _access(family: str, url: str, options: dict[str, object]) -> Access:
    """As options that a line of `area4 conform` takes; the line only where it would be whole."""
    access: Access = {"urls": [url]}
    access |= {name.replace("-", "_"): value if isinstance(value, int) else str(value)
               for name, value in options.items()}  # fmt: skip
    if "ca" in options:
        line = ["area4", "conform", family, url]
        for name, value in options.items():
            line += [f"--{name}", str(value)]
        access["conform"] = shlex.join(line)
    return access


def _address(target: str) -> tuple[str, int]:
    host, _, port = target.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ConfigurationError(f"--target {target}; allowed is HOST:PORT.")
    return host.strip("[]"), int(port)
