"""Mutants by attributes of a running server that are set, and set back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from simulators.mutants.device import Apply, DeviceMutant, Revert
from simulators.opcua.mended import Core, Processor, Protocol, Session

if TYPE_CHECKING:
    from simulators.opcua.server import SimulatorServer

_ABSENT = object()

Patch = tuple[Any, str, Any]
"""Object, attribute, and what it is as long as the mutant lives."""

Patches = Callable[["SimulatorServer"], Sequence[Patch]]


def patched(patches: Patches) -> Apply:
    """A mutant by attributes of the running server; connections that stand keep what they have."""

    async def apply(server: SimulatorServer) -> Revert:
        saved = []
        for thing, name, value in patches(server):
            saved.append((thing, name, vars(thing).get(name, _ABSENT)))
            setattr(thing, name, value)

        async def revert() -> None:
            for thing, name, value in reversed(saved):
                if value is _ABSENT:
                    delattr(thing, name)
                else:
                    setattr(thing, name, value)

        return revert

    return apply


def core(server: SimulatorServer) -> Core:
    """The services of a server."""
    found: Core = server.server.iserver
    return found


def lenient(*names: str) -> Apply:
    """Does not look at these properties of client certificates (`simulators.opcua.trust.Trust.lenient`)."""
    return patched(lambda server: [(server.trust, "lenient", frozenset(names))])


def processor(kind: type[Processor]) -> Apply:
    """New channels are of this class."""
    protocol = type(f"{kind.__name__}Protocol", (Protocol,), {"kind": kind})
    return patched(lambda server: [(server.server.bserver, "kind", protocol)])


def protocol(kind: type[Protocol]) -> Apply:
    """New connections are of this class."""
    return patched(lambda server: [(server.server.bserver, "kind", kind)])


def session(kind: type[Session]) -> Apply:
    """New sessions are of this class."""
    return patched(lambda server: [(core(server), "session", kind)])


def mutant(name: str, title: str, breaks: str, source: str, apply: Apply) -> DeviceMutant:
    """A security mutant, `device.security.<name>`."""
    return DeviceMutant(f"device.security.{name}", title, breaks, source, apply)
