"""Mutants of what a server answers: one service, or one field of its answer, is wrong."""

# ruff: noqa: ANN401, ARG002 - asyncua's objects come without usable annotations; methods here look away
from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from asyncua import ua

from simulators.mutants.device import Apply, DeviceMutant
from simulators.mutants.device_sessions import surgery_of
from simulators.mutants.patching import core, patched, processor, session
from simulators.mutants.surgery import Surgery
from simulators.opcua.mended import Processor, Session
from simulators.opcua.subscriptions import MonitoredItems, Subscription

_SUBSCRIPTION, _ITEM = "OPC 10000-4, 5.14", "OPC 10000-4, 5.13"
_OVERFLOW = 0x0480
_GOOD = ua.StatusCode()
_COUNTER = itertools.count(1)


def answering(kind: type[Any], change: Callable[[Any], None]) -> Apply:
    """Changes every response of a class before it is sent; `change` gets a copy that it may write."""

    class Answers(Processor):
        def send_response(self, requesthandle: Any, seqhdr: Any, response: Any, *args: Any) -> None:
            if isinstance(response, kind):
                response = copy.deepcopy(response)
                change(response)
            super().send_response(requesthandle, seqhdr, response, *args)

    return processor(Answers)


def subscribed(kind: type[Subscription]) -> Apply:
    """New subscriptions are of this class."""
    return patched(lambda server: [(core(server).subscription_service, "make", kind)])


def _results(response: Any) -> Any:
    return getattr(response, "Parameters", response) if not hasattr(response, "Results") else response


def _all_good(response: Any) -> None:
    found = _results(response).Results
    for at, one in enumerate(found):
        if isinstance(one, ua.StatusCode):
            found[at] = _GOOD
        elif isinstance(one, ua.DataValue):
            found[at] = dataclasses.replace(one, StatusCode=_GOOD)
        else:
            one.StatusCode = _GOOD


def _all_bad(response: Any) -> None:
    for one in _results(response).Results:
        one.StatusCode = ua.StatusCode(ua.StatusCodes.BadServiceUnsupported)


def _lifetime(response: Any) -> None:
    response.Parameters.RevisedLifetimeCount = 1


def _empty_message(response: Any) -> None:
    response.NotificationMessage.NotificationData = []


def _acknowledged(response: Any) -> None:
    response.Parameters.Results = [_GOOD for _ in response.Parameters.Results or ()]


def _odd_numbers(response: Any) -> None:
    message = response.Parameters.NotificationMessage
    message.SequenceNumber = 2 * message.SequenceNumber


def _keep_alive(response: Any) -> None:
    message = response.Parameters.NotificationMessage
    if not message.NotificationData:
        message.SequenceNumber = 0


def _no_overflow(response: Any) -> None:
    for part in response.Parameters.NotificationMessage.NotificationData:
        for one in getattr(part, "MonitoredItems", ()):
            one.Value = dataclasses.replace(
                one.Value, StatusCode=ua.StatusCode(one.Value.StatusCode.value & ~_OVERFLOW)
            )


def _negative_interval(response: Any) -> None:
    for one in response.Results:
        one.RevisedSamplingInterval = -1.0


def _no_ids(response: Any) -> None:
    response.Parameters.RegisteredNodeIds = []


def _moments(change: Callable[[datetime], datetime]) -> Callable[[Any], None]:
    def changed(response: Any) -> None:
        for at, one in enumerate(response.Results):
            if one.Value is not None and isinstance(one.Value.Value, datetime):
                made = ua.Variant(change(one.Value.Value), ua.VariantType.DateTime)
                response.Results[at] = dataclasses.replace(one, Value=made)

    return changed


def _other_ids(response: Any) -> None:
    for result in response.Results:
        for reference in result.References or ():
            reference.NodeId = ua.NodeId(next(_COUNTER), 1)


class _Silent(MonitoredItems):
    async def report(self, data: Any, value: ua.DataValue) -> None:
        if getattr(data, "begun", False):
            await super().report(data, value)
        data.begun = True


class _NoInitial(Subscription):
    items = _Silent


class _LateStart(Subscription):
    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._startup = False


class _AlwaysOn(Subscription):
    async def set_publishing_mode(self, enabled: bool) -> None:
        return


class _Immortal(Subscription):
    def has_published_results(self) -> bool:
        self._publish_cycles_count = 0
        return bool(super().has_published_results())


