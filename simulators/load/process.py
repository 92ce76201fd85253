"""Load servers as a process of their own: the entry of the child, and the handle of the parent.

The child is `python -m simulators.load ...`. It speaks like the other simulated servers (`simulators.process`): a line
when it is ready, with all its `urls`, an answer for each command, and at its end a line `{"summary":{...}}`. Commands:
`{"do":"count"}` for the counters since the rate was set, and `{"do":"rate","rate":20000}`, null for as many as the
subscribers take.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulators.process import READY_SECONDS, SimulatorProcess, SimulatorProcessError

if TYPE_CHECKING:
    from simulators.load.server import Load, LoadServers


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What a load process shows; rates are of all its servers together, None is as many as the subscribers take.

    With `nodes` the child writes the NodeIds of all signals by URL to this file, as JSON.
    """

    certificate: Path
    key: Path
    trust: tuple[Path, ...]
    user_trust: tuple[Path, ...] = ()
    servers: int = 1
    machines: int = 20
    signals: int = 50
    types: tuple[str, ...] = ("Double",)
    rate: float | None = 10_000.0
    burst: int = 0
    queue: int = 100
    host: str = "127.0.0.1"
    port: int = 0
    anonymous: bool = False
    nodes: Path | None = None
    log_file: Path | None = None

    def environment(self) -> dict[str, str]:
        """Nothing of its own."""
        return {}

    def arguments(self) -> list[str]:
        """Command line of the child."""
        line = [f"--certificate={self.certificate}", f"--key={self.key}", f"--host={self.host}", f"--port={self.port}"]
        line += [f"--trust={place}" for place in self.trust]
        line += [f"--user-trust={place}" for place in self.user_trust]
        line += [f"--servers={self.servers}", f"--machines={self.machines}", f"--signals={self.signals}"]
        line += [f"--types={','.join(self.types)}", f"--burst={self.burst}", f"--queue={self.queue}"]
        line += [f"--rate={'max' if self.rate is None else self.rate}"]
        line += [f"--nodes={self.nodes}"] if self.nodes is not None else []
        return line + (["--anonymous"] if self.anonymous else [])


class LoadProcess(SimulatorProcess):
    """Handle of a load process.

    Attributes:
        urls: Endpoint URLs of its servers, once started.
        summary: What it did, once stopped.
    """

    module = "simulators.load"

    def __init__(self, options: LoadOptions) -> None:
        super().__init__(options)
        self.urls: list[str] = []
        self.summary: dict[str, Any] = {}

    async def start(self, within: float = READY_SECONDS) -> str:
        """Start the child and return the URL of its first server when all serve."""
        url = await super().start(within)
        self.urls = self.ready["urls"]
        return url

    async def rate(self, rate: float | None) -> dict[str, Any]:
        """Change the rate of all servers together; the counters until then, which begin anew."""
        answer: dict[str, Any] = (await self.command(do="rate", rate=rate))["summary"]
        return answer

    async def count(self) -> dict[str, Any]:
        """The counters since the rate was set."""
        answer: dict[str, Any] = (await self.command(do="count"))["summary"]
        return answer

    async def stop(self, within: float = 10.0) -> int:
        """Stop the child, take its summary, and return its exit code."""
        if self.alive:
            process = self._running()
            process.terminate()
            try:
                self.summary = (await self._answer(within)).get("summary", {})
            except SimulatorProcessError:
                logging.getLogger(__name__).warning("a load process ended without a summary")
            with contextlib.suppress(TimeoutError):  # a second SIGTERM would kill it once its event loop is closed
                async with asyncio.timeout(within):
                    await process.wait()
        return await super().stop(within)


def rate_of(text: str) -> float | None:
    """A rate from the command line; `max` is None.

    Raises:
        ValueError: It is neither `max` nor a number that can be a rate.
    """
    if text == "max":
        return None
    rate = float(text)
    if not 0 <= rate <= 10_000_000:
        raise ValueError(f"{text} changes a second are not possible: 0 to 10000000 are, or max")
    return rate


