"""History page by page: nothing twice, nothing left out, whatever a server does with its pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st

from adapters.opcua.pages import Pages
from adapters.opcua.plan import SignalPlan
from gateway.model import Gap, Samples, SignalRef

START = datetime(2026, 1, 1)  # noqa: DTZ001 - as asyncua gives times
TICKS = int((START - datetime(1601, 1, 1)) / timedelta(microseconds=1)) * 10  # noqa: DTZ001


def moment(number: int) -> int:
    return TICKS + number * 10_000_000


@dataclass
class Historian:
    """A server's history of one variable: value and second of each, in order.

    Attributes:
        points: It gives continuation points.
        forget: How many of these it forgets.
    """

    recorded: list[tuple[int, int]]
    points: bool = True
    forget: int = 0
    calls: int = 0
    given: dict[bytes, list[ua.DataValue]] = field(default_factory=dict)

    async def history_read(self, wanted: ua.HistoryReadParameters) -> list[Any]:
        self.calls += 1
        assert self.calls < 500
        (node,) = wanted.NodesToRead
        details = wanted.HistoryReadDetails
        if node.ContinuationPoint:
            if self.forget:
                self.forget -= 1
                return [result(ua.StatusCodes.BadContinuationPointInvalid)]
            left = self.given.pop(node.ContinuationPoint)
        else:
            left = [
                ua.DataValue(ua.Variant(value, ua.VariantType.Int64), SourceTimestamp=START + timedelta(seconds=second))
                for value, second in self.recorded
                if details.StartTime <= START + timedelta(seconds=second) <= details.EndTime
            ]
        page, rest = left[: details.NumValuesPerNode], left[details.NumValuesPerNode :]
        point = b"%d" % self.calls if rest and self.points else None
        if point:
            self.given[point] = rest
        return [result(ua.StatusCodes.Good, page, point)]

    @property
    def connection(self) -> Any:
        client = SimpleNamespace(uaclient=SimpleNamespace(session=self))
        return SimpleNamespace(client=client, config=SimpleNamespace(url="opc.tcp://test:4840"))


def result(status: int, values: list[ua.DataValue] | None = None, point: bytes | None = None) -> Any:
    data = SimpleNamespace(DataValues=values or [])
    return SimpleNamespace(StatusCode=ua.StatusCode(status), HistoryData=data, ContinuationPoint=point)


async def told(historian: Historian, size: int, last: int) -> tuple[list[Any], list[Gap]]:
    """Everything between the seconds 0 and `last`."""
    plan = SignalPlan(ua.NodeId(1), SignalRef("A"), lambda value: value, "Int64", "")
    pages = Pages("m", plan, (moment(0), moment(last)), size)
    values: list[Any] = []
    gaps: list[Gap] = []
    while not pages.ended:
        assert await pages.read(historian.connection) is None
        for record in pages.records:
            if isinstance(record, Samples):
                assert len(record.samples) <= size
                values += [sample.value for sample in record.samples]
            else:
                assert isinstance(record, Gap)
                gaps.append(record)
    return values, gaps


@given(
    steps=st.lists(st.integers(0, 2), max_size=40),
    size=st.integers(4, 9),
    points=st.booleans(),
    forget=st.integers(0, 3),
)
async def test_everything_between_is_told_once(steps: list[int], size: int, points: bool, forget: int) -> None:
    recorded, second, alike = [], 1, 1
    for value, step in enumerate(steps):
        alike = alike + 1 if step == 0 else 1
        second += step or (alike > 2)  # never more values with one time than a page holds without its first
        alike = alike if alike <= 2 else 1
        recorded.append((value, second))
    before, after = (-1, 0), (-2, second + 1)
    historian = Historian([before, *recorded, after], points, forget)
    assert await told(historian, size, second + 1) == ([value for value, _ in recorded], [])


async def test_more_values_of_one_time_than_a_page_holds_are_a_gap_where_there_are_no_continuation_points() -> None:
    recorded = [(value, 5 if value < 6 else value) for value in range(1, 12)]
    assert await told(Historian(recorded), 3, 20) == (list(range(1, 12)), [])
    values, gaps = await told(Historian(recorded, points=False), 3, 20)
    assert values == [1, 2, 3, *range(6, 12)]
    assert [(gap.begin, gap.end) for gap in gaps] == [(moment(5), moment(5))]


@pytest.mark.parametrize("status", ["BadHistoryOperationUnsupported", "BadContinuationPointInvalid"])
async def test_a_refusal_is_named_also_of_a_continuation_point_that_nobody_gave(status: str) -> None:
    plan = SignalPlan(ua.NodeId(1), SignalRef("A"), lambda value: value, "Int64", "")
    historian = Historian([])

    async def refused(_wanted: Any) -> list[Any]:
        return [result(getattr(ua.StatusCodes, status))]

    historian.history_read = refused  # type: ignore[method-assign]
    pages = Pages("m", plan, (moment(0), moment(9)), 10)
    assert await pages.read(historian.connection) == status
