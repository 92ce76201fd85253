"""A plain MQTT consumer with mutual TLS: it subscribes with QoS 1 and hands over what comes, in order.

It stands for anybody's consumer, so it uses paho as its documents say and nothing of the gateway. paho's own thread
receives; the caller drains whenever it likes.
"""

from __future__ import annotations

import queue
import ssl
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode


class Received(NamedTuple):
    """One PUBLISH as it came; `at` is the consumer's Unix time in seconds, `qos` at most that of the subscription."""

    topic: str
    payload: bytes
    retained: bool
    at: float
    qos: int = 1


class ConsumerError(Exception):
    """The consumer could not connect or subscribe; the text says why."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a broker: URL (`mqtts://host:port`), the certificates of a consumer as PEM files, the MQTT version.

    With a client id of its own the consumer's session outlives a lost connection.
    """

    url: str
    ca: Path
    certificate: Path
    key: Path
    client_id: str = ""
    protocol: str = "5"
    topics: tuple[str, ...] = ("area4/v1/#",)

    def context(self) -> ssl.SSLContext:
        """TLS 1.2 or newer, the broker's certificate and name checked, the consumer's certificate shown.

        Raises:
            ConsumerError: A file cannot be used.
        """
        try:
            context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(self.ca))
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.load_cert_chain(self.certificate, self.key)
        except OSError as error:
            files = f"{self.ca}, {self.certificate}, {self.key}"
            raise ConsumerError(f"cannot use the certificates {files}: {error.strerror or error}") from error
        return context


@dataclass
class Consumer:
    """Subscribes on entering its context and leaves on exit; survives a broker's restart without losing its session."""

    access: Access
    timeout: float = 15.0
    _received: queue.SimpleQueue[Received] = field(default_factory=queue.SimpleQueue, init=False)
    _subscribed: threading.Event = field(default_factory=threading.Event, init=False)
    _failure: str = field(default="", init=False)
    _client: Client = field(init=False)

    def __enter__(self) -> Self:
        where = urlsplit(self.access.url)
        if where.scheme != "mqtts" or not where.hostname:
            raise ConsumerError(f"{self.access.url!r} is no URL of a broker: allowed is mqtts://host:port")
        self._client = self._prepared()
        try:
            self._dial(where.hostname, where.port or 8883)
        except OSError as error:
            raise ConsumerError(f"cannot connect to {self.access.url}: {error}") from error
        self._client.loop_start()
        if not self._subscribed.wait(self.timeout):
            self.__exit__(None, None, None)
            raise ConsumerError(f"cannot subscribe at {self.access.url}: {self._failure or 'no answer in time'}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def drain(self, wait: float = 0.0) -> list[Received]:
        """What has come since the last call; waits up to `wait` seconds for the first message."""
        drained: list[Received] = []
        try:
            if wait:
                drained.append(self._received.get(timeout=wait))
            while True:
                drained.append(self._received.get_nowait())
        except queue.Empty:
            return drained

    def _prepared(self) -> Client:
        if self._modern:
            client = Client(
                CallbackAPIVersion.VERSION2, client_id=self.access.client_id, protocol=MQTTProtocolVersion.MQTTv5
            )
        else:
            client = Client(
                CallbackAPIVersion.VERSION2,
                client_id=self.access.client_id,
                clean_session=not self.access.client_id,
                protocol=MQTTProtocolVersion.MQTTv311,
            )
        client.tls_set_context(self.access.context())
        client.reconnect_delay_set(1, 2)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        return client

    @property
    def _modern(self) -> bool:
        return self.access.protocol == "5"

    def _dial(self, host: str, port: int) -> None:
        if not self._modern:
            self._client.connect(host, port, keepalive=20)
            return
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it untyped
        properties.SessionExpiryInterval = 300 if self.access.client_id else 0
        self._client.connect(host, port, keepalive=20, clean_start=not self.access.client_id, properties=properties)

    def _on_connect(self, client: Client, _: object, flags: ConnectFlags, reason: ReasonCode, __: object) -> None:
        if reason.is_failure:
            self._failure = str(reason)
        elif not flags.session_present or not self._subscribed.is_set():
            client.subscribe([(topic, 1) for topic in self.access.topics])

    def _on_subscribe(self, _: Client, __: object, ___: int, reasons: list[ReasonCode], ____: object) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self._failure = f"subscription refused: {', '.join(refused)}"
        else:
            self._subscribed.set()

    def _on_message(self, _: Client, __: object, message: MQTTMessage) -> None:
        self._received.put(Received(message.topic, bytes(message.payload), message.retain, time.time(), message.qos))

    def _on_disconnect(self, _: Client, __: object, ___: object, reason: ReasonCode, ____: object) -> None:
        self._failure = f"disconnected: {reason}"
