"""Browse and Read in bulk: many nodes a call within the server's limits, some calls side by side, results per item."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from asyncua import Client, ua
from asyncua.ua.uaerrors import UaStatusCodeError

from adapters.opcua.limits import OperationLimits

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_RESULT_MASK = 63  # all fields of a ReferenceDescription
_REFERENCES_PER_NODE = 5_000  # of one BrowseResult; more come by BrowseNext
_ROUNDS = 1_000  # of BrowseNext for one node: a server that never ends is left

REFERENCES = ua.NodeId(ua.ObjectIds.References)
HAS_SUBTYPE = ua.NodeId(ua.ObjectIds.HasSubtype)

_TOO_BIG = frozenset({
    ua.StatusCodes.BadTooManyOperations,
    ua.StatusCodes.BadResponseTooLarge,
    ua.StatusCodes.BadRequestTooLarge,
    ua.StatusCodes.BadEncodingLimitsExceeded,
    ua.StatusCodes.BadTcpMessageTooLarge,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Browse:
    """One node to browse: all its forward references, or the inverse ones of one type."""

    node: ua.NodeId
    reference: ua.NodeId = REFERENCES
    inverse: bool = False


@dataclass(slots=True)
class Found:
    """References of one node, and why they are not all of them, if so."""

    references: list[Any]
    fault: str = ""


class Reader:
    """Bulk services of one connection."""

    def __init__(self, client: Client, limits: OperationLimits) -> None:
        self._services = client.uaclient
        self._limits = limits
        self._slots = asyncio.Semaphore(limits.parallel)
        self.calls = 0

    async def browse(self, wanted: Iterable[Browse]) -> list[Found]:
        """References of every node, in order of `wanted`."""
        return await self._chunked(list(wanted), self._limits.nodes_per_browse, self._browse)

    async def references(self, nodes: Iterable[ua.NodeId]) -> dict[ua.NodeId, Found]:
        """All forward references of every node."""
        distinct = list(dict.fromkeys(nodes))
        found = await self.browse([Browse(node) for node in distinct])
        return dict(zip(distinct, found, strict=True))

    async def read(self, wanted: Iterable[tuple[ua.NodeId, int]]) -> list[Any]:
        """A DataValue for every node and attribute, in order; its status says what could not be read."""
        return await self._chunked(list(wanted), self._limits.nodes_per_read, self._read)

    async def values(self, nodes: Iterable[ua.NodeId]) -> dict[ua.NodeId, Any]:
        """Decoded Value attributes; nodes whose value is bad are left out."""
        distinct = list(dict.fromkeys(nodes))
        found = await self.read([(node, ua.AttributeIds.Value) for node in distinct])
        return {node: content(one) for node, one in zip(distinct, found, strict=True) if readable(one)}

    async def _chunked(
        self, items: list[_Item], size: int, call: Callable[[Sequence[_Item]], Awaitable[list[_Result]]]
    ) -> list[_Result]:
        source = iter(items)
        chunks = list(iter(lambda: list(islice(source, size)), []))
        results = await asyncio.gather(*(self._halving(chunk, call) for chunk in chunks))
        return [one for chunk in results for one in chunk]

    async def _halving(
        self, chunk: list[_Item], call: Callable[[Sequence[_Item]], Awaitable[list[_Result]]]
    ) -> list[_Result]:
        """Call, in halves where the server finds it too much although it stated no such limit."""
        try:
            async with self._slots:
                self.calls += 1
                return await call(chunk)
        except UaStatusCodeError as fault:
            if fault.code not in _TOO_BIG or len(chunk) == 1:
                raise
        middle = len(chunk) // 2
        return await self._halving(chunk[:middle], call) + await self._halving(chunk[middle:], call)

    async def _read(self, chunk: Sequence[tuple[ua.NodeId, int]]) -> list[Any]:
        items = [ua.ReadValueId(NodeId=node, AttributeId=attribute) for node, attribute in chunk]
        results = await self._services.read(ua.ReadParameters(NodesToRead=items))
        return _complete(results, len(chunk), _missing_value)

    async def _browse(self, chunk: Sequence[Browse]) -> list[Found]:
        parameters = ua.BrowseParameters(
            RequestedMaxReferencesPerNode=_REFERENCES_PER_NODE,
            NodesToBrowse=[_description(one) for one in chunk],
        )
        results = _complete(await self._services.browse(parameters), len(chunk), _missing_references)
        found = [Found(list(one.References or ()), _fault(one.StatusCode)) for one in results]
        open_ = {index: one.ContinuationPoint for index, one in enumerate(results) if one.ContinuationPoint}
        retry: list[int] = [
            index for index, one in enumerate(results)
            if one.StatusCode.value == ua.StatusCodes.BadNoContinuationPoints and len(chunk) > 1
        ]  # fmt: skip
        await self._continue(found, open_)
        for index in retry:  # one by one there is a continuation point for each
            found[index] = (await self._browse([chunk[index]]))[0]
        return found

    async def _continue(self, found: list[Found], open_: dict[int, bytes]) -> None:
        """Follow continuation points to their ends; a server releases those that it has followed to the end."""
        for _ in range(_ROUNDS):
            if not open_:
                return
            batch = dict(islice(open_.items(), self._limits.nodes_per_browse))
            results = _complete(await self._next(list(batch.values())), len(batch), _missing_references)
            for index, one in zip(batch, results, strict=True):
                del open_[index]
                found[index].references.extend(one.References or ())
                found[index].fault = found[index].fault or _fault(one.StatusCode)
                if one.ContinuationPoint:
                    open_[index] = one.ContinuationPoint
        for index in open_:
            found[index].fault = f"its references have no end after {_ROUNDS} calls of BrowseNext"
        await self._next(list(open_.values()), release=True)

    async def _next(self, points: list[bytes], *, release: bool = False) -> list[Any]:
        parameters = ua.BrowseNextParameters(ReleaseContinuationPoints=release, ContinuationPoints=points)
        results: list[Any] = await self._services.browse_next(parameters)
        return results


def readable(value: Any) -> bool:  # noqa: ANN401 - asyncua's DataValue is untyped to us
    """The value is good or uncertain and not null."""
    status = value.StatusCode
    return (status is None or status.value < 0x8000_0000) and value.Value is not None and value.Value.Value is not None


def content(value: Any) -> Any:  # noqa: ANN401 - as above
    """Content of the Variant, None where there is none."""
    return value.Value.Value if value.Value is not None else None


def _description(wanted: Browse) -> Any:  # noqa: ANN401 - as above
    direction = ua.BrowseDirection.Inverse if wanted.inverse else ua.BrowseDirection.Forward
    return ua.BrowseDescription(
        NodeId=wanted.node,
        BrowseDirection=direction,
        ReferenceTypeId=wanted.reference,
        IncludeSubtypes=True,
        NodeClassMask=0,
        ResultMask=_RESULT_MASK,
    )


def _complete(results: list[_Result] | None, count: int, missing: Callable[[], _Result]) -> list[_Result]:
    """As many results as were asked for, whatever the server answered."""
    found = list(results or ())[:count]
    return found + [missing() for _ in range(count - len(found))]


def _missing_value() -> Any:  # noqa: ANN401 - as above
    return ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadNoData))


def _missing_references() -> Any:  # noqa: ANN401 - as above
    return ua.BrowseResult(StatusCode=ua.StatusCode(ua.StatusCodes.BadNoData))


def _fault(status: Any) -> str:  # noqa: ANN401 - as above
    return "" if status is None or status.value < 0x8000_0000 else str(status.name)
