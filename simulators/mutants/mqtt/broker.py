"""The small broker: routes, keeps sessions and retained messages, and is wrong in the one way that it is told.

It is right without a fault: the conformance suite's broker checks all pass, so what a mutant fails is its fault alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from simulators.mutants.mqtt.codec import Property, Publication, Reason, Will, find
from simulators.mutants.mqtt.sessions import Journal, Session, Subscription, Waiting, matches, pack

if TYPE_CHECKING:
    from simulators.mutants.mqtt.connection import Connection

HOST = "127.0.0.1"
QUEUE = 100_000
"""Messages kept for each session at most."""


@dataclass(frozen=True, slots=True)
class Rights:
    """Topics by the common name of a certificate: where it may publish, and what it may read."""

    writers: Mapping[str, Sequence[str]]
    readers: Mapping[str, Sequence[str]]

    def may_write(self, identity: str, topic: str) -> bool:
        """Whether this identity may publish there."""
        return any(matches(one, topic) for one in self.writers.get(identity, ()))

    def may_read(self, identity: str, topic: str) -> bool:
        """Whether this identity may read it."""
        return any(matches(one, topic) for one in self.readers.get(identity, ()))


@dataclass(slots=True)
class MiniBroker:
    """A broker in this process.

    Attributes:
        rights: Who may do what.
        context: Of the TLS listener.
        fault: What it does wrong; empty: nothing.
        journal: File that survives a kill.
        plain: It also listens without TLS, on `plain_port`.
        port: On `HOST`; chosen at the first start.
    """

    rights: Rights
    context: ssl.SSLContext
    fault: str = ""
    journal: Path | None = None
    plain: bool = False
    port: int = 0
    plain_port: int = 0
    sessions: dict[str, Session] = field(default_factory=dict)
    retained: dict[str, Publication] = field(default_factory=dict)
    connections: set[Connection] = field(default_factory=set)
    _servers: list[asyncio.Server] = field(default_factory=list)
    _log: Journal = field(init=False)
    _timers: dict[str, asyncio.TimerHandle] = field(default_factory=dict)
    _turn: int = 0

    async def start(self) -> None:
        """Listen, with what the journal remembers."""
        forgets = {
            "restart-forgets-retained": {"retained"},
            "restart-forgets-sessions": {"session"},
            "restart-forgets-queues": {"queued"},
        }.get(self.fault, set())
        self._log = Journal(self.journal, forgets)
        self.sessions, self.retained = self._log.read()
        server = await asyncio.start_server(self._serve, HOST, self.port, ssl=self.context)
        self.port = server.sockets[0].getsockname()[1]
        self._servers = [server]
        if self.plain:
            server = await asyncio.start_server(self._serve, HOST, self.plain_port)
            self.plain_port = server.sockets[0].getsockname()[1]
            self._servers.append(server)

    async def stop(self) -> None:
        """End all connections without a word, forget what is not in the journal."""
        for server in self._servers:
            server.close()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        tasks = [one.task for one in self.connections if one.task is not None]
        for one in list(self.connections):
            one.cut()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server in self._servers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await server.wait_closed()
        self._servers = []
        self._log.close()

    async def restart(self) -> None:
        """What a kill and a start come to."""
        await self.stop()
        await self.start()

    def has(self, fault: str) -> bool:
        """It is to do this wrong."""
        return self.fault == fault

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from simulators.mutants.mqtt.connection import Connection  # noqa: PLC0415 - they know each other

        connection = Connection(self, reader, writer)
        self.connections.add(connection)
        connection.task = asyncio.current_task()
        try:
            await connection.run()
        finally:
            self.connections.discard(connection)
            writer.transport.abort()

    # -- sessions ------------------------------------------------------------------------------------------------

    def take_session(self, connection: Connection, client_id: str, *, clean: bool, expiry: int) -> tuple[Session, bool]:
        """The session of a client that connects, and whether it was there; an older connection is ended."""
        session = self.sessions.get(client_id)
        if session is not None and session.outlet is not None and not self.has("no-takeover"):
            session.outlet.replaced()  # type: ignore[attr-defined]  # of a connection
            session = self.sessions.get(client_id)
        self._withdraw_timer(client_id)
        if session is not None and session.gone() and not self.has("session-never-expires"):
            session = None
        if session is not None and clean and not self.has("clean-start-keeps"):
            session = None
        present = session is not None
        if session is None:
            self.drop_session(client_id)
            session = self.sessions[client_id] = Session(client_id)
        session.identity, session.expiry, session.outlet = connection.identity, expiry, connection
        session.will = None
        if expiry and not present and not (clean and self.has("restart-forgets-clean-starts")):
            self._log.write("session", client=client_id, identity=connection.identity, expiry=expiry)
        return session, present

    def drop_session(self, client_id: str) -> None:
        """Forget it."""
        if self.sessions.pop(client_id, None) is not None:
            self._log.write("ended", client=client_id)

    def leave_session(self, session: Session, *, with_will: bool) -> None:
        """Its connection has ended."""
        session.outlet, session.left = None, time.monotonic()
        will, session.will = session.will, None
        if with_will and will is not None and not self.has("no-will"):
            self._publish_will(session, will)
        if self.has("session-outlives"):
            session.expiry = max(session.expiry, 60)
        if not session.expiry:
            self.drop_session(session.client_id)

    def _publish_will(self, session: Session, will: Will) -> None:
        delay = min(will.delay, session.expiry)
        if not delay or self.has("will-without-delay"):
            self.publish(session.identity, will.message, will=True)
            return
        if self.has("delayed-will-lost"):
            return
        loop = asyncio.get_running_loop()
        self._timers[session.client_id] = loop.call_later(
            delay, self._late_will, session.client_id, session.identity, will.message
        )
        session.will = will

    def _late_will(self, client_id: str, identity: str, message: Publication) -> None:
        self._timers.pop(client_id, None)
        self.publish(identity, message, will=True)

    def _withdraw_timer(self, client_id: str) -> None:
        timer = self._timers.pop(client_id, None)
        if timer is not None:
            timer.cancel()

    def subscribe(self, session: Session, pattern: str, subscription: Subscription) -> bool:
        """Add or replace a subscription; whether it is new."""
        new = pattern not in session.subscriptions
        session.subscriptions[pattern] = subscription
        if session.expiry:
            self._log.write(
                "subscribed", client=session.client_id, filter=pattern, subscription=dataclasses.asdict(subscription)
            )
        return new

    def unsubscribe(self, session: Session, pattern: str) -> bool:
        """Remove a subscription; whether it was there."""
        if self.has("unsubscribe-ignored"):
            return pattern in session.subscriptions
        if session.expiry:
            self._log.write("unsubscribed", client=session.client_id, filter=pattern)
        return session.subscriptions.pop(pattern, None) is not None

    # -- messages ------------------------------------------------------------------------------------------------

    def publish(self, identity: str, message: Publication, *, sender: str = "", will: bool = False) -> int:
        """Route a message of a client identifier; the reason code for its publisher."""
        own = self._may_write(identity, message, will=will)
        if not own:
            return Reason.SUCCESS if self.has("denial-hidden") else Reason.NOT_AUTHORISED
        if (message.retain and not (will and self.has("will-not-retained"))) or self.has("retains-all"):
            self._retain(message)
        if not self.has("routes-nothing"):
            self._route(message, sender)
        return Reason.SUCCESS

    def _may_write(self, identity: str, message: Publication, *, will: bool) -> bool:
        if self.rights.may_write(identity, message.topic) or self.has("acl-write"):
            return True
        if message.retain and self.has("acl-retained"):
            self._retain(message)
        return will and self.has("acl-will")

    def _retain(self, message: Publication) -> None:
        if message.payload or self.has("retained-stays"):
            if message.topic in self.retained and self.has("retained-first"):
                return
            if not self.has("retains-nothing") and message.payload:
                self.retained[message.topic] = dataclasses.replace(message, dup=False, packet_id=0)
        else:
            self.retained.pop(message.topic, None)
        self._log.write("retained", message=pack(message))

    def _route(self, message: Publication, sender: str) -> None:
        groups: dict[tuple[str, str], list[tuple[Session, Subscription]]] = {}
        for session in list(self.sessions.values()):
            if session.gone() and not self.has("session-never-expires"):
                self.drop_session(session.client_id)
                continue
            for pattern, one in session.subscriptions.items():
                if one.no_local and session.client_id == sender and not self.has("no-local-ignored"):
                    continue
                if not self._matches(one.pattern, message.topic) or not self._may_read(session, pattern, message.topic):
                    continue
                if one.group and not self.has("shared-to-all"):
                    groups.setdefault((one.group, one.pattern), []).append((session, one))
                else:
                    self.deliver(session, one, message, retain=message.retain and one.as_published)
        for members in groups.values():
            self._turn += 1
            session, one = members[self._turn % len(members)]
            self.deliver(session, one, message, retain=message.retain and one.as_published)

    def _matches(self, pattern: str, topic: str) -> bool:
        if self.has("plus-deaf") and "+" in pattern:
            return False
        if self.has("caseless"):
            return matches(pattern.lower(), topic.lower())
        if self.has("plus-crosses-levels") and "+" in pattern:
            return matches(pattern.replace("+", "#"), topic)
        if self.has("hash-without-parent") and pattern == f"{topic}/#":
            return False
        return matches(pattern, topic)

    def _may_read(self, session: Session, pattern: str, topic: str) -> bool:
        if self.rights.may_read(session.identity, topic):
            return True
        shared, wild = pattern.startswith("$share/"), any(one in pattern for one in "+#")
        return (
            (self.has("acl-read") and not shared and not wild)
            or (self.has("acl-wildcard") and wild)
            or (self.has("acl-shared") and shared)
        )

    def deliver(self, session: Session, one: Subscription, message: Publication, *, retain: bool = False) -> None:
        """Queue a message for a session and send what its window lets out."""
        entries = list(message.properties)
        until = float("inf")
        seconds = find(entries, Property.EXPIRY)
        if seconds and not self.has("never-expires"):
            until = time.monotonic() + seconds
        entries = [entry for entry in entries if entry[0] != Property.ALIAS]
        if one.identifier and not self.has("no-subscription-id"):
            entries.append((Property.SUBSCRIPTION_ID, one.identifier))
        qos = 0 if self.has("serves-qos-0") else min(one.qos, message.qos, 1)
        copy = dataclasses.replace(
            message, qos=qos, retain=retain or (self.has("retain-flag-passed") and message.retain),
            dup=message.dup and self.has("dup-passed-on"), packet_id=0, properties=entries,
        )  # fmt: skip
        waiting = Waiting(copy, until)
        if not qos:
            if session.outlet is not None:
                session.outlet.transmit(waiting)
            return
        if len(session.queue) >= (1000 if self.has("queue-limit") else QUEUE):
            return
        if session.outlet is None and self.has("offline-lost"):
            return
        if session.expiry:
            self._log.write("queued", client=session.client_id, message=pack(copy))
        if self.has("reorders") and len(session.queue) % 7 == 3:
            session.queue.appendleft(waiting)
        else:
            session.queue.append(waiting)
        if session.outlet is not None:
            session.outlet.pump()

    def delivered(self, session: Session) -> None:
        """A message was acknowledged by its receiver."""
        if session.expiry:
            self._log.write("delivered", client=session.client_id)

    def has_identity_right(self, identity: str, session: Session) -> bool:
        """This identity may take that session: it is its own."""
        return not session.identity or session.identity == identity or self.has("session-theft")
