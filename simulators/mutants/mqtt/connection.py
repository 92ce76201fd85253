"""One connection of the small broker."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from cryptography import x509

from security.pki.keys import common_name
from simulators.mutants.mqtt import codec
from simulators.mutants.mqtt.codec import (
    V5,
    V311,
    Cursor,
    Property,
    ProtocolFaultError,
    Publication,
    Reason,
    Type,
    Will,
)
from simulators.mutants.mqtt.sessions import FOR_EVER, Session, Subscription, Waiting, matches, valid_filter

if TYPE_CHECKING:
    from simulators.mutants.mqtt.broker import MiniBroker

WINDOW = 100
ALIASES = 10
LARGEST = 1024 * 1024
LONGEST_KEEP_ALIVE = 300
_FIRST_PACKET = 30.0


class Connection:
    """Reads packets and answers them until one ends it.

    Attributes:
        identity: Common name of the client's certificate.
        task: That runs it.
    """

    def __init__(self, broker: MiniBroker, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.broker = broker
        self.identity = ""
        self.version = V5
        self.task: asyncio.Task[None] | None = None
        self._reader = reader
        self._writer = writer
        self._session: Session | None = None
        self._keep_alive = 0.0
        self._window = WINDOW
        self._largest = 0
        self._aliases: dict[int, str] = {}
        self._with_will = True
        self._deaf = False
        self._burst = 0

    async def run(self) -> None:
        """Until it ends; then the will, and the session's rest."""
        tls = self._writer.get_extra_info("ssl_object")
        self.identity = _common_name(tls) if tls is not None else "plain"
        try:
            if await self._welcome():
                await self._work()
        except ProtocolFaultError as fault:
            self._say_goodbye(fault.reason)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client is gone: the will below is the answer to that
        except TimeoutError:
            self._say_goodbye(Reason.KEEP_ALIVE)
        finally:
            self._end()

    def _end(self) -> None:
        session, self._session = self._session, None
        if session is not None and session.outlet is self:
            self.broker.leave_session(session, with_will=self._with_will)

    def replaced(self) -> None:
        """Another connection has taken the session."""
        session = self._session
        self._say_goodbye(Reason.TAKEN_OVER)
        if session is not None:
            self.broker.leave_session(session, with_will=False)
        self._session = None
        self._close()

    def cut(self) -> None:
        """End at once, without a will: what a kill does."""
        if self._session is not None:
            self._session.outlet = None
            self._session = None
        self._writer.transport.abort()

    def _close(self) -> None:
        self._writer.close()

    def _say_goodbye(self, reason: int) -> None:
        if self.version >= V5 and self._session is not None and not self.broker.has("no-reason"):
            self._send(codec.packet(Type.DISCONNECT, bytes([reason])))
        self._close()

    def _send(self, data: bytes) -> None:
        if not self._writer.transport.is_closing():
            self._writer.write(data)

    # -- packets in ----------------------------------------------------------------------------------------------

    async def _packet(self) -> tuple[int, int, bytes]:
        head = (await self._reader.readexactly(1))[0]
        length = 0
        for place in range(5):
            digit = (await self._reader.readexactly(1))[0]
            if place == 4:
                if not self.broker.has("remaining-length"):
                    raise ProtocolFaultError(Reason.MALFORMED, "remaining length of more than four bytes")
                return Type.PINGREQ, 0, b""
            length |= (digit & 0x7F) << (7 * place)
            if digit < 0x80:
                break
        if length > LARGEST and not self.broker.has("packet-limit-ignored"):
            raise ProtocolFaultError(Reason.TOO_LARGE, "packet too large")
        return head >> 4, head & 0x0F, await self._reader.readexactly(length)

    async def _welcome(self) -> bool:
        async with asyncio.timeout(_FIRST_PACKET):
            kind, flags, body = await self._packet()
        if kind != Type.CONNECT:
            if not self.broker.has("publish-first"):
                raise ProtocolFaultError(Reason.PROTOCOL_ERROR, "the first packet is no CONNECT")
            self._send(codec.packet(Type.CONNACK, b"\0\0\0"))
            return False
        return self._connect(flags, Cursor(body, self.broker.fault))

    def _connect(self, flags: int, cursor: Cursor) -> bool:
        has = self.broker.has
        protocol, version = cursor.text(), cursor.take(1)[0]
        if (protocol != "MQTT" and not has("protocol-name")) or version not in {V311, V5} or flags:
            self._send(codec.packet(Type.CONNACK, b"\0\x01"))
            raise ProtocolFaultError(Reason.VERSION, "protocol name or version")
        if (version == V5 and has("only-3.1.1")) or (version == V311 and has("only-5")):
            self._send(codec.packet(Type.CONNACK, b"\0\x01" if version == V311 else b"\0\x84\0"))
            raise ProtocolFaultError(Reason.VERSION, "version")
        self.version = version
        bits = cursor.take(1)[0]
        if bits & 1 and not has("reserved-flag"):
            raise ProtocolFaultError(Reason.MALFORMED, "reserved flag of CONNECT")
        keep_alive = cursor.integer("H")
        entries = cursor.properties(version)
        client_id = cursor.text()
        will = self._read_will(bits, cursor)
        user = cursor.text() if bits & 0x80 else ""
        password = cursor.binary() if bits & 0x40 else b""
        if not self._admitted(user, password):
            return self._refuse(Reason.NOT_AUTHORISED, 5)
        if keep_alive > LONGEST_KEEP_ALIVE and has("keep-alive-refused"):
            return self._refuse(Reason.KEEP_ALIVE, 3)
        return self._open(client_id, bool(bits & 2), keep_alive, entries, will)

    def _read_will(self, bits: int, cursor: Cursor) -> Will | None:
        if not bits & 0x04:
            return None
        qos = bits >> 3 & 3
        if qos == 3 and not self.broker.has("will-qos-3"):
            raise ProtocolFaultError(Reason.MALFORMED, "will with QoS 3")
        entries = cursor.properties(self.version)
        delay = codec.find(entries, Property.WILL_DELAY)
        entries = [entry for entry in entries if entry[0] != Property.WILL_DELAY]
        return Will(
            Publication(cursor.text(), cursor.binary(), min(qos, 1), bool(bits & 0x20), properties=entries), delay
        )

    def _admitted(self, user: str, password: bytes) -> bool:
        has = self.broker.has
        if not self.identity:
            if has("password-instead") and user:
                return bool(password)
            return has("certificate-optional")
        if user and has("user-name-counts"):
            self.identity = user
        return True

    def _refuse(self, reason: int, older: int) -> bool:
        self._send(codec.packet(Type.CONNACK, bytes([0, reason, 0]) if self.version >= V5 else bytes([0, older])))
        self._close()
        return False

    def _open(self, client_id: str, clean: bool, keep_alive: int, entries: codec.Properties, will: Will | None) -> bool:
        has = self.broker.has
        told: codec.Properties = []
        if not client_id:
            if has("nameless-refused") or (self.version < V5 and not clean and not has("nameless-kept")):
                return self._refuse(Reason.CLIENT_ID, 2)
            client_id = "assigned" if has("same-name-for-all") else f"auto-{secrets.token_hex(8)}"
            told.append((Property.CLIENT_ID, client_id))
        known = self.broker.sessions.get(client_id)
        if known is not None and not self.broker.has_identity_right(self.identity, known):
            return self._refuse(Reason.CLIENT_ID, 2)
        expiry = codec.find(entries, Property.SESSION_EXPIRY) if self.version >= V5 else 0 if clean else FOR_EVER
        session, present = self.broker.take_session(self, client_id, clean=clean, expiry=expiry)
        self._session, session.will = session, will
        if not has("receive-maximum-ignored"):
            self._window = min(WINDOW, codec.find(entries, Property.RECEIVE_MAXIMUM, WINDOW))
        self._largest = 0 if has("client-limit-ignored") else codec.find(entries, Property.MAXIMUM_PACKET)
        if keep_alive > LONGEST_KEEP_ALIVE:
            keep_alive = LONGEST_KEEP_ALIVE
            told.append((Property.KEEP_ALIVE, keep_alive))
        factor = 0.0 if has("keep-alive-ignored") else 0.5 if has("keep-alive-early") else 1.5
        self._keep_alive = factor * keep_alive
        told += [
            (Property.RECEIVE_MAXIMUM, WINDOW),
            (Property.ALIAS_MAXIMUM, ALIASES),
            (Property.MAXIMUM_PACKET, LARGEST),
        ]
        flag = present and not has("session-hidden")
        body = bytes([flag, 0]) + codec.property_list(told, self.version)
        self._send(codec.packet(Type.CONNACK, body))
        self._resume(session)
        return True

    def _resume(self, session: Session) -> None:
        has = self.broker.has
        if has("no-repeat"):
            session.in_flight.clear()
        waiting = list(session.in_flight.items())
        if has("repeat-renumbers"):
            session.in_flight = {number + 1000: one for number, one in waiting}
            waiting = list(session.in_flight.items())
        for number, one in waiting:
            message = dataclasses.replace(one.message, dup=not has("repeat-without-dup"), packet_id=number)
            self._send(codec.publish(message, self.version))
        self.pump()

    async def _work(self) -> None:
        handlers: dict[int, Callable[[int, bytes], None]] = {
            Type.PUBACK: self._on_puback,
            Type.PUBREL: self._on_pubrel,
            Type.SUBSCRIBE: self._on_subscribe,
            Type.UNSUBSCRIBE: self._on_unsubscribe,
        }
        while self._session is not None:
            async with asyncio.timeout(self._keep_alive or None):
                kind, flags, body = await self._packet()
            if kind == Type.PUBLISH:
                await self._on_publish(flags, body)
            elif kind == Type.PINGREQ:
                if not self.broker.has("no-pingresp"):
                    self._send(codec.packet(Type.PINGRESP, b""))
            elif kind == Type.DISCONNECT:
                self._on_disconnect(body)
                return
            elif kind in handlers:
                handlers[kind](flags, body)
            elif not (
                (kind == Type.CONNECT and self.broker.has("second-connect"))
                or (kind == 0 and self.broker.has("reserved-type"))
            ):
                raise ProtocolFaultError(Reason.PROTOCOL_ERROR, f"packet of type {kind}")

    async def _on_publish(self, flags: int, body: bytes) -> None:
        assert self._session is not None
        has = self.broker.has
        message = codec.read_publish(flags, body, self.version, self.broker.fault)
        self._resolve_alias(message)
        if has("truncates") and len(message.payload) > 65_536:
            message.payload = message.payload[:65_536]
        if has("topics-ascii") and not message.topic.isascii():
            message.topic = message.topic.encode("ascii", "replace").decode()
        self._strip(message)
        repeated = message.qos == 2 and message.packet_id in self._session.received and not has("qos2-twice")
        reason = (
            0 if repeated or self._deaf else self.broker.publish(self.identity, message, sender=self._session.client_id)
        )
        self._deaf = self._deaf or (has("denial-deafens") and reason >= 0x80)
        if has("slow-blocks"):
            await self._wait_for_all()
        self._burst = self._burst + 1 if self._reader._buffer else 0  # type: ignore[attr-defined]  # what has come at once
        if has("window-overstated") and self._burst > 50:
            return
        if message.qos == 1 and not has("no-puback"):
            number = message.packet_id & 0xFF if has("puback-byte") else message.packet_id
            self._send(codec.acknowledge(Type.PUBACK, number, self.version, reason))
        elif message.qos == 2:
            self._session.received.add(message.packet_id)
            self._send(codec.acknowledge(Type.PUBREC, message.packet_id, self.version))

    def _strip(self, message: Publication) -> None:
        has = self.broker.has
        dropped = {
            "drops-user-properties": {Property.USER},
            "drops-content-type": {Property.CONTENT_TYPE, Property.FORMAT},
            "drops-response-topic": {Property.RESPONSE_TOPIC, Property.CORRELATION},
        }.get(self.broker.fault, set())
        message.properties = [entry for entry in message.properties if entry[0] not in dropped]
        if has("sorts-user-properties"):
            message.properties.sort(key=lambda entry: str(entry[1]))

    async def _wait_for_all(self) -> None:
        for one in list(self.broker.connections):
            await one._writer.drain()

    def _resolve_alias(self, message: Publication) -> None:
        number = next((value for key, value in message.properties if key == Property.ALIAS), None)
        if number is None:
            if not message.topic:
                raise ProtocolFaultError(Reason.TOPIC_INVALID, "no topic name")
            return
        assert isinstance(number, int)
        if not 0 < number <= ALIASES and not self.broker.has("alias-unlimited"):
            raise ProtocolFaultError(Reason.ALIAS_INVALID, f"topic alias {number}")
        if message.topic:
            if number not in self._aliases or not self.broker.has("alias-once"):
                self._aliases[number] = message.topic
        else:
            message.topic = self._aliases.get(number, "")

    def _on_puback(self, _: int, body: bytes) -> None:
        assert self._session is not None
        if self._session.in_flight.pop(Cursor(body).integer("H"), None) is not None:
            self.broker.delivered(self._session)
        self.pump()

    def _on_pubrel(self, _: int, body: bytes) -> None:
        assert self._session is not None
        number = Cursor(body).integer("H")
        self._session.received.discard(number)
        self._send(codec.acknowledge(Type.PUBCOMP, number, self.version))

    def _on_subscribe(self, flags: int, body: bytes) -> None:
        assert self._session is not None
        has = self.broker.has
        if flags != 2 and not has("subscribe-flags"):
            raise ProtocolFaultError(Reason.MALFORMED, "flags of SUBSCRIBE")
        cursor = Cursor(body, self.broker.fault)
        number = cursor.integer("H")
        identifier = codec.find(cursor.properties(self.version), Property.SUBSCRIPTION_ID)
        if not cursor.left and not has("subscribe-empty"):
            raise ProtocolFaultError(Reason.PROTOCOL_ERROR, "SUBSCRIBE without a filter")
        asked: list[tuple[str, int]] = []
        while cursor.left:
            asked.append((cursor.text(), cursor.take(1)[0]))
        reasons: list[int] = []
        retained: list[tuple[Subscription, Publication]] = []
        for pattern, options in asked:
            reasons.append(self._subscribe(pattern, options, identifier, retained))
        self._send(codec.granted(Type.SUBACK, number, reasons, self.version))
        for subscription, message in retained:
            self.broker.deliver(self._session, subscription, message, retain=not has("retained-unmarked"))
        if has("sys-open") and any(pattern.startswith("$SYS/") for pattern, _ in asked):
            inside = Publication("$SYS/broker/version", b"area4 mutant", 0)
            self._send(codec.publish(inside, self.version))

    def _subscribe(
        self, pattern: str, options: int, identifier: int, retained: list[tuple[Subscription, Publication]]
    ) -> int:
        assert self._session is not None
        has = self.broker.has
        if options & 3 == 3 and not has("subscribe-qos-3"):
            raise ProtocolFaultError(Reason.PROTOCOL_ERROR, "QoS 3")
        group, inner = "", pattern
        if pattern.startswith("$share/") and self.version >= V5:
            _, group, inner = (*pattern.split("/", 2), "", "")[:3]
        if not valid_filter(inner) and not has("filter"):
            return Reason.FILTER_INVALID if self.version >= V5 else 0x80
        no_local, as_published = bool(options & 4), bool(options & 8) and not has("retain-flag-taken")
        subscription = Subscription(inner, group, min(options & 3, 1), no_local, as_published, identifier)
        new = self.broker.subscribe(self._session, pattern, subscription)
        handling = 0 if has("retain-handling-ignored") else options >> 4 & 3
        if not group and (handling == 0 or (handling == 1 and (new or has("retained-again")))):
            for topic, message in self.broker.retained.items():
                if matches(inner, topic) and self.broker.rights.may_read(self.identity, topic):
                    retained.append((subscription, message))
        return 0 if has("grants-qos-0") else subscription.qos

    def _on_unsubscribe(self, _: int, body: bytes) -> None:
        assert self._session is not None
        cursor = Cursor(body, self.broker.fault)
        number = cursor.integer("H")
        cursor.properties(self.version)
        if not cursor.left and not self.broker.has("unsubscribe-empty"):
            raise ProtocolFaultError(Reason.PROTOCOL_ERROR, "UNSUBSCRIBE without a filter")
        reasons: list[int] = []
        while cursor.left:
            there = self.broker.unsubscribe(self._session, cursor.text())
            reasons.append(0 if there or self.broker.has("unsuback-always-0") else Reason.NO_SUBSCRIPTION)
        self._send(codec.granted(Type.UNSUBACK, number, reasons, self.version))

    def _on_disconnect(self, body: bytes) -> None:
        assert self._session is not None
        has = self.broker.has
        cursor = Cursor(body)
        reason = cursor.integer("B") if cursor.left else 0
        entries = cursor.properties(self.version) if cursor.left else []
        if any(key == Property.SESSION_EXPIRY for key, _ in entries) and not has("disconnect-expiry-ignored"):
            self._session.expiry = codec.find(entries, Property.SESSION_EXPIRY)
        asked = reason == Reason.DISCONNECT_WITH_WILL and not has("will-request-ignored")
        self._with_will = asked or has("will-always")
        self._close()

    # -- messages out --------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Send what the window lets out."""
        session = self._session
        while session is not None and session.queue and len(session.in_flight) < self._window:
            waiting = session.queue.popleft()
            if waiting.until < time.monotonic() or not self._fits(waiting):
                self.broker.delivered(session)
                continue
            number = session.packet_id()
            session.in_flight[number] = waiting
            waiting.message.packet_id = number
            self.transmit(waiting)

    def transmit(self, waiting: Waiting) -> None:
        """Send one, with what is left of its expiry."""
        message = waiting.message
        entries = message.properties if self.version >= V5 else []
        if waiting.until != float("inf") and not self.broker.has("expiry-not-counted"):
            left = max(1, int(waiting.until - time.monotonic()))
            entries = [(key, left if key == Property.EXPIRY else value) for key, value in entries]
        self._send(codec.publish(dataclasses.replace(message, properties=entries), self.version))

    def _fits(self, waiting: Waiting) -> bool:
        return not self._largest or len(codec.publish(waiting.message, self.version)) <= self._largest


def _common_name(tls: ssl.SSLObject) -> str:
    der = tls.getpeercert(binary_form=True)
    return common_name(x509.load_der_x509_certificate(der)) if der else ""
