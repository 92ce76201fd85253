"""Lets the machines run: asks them every tick what happened, writes it to the ledger, then shows it."""

# ruff: noqa: ANN401 - values of every data type, and asyncua's objects, pass through here
from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asyncua import ua

from simulators.ledger import Ledger, same
from simulators.machine import Appeared, Change, Condition, Happening, Localized, Notice, RefusedError, State, Vanished
from simulators.opcua.builder import Builder
from simulators.opcua.clock import Clock
from simulators.opcua.events import Emitter, Event, plain_event
from simulators.opcua.instance import Instance, Variable
from simulators.opcua.mended import MendedServer
from simulators.opcua.space import Id
from simulators.opcua.values import datetime_from_ticks

_LOG = logging.getLogger(__name__)
_CHUNK = 200
"""Values shown in one go before others on the event loop get their turn."""
_REFRESH = ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh)
_REFRESH_ITEM = ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh2)
_ACKNOWLEDGE = ua.NodeId(ua.ObjectIds.AcknowledgeableConditionType_Acknowledge)
_ADDED, _DELETED = 1, 2
_GONE = ua.StatusCodes.BadNodeIdUnknown


@dataclass(slots=True)
class Shown:
    """A machine as it is shown."""

    instance: Instance
    emitter: Emitter
    builder: Builder
    paused: bool = False


