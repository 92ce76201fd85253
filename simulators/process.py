"""A simulated server as a process of its own: the entry of the child, and the handle of the parent.

The child is `python -m simulators ...`. When it is ready it writes one JSON line to its standard output,
`{"ready":true,"url":"opc.tcp://127.0.0.1:40123/","pid":4711,"machines":["urn:..."]}`; if it cannot start, it writes
`{"ready":false,"error":"..."}` and ends with code 2. It reads commands as JSON lines on its standard input (see
`simulators.opcua.control`) and answers each with one line. It stops when it gets SIGTERM or SIGINT and when its
standard input ends, which happens when its parent dies, however it dies; on Linux also while it starts. Its log goes
to standard error.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import gc
import importlib
import importlib.util
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, Self

from simulators.parent import die_with_parent

if TYPE_CHECKING:
    from simulators.machine import Machine

READY_SECONDS = 60.0
"""A Raspberry Pi 4 takes about a quarter of this for the nodesets."""

STOP_SECONDS = 10.0
_PASSWORDS = "AREA4_SIMULATOR_USERS"
"""Environment variable with the passwords by name as JSON, for arguments can be seen by everybody."""


class SimulatorProcessError(Exception):
    """A simulator process did not start or did not answer; the text says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a simulator process shows, and how.

    Attributes:
        kinds: Kinds of machines that `simulators.machines.build` knows, or `module:function` (or `file.py:function`)
            of a machine model of one's own; several machines share the server.
        serials: Serial numbers of the machines, as many as kinds; "1", "2" ... where fewer are given.
        seed: Seed of the first machine; each further one has the next.
        certificate: Of the server, with its ApplicationUri in SubjectAltName.
        key: Its private key.
        trust: Files and folders with trusted client certificates, authorities, revocation lists.
        user_trust: The same for user certificates; without, whoever is trusted as a client is trusted as a user.
        users: Passwords by name; they reach the child in its environment.
        eventful: Alarms and an interruption come within the first minute (machines of the known kinds).
        limit: Nodes, items and methods in one request of a client (OperationLimits).
        log: Level of its log on standard error.
        log_file: Where its standard error goes; None is our own.
    """

    kinds: tuple[str, ...]
    certificate: Path
    key: Path
    trust: tuple[Path, ...]
    user_trust: tuple[Path, ...] = ()
    serials: tuple[str, ...] = ()
    seed: int = 1
    host: str = "127.0.0.1"
    port: int = 0
    ledger: Path | None = None
    factor: float = 1.0
    users: Mapping[str, str] = field(default_factory=dict)
    anonymous: bool = False
    eventful: bool = False
    limit: int = 1_000
    log: str = "warning"
    log_file: Path | None = None

    def environment(self) -> dict[str, str]:
        """What the child gets in its environment: the passwords."""
        return {_PASSWORDS: json.dumps(dict(self.users))}

    def arguments(self) -> list[str]:
        """Command line of the child."""
        line = [f"--certificate={self.certificate}", f"--key={self.key}", f"--host={self.host}", f"--port={self.port}"]
        line += [f"--seed={self.seed}", f"--time-factor={self.factor:g}", f"--log={self.log}"]
        line += [f"--limit={self.limit}"]
        line += [f"--kind={kind}" for kind in self.kinds]
        line += [f"--serial={serial}" for serial in self.serials]
        line += [f"--trust={place}" for place in self.trust]
        line += [f"--user-trust={place}" for place in self.user_trust]
        line += [f"--ledger={self.ledger}"] if self.ledger is not None else []
        line += ["--eventful"] if self.eventful else []
        return line + (["--anonymous"] if self.anonymous else [])


class ChildOptions(Protocol):
    """What the handle asks of the options of any kind of child."""

    @property
    def log_file(self) -> Path | None:
        """Where its standard error goes; None is our own."""

    def arguments(self) -> list[str]:
        """Command line of the child."""

    def environment(self) -> dict[str, str]:
        """What it gets in its environment beside ours."""


class SimulatorProcess:
    """Handle of a simulator process; use it as an asynchronous context manager or call `start` and `stop`.

    Attributes:
        url: Endpoint URL, once started.
        machines: ProductInstanceUris of its machines, once started.
        ready: All that the child said when it served.
    """

    module = "simulators"

    def __init__(self, options: ChildOptions) -> None:
        self.options = options
        self.url = ""
        self.machines: list[str] = []
        self.ready: dict[str, Any] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._running().pid

    @property
    def alive(self) -> bool:
        """Whether the child runs."""
        return self._process is not None and self._process.returncode is None

    async def start(self, within: float = READY_SECONDS) -> str:
        """Start the child and return its endpoint URL when it serves.

        Raises:
            SimulatorProcessError: It cannot; the text is the child's.
        """
        environment = {**os.environ, **self.options.environment()}
        log = open(self.options.log_file, "ab") if self.options.log_file else None  # noqa: SIM115, ASYNC230, PTH123 - closed below
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", self.module, *self.options.arguments()),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
                env=environment, start_new_session=True, preexec_fn=die_with_parent,
            )  # fmt: skip
        finally:
            if log is not None:
                log.close()
        try:
            answer = await self._answer(within)
        except SimulatorProcessError:
            await self.kill()
            raise
        if not answer.get("ready"):
            await self._process.wait()
            raise SimulatorProcessError(f"the simulated server cannot start: {answer.get('error')}")
        self.ready = answer
        self.url = answer["url"]
        self.machines = answer["machines"]
        return self.url

    async def command(self, within: float = STOP_SECONDS, **command: Any) -> dict[str, Any]:
        """Send a command of `simulators.opcua.control` and return its answer.

        Raises:
            SimulatorProcessError: It was refused, or the child does not answer.
        """
        async with self._turn:
            process = self._running()
            assert process.stdin is not None
            process.stdin.write(json.dumps(command).encode() + b"\n")
            await process.stdin.drain()
            answer = await self._answer(within)
        if "error" in answer:
            raise SimulatorProcessError(str(answer["error"]))
        return answer

    async def stop(self, within: float = STOP_SECONDS) -> int:
        """Stop the child, with its ledger flushed, and return its exit code."""
        if self._process is None:
            return 0
        if self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(within):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
        return await self._process.wait()

    async def kill(self) -> None:
        """SIGKILL: what a power cut does."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            raise SimulatorProcessError("the simulated server does not run")
        return self._process

    async def _answer(self, within: float) -> dict[str, Any]:
        process = self._running()
        assert process.stdout is not None
        try:
            async with asyncio.timeout(within):
                line = await process.stdout.readline()
        except TimeoutError:
            raise SimulatorProcessError(
                f"the simulated server (process {process.pid}) said nothing for {within:g} s"
            ) from None
        if not line:
            code = await process.wait()
            raise SimulatorProcessError(f"the simulated server ended with code {code}; its log says why")
        found: dict[str, Any] = json.loads(line)
        return found


