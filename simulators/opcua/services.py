"""Services of a session within what OperationLimits promise, and references found faster than asyncua finds them."""

# ruff: noqa: ANN401 - asyncua's own objects come without usable annotations
from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence, Sized
from contextvars import ContextVar
from typing import Any, ClassVar

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.address_space import ViewService
from asyncua.server.internal_session import InternalSession

from simulators.opcua.space import HAS_SUBTYPE, Id

CHANNEL: ContextVar[Any] = ContextVar("channel")
"""The channel (`mended.Processor`) whose request is being answered."""

LIMITS = (
    "MaxNodesPerRead",
    "MaxNodesPerWrite",
    "MaxNodesPerMethodCall",
    "MaxNodesPerBrowse",
    "MaxNodesPerTranslateBrowsePathsToNodeIds",
    "MaxMonitoredItemsPerCall",
)
"""The variables of OperationLimits (OPC 10000-5, 6.3.11) that are obeyed."""


def fault(status: str) -> ServiceError:
    """The service fault of this status name."""
    return ServiceError(getattr(ua.StatusCodes, status))


def stamped(value: ua.DataValue, wanted: ua.TimestampsToReturn) -> ua.DataValue:
    """The value with the timestamps that a client asked for, and no others (OPC 10000-4, 7.40)."""
    source = wanted in (ua.TimestampsToReturn.Source, ua.TimestampsToReturn.Both)
    server = wanted in (ua.TimestampsToReturn.Server, ua.TimestampsToReturn.Both)
    if (source or value.SourceTimestamp is None) and (server or value.ServerTimestamp is None):
        return value
    return dataclasses.replace(
        value,
        SourceTimestamp=value.SourceTimestamp if source else None,
        SourcePicoseconds=value.SourcePicoseconds if source else None,
        ServerTimestamp=value.ServerTimestamp if server else None,
        ServerPicoseconds=value.ServerPicoseconds if server else None,
    )


REFRESHES = frozenset(
    ua.NodeId(one)
    for one in (ua.ObjectIds.ConditionType_ConditionRefresh, ua.ObjectIds.ConditionType_ConditionRefresh2)
)
"""Methods that tell alarms again and alter nothing."""


class Views(ViewService):
    """Browse that goes up from a reference's type instead of down through all subtypes of the wanted one."""

    def _suitable_reftype(self, ref1: Id, ref2: Id, subtypes: bool) -> bool:
        if ref1.is_null() or ref1 == ref2:
            return True
        current: Id | None = ref2 if subtypes else None
        while current is not None:
            node = self._aspace.get(current)
            current = next(
                (
                    found.NodeId
                    for found in (node.references if node is not None else ())
                    if not found.IsForward and found.ReferenceTypeId == HAS_SUBTYPE
                ),
                None,
            )
            if current == ref1:
                return True
        return False


class LimitedSession(InternalSession):
    """A session whose requests hold no more operations than the server's OperationLimits say.

    Attributes:
        limits: Greatest number of operations by name of the variable in OperationLimits; none for the server itself.
    """

    limits: Mapping[str, int]
    altering: ClassVar[Counter[str]] = Counter()
    """What clients asked for that could alter a machine, whether it was granted or not, in this process."""

    def admit(self, operations: Sized | None, name: str) -> None:
        """Let a request with these operations pass.

        Raises:
            ServiceError: BadTooManyOperations (OPC 10000-4, 7.38.2).
        """
        if operations is not None and len(operations) > self.limits.get(name, len(operations)):
            raise fault("BadTooManyOperations")

    def need(self, operations: Sized | None) -> None:
        """Let a request with at least one operation pass.

        Raises:
            ServiceError: BadNothingToDo (OPC 10000-4, 7.38.2).
        """
        if self.external and not operations:
            raise fault("BadNothingToDo")

    def need_age(self, age: float) -> None:
        """Let a possible MaxAge pass.

        Raises:
            ServiceError: BadMaxAgeInvalid (OPC 10000-4, 5.11.2).
        """
        if age < 0:
            raise fault("BadMaxAgeInvalid")

    async def read(self, params: ua.ReadParameters) -> Any:
        """Read attributes, with the timestamps that are asked for."""
        self.need(params.NodesToRead)
        self.need_age(params.MaxAge)
        self.admit(params.NodesToRead, "MaxNodesPerRead")
        results = await super().read(params)
        return [stamped(one, params.TimestampsToReturn) for one in results] if self.external else results

    async def write(self, params: ua.WriteParameters) -> Any:
        """Write attributes."""
        self.altering["Write"] += self.external * len(params.NodesToWrite)
        self.admit(params.NodesToWrite, "MaxNodesPerWrite")
        return await super().write(params)

    async def browse(self, params: ua.BrowseParameters) -> Any:
        """Browse nodes."""
        self.need(params.NodesToBrowse)
        self.admit(params.NodesToBrowse, "MaxNodesPerBrowse")
        results = await super().browse(params)
        for asked, result in zip(params.NodesToBrowse, results, strict=True):
            if result.StatusCode.value == ua.StatusCodes.BadNodeIdInvalid and asked.NodeId not in self.aspace:
                result.StatusCode = ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown)
        return results

    async def translate_browsepaths_to_nodeids(self, params: Sequence[ua.BrowsePath]) -> Any:
        """Find the nodes of browse paths."""
        self.admit(params, "MaxNodesPerTranslateBrowsePathsToNodeIds")
        return await super().translate_browsepaths_to_nodeids(params)

    async def call(self, params: Sequence[ua.CallMethodRequest]) -> Any:
        """Call methods."""
        if self.external:
            self.altering["Call"] += sum(one.MethodId not in REFRESHES for one in params)
        self.admit(params, "MaxNodesPerMethodCall")
        return await super().call(params)

    async def create_monitored_items(self, params: ua.CreateMonitoredItemsParameters) -> Any:
        """Create monitored items."""
        self.admit(params.ItemsToCreate, "MaxMonitoredItemsPerCall")
        return await super().create_monitored_items(params)

    async def modify_monitored_items(self, params: ua.ModifyMonitoredItemsParameters) -> Any:
        """Modify monitored items."""
        self.admit(params.ItemsToModify, "MaxMonitoredItemsPerCall")
        return await super().modify_monitored_items(params)

    async def set_monitoring_mode(self, params: ua.SetMonitoringModeParameters) -> Any:
        """Switch monitored items."""
        self.admit(params.MonitoredItemIds, "MaxMonitoredItemsPerCall")
        return await super().set_monitoring_mode(params)

    async def delete_monitored_items(self, params: ua.DeleteMonitoredItemsParameters) -> Any:
        """Delete monitored items."""
        self.admit(params.MonitoredItemIds, "MaxMonitoredItemsPerCall")
        return await super().delete_monitored_items(params)