class Runner:
    """The machines of one server."""

    def __init__(
        self, server: MendedServer, machines: Sequence[Shown], ledger: Ledger, clock: Clock, tick: float
    ) -> None:
        self.server = server
        self.nodes = server.iserver.aspace
        self.machines = list(machines)
        self.ledger = ledger
        self.clock = clock
        self.tick = tick
        self.overrides: dict[Id, int] = {}
        self.frozen: set[Id] = set()
        self._turn = asyncio.Lock()
        self._versions: dict[Id, int] = {}
        self._own: dict[Id, ua.DataValue] = {}

    async def begin(self) -> None:
        """Write the initial values and conditions to the ledger, and set the machines' clocks."""
        now = self.clock.now()
        for shown in self.machines:
            instance = shown.instance
            for variable in instance.variables.values():
                if not variable.describing:
                    self.ledger.value(instance.uri, variable.shown, variable.value)
            for condition in instance.machine.conditions():
                shown.emitter.condition(condition)
            instance.machine.advance(now)
        self.ledger.flush()

    async def run(self) -> None:
        """Tick until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + self.tick, loop.time() + self.tick / 10)
            await asyncio.sleep(due - loop.time())
            async with self._turn:
                now = self.clock.now()
                for shown in self.machines:
                    if not shown.paused:
                        await self.happen(shown, shown.instance.machine.advance(now))

    async def now(self, shown: Shown, make: Callable[[int], Iterable[Happening]]) -> None:
        """Show what `make` says happens at this moment."""
        async with self._turn:
            await self.happen(shown, make(self.clock.now()))

    async def settled(self) -> None:
        """Return when all that has happened so far is shown."""
        async with self._turn:
            return

    async def override(self, shown: Shown, variable: Variable, code: int) -> None:
        """Let a variable show this status from now on; 0 gives it back its own."""
        async with self._turn:
            if code:
                self.overrides[variable.node] = code
            else:
                self.overrides.pop(variable.node, None)
            kept = self._own.get(variable.node, variable.value)
            self._own.setdefault(variable.node, variable.value)
            moment = datetime_from_ticks(self.clock.now())
            value = self._as_shown(variable, kept.Value, kept.StatusCode, moment)
            if value is not None:
                self.ledger.value(shown.instance.uri, variable.shown, value)
                await self._publish(shown, [(variable, value)])
            if not code:
                self._own.pop(variable.node, None)

    async def happen(self, shown: Shown, happenings: Iterable[Happening]) -> None:
        """Show what happened, in order; the ledger first."""
        pending: list[tuple[Variable, ua.DataValue] | Event] = []
        for happening in happenings:
            if isinstance(happening, Change):
                pending += self._change(shown, happening)
            elif isinstance(happening, Condition):
                pending.append(shown.emitter.condition(happening))
            elif isinstance(happening, Notice):
                pending.append(shown.emitter.notice(happening))
            else:
                await self._publish(shown, pending)
                pending = []
                await self._model_change(shown, happening)
            if len(pending) >= _CHUNK:
                await self._publish(shown, pending)
                pending = []
                await asyncio.sleep(0)
        await self._publish(shown, pending)

    async def _publish(self, shown: Shown, pending: list[tuple[Variable, ua.DataValue] | Event]) -> None:
        self.ledger.flush()
        for item in pending:
            if isinstance(item, Event):
                await shown.emitter.emit(item)
            else:
                variable, value = item
                await self.nodes.write_attribute_value(variable.node, ua.AttributeIds.Value, value)

    def _change(self, shown: Shown, change: Change) -> list[tuple[Variable, ua.DataValue] | Event]:
        """Values to show for a change, written to the ledger; nothing where neither value nor status changed."""
        instance = shown.instance
        variable = instance.variables.get(change.path)
        if variable is None:
            raise LookupError(f"{instance.machine.name} changes {change.path!r}, which is none of its points")
        status = ua.StatusCode(change.status)
        if status.is_bad():
            parts = [(part, ua.Variant(None)) for part in (variable, *variable.parts.values())]
        elif isinstance(change.value, State) and variable.state_machine is not None:
            parts = shown.builder.describe.state_values(variable, change.value)
        else:
            parts = [(variable, shown.builder.values.variant(change.value, variable.data_type, variable.rank))]
        moment = datetime_from_ticks(change.time)
        found: list[tuple[Variable, ua.DataValue] | Event] = []
        for part, variant in parts:
            value = self._as_shown(part, variant, status, moment)
            if value is not None:
                self.ledger.value(instance.uri, part.shown, value)
                found.append((part, value))
        return found

    def _as_shown(
        self, variable: Variable, variant: ua.Variant, status: ua.StatusCode, moment: datetime
    ) -> ua.DataValue | None:
        """The value that a client sees, faults applied; None where it would see no change."""
        if variable.node in self.frozen:
            return None
        if variable.node in self.overrides:
            if variable.node in self._own:
                self._own[variable.node] = ua.DataValue(variant, status)
            status = ua.StatusCode(self.overrides[variable.node])
            variant = ua.Variant(None) if status.is_bad() else variant
        value = ua.DataValue(variant, status, SourceTimestamp=moment, ServerTimestamp=datetime.now(UTC))
        if same(variable.value, value):
            return None
        variable.value = value
        return value

    async def _model_change(self, shown: Shown, happening: Appeared | Vanished) -> None:
        """Nodes come or go: values first, then the event that tells of it."""
        instance, builder = shown.instance, shown.builder
        path = happening.part.path if isinstance(happening, Appeared) else happening.path
        parent = instance.entries[path.rpartition("/")[0]].node
        if isinstance(happening, Appeared):
            new = builder.extend(instance, [happening.part], happening.points, happening.time)
            for variable in new:
                if not variable.describing:
                    self.ledger.value(instance.uri, variable.shown, variable.value)
            affected, verb = instance.entries[path].node, _ADDED
        else:
            affected, verb = instance.entries[path].node, _DELETED
            await self._vanish(shown, path, happening.time)
        self.ledger.flush()
        await self._bump(shown, parent, affected, verb, happening.time)

    async def _vanish(self, shown: Shown, path: str, time: int) -> None:
        instance = shown.instance
        pending: list[tuple[Variable, ua.DataValue] | Event] = []
        for key, variable in instance.variables.items():
            if (key == path or key.startswith(f"{path}/")) and not variable.describing:
                pending += self._change(shown, Change(key, None, time, _GONE))
        await self._publish(shown, pending)
        shown.builder.remove(instance, path)

    async def _bump(self, shown: Shown, parent: Id, affected: Id, verb: int, time: int) -> None:
        """Raise the NodeVersion of the parent and tell all clients."""
        space = shown.builder.space
        version = space.child(parent, "NodeVersion")
        if version is not None:
            self._versions[version] = self._versions.get(version, 1) + 1
            text = ua.Variant(str(self._versions[version]), ua.VariantType.String)
            await self.nodes.write_attribute_value(version, ua.AttributeIds.Value, ua.DataValue(text))
        changes = []
        for node, what in ((parent, 4 if verb == _ADDED else 8), (affected, verb)):
            change = ua.ModelChangeStructureDataType()
            change.Affected = node
            change.AffectedType = (space.type_of(node) if space.exists(node) else None) or ua.NodeId()
            change.Verb = what
            changes.append(change)
        event = plain_event(ua.ObjectIds.GeneralModelChangeEventType, "The address space changed", time)
        event.fields["Changes"] = ua.Variant(changes, ua.VariantType.ExtensionObject, is_array=True)
        await self.server.iserver.subscription_service.trigger_event(event)

    async def write(self, node: Id, value: ua.DataValue) -> ua.StatusCode | None:
        """A client writes; None where nothing there is writable."""
        for shown in self.machines:
            variable = shown.instance.writable.get(node)
            if variable is None:
                continue
            built_in = shown.builder.values.built_in(variable.data_type)
            given = value.Value
            if given is None or given.VariantType is not built_in or bool(given.is_array) != (variable.rank >= 1):
                return ua.StatusCode(ua.StatusCodes.BadTypeMismatch)
            async with self._turn:
                try:
                    done = shown.instance.machine.write(variable.path, _plain(given.Value), self.clock.now())
                except RefusedError as refusal:
                    return _status(refusal)
                await self.happen(shown, done)
            return ua.StatusCode()
        return None

    async def call(self, owner: Id, method: Id, arguments: list[ua.Variant]) -> ua.CallMethodResult | None:
        """A client calls a method; None where it is none of ours."""
        result = ua.CallMethodResult()
        if method in (_REFRESH, _REFRESH_ITEM):
            result.StatusCode = await self._refresh(method, arguments)
            return result
        if method == _ACKNOWLEDGE:
            result.StatusCode = await self._acknowledge(owner, arguments)
            return result
        for shown in self.machines:
            path = shown.instance.methods.get(method)
            if path is not None:
                return await self._method(shown, path, arguments)
        return None

    async def _method(self, shown: Shown, path: str, arguments: list[ua.Variant]) -> ua.CallMethodResult:
        result = ua.CallMethodResult()
        offered = {method.path: method for method in shown.instance.machine.methods}.get(path)
        if offered is None:
            result.StatusCode = ua.StatusCode(ua.StatusCodes.BadNotImplemented)
            return result
        types = shown.builder.types
        if len(arguments) != len(offered.inputs):
            code = (
                ua.StatusCodes.BadArgumentsMissing
                if len(arguments) < len(offered.inputs)
                else ua.StatusCodes.BadTooManyArguments
            )
            result.StatusCode = ua.StatusCode(code)
            return result
        values = shown.builder.values
        for given, wanted in zip(arguments, offered.inputs, strict=True):
            fits = given.VariantType is values.built_in(types.data_type(wanted.data_type))
            result.InputArgumentResults.append(ua.StatusCode(0 if fits else ua.StatusCodes.BadTypeMismatch))
        if not all(status.is_good() for status in result.InputArgumentResults):
            result.StatusCode = ua.StatusCode(ua.StatusCodes.BadInvalidArgument)
            return result
        async with self._turn:
            try:
                given_values = [_plain(argument.Value) for argument in arguments]
                outputs, done = shown.instance.machine.call(path, given_values, self.clock.now())
            except RefusedError as refusal:
                result.StatusCode = _status(refusal)
                return result
            await self.happen(shown, done)
        result.OutputArguments = [
            values.variant(value, types.data_type(argument.data_type))
            for value, argument in zip(outputs, offered.outputs, strict=True)
        ]
        return result

    async def _refresh(self, method: Id, arguments: list[ua.Variant]) -> ua.StatusCode:
        """ConditionRefresh: the states of all conditions of interest to one subscription (OPC 10000-9, 5.5.7)."""
        if len(arguments) != (1 if method == _REFRESH else 2):
            return ua.StatusCode(ua.StatusCodes.BadArgumentsMissing)
        found = self.server.iserver.subscription_service.subscriptions.get(arguments[0].Value)
        if found is None:
            return ua.StatusCode(ua.StatusCodes.BadSubscriptionIdInvalid)
        items = found.monitored_item_srv
        wanted = [mid for mids in items._monitored_events.values() for mid in mids]
        if method == _REFRESH_ITEM:
            if arguments[1].Value not in wanted:
                return ua.StatusCode(ua.StatusCodes.BadMonitoredItemIdInvalid)
            wanted = [arguments[1].Value]
        async with self._turn:
            now = self.clock.now()
            start = plain_event(ua.ObjectIds.RefreshStartEventType, "ConditionRefresh begins", now)
            end = plain_event(ua.ObjectIds.RefreshEndEventType, "ConditionRefresh ends", now)
            for node, mids in items._monitored_events.items():
                events = [
                    event
                    for shown in self.machines
                    if node in shown.emitter.emitters()
                    for event in shown.emitter.retained()
                ]
                for mid in set(mids) & set(wanted):
                    for event in (start, *events, end):
                        await items.trigger_event(event.at(node), mid)
        return ua.StatusCode()

    async def _acknowledge(self, owner: Id, arguments: list[ua.Variant]) -> ua.StatusCode:
        """Acknowledge a condition (OPC 10000-9, 5.7.3)."""
        if len(arguments) != 2:
            return ua.StatusCode(ua.StatusCodes.BadArgumentsMissing)
        for shown in self.machines:
            kept = shown.emitter.by_node(owner)
            if kept is None:
                continue
            if kept.event.fields["EventId"].Value != arguments[0].Value:
                return ua.StatusCode(ua.StatusCodes.BadEventIdUnknown)
            comment = arguments[1].Value.Text if isinstance(arguments[1].Value, ua.LocalizedText) else None
            async with self._turn:
                try:
                    done = shown.instance.machine.acknowledge(kept.condition.name, comment, self.clock.now())
                except RefusedError as refusal:
                    return _status(refusal)
                await self.happen(shown, done)
            return ua.StatusCode()
        return ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown)


def _status(refusal: RefusedError) -> ua.StatusCode:
    _LOG.info("refused: %s", refusal)
    return ua.StatusCode(getattr(ua.StatusCodes, refusal.status))


def _plain(value: Any) -> Any:
    """A client's value in the plain Python of the machine contract."""
    if isinstance(value, ua.LocalizedText):
        return Localized(value.Text or "", value.Locale or "")
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
