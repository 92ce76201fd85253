"""What one connection reads: machines with their descriptions, and items for values and events, equal to the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from asyncua import ua

from adapters.opcua import events
from adapters.opcua.clocks import Skew
from adapters.opcua.config import OpcUaConfig
from adapters.opcua.connection import Connection
from adapters.opcua.dispatch import Dispatcher, Item
from adapters.opcua.layout import Layout, items_of, mapping_digest, ordered, runs_of
from adapters.opcua.plan import Discovery, MachinePlan, SignalPlan
from adapters.opcua.progress import MOST_RECORDED, ProgressWriter, Span, digest, short_name
from adapters.opcua.settings import wanted
from adapters.opcua.subscribe import FIRST_EVENT_HANDLE, EventHandle, Subscription, Wish, wishes_of
from gateway.model import Description, Gap, MachineDescription, Record

_Key = tuple[str, str, ua.NodeId]
"""What makes a monitored item the same after a rediscovery: machine, path, node."""


def _key(wish: Wish) -> _Key:
    return (wish.machine.description.id, wish.plan.ref.path, wish.plan.node)


class Reading:
    """The items of a subscription, and what is known of its machines.

    Attributes:
        machines: Plans by identity.
        digests: Of the descriptions as published, by identity.
        server: Which run of which server it is.
        whole: The items are known; not while they are being changed, and never again if that was interrupted.
    """

    def __init__(self, config: OpcUaConfig, subscription: Subscription, server: str = "") -> None:
        self.subscription = subscription
        self.server = server
        self.whole = True
        self.dispatcher = Dispatcher()
        self.dispatcher.events = self._event
        self.machines: dict[str, MachinePlan] = {}
        self.digests: dict[str, str] = {}
        self._config = config
        self._handles: dict[_Key, int] = {}
        self._recorded: list[Item] = []
        self._events: dict[int, EventHandle] = {}
        self._next_event = FIRST_EVENT_HANDLE
        self._refused_events: dict[str, str] = {}
        self._problems: list[str] = []
        self._told: set[tuple[str, str]] = set()
        self._quarantined = 0
        self._quarantined_anew: list[tuple[str, str]] = []
        self._rediscover = False
        self._refresh = False
        self._writer = ProgressWriter(subscription.id, {}, server)

    @classmethod
    def restored(
        cls, config: OpcUaConfig, connection: Connection, number: int, server: str, layout: Layout, found: Discovery
    ) -> Reading | None:
        """The items of a subscription as they are stored; None if what is stored means something else by now.

        Give the same discovery to `adopt` then.
        """
        wishes = ordered(wishes_of(config, [one for one in found.machines if wanted(config.machines, one)]))
        items = items_of(layout.runs)
        same = mapping_digest(found.namespaces, config.subscription, wishes, found.events, reduced=layout.reduced)
        if not layout.digest or layout.digest != same or len(items) != len(wishes):
            return None
        subscription = Subscription(connection, number, layout.interval, layout.keep_alive)
        reading = cls(config, subscription, server)
        for wish, (handle, item_number) in zip(wishes, items, strict=True):
            if handle >= 0:
                reading._place(wish, handle, item_number)
        for handle, item_number, machine in layout.events:
            reader = found.events
            item = next((one for one in reader.items if one.machine == machine), None) if reader is not None else None
            if reader is None or item is None:
                return None
            reading._events[handle] = EventHandle(handle, item_number, reader, item, layout.reduced)
            reading._next_event = max(reading._next_event, handle + 1)
        reading._refresh = bool(reading._events)  # the states of conditions are not stored
        return reading

    def _place(self, wish: Wish, handle: int, number: int) -> None:
        items = self.dispatcher.items
        while len(items) <= handle:
            items.append(None)
        item = items[handle] = Item(wish.plan, self.dispatcher.bucket(wish.machine.description.id))
        item.number = number
        self._handles[_key(wish)] = handle

    def move(self, connection: Connection) -> None:
        """The subscription is read on another connection now."""
        self.subscription.connection = connection

    async def adopt(self, discovery: Discovery, published: Mapping[str, str]) -> list[Record]:
        """Make the monitored items equal to what was found; the descriptions that differ from the published ones.

        Raises:
            ua.UaError: The server refused a whole service.
            ConnectionError: The connection was lost.
        """
        self.whole = False
        machines = [one for one in discovery.machines if wanted(self._config.machines, one)]
        wishes = ordered(wishes_of(self._config, machines))
        monitored = await self._values(machines, wishes)
        self.machines = {one.description.id: one for one in machines}
        self._problems = list(discovery.problems)
        descriptions = {name: self._described(plan, monitored) for name, plan in self.machines.items()}
        signals = (signal for one in descriptions.values() for signal in one.signals)
        self._quarantined = sum(signal.quarantined is not None for signal in signals)
        digests = {name: digest(description) for name, description in descriptions.items()}
        changed = [name for name, value in digests.items() if published.get(name) != value]
        if changed or set(published) - set(digests) or not self._events:
            await self._renew_events(discovery)
        self.digests = digests
        layout = self._layout(discovery, wishes)
        recorded = list(self._recorded_items().items())[:MOST_RECORDED]
        self._recorded = [item for _, item in recorded]
        names = [short_name(*key) for key, _ in recorded]
        self._writer = ProgressWriter(self.subscription.id, digests, self.server, layout, names)
        self._note_quarantine(changed)
        self.whole = True
        return [Description(name, descriptions[name]) for name in changed]

    def _layout(self, discovery: Discovery, wishes: Sequence[Wish]) -> Layout:
        items = self.dispatcher.items
        placed: list[tuple[int, int]] = []
        for wish in wishes:
            handle = self._handles.get(_key(wish), -1)
            item = items[handle] if handle >= 0 else None
            placed.append((handle, item.number) if item is not None else (-1, 0))
        events_ = list(self._events.values())
        reader = events_[0].reader if events_ else discovery.events
        reduced = bool(events_) and events_[0].reduced
        namespaces, config = discovery.namespaces, self._config.subscription
        runs = runs_of(placed)
        return Layout(
            "" if runs is None else mapping_digest(namespaces, config, wishes, reader, reduced=reduced),
            runs or [],
            [(one.handle, one.number, one.item.machine) for one in events_],
            reduced,
            self.subscription.interval,
            self.subscription.keep_alive,
        )

    async def _values(self, machines: Sequence[MachinePlan], wishes: Sequence[Wish]) -> set[tuple[str, str]]:
        """Add and remove monitored items; the signals that are wanted, by machine and path."""
        keys = {_key(one): one for one in wishes}
        gone = [key for key in self._handles if key not in keys]
        fresh = [wish for key, wish in keys.items() if key not in self._handles]
        for key in keys.keys() & self._handles.keys():
            self._refresh_item(self._handles[key], keys[key].plan)
        await self.subscription.remove([self._handles[key] for key in gone], self.dispatcher)
        for key in gone:
            del self._handles[key]
            self.subscription.refused.pop(key[:2], None)
        for offset, wish in enumerate(fresh):
            wish.handle = len(self.dispatcher.items) + offset
        await self.subscription.add(fresh, self.dispatcher)
        for wish in fresh:
            key = _key(wish)
            if key[:2] not in self.subscription.refused:
                self._handles[key] = wish.handle
        known = {one.description.id for one in machines}
        for machine in [name for name in self.dispatcher.buckets if name not in known]:
            del self.dispatcher.buckets[machine]
        for machine in known:
            self.dispatcher.bucket(machine)
        return {key[:2] for key in keys}

    def _refresh_item(self, handle: int, plan: SignalPlan) -> None:
        item = self.dispatcher.items[handle]
        if item is not None:
            item.plan, item.convert = plan, plan.convert

    def _described(self, plan: MachinePlan, monitored: set[tuple[str, str]]) -> MachineDescription:
        """The description without ignored signals, with the reason where one cannot be read."""
        machine = plan.description.id
        read = {one.ref.path for one in plan.signals}
        signals = []
        for signal in plan.description.signals:
            key = (machine, signal.path)
            if signal.path in read and key not in monitored:
                continue
            why = self.subscription.refused.get(key)
            signals.append(signal if why is None else signal.model_copy(update={"quarantined": why}))
        return plan.description.model_copy(update={"signals": signals})

    def _note_quarantine(self, changed: Sequence[str]) -> None:
        names = set(changed)
        fresh = [key for key in self.subscription.refused if key not in self._told and key[0] in names]
        self._told = set(self.subscription.refused)
        self._quarantined_anew = fresh

    def quarantine_gaps(self, now: int) -> list[Record]:
        """One gap per machine for the signals that could not be subscribed, told once."""
        gaps: list[Record] = []
        for machine in dict.fromkeys(key[0] for key in self._quarantined_anew):
            paths = [path for name, path in self._quarantined_anew if name == machine]
            reasons = sorted({self.subscription.refused[machine, path] for path in paths})
            detail = f"the server refused to monitor: {', '.join(reasons)}"
            gaps.append(Gap(machine, paths, now, now, "quarantined", detail))
        self._quarantined_anew = []
        return gaps

    async def _renew_events(self, discovery: Discovery) -> None:
        """New items first, then the old ones go: an event may come twice, with the same id, and none is missed."""
        old = list(self._events.values())
        if discovery.events is not None:
            accepted, self._refused_events = await self.subscription.add_events(discovery.events, self._next_event)
            self._next_event += len(discovery.events.items)
            self._events.update({one.handle: one for one in accepted})
            self._refresh = bool(old)
        await self.subscription.remove_events(old)
        for one in old:
            self._events.pop(one.handle, None)
        if old and self._events:
            await self.refresh()

    async def refresh(self) -> None:
        """Ask for the states of all conditions; a server without them says so."""
        self._refresh = False
        if self._events:
            refused = await events.refresh_conditions(self.subscription.connection.client, self.subscription.id)
            if refused is not None:
                self.subscription.notes.append(f"events: the server refused ConditionRefresh ({refused})")

    def _event(self, handle: int, fields: Sequence[ua.Variant], sent: int) -> Sequence[Record]:
        entry = self._events.get(handle)
        if entry is None:
            return ()
        reading = events.Reading()
        entry.reader.read(entry.item, fields, reading)
        self._rediscover |= reading.rediscover
        self._refresh |= reading.refresh
        self._problems = [*self._problems, *reading.problems][-100:]
        begin, detail = min(self.dispatcher.since, sent), "the server's queue of events was full"
        lost = [
            Gap(name, [], begin, sent, "queue-overflow", detail, events=True) for name in sorted(reading.overflowed)
        ]
        return [*lost, *reading.events]

    def take_rediscovery_wish(self) -> bool:
        """Whether an event said since the last call that the address space changed."""
        wish, self._rediscover = self._rediscover, False
        return wish

    def want_refresh(self) -> None:
        """The states of conditions are not known."""
        self._refresh = True

    def take_refresh_wish(self) -> bool:
        """Whether the server asked since the last call for a ConditionRefresh."""
        wish, self._refresh = self._refresh, False
        return wish

    @property
    def with_events(self) -> bool:
        """Events are read too."""
        return bool(self._events)

    def paths(self) -> list[tuple[str, str]]:
        """All signals that are read, by machine and path."""
        return [(machine, path) for machine, path, _ in self._handles]

    def _recorded_items(self) -> dict[tuple[str, str], Item]:
        items = self.dispatcher.items
        return {
            (machine, path): item
            for (machine, path, _), handle in self._handles.items()
            if (item := items[handle]) is not None and item.plan.historizing
        }

    def recorded(self) -> dict[tuple[str, str], SignalPlan]:
        """Signals that the server keeps history of, by machine and path."""
        return {key: item.plan for key, item in self._recorded_items().items()}

    def remember(self, times: Mapping[int, int]) -> None:
        """Source times of the last values that are stored, by short name; a later one is not overwritten."""
        items = self.dispatcher.items
        for (machine, path, _), handle in self._handles.items():
            item = items[handle]
            if item is not None and not item.time:
                item.time = times.get(short_name(machine, path), 0)

    def progress(self, sequence: int, complete: int, hole: Span | None, skew: Skew) -> bytes:
        """The progress to store with a batch."""
        return self._writer.encode(sequence, complete, hole, [item.time for item in self._recorded], skew)

    def trouble(self) -> str:
        """One sentence about what is not as it should be; empty if all is well."""
        parts = []
        if not self.machines:
            parts.append("no machine was found")
        if self.subscription.refused:
            (machine, path), why = next(iter(self.subscription.refused.items()))
            count = len(self.subscription.refused)
            parts.append(f"{count} signals cannot be read, the first is {path} of {machine} ({why})")
        if self._refused_events:
            machine, why = next(iter(self._refused_events.items()))
            parts.append(
                f"events of {len(self._refused_events)} notifiers cannot be read, the first is {machine} ({why})"
            )
        return "; ".join(parts)

    def details(self) -> dict[str, str | int | float]:
        """Facts for status pages."""
        found: dict[str, str | int | float] = {
            "machines": len(self.machines),
            "signals": len(self._handles),
            "event items": len(self._events),
            "quarantined": self._quarantined,
            "publishing interval": self.subscription.interval,
            "keep-alive": self.subscription.keep_alive,
            "short queues": len(self.subscription.short_queues),
        }
        notes = [*self.subscription.notes, *self._problems]
        found |= {f"note {number}": note for number, note in enumerate(notes[:20], 1)}
        return found
