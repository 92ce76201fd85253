from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from asyncua import Client, ua
from asyncua.ua.uaerrors import BadNotConnected, BadTooManyOperations

from adapters.opcua.browse import Browse, Reader, content
from adapters.opcua.limits import OperationLimits, read_limits


class Services:
    """A server's Browse, BrowseNext and Read over a tree of numbers: node n has children n*10 to n*10+width-1."""

    def __init__(self, *, width: int = 7, page: int = 3, most: int = 1000, points: int = 1000) -> None:
        self.width, self.page, self.most, self.points = width, page, most, points
        self.open: dict[bytes, list[Any]] = {}
        self.sizes: list[int] = []
        self.under_way = self.busiest = self.count = 0

    async def _enter(self, size: int) -> None:
        if size > self.most:
            raise BadTooManyOperations
        self.sizes.append(size)
        self.under_way += 1
        self.busiest = max(self.busiest, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1

    def _page(self, references: list[Any]) -> Any:
        result = ua.BrowseResult(References=references[: self.page])
        if len(references) > self.page:
            if len(self.open) >= self.points:
                return ua.BrowseResult(StatusCode=ua.StatusCode(ua.StatusCodes.BadNoContinuationPoints))
            self.count += 1
            result.ContinuationPoint = f"{self.count}".encode()
            self.open[result.ContinuationPoint] = references[self.page :]
        return result

    async def browse(self, parameters: Any) -> list[Any]:
        await self._enter(len(parameters.NodesToBrowse))
        results = []
        for one in parameters.NodesToBrowse:
            if one.NodeId.Identifier == 13:
                results.append(ua.BrowseResult(StatusCode=ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown)))
                continue
            start = one.NodeId.Identifier * 10
            results.append(
                self._page([ua.ReferenceDescription(NodeId=ua.NodeId(start + n)) for n in range(self.width)])
            )
        return results

    async def browse_next(self, parameters: Any) -> list[Any]:
        await self._enter(len(parameters.ContinuationPoints))
        pages = [self.open.pop(point) for point in parameters.ContinuationPoints]
        if parameters.ReleaseContinuationPoints:
            return []
        return [self._page(references) for references in pages]

    async def read(self, parameters: Any) -> list[Any]:
        await self._enter(len(parameters.NodesToRead))
        return [
            ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown))
            if one.NodeId.Identifier == 13
            else ua.DataValue(ua.Variant(one.NodeId.Identifier, ua.VariantType.UInt32))
            for one in parameters.NodesToRead
        ]


def reader(services: Services, **limits: int) -> Reader:
    return Reader(cast("Client", SimpleNamespace(uaclient=services)), OperationLimits(**limits))


def children(found: Any) -> list[int]:
    return [one.NodeId.Identifier for one in found.references]


async def test_continuation_points_are_followed_to_their_end() -> None:
    services = Services(width=8, page=3)
    found = await reader(services, nodes_per_browse=4).references(ua.NodeId(n) for n in range(1, 11))
    assert all(children(found[ua.NodeId(n)]) == list(range(n * 10, n * 10 + 8)) for n in range(1, 11))
    assert services.open == {}
    assert max(services.sizes) <= 4


async def test_a_server_with_few_continuation_points_is_asked_one_by_one() -> None:
    services = Services(width=8, page=3, points=1)
    found = await reader(services, parallel=1).references(ua.NodeId(n) for n in range(1, 6))
    assert all(children(found[ua.NodeId(n)]) == list(range(n * 10, n * 10 + 8)) for n in range(1, 6))
    assert services.open == {}


async def test_references_without_end_are_left_and_released(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.opcua.browse._ROUNDS", 5)
    services = Services(width=100, page=1)
    (found,) = await reader(services).browse([Browse(ua.NodeId(1))])
    assert "no end" in found.fault
    assert len(found.references) == 6
    assert services.open == {}


async def test_one_bad_node_does_not_fail_the_others() -> None:
    services = Services()
    found = await reader(services).browse([Browse(ua.NodeId(n)) for n in (12, 13, 14)])
    assert [one.fault for one in found] == ["", "BadNodeIdUnknown", ""]
    answers = await reader(services).read([(ua.NodeId(n), 13) for n in (12, 13, 14)])
    assert [content(one) for one in answers] == [12, None, 14]
    assert await reader(services).values(map(ua.NodeId, (12, 13, 14))) == {ua.NodeId(12): 12, ua.NodeId(14): 14}


async def test_requests_go_side_by_side_but_bounded() -> None:
    services = Services()
    answers = await reader(services, nodes_per_read=10, parallel=3).read([(ua.NodeId(n), 13) for n in range(1000)])
    assert [content(one) for one in answers[20:25]] == [20, 21, 22, 23, 24]
    assert services.busiest == 3
    assert set(services.sizes) == {10}


async def test_too_many_for_the_server_is_tried_in_halves() -> None:
    services = Services(most=30)
    answers = await reader(services, nodes_per_read=200).read([(ua.NodeId(n), 13) for n in range(300)])
    assert len(answers) == 300
    assert max(services.sizes) <= 30


async def test_a_refused_service_is_an_error() -> None:
    services = Services()

    async def refused(parameters: Any) -> list[Any]:
        raise BadNotConnected

    services.read = refused
    with pytest.raises(BadNotConnected):
        await reader(services).read([(ua.NodeId(1), 13)])


async def test_limits_that_a_server_states() -> None:
    services = Services()
    stated = {
        ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead: 40,
        ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse: 0,
        ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall: 10**9,
    }

    async def read(parameters: Any) -> list[Any]:
        (one,) = parameters.NodesToRead
        if one.NodeId.Identifier not in stated:
            return [ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown))]
        return [ua.DataValue(ua.Variant(stated[one.NodeId.Identifier], ua.VariantType.UInt32))]

    services.read = read
    limits = await read_limits(cast("Client", SimpleNamespace(uaclient=services)))
    own = OperationLimits()
    assert limits.nodes_per_read == 40
    assert limits.nodes_per_browse == own.nodes_per_browse
    assert limits.monitored_items_per_call == own.monitored_items_per_call
    assert limits.nodes_per_history_read == own.nodes_per_history_read
