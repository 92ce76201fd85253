"""The sink of one MQTT broker: what the pipeline sees (gateway.contracts.Sink)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from secrets import token_hex

from adapters.mqtt.client import Connection, ConnectOptions, Granted
from adapters.mqtt.config import MqttConfig
from adapters.mqtt.opening import Opened, password_of, reach
from adapters.mqtt.packets import publish_properties, publish_size
from adapters.mqtt.probe import probe
from adapters.mqtt.status import StatusBoard, gateway_status
from adapters.mqtt.topics import Topics
from adapters.mqtt.window import Sent, Window
from gateway.contracts import DeliveryListener, LinkStatus, Outgoing, ProbeStep, Refusal
from gateway.errors import Area4Error, ConfigurationError, UnreachableError

log = logging.getLogger(__name__)

Encode = Callable[[str, bytes], bytes]
"""Kind and common JSON of a message to the payload that is published."""

RETAINED = "description"
"""The kind of message that a later subscriber must see too."""

LEAVE_TIMEOUT = 3.0
"""Seconds for the last words of a polite end."""

SENDS_AT_ONCE = 64
"""Messages before other tasks have their turn."""

WATCH = 1.0
"""Seconds between looks at the broker's progress."""


def common(_kind: str, payload: bytes) -> bytes:
    """The common encoding: the payload as it is."""
    return payload


