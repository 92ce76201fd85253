"""How much a server takes in one call (OPC 10000-5, 6.3.11), with ceilings of our own."""

from __future__ import annotations

from dataclasses import dataclass, fields

from asyncua import Client, ua

_CEILING = 1000
"""For servers that state no limit: a message of this many items stays far below usual message sizes."""

_PARALLEL = 4
"""Requests under way at once: enough to hide the round trip, few enough for a small controller."""


@dataclass(frozen=True, slots=True)
class OperationLimits:
    """Items per call; every one is at least 1.

    Attributes:
        parallel: Requests of ours that may be under way at the same time.
    """

    nodes_per_read: int = _CEILING
    nodes_per_browse: int = 500
    nodes_per_history_read: int = 100
    nodes_per_translate: int = _CEILING
    monitored_items_per_call: int = _CEILING
    continuation_points: int = 50
    parallel: int = _PARALLEL

    def capped(self, **stated: int | None) -> OperationLimits:
        """These limits lowered to what a server states; None and 0 mean that it states none."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        for name, value in stated.items():
            if value:
                values[name] = max(1, min(values[name], value))
        return OperationLimits(**values)


_OPERATION = "Server_ServerCapabilities_OperationLimits_"
_SOURCES: dict[str, str] = {
    "nodes_per_read": f"{_OPERATION}MaxNodesPerRead",
    "nodes_per_browse": f"{_OPERATION}MaxNodesPerBrowse",
    "nodes_per_history_read": f"{_OPERATION}MaxNodesPerHistoryReadData",
    "nodes_per_translate": f"{_OPERATION}MaxNodesPerTranslateBrowsePathsToNodeIds",
    "monitored_items_per_call": f"{_OPERATION}MaxMonitoredItemsPerCall",
    "continuation_points": "Server_ServerCapabilities_MaxBrowseContinuationPoints",
}


async def read_limits(client: Client, ceilings: OperationLimits | None = None) -> OperationLimits:
    """What the server behind this connected asyncua Client states, never above `ceilings`.

    Read one by one: a server with MaxNodesPerRead 1 would refuse them together.
    """
    stated: dict[str, int | None] = {}
    for name, identifier in _SOURCES.items():
        item = ua.ReadValueId(NodeId=ua.NodeId(getattr(ua.ObjectIds, identifier)), AttributeId=ua.AttributeIds.Value)
        (found,) = await client.uaclient.read(ua.ReadParameters(NodesToRead=[item]))
        value = found.Value.Value if found.StatusCode.is_good() and found.Value is not None else None
        stated[name] = value if isinstance(value, int) and not isinstance(value, bool) else None
    return (ceilings or OperationLimits()).capped(**stated)