class _KeepsMessages(Subscription):
    def republish(self, nb: int) -> ua.NotificationMessage:
        kept = self._not_acknowledged_results.get(nb)
        return kept.NotificationMessage if kept is not None else ua.NotificationMessage()


class _AllReport(Session):
    async def create_monitored_items(self, params: Any) -> Any:
        for one in params.ItemsToCreate:
            one.MonitoringMode = ua.MonitoringMode.Reporting
        return await super().create_monitored_items(params)


class _AllItemTimes(Session):
    async def create_monitored_items(self, params: Any) -> Any:
        params.TimestampsToReturn = ua.TimestampsToReturn.Both
        return await super().create_monitored_items(params)


class _AllTimes(Session):
    async def read(self, params: Any) -> Any:
        params.TimestampsToReturn = ua.TimestampsToReturn.Both
        return await super().read(params)


class _Idle(Session):
    def need(self, operations: Any) -> None:
        return


class _AnyAge(Session):
    def need_age(self, age: float) -> None:
        return


class _NoLimit(Session):
    def admit(self, operations: Any, name: str) -> None:
        return


def _failed_state(surgery: Surgery) -> None:
    surgery.value(ua.NodeId(ua.ObjectIds.Server_ServerStatus_State), 1, ua.VariantType.Int32)


def _same_namespace(surgery: Surgery) -> None:
    node = ua.NodeId(ua.ObjectIds.Server_NamespaceArray)
    uris = surgery.space.nodes[node].attributes[ua.AttributeIds.Value].value.Value.Value
    surgery.value(node, [*uris, uris[-1]])


_STILL = datetime(2026, 1, 1)  # noqa: DTZ001 - asyncua's times are naive UTC


def _mutant(name: str, title: str, breaks: str, source: str, apply: Apply) -> DeviceMutant:
    return DeviceMutant(f"device.behaviour.{name}", title, breaks, source, apply)


def _hour(moment: datetime) -> datetime:
    return moment + timedelta(hours=1)


def _standing(_moment: datetime) -> datetime:
    return _STILL


