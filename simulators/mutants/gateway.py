"""Mutant gateways: the real one behind a relay that breaks one thing, or beside an accomplice that does.

`python -m simulators.mutants.gateway ID --stage stage.json` is started as any gateway under test is (`area4 conform
gateway --command ...`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from simulators.mutants.credulous import read_without_care
from simulators.mutants.gateway_table import GatewayMutant, gateway_mutants
from simulators.mutants.relay import Ends, Relay


async def run(mutant: GatewayMutant, stage: Path) -> int:
    """The mutant, until it is told to stop; the real gateway's exit code."""
    told: dict[str, Any] = json.loads(await asyncio.to_thread(stage.read_text, "utf-8"))
    mqtt, url = told["mqtt"], urlsplit(told["mqtt"]["url"])
    ends = Ends(
        url.hostname or "", url.port or 8883, Path(mqtt["broker_certificate"]), Path(mqtt["broker_key"]),
        Path(mqtt["ca"]), Path(mqtt["certificate"]), Path(mqtt["key"]), Path(mqtt["crl"]),
    )  # fmt: skip
    tasks: list[asyncio.Task[Any]] = []
    if mutant.tells_key:
        sys.stderr.write(await asyncio.to_thread(Path(mqtt["key"]).read_text, "ascii"))
        sys.stderr.flush()
    if mutant.listens:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "0.0.0.0", 0)  # noqa: S104 - the mutation
        tasks.append(asyncio.create_task(server.serve_forever(), name="page for everybody"))
    if mutant.calls_home:
        tasks.append(asyncio.create_task(_call_home(), name="calls home"))
    if mutant.server_check is not None:
        careless = read_without_care(
            told["opcua"], mutant.server_check, unsecured=mutant.unsecured, writes=mutant.writes
        )
        tasks.append(asyncio.create_task(careless, name="careless reader"))
    try:
        async with Relay(ends, mutant.fault(), mutant.broker_check).serving() as relay:
            return await _gateway(Path(told["area4"]["config"]), relay.port)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _call_home() -> None:
    """Somebody listens in another process group, here of loopback as well, and is told nothing."""
    listener = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _LISTENER, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    assert listener.stdout is not None
    port = int(await listener.stdout.readline())
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await asyncio.Event().wait()
    finally:
        writer.close()


_LISTENER = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
server.accept()
sys.stdin.read()
"""
"""It ends with the mutant, whose end its standard input is."""


async def _gateway(config: Path, port: int) -> int:
    """The real gateway, with the relay for a broker; in our process group, so that one signal ends both."""
    changed = await asyncio.to_thread(_configuration, config, port)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.cli", "run", "--config", str(changed), stdin=asyncio.subprocess.DEVNULL
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _pass_on, child, number)
    return await child.wait()


def _configuration(config: Path, port: int) -> Path:
    """The gateway's, with the relay's port for the broker's."""
    changed = config.with_name(f"mutant-{config.name}")
    text, count = re.subn(r"mqtts://([^:\"]+):\d+", rf"mqtts://\1:{port}", config.read_text(encoding="utf-8"))
    assert count, f"{config} names no broker"
    changed.write_text(text, encoding="utf-8")
    return changed


def _pass_on(child: asyncio.subprocess.Process, number: signal.Signals) -> None:
    if child.returncode is None:
        child.send_signal(number)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry of the mutant's process."""
    made = argparse.ArgumentParser(prog="python -m simulators.mutants.gateway")
    made.add_argument("mutant", choices=list(gateway_mutants()), metavar="ID")
    made.add_argument("--stage", type=Path, required=True, help="stage.json of `area4 conform gateway`")
    options = made.parse_args(arguments)
    return asyncio.run(run(gateway_mutants()[options.mutant], options.stage))


if __name__ == "__main__":
    sys.exit(main())
