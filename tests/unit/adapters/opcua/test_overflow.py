"""What a server dropped becomes a gap: of values signal by signal, of events machine by machine."""

from __future__ import annotations

from typing import Any

from asyncua import ua

from adapters.opcua.conditions import ConditionBook
from adapters.opcua.decode import PublishResult
from adapters.opcua.dispatch import Dispatcher, Item
from adapters.opcua.events import EventItem, EventReader
from adapters.opcua.eventtypes import BASE_EVENT, Clause, EventTypes
from adapters.opcua.plan import MachinePlan, SignalPlan
from adapters.opcua.reading import Reading
from adapters.opcua.subscribe import FIRST_EVENT_HANDLE, EventHandle, Subscription
from gateway.model import Gap, MachineDescription, SignalRef

OVERFLOWED = 0x480
NOTHING: Any = None
"""What these paths never look at."""


def machine(name: str) -> MachinePlan:
    return MachinePlan(ua.NodeId(name, 2), MachineDescription(id=name, name=name, type="T", source="s"), [])


def test_dropped_values_are_a_gap_of_each_signal_from_its_own_last_value() -> None:
    dispatcher = Dispatcher()
    for handle, path in enumerate(("a", "b", "c")):
        plan = SignalPlan(ua.NodeId(path, 2), SignalRef(path), lambda value: value, "Double", "T")
        assert handle == len(dispatcher.items)
        dispatcher.items.append(Item(plan, dispatcher.bucket("m")))
    dispatcher.records([PublishResult(time=30, values=[(0, 1.0, 10, 0), (1, 1.0, 20, 0)])], 5)
    values = [(0, 2.0, 40, OVERFLOWED), (1, 2.0, 40, OVERFLOWED), (2, 2.0, 40, OVERFLOWED), (0, 3.0, 60, OVERFLOWED)]
    records, count = dispatcher.records([PublishResult(time=70, values=values)], 30)
    gaps = [(one.signals, one.begin, one.end) for one in records if isinstance(one, Gap)]
    assert gaps == [(["a"], 10, 40), (["b"], 20, 40), (["c"], 30, 40), (["a"], 40, 60)]
    assert count == 4


def test_dropped_events_are_a_gap_of_the_events_of_their_machines() -> None:
    clause = Clause("EventType", BASE_EVENT, ((0, "EventType"),))
    kinds = EventTypes((clause,), (clause,), frozenset(), NOTHING)
    reader = EventReader(kinds, NOTHING, NOTHING, [machine("m1"), machine("m2")], ConditionBook())
    reading = Reading(NOTHING, Subscription(NOTHING, 1, 0.1, 1.0))
    reading._events[FIRST_EVENT_HANDLE] = EventHandle(FIRST_EVENT_HANDLE, 1, reader, EventItem(ua.NodeId(), None))
    overflow = ua.Variant(ua.NodeId(ua.ObjectIds.EventQueueOverflowEventType))
    message = PublishResult(time=70, events=[(FIRST_EVENT_HANDLE, [overflow])])
    records, _ = reading.dispatcher.records([message], 50)
    detail = "the server's queue of events was full"
    assert records == [Gap(name, [], 50, 70, "queue-overflow", detail, events=True) for name in ("m1", "m2")]
    assert reading.take_refresh_wish()
