"""Mutant devices: a server with simulated machines, broken in one way at a time while it runs, and mended again.

Over the control pipe of a simulator process, `{"do": "mutant", "id": "device.empty-machines"}` makes the server that
mutant and `{"do": "mutant", "id": null}` the reference again; one mutant ends the one before it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulators.mutants.mutant import Mutant
from simulators.mutants.surgery import Surgery

if TYPE_CHECKING:
    from simulators.opcua.instance import Instance
    from simulators.opcua.server import SimulatorServer

Revert = Callable[[], Awaitable[None]]
"""Makes the server the reference again."""

Apply = Callable[["SimulatorServer"], Awaitable[Revert]]
"""Breaks a running server."""

Change = Callable[[Surgery, "Instance"], None]
"""Breaks the first machine's part of the address space, or what it stands on."""


class MutationError(LookupError):
    """The server does not have what a mutant breaks: many show on the reference machine only."""


@dataclass(frozen=True)
class Mend:
    """Takes surgery on the address space back.

    Attributes:
        touched: The nodes that were changed, with their namespace URIs.
    """

    surgery: Surgery
    touched: tuple[str, ...]

    async def __call__(self) -> None:
        """Make the server the reference again."""
        self.surgery.undo()


def operated(change: Change) -> Apply:
    """A mutant by surgery on the address space."""

    async def apply(server: SimulatorServer) -> Revert:
        assert server.runner is not None
        shown = server.runner.machines[0]
        surgery = Surgery(shown.builder.space)
        try:
            change(surgery, shown.instance)
        except BaseException:
            surgery.undo()
            raise
        return Mend(surgery, surgery.touched)

    return apply


@dataclass(frozen=True, slots=True)
class DeviceMutant(Mutant):
    """A device that is broken in one way.

    Attributes:
        apply: Breaks the server and returns what mends it.
    """

    apply: Apply


class Switch:
    """Which mutant a server is.

    Attributes:
        current: Id of the mutant; None is the reference.
    """

    def __init__(self, server: SimulatorServer) -> None:
        self.server = server
        self.current: str | None = None
        self._revert: Revert | None = None

    async def to(self, mutant: DeviceMutant | None) -> tuple[str, ...] | None:
        """Become this mutant, or the reference; the nodes that a mutant of the address space touches, else None.

        Raises:
            MutationError: The server has nothing that the mutant breaks; it is the reference then.
        """
        if self._revert is not None:
            revert, self._revert, self.current = self._revert, None, None
            await revert()
        if mutant is not None:
            try:
                self._revert = await mutant.apply(self.server)
            except MutationError:
                raise
            except LookupError as error:
                raise MutationError(f"the server lacks what {mutant.id} breaks: {error!r}") from error
            self.current = mutant.id
        return self._revert.touched if isinstance(self._revert, Mend) else None