@dataclass(slots=True)
class _Link:
    """What belongs to one connection and dies with it."""

    connection: Connection
    granted: Granted
    window: Window
    delivered: DeliveryListener
    lost: asyncio.Future[UnreachableError]
    progress: float
    announcing: set[str] = field(default_factory=set)
    waiters: set[asyncio.Future[None]] = field(default_factory=set)
    watch: asyncio.TimerHandle | None = None
    closing: bool = False

    def wake(self) -> None:
        """Let whoever waits for an acknowledgement look again."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)


class MqttSink:
    """Messages of the outbox and retained states to one broker."""

    def __init__(
        self,
        name: str,
        config: MqttConfig,
        *,
        site: str,
        gateway: str,
        version: str,
        encode: Encode = common,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._config = config
        self._gateway = gateway
        self._version = version
        self._encode = encode
        self._clock = clock
        self._client_id = config.client_id or f"area4-{gateway}"
        self._topics = Topics(config.topics.machine, config.topics.gateway_status, site=site, name=gateway)
        self._properties = publish_properties(config.message_expiry, version_5=config.protocol == "5")
        self._board = StatusBoard(config, clock)
        self._announced: dict[str, bytes] = {}
        self._pending: dict[str, None] = {}
        self._link: _Link | None = None

    @property
    def status(self) -> LinkStatus:
        """How the connection stands now."""
        link = self._link
        return self._board.status(in_flight=len(link.window) if link else 0, announcing=len(self._pending))

    async def connect(self, delivered: DeliveryListener) -> None:
        """One attempt: resolve, TCP, TLS, CONNECT; then what was announced is published.

        Raises:
            UnreachableError: Try again later.
            RefusedError: The broker's certificate, or ours, or the client was refused.
            ConfigurationError: A file or the broker does not fit the configuration.
        """
        await self.close()
        self._board.connecting()
        try:
            await self._connect(delivered)
        except Area4Error as error:
            self._board.failed(error)
            raise

    async def _connect(self, delivered: DeliveryListener) -> None:
        options = self._options()
        opened = await reach(self._config)
        loop = asyncio.get_running_loop()
        lost: asyncio.Future[UnreachableError] = loop.create_future()
        connection = Connection(
            opened.wire,
            options,
            acknowledged=self._on_acknowledged,
            lost=lambda error: self._on_lost(lost, error),
        )
        granted = await connection.open(self._config.connect_timeout)
        if granted.qos < 1:
            connection.abort()
            raise ConfigurationError(
                f"{self._config.url} takes messages only at QoS 0, where nothing is acknowledged.",
                advice="Let the broker allow QoS 1.",
            )
        limits = self._config.window
        window: Window = Window(limits.messages, limits.bytes, granted.receive_maximum)
        self._link = _Link(connection, granted, window, delivered, lost, loop.time())
        self._go_online(opened)

    def _go_online(self, opened: Opened) -> None:
        link = self._link
        assert link is not None
        self._board.online(opened, link.granted, window=link.window.limit)
        if self._topics.gateway_status not in self._announced:
            self._announced[self._topics.gateway_status] = self._gateway_payload("online")
        self._pending = dict.fromkeys((self._topics.gateway_status, *self._announced))
        self._announce_pending()
        self._watch()

    def _options(self) -> ConnectOptions:
        config = self._config
        return ConnectOptions(
            peer=config.url,
            client_id=self._client_id,
            protocol=config.protocol,
            keep_alive=config.keep_alive,
            username=config.user.name if config.user else None,
            password=password_of(config.user.password_file) if config.user and config.user.password_file else None,
            will_topic=self._topics.gateway_status,
            will_payload=self._gateway_payload("offline", since=False, reason="connection lost"),
        )

    def _gateway_payload(self, state: str, *, since: bool = True, reason: str | None = None) -> bytes:
        return gateway_status(
            gateway=self._gateway,
            version=self._version,
            state=state,
            since=self._clock() if since else None,
            reason=reason,
            waivers=self._config.waivers,
        )

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Take the messages in order; returns when all of them are in the send window, waiting while it is full.

        Raises:
            UnreachableError: The connection is lost; what was not told is not delivered.
        """
        link = self._link
        if link is None:
            raise self._not_connected()
        for count, message in enumerate(messages, 1):
            topic = self._topics.of_machine(message.machine, message.kind)
            payload = self._encode(message.kind, message.payload)
            size = self._size(topic, payload)
            limit = link.granted.maximum_packet
            if limit is not None and size > limit:
                self._refuse(link, message.id, topic, f"{size} bytes; the broker takes {limit} (Maximum Packet Size)")
                continue
            while not link.window.room(size):
                await self._acknowledgement(link)
            if link.lost.done() or link.closing:
                raise self._not_connected(link)
            self._publish(link, topic, payload, Sent(topic, size, message.id), retain=message.kind == RETAINED)
            if count % SENDS_AT_ONCE == 0:
                await asyncio.sleep(0)

    def announce(self, kind: str, name: str, payload: bytes) -> None:
        """Keep `payload` as the retained status of `name`; published now if connected, and after every connect."""
        topic = self._topics.gateway_status if kind == "gateway-status" else self._topics.of_machine(name, kind)
        self._announced[topic] = payload
        if self._link is not None and not self._link.closing:
            self._pending[topic] = None
            self._announce_pending()

    async def wait_lost(self) -> UnreachableError:
        """Returns when the connection is lost, with the reason."""
        link = self._link
        if link is None:
            return self._not_connected()
        return await asyncio.shield(link.lost)

    async def close(self) -> None:
        """Publish what is announced and that the gateway is offline, then DISCONNECT; within seconds."""
        link = self._link
        if link is None:
            return
        if not link.lost.done() and not link.closing:
            await self._last_words(link)
            await link.connection.leave(LEAVE_TIMEOUT)
            self._board.stopped()
        else:
            link.connection.abort()
        if not link.lost.done():
            link.lost.set_result(UnreachableError(f"The connection to {self._config.url} was closed."))
        self._drop(link)

    async def _last_words(self, link: _Link) -> None:
        """Everything announced, then the gateway's status offline, each acknowledged."""
        topic = self._topics.gateway_status
        link.closing = True
        self._pending.pop(topic, None)
        kept = self._announced.get(topic)
        try:
            async with asyncio.timeout(LEAVE_TIMEOUT):
                while (self._pending or link.announcing) and not link.lost.done():
                    await self._acknowledgement(link)
                self._announced[topic] = self._gateway_payload("offline", reason="stopped")
                self._pending[topic] = None
                self._announce_pending()
                while (self._pending or link.announcing) and not link.lost.done():
                    await self._acknowledgement(link)
        except (TimeoutError, UnreachableError) as problem:
            log.debug("%s: the last words were not acknowledged: %s", self.name, problem or "no answer in time")
        finally:
            if kept is not None:
                self._announced[topic] = kept

    def probe(self) -> AsyncIterator[ProbeStep]:
        """Try the connection step by step; publishes one empty message that is not retained (adapters.mqtt.probe)."""
        options = replace(self._options(), will_topic=None, client_id=f"{self._client_id}-check-{token_hex(3)}")
        return probe(self._config, options, self._topics.gateway_status)

    # One publication.

    def _size(self, topic: str, payload: bytes) -> int:
        return publish_size(topic.encode(), payload, self._properties)

    def _publish(self, link: _Link, topic: str, payload: bytes, sent: Sent, *, retain: bool) -> None:
        if not len(link.window):
            link.progress = asyncio.get_running_loop().time()
        expiry = None if retain else self._config.message_expiry
        mid = link.connection.publish(topic, payload, retain=retain and link.granted.retain, expiry=expiry)
        link.window.take(mid, sent)

    def _announce_pending(self) -> None:
        """Publish what is pending as far as the window allows; a topic that is in flight waits for its answer."""
        link = self._link
        if link is None or link.lost.done():
            return
        for topic in list(self._pending):
            if not link.window.room_for_announcement():
                return
            if topic in link.announcing:
                continue
            payload = self._announced[topic]
            size = self._size(topic, payload)
            del self._pending[topic]
            if link.granted.maximum_packet is not None and size > link.granted.maximum_packet:
                self._board.refused(topic, f"{size} bytes; the broker takes {link.granted.maximum_packet}")
                continue
            try:
                self._publish(link, topic, payload, Sent(topic, size, None), retain=True)
            except UnreachableError:
                return  # noticed by wait_lost; everything announced is published after the next connect
            link.announcing.add(topic)

    def _refuse(self, link: _Link, ticket: int, topic: str, reason: str) -> None:
        self._board.refused(topic, reason)
        link.delivered(ticket, Refusal(topic, reason))

    async def _acknowledgement(self, link: _Link) -> None:
        """Until the next acknowledgement or the end of the connection.

        Raises:
            UnreachableError: The connection is lost.
        """
        if not link.lost.done():
            waiter = asyncio.get_running_loop().create_future()
            link.waiters.add(waiter)
            try:
                await waiter
            finally:
                link.waiters.discard(waiter)
        if link.lost.done():
            raise self._not_connected(link)

    # Told by the connection.

    def _on_acknowledged(self, mid: int, reason: str | None) -> None:
        link = self._link
        if link is None:
            return
        sent = link.window.settle(mid)
        if sent is None:
            return
        link.progress = asyncio.get_running_loop().time()
        if reason is None:
            self._board.accepted(sent.topic, message=sent.ticket is not None)
        else:
            self._board.refused(sent.topic, reason)
        if sent.ticket is None:
            link.announcing.discard(sent.topic)
        else:
            link.delivered(sent.ticket, None if reason is None else Refusal(sent.topic, reason))
        if self._pending:
            self._announce_pending()
        link.wake()

    def _on_lost(self, lost: asyncio.Future[UnreachableError], error: Area4Error) -> None:
        if lost.done():
            return
        told = error if isinstance(error, UnreachableError) else UnreachableError(str(error), advice=error.advice)
        lost.set_result(told)
        self._board.failed(error)
        if self._link is not None and self._link.lost is lost:
            self._link.wake()

    def _watch(self) -> None:
        """Give the connection up when the broker acknowledges nothing any more although something waits."""
        link = self._link
        if link is None or link.lost.done():
            return
        loop = asyncio.get_running_loop()
        waited = loop.time() - link.progress
        limit = self._config.window.timeout
        if len(link.window) and waited > limit:
            link.connection.abort()
            self._on_lost(
                link.lost,
                UnreachableError(
                    f"{self._config.url} has acknowledged nothing for {limit:g} s.",
                    advice="Check the broker's load and its disk.",
                ),
            )
            return
        self._board.silent(waited if len(link.window) and waited > limit / 4 else 0)
        link.watch = loop.call_later(WATCH, self._watch)

    def _not_connected(self, link: _Link | None = None) -> UnreachableError:
        if link is not None and link.lost.done():
            return link.lost.result()
        return UnreachableError(f"There is no connection to {self._config.url}.")

    def _drop(self, link: _Link) -> None:
        if link.watch is not None:
            link.watch.cancel()
        link.wake()
        if self._link is link:
            self._link = None
        self._pending.clear()
