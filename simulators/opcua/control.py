"""Faults and other commands to a running server, as JSON lines: `{"do":"pause"}` is answered with `{"done":"pause"}`.

| do | with | effect |
|---|---|---|
| `pause`, `resume` | `machine`? | once answered, no machine (or this one) changes; simulated time goes on |
| `status` | `path`, `status`, `machine`? | the point shows this status name instead of its own; Good ends it |
| `freeze`, `thaw` | `path`, `machine`? | the point shows no more changes; thawing shows the next one |
| `add-tool`, `remove-tool` | `name`, `machine`? | a tool comes into the list of tools or leaves it |
| `drop` | | all connections are cut, sessions and subscriptions stay |
| `forget` | | all connections are cut, all sessions and subscriptions are gone |
| `lose` | `count` | every subscription forgets its last `count` unacknowledged messages |
| `restart` | `seconds`? | the port is closed, everything of clients is forgotten, then it listens again |
| `mutant` | `id`? | the server becomes this mutant (`simulators.mutants`), without `id` the reference again |
| `altering` | | what clients asked for that could alter a machine, granted or not: `{"Write":0,"Call":2}` |
| `count` | | `{"done":"count","lines":<lines in the ledger>}`, after a flush |
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from asyncua import ua

from simulators.machine import Appeared, Happening, Part, Point, Vanished
from simulators.mutants.device import MutationError, Switch
from simulators.mutants.registry import device_mutants
from simulators.opcua.runner import Shown
from simulators.opcua.services import LimitedSession

if TYPE_CHECKING:
    from simulators.opcua.server import SimulatorServer

_LOG = logging.getLogger(__name__)


class CommandError(Exception):
    """A command cannot be done; the text says why."""


class Control:
    """Does commands on a server."""

    def __init__(self, server: SimulatorServer) -> None:
        self.server = server
        self.switch = Switch(server)

    async def listen(
        self, descriptor: int, answer: Callable[[dict[str, Any]], None], ended: Callable[[], None]
    ) -> None:
        """Do the commands that come on a pipe; call `ended` when its other end is gone."""
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        pipe = open(descriptor, "rb", buffering=0, closefd=False)  # noqa: SIM115, ASYNC230 - a pipe, closed by its transport
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        try:
            while line := await reader.readline():
                answer(await self.line(line))
            ended()
        finally:
            transport.close()

    async def line(self, line: bytes) -> dict[str, Any]:
        """Do the command of a line; the answer."""
        try:
            return await self.do(_parsed(line))
        except CommandError as fault:
            return {"error": str(fault)}

    async def do(self, command: object) -> dict[str, Any]:
        """Do one command.

        Raises:
            CommandError: It is unknown, or its arguments do not fit.
        """
        if not isinstance(command, dict):
            raise CommandError(f"{command!r} is no command: a command is a JSON object with the field `do`")
        name = str(command.get("do"))
        handler = getattr(self, f"_{name.replace('-', '_')}", None) if name in _COMMANDS else None
        if handler is None:
            raise CommandError(f"unknown command {name!r}; there are: {', '.join(_COMMANDS)}")
        found = await handler({key: value for key, value in command.items() if key != "do"})
        return {"done": name, **(found or {})}

    def _machines(self, given: dict[str, Any]) -> list[Shown]:
        assert self.server.runner is not None
        machines = self.server.runner.machines
        wanted = given.get("machine")
        found = [one for one in machines if wanted in (None, one.instance.uri, one.instance.machine.name)]
        if not found:
            raise CommandError(
                f"there is no machine {wanted!r}; there are: {', '.join(one.instance.uri for one in machines)}"
            )
        return found

    def _nodes(self, given: dict[str, Any]) -> list[tuple[Shown, Any]]:
        path = given.get("path")
        found = [
            (shown, variable)
            for shown in self._machines(given)
            for variable in shown.instance.variables.values()
            if path in (variable.path, variable.shown)
        ]
        if not found:
            raise CommandError(f"there is no variable at {path!r}")
        return found

    async def _pause(self, given: dict[str, Any]) -> None:
        for shown in self._machines(given):
            shown.paused = True
        assert self.server.runner is not None
        await self.server.runner.settled()

    async def _resume(self, given: dict[str, Any]) -> None:
        for shown in self._machines(given):
            shown.paused = False

    async def _status(self, given: dict[str, Any]) -> None:
        code = getattr(ua.StatusCodes, str(given.get("status")), None)
        if not isinstance(code, int):
            raise CommandError(f"{given.get('status')!r} is no name of an OPC UA status, BadSensorFailure is one")
        assert self.server.runner is not None
        for shown, variable in self._nodes(given):
            await self.server.runner.override(shown, variable, code)

    async def _freeze(self, given: dict[str, Any]) -> None:
        assert self.server.runner is not None
        self.server.runner.frozen |= {variable.node for _, variable in self._nodes(given)}
        await self.server.runner.settled()

    async def _thaw(self, given: dict[str, Any]) -> None:
        assert self.server.runner is not None
        self.server.runner.frozen -= {variable.node for _, variable in self._nodes(given)}

    async def _add_tool(self, given: dict[str, Any]) -> None:
        path = f"Equipment/Tools/{given.get('name')}"
        runner = self.server.runner
        assert runner is not None
        for shown in self._machines(given):
            if path in shown.instance.entries:
                raise CommandError(f"there is already a tool at {path}")
            points = (Point(f"{path}/Identifier", str(given.get("name"))),)
            await runner.now(shown, partial(_appeared, path, points))

    async def _remove_tool(self, given: dict[str, Any]) -> None:
        path = f"Equipment/Tools/{given.get('name')}"
        runner = self.server.runner
        assert runner is not None
        for shown in self._machines(given):
            if path not in shown.instance.entries:
                raise CommandError(f"there is no tool at {path}")
            await runner.now(shown, lambda time: [Vanished(path, time)])

    async def _drop(self, _given: dict[str, Any]) -> None:
        self.server.drop()

    async def _forget(self, _given: dict[str, Any]) -> None:
        await self.server.forget()

    async def _lose(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"lost": self.server.lose(int(_number(given, "count", 1)))}

    async def _restart(self, given: dict[str, Any]) -> None:
        await self.server.restart(_number(given, "seconds", 0))

    async def _mutant(self, given: dict[str, Any]) -> dict[str, Any]:
        wanted = given.get("id")
        known = device_mutants()
        if wanted is not None and (not isinstance(wanted, str) or wanted not in known):
            raise CommandError(f"there is no mutant device {wanted!r}; `area4 sim mutants` lists them")
        try:
            return {"touched": await self.switch.to(known[wanted] if wanted is not None else None)}
        except MutationError as error:
            raise CommandError(str(error)) from error

    async def _altering(self, _given: dict[str, Any]) -> dict[str, Any]:
        return {"Write": LimitedSession.altering["Write"], "Call": LimitedSession.altering["Call"]}

    async def _count(self, _given: dict[str, Any]) -> dict[str, Any]:
        assert self.server.ledger is not None
        self.server.ledger.flush()
        return {"lines": self.server.ledger.count}


def _parsed(line: bytes) -> object:
    try:
        found: object = json.loads(line)
    except ValueError as error:
        raise CommandError(f"no line of JSON: {error}") from error
    return found


def _number(given: dict[str, Any], name: str, least: int) -> float:
    """A number of at least `least`, which it is where it is left out."""
    value = given.get(name, least)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < math.inf:
        raise CommandError(f"{name} is {value!r}; a number of at least {least} is wanted")
    return value


def _appeared(path: str, points: tuple[Point, ...], time: int) -> list[Happening]:
    return [Appeared(Part(path, "ToolType"), points, time)]


_COMMANDS = (
    "pause",
    "resume",
    "status",
    "freeze",
    "thaw",
    "add-tool",
    "remove-tool",
    "drop",
    "forget",
    "lose",
    "restart",
    "altering",
    "mutant",
    "count",
)