def parser() -> argparse.ArgumentParser:
    """The child's command line."""
    made = argparse.ArgumentParser(prog="python -m simulators.load", description="OPC UA servers that are only a load.")
    made.add_argument("--certificate", type=Path, required=True)
    made.add_argument("--key", type=Path, required=True)
    made.add_argument("--trust", type=Path, action="append", default=[], help="file or folder; repeatable")
    made.add_argument("--user-trust", type=Path, action="append", default=[], help="file or folder; repeatable")
    made.add_argument("--host", default="127.0.0.1")
    made.add_argument("--port", type=int, default=0, help="of the first server, 0: free ones")
    made.add_argument("--anonymous", action="store_true", help="anyone with a trusted certificate may log in")
    made.add_argument("--servers", type=int, default=1)
    made.add_argument("--machines", type=int, default=20, help="of each server")
    made.add_argument("--signals", type=int, default=50, help="of each machine")
    made.add_argument("--types", default="Double", help="of the signals, in turns; for example Double,Int32,String")
    made.add_argument("--rate", type=rate_of, default=10_000.0, help="changes a second of all servers, or max")
    made.add_argument("--burst", type=int, default=0, help="changes of a publication with --rate max")
    made.add_argument("--queue", type=int, default=100, help="values of a signal that a server keeps")
    made.add_argument("--nodes", type=Path, help="file for the NodeIds of all signals by URL, as JSON")
    made.add_argument("--log", default="warning", choices=("debug", "info", "warning", "error"))
    return made


def load_of(options: argparse.Namespace) -> Load:
    """What the command line asks for."""
    from simulators.load.server import Load  # noqa: PLC0415 - asyncua is slow to import

    return Load(
        options.servers, options.machines, options.signals, tuple(options.types.split(",")), options.rate,
        options.burst, options.queue,
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run servers until told to stop; the exit code."""
    options = parser().parse_args(arguments)
    gc.disable()  # until all nodes stand, which are never garbage
    logging.basicConfig(level=options.log.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("asyncua").setLevel(max(logging.WARNING, logging.getLogger().level))
    return asyncio.run(_serve(options))


async def _serve(options: argparse.Namespace) -> int:
    from simulators.load.server import LoadServers  # noqa: PLC0415 - asyncua is slow to import
    from simulators.opcua.nodesets import NodesetError  # noqa: PLC0415
    from simulators.opcua.server import ServerConfig, ServerError  # noqa: PLC0415

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    config = ServerConfig(
        options.certificate, options.key, tuple(options.trust), options.host, options.port, "area4 load source",
        anonymous=options.anonymous, user_trust=tuple(options.user_trust),
    )  # fmt: skip
    try:
        servers = LoadServers(load_of(options), config)
        await servers.start()
    except (LookupError, NodesetError, OSError, ServerError, ValueError) as fault:
        _say({"ready": False, "error": str(fault)})
        return 2
    gc.freeze()
    gc.enable()
    urls = servers.urls
    if options.nodes is not None:
        options.nodes.write_text(json.dumps(servers.nodes()), encoding="utf-8")
    _say({"ready": True, "url": urls[0], "urls": urls, "pid": os.getpid(), "machines": servers.machines})
    commands = asyncio.create_task(_listen(servers, stop.set), name="commands")
    await stop.wait()
    commands.cancel()
    await asyncio.gather(commands, return_exceptions=True)
    summary = servers.summary()
    await servers.stop()
    _say({"summary": summary})
    return 0


async def _listen(servers: LoadServers, ended: Callable[[], None]) -> None:
    """Do the commands that come on standard input, until its other end is gone."""
    reader = asyncio.StreamReader()
    pipe = open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)  # noqa: SIM115, ASYNC230 - closed by its transport
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        while line := await reader.readline():
            try:
                _say(_do(servers, json.loads(line)))
            except (ValueError, TypeError, KeyError) as fault:
                _say({"error": f"{line.decode(errors='replace').strip()} is no command: {fault}"})
        ended()
    finally:
        transport.close()


def _do(servers: LoadServers, command: dict[str, Any]) -> dict[str, Any]:
    if command["do"] == "count":
        return {"done": "count", "summary": servers.summary()}
    if command["do"] == "rate":
        rate = command["rate"]
        return {"done": "rate", "summary": servers.set_rate(None if rate is None else rate_of(str(rate)))}
    raise ValueError("there are count and rate")


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
