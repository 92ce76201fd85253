"""Which client handle stands for which signal, small enough to be stored with every batch.

The handles themselves are numbers that only this gateway can read. A successor of a killed process finds the machines
again, puts all signals into the same order, and lays the stored runs of handles over them; the digest says whether it
is really the same order of the same signals at the same nodes with the same settings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from adapters.opcua.config import SubscriptionConfig
from adapters.opcua.events import EventReader
from adapters.opcua.subscribe import Wish

Run = tuple[int, int, int]
"""First client handle (-1: not monitored), first id of a monitored item (0: unknown), how many of both follow."""

MOST_RUNS = 500
"""What is stored with every batch stays small; beyond, a successor subscribes anew."""


class Layout(msgspec.Struct, array_like=True, frozen=True):
    """The items of a subscription as stored.

    Attributes:
        digest: Of signals, nodes, settings, namespaces and event fields; empty where it could not be stored.
        runs: Over the signals in their order.
        events: Client handle, id and machine (None: the Server object) of each item for events.
        reduced: The items for events have the reduced filter.
        interval: Publishing interval in seconds, as the server revised it.
        keep_alive: Seconds, likewise.
    """

    digest: str
    runs: list[Run]
    events: list[tuple[int, int, str | None]]
    reduced: bool
    interval: float
    keep_alive: float


def ordered(wishes: Iterable[Wish]) -> list[Wish]:
    """The order that handles are given and stored in: it does not depend on how the server sorts its nodes."""
    return sorted(wishes, key=lambda one: (one.machine.description.id, one.plan.ref.path, one.plan.node.to_string()))


def mapping_digest(
    namespaces: Sequence[str],
    config: SubscriptionConfig,
    wishes: Sequence[Wish],
    reader: EventReader | None,
    *,
    reduced: bool,
) -> str:
    """Changes when a stored handle could mean something else, or the subscription should be another one."""
    found = hashlib.sha256(msgspec.msgpack.encode(list(namespaces)))
    found.update(f"{config.publishing_interval} {config.keep_alive} {config.lifetime}".encode())
    for one in wishes:
        key = (one.machine.description.id, one.plan.ref.path, one.plan.node.to_string())
        settings = (one.settings.sampling, one.settings.queue, one.settings.deadband)
        found.update(msgspec.msgpack.encode((key, settings)))
    if reader is not None:
        found.update(repr(reader.event_filter(reduced=reduced).SelectClauses).encode("utf-8", "surrogatepass"))
        found.update(repr([(item.machine, item.node) for item in reader.items]).encode("utf-8", "surrogatepass"))
    return found.hexdigest()[:32]


def runs_of(items: Sequence[tuple[int, int]]) -> list[Run] | None:
    """Handles and ids in order, shortened to runs; ids that follow no order are left out, None if handles do not."""
    for ids in (True, False):
        runs: list[Run] = []
        for handle, number in items:
            wanted = number if ids else 0
            if runs and _follows(runs[-1], handle, wanted):
                first, number_first, count = runs[-1]
                runs[-1] = (first, number_first, count + 1)
            else:
                runs.append((handle, wanted, 1))
        if len(runs) <= MOST_RUNS:
            return runs
    return None


def _follows(run: Run, handle: int, number: int) -> bool:
    first, number_first, count = run
    if first < 0 or handle < 0:
        return first < 0 and handle < 0
    return handle == first + count and number == (number_first + count if number_first else 0)


def items_of(runs: Sequence[Run]) -> list[tuple[int, int]]:
    """Handles and ids again, one for each signal."""
    items: list[tuple[int, int]] = []
    for handle, number, count in runs:
        items += [
            (-1, 0) if handle < 0 else (handle + offset, number + offset if number else 0) for offset in range(count)
        ]
    return items