MUTANTS: tuple[DeviceMutant, ...] = (
    _mutant("no-initial-value", "A new monitored item does not report its value",
            "It waits for the first change; a client does not know what is.", _ITEM, subscribed(_NoInitial)),
    _mutant("lost-sequence-number", "Every other sequence number is missing",
            "The client believes that messages were lost and asks for them in vain.", _SUBSCRIPTION,
            answering(ua.PublishResponse, _odd_numbers)),
    _mutant("keep-alive-number", "A keep-alive has the sequence number 0",
            "A keep-alive says which number comes next, so that a client notices a loss.", _SUBSCRIPTION,
            answering(ua.PublishResponse, _keep_alive)),
    _mutant("late-start", "A new subscription says nothing until its keep-alive",
            "The first publishing interval brings a message in any case.", _SUBSCRIPTION, subscribed(_LateStart)),
    _mutant("short-lifetime", "The lifetime is shorter than three keep-alives",
            "A subscription could end between two of them.", _SUBSCRIPTION,
            answering(ua.CreateSubscriptionResponse, _lifetime)),
    _mutant("republish-empty", "Republish answers with an empty message",
            "What the client lost on the way does not come again.", _SUBSCRIPTION,
            answering(ua.RepublishResponse, _empty_message)),
    _mutant("republish-anything", "Republish answers for messages that are gone",
            "It answers with an empty message where BadMessageNotAvailable says that something is lost.",
            _SUBSCRIPTION, subscribed(_KeepsMessages)),
    _mutant("acknowledges-anything", "Every acknowledgement is Good",
            "A client does not learn that it acknowledged a message that is not there.", _SUBSCRIPTION,
            answering(ua.PublishResponse, _acknowledged)),
    _mutant("always-publishing", "Publishing cannot be switched off", "SetPublishingMode does nothing.",
            _SUBSCRIPTION, subscribed(_AlwaysOn)),
    _mutant("immortal-subscription", "A subscription that nobody asks never ends",
            "Subscriptions of dead clients fill the server.", _SUBSCRIPTION, subscribed(_Immortal)),
    _mutant("deletes-anything", "Deleting a subscription is always Good",
            "A number that is not there is answered as if it were.", _SUBSCRIPTION,
            answering(ua.DeleteSubscriptionsResponse, _all_good)),
    _mutant("no-transfer", "Subscriptions cannot be transferred",
            "A client that comes back with a new session loses what came meanwhile.", _SUBSCRIPTION,
            answering(ua.TransferSubscriptionsResponse, _all_bad)),
    _mutant("transfers-anything", "A subscription that is not there is transferred",
            "The client waits for values that nobody sends.", _SUBSCRIPTION,
            answering(ua.TransferSubscriptionsResponse, _all_good)),
    _mutant("silent-overflow", "A queue overflows without its bit",
            "Values are lost and nobody is told.", "OPC 10000-4, 7.39.1",
            answering(ua.PublishResponse, _no_overflow)),
    _mutant("monitors-anything", "Nodes that are not there are monitored",
            "The client waits for values of a node that does not exist.", _ITEM,
            answering(ua.CreateMonitoredItemsResponse, _all_good)),
    _mutant("disabled-reports", "An item that is disabled reports", "MonitoringMode is not obeyed.", _ITEM,
            session(_AllReport)),
    _mutant("negative-interval", "The sampling interval is revised to -1",
            "The client cannot tell how often a value is looked at.", _ITEM,
            answering(ua.CreateMonitoredItemsResponse, _negative_interval)),
    _mutant("item-timestamps", "Notifications have timestamps that nobody asked for",
            "TimestampsToReturn of CreateMonitoredItems is not obeyed.", _ITEM, session(_AllItemTimes)),
    _mutant("reads-anything", "Nodes that are not there are Good",
            "Read answers Good without a value for a node that does not exist.", "OPC 10000-4, 5.11.2",
            answering(ua.ReadResponse, _all_good)),
    _mutant("empty-requests", "A request without operations is Good", "BadNothingToDo is the answer to it.",
            "OPC 10000-4, 7.38.2", session(_Idle)),
    _mutant("any-age", "A negative MaxAge is Good", "BadMaxAgeInvalid is the answer to it.", "OPC 10000-4, 5.11.2",
            session(_AnyAge)),
    _mutant("read-timestamps", "Read returns timestamps that nobody asked for",
            "TimestampsToReturn of Read is not obeyed.", "OPC 10000-4, 5.11.2", session(_AllTimes)),
    _mutant("browses-anything", "Browsing a node that is not there is Good",
            "The client takes a missing node for one without references.", "OPC 10000-4, 5.9.2",
            answering(ua.BrowseResponse, _all_good)),
    _mutant("registers-nothing", "RegisterNodes returns no ids", "Each node gets an id, be it the old one.",
            "OPC 10000-4, 5.9.5", answering(ua.RegisterNodesResponse, _no_ids)),
    _mutant("no-operation-limit", "OperationLimits are told but not kept",
            "A request with more nodes is answered; others wait meanwhile.", "OPC 10000-5, 6.3.11",
            session(_NoLimit)),
    _mutant("writes-anything", "Writing a read-only variable is Good",
            "The client believes that it has changed something.", "OPC 10000-4, 5.11.4",
            answering(ua.WriteResponse, _all_good)),
    _mutant("calls-anything", "Calling a method that is not there is Good",
            "The client believes that something was done.", "OPC 10000-4, 5.12.2",
            answering(ua.CallResponse, _all_good)),
    _mutant("state-failed", "The server says that it has failed", "It works, but ServerStatus/State is Failed.",
            "OPC 10000-5, 12.6", surgery_of(_failed_state)),
    _mutant("clock-ahead", "The server's clock is an hour ahead",
            "Its timestamps do not fit those of other machines.", "OPC 10000-5, 12.10",
            answering(ua.ReadResponse, _moments(_hour))),
    _mutant("clock-stands", "The server's clock stands still", "CurrentTime never changes.", "OPC 10000-5, 12.10",
            answering(ua.ReadResponse, _moments(_standing))),
    _mutant("namespace-twice", "A namespace is in the table twice",
            "Clients that look an index up by its URI find the wrong one.", "OPC 10000-5, 6.3.2",
            surgery_of(_same_namespace)),
    _mutant("ids-change", "NodeIds are others each time", "What a client keeps of a node is worth nothing.",
            "OPC 10000-3, 5.2.2", answering(ua.BrowseResponse, _other_ids)),
)  # fmt: skip