def load_machines(kinds: Sequence[str], serials: Sequence[str], seed: int, *, eventful: bool = False) -> list[Machine]:
    """The machine models of these kinds.

    Raises:
        LookupError: A kind is unknown.
    """
    made = []
    for at, kind in enumerate(kinds):
        serial = serials[at] if at < len(serials) else str(at + 1)
        if ":" in kind:
            made.append(_own_model(kind))
        else:
            from simulators import machines  # noqa: PLC0415 - the models are needed here only

            made.append(machines.build(kind, serial=serial, seed=seed + at, eventful=eventful))
    return made


def _own_model(kind: str) -> Machine:
    place, _, name = kind.rpartition(":")
    module = _module_of_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    made: Machine = getattr(module, name)()
    return made


@functools.cache
def _module_of_file(file: Path) -> ModuleType:
    """Loaded once, however many machines of it are asked for."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None or not file.is_file():
        raise LookupError(f"there is no file {file} with a machine model")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def parser() -> argparse.ArgumentParser:
    """The child's command line."""
    made = argparse.ArgumentParser(prog="python -m simulators", description="A server with simulated machine tools.")
    made.add_argument(
        "--kind", action="append", required=True, help="kind of a machine, or file.py:function; repeatable"
    )
    made.add_argument("--serial", action="append", default=[], help="its serial number; repeatable")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--certificate", type=Path, required=True)
    made.add_argument("--key", type=Path, required=True)
    made.add_argument("--trust", type=Path, action="append", default=[], help="file or folder; repeatable")
    made.add_argument("--user-trust", type=Path, action="append", default=[], help="file or folder; repeatable")
    made.add_argument("--host", default="127.0.0.1")
    made.add_argument("--port", type=int, default=0, help="0: a free one")
    made.add_argument("--ledger", type=Path)
    made.add_argument("--time-factor", type=float, default=1.0, help="1 to 1000")
    made.add_argument("--anonymous", action="store_true", help="anyone with a trusted certificate may log in")
    made.add_argument("--eventful", action="store_true", help="alarms and an interruption within the first minute")
    made.add_argument("--limit", type=int, default=1_000, help="nodes, items, methods in one request")
    made.add_argument("--log", default="warning", choices=("debug", "info", "warning", "error"))
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a server until told to stop; the exit code."""
    options = parser().parse_args(arguments)
    gc.disable()  # until the 8,000 nodes of the standard stand, which are never garbage: a third of the start
    logging.basicConfig(level=options.log.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("asyncua").setLevel(max(logging.WARNING, logging.getLogger().level))
    return asyncio.run(_serve(options))


async def _serve(options: argparse.Namespace) -> int:
    from simulators.opcua.builder import BuildError  # noqa: PLC0415 - asyncua is slow to import
    from simulators.opcua.control import Control  # noqa: PLC0415
    from simulators.opcua.nodesets import NodesetError  # noqa: PLC0415
    from simulators.opcua.server import ServerConfig, ServerError, SimulatorServer  # noqa: PLC0415

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        users = json.loads(os.environ.pop(_PASSWORDS, "{}"))
        config = ServerConfig(
            options.certificate, options.key, tuple(options.trust), options.host, options.port, users=users,
            anonymous=options.anonymous, ledger=options.ledger, factor=options.time_factor,
            limit=options.limit, user_trust=tuple(options.user_trust),
        )  # fmt: skip
        machines = load_machines(options.kind, options.serial, options.seed, eventful=options.eventful)
        server = SimulatorServer(machines, config)
        await server.start()
    except (BuildError, LookupError, NodesetError, OSError, ServerError, ValueError) as fault:
        _say({"ready": False, "error": str(fault)})
        return 2
    gc.freeze()
    gc.enable()
    _say({"ready": True, "url": server.url, "pid": os.getpid(), "machines": server.uris()})
    control = asyncio.create_task(Control(server).listen(sys.stdin.fileno(), _say, stop.set), name="control")
    ended = asyncio.create_task(server.wait(), name="end of the machines")
    stopped = asyncio.create_task(stop.wait(), name="signal")
    await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
    for task in (control, stopped):
        task.cancel()
    fault_ = ended.exception() if ended.done() and not ended.cancelled() else None
    await server.stop()
    await asyncio.gather(control, ended, stopped, return_exceptions=True)
    if fault_ is not None:
        logging.getLogger(__name__).error("the machines stopped", exc_info=fault_)
        return 1
    return 0


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
