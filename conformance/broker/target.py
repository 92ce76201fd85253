"""A broker as a target: connections in the roles that checks need, and nothing left behind."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import shutil
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from conformance.broker import wire
from conformance.broker.access import Access, AccessError, Identity, context_of
from conformance.broker.client import Client
from conformance.broker.forge import Forge
from conformance.broker.rules import RULES
from conformance.broker.wire import Answer, Kind, Prop, Properties, Will
from conformance.suite.check import TargetKind
from conformance.suite.claims import Claim
from conformance.suite.report import TreeNode
from conformance.suite.target import Rule, TargetError

Role = Literal["client", "reader", "other"]
_ANNOUNCED = {
    Prop.RECEIVE_MAXIMUM: "Receive Maximum",
    Prop.MAXIMUM_PACKET: "Maximum Packet Size",
    Prop.MAXIMUM_QOS: "Maximum QoS",
    Prop.TOPIC_ALIAS_MAXIMUM: "Topic Alias Maximum",
    Prop.RETAIN_AVAILABLE: "Retain Available",
    Prop.SHARED_AVAILABLE: "Shared Subscription Available",
    Prop.SUBSCRIPTION_ID_AVAILABLE: "Subscription Identifiers Available",
    Prop.SERVER_KEEP_ALIVE: "Server Keep Alive",
}


class BrokerTarget:
    """A broker under test.

    Attributes:
        access: What was given.
        version: Protocol level that it speaks: 5 where it can, else 4 (3.1.1).
        welcome: Its CONNACK to the first connection.
        certificate: Its own certificate, DER; empty without TLS.
    """

    kind = TargetKind.BROKER

    def __init__(self, access: Access, *, repeat: str = "") -> None:
        self.access = access
        self.name = f"mqtts://{access.host}:{access.port}"
        self.rules: Mapping[str, Rule] = RULES
        self.version: int = wire.V5
        self.welcome = Answer(0xFF, session_present=False, properties=())
        self.certificate = b""
        self._repeat = repeat or f"area4 conform broker {self.name}"
        self._tag = secrets.token_hex(4)
        self._count = 0
        self._folder: Path | None = None
        self._forge: Forge | None = None
        self._sessions: dict[str, Role] = {}
        self._retained: set[str] = set()
        self._cipher = ""

    @property
    def modern(self) -> bool:
        """It speaks MQTT 5."""
        return self.version >= wire.V5

    @property
    def forge(self) -> Forge:
        """Makes bad client certificates; there once the target is open."""
        assert self._forge is not None
        return self._forge

    async def open(self) -> None:
        """Find out which version it speaks, with the client's own certificate.

        Raises:
            TargetError: It cannot be reached, or refuses the client.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="area4-conform-"))
        try:
            self._forge = Forge.open(self._folder, self.access.client, self.access.ca, self.access.ca_key)
        except AccessError as error:
            raise TargetError(str(error)) from error
        refused = ""
        for version in (wire.V5, wire.V311):
            self.version = version
            async with await self.dial() as client:
                self._note(client)
                try:
                    answer = await client.connect(self.client_id())
                except TargetError as error:
                    refused = str(error)
                    continue
                if answer.reason == 0:
                    self.welcome = answer
                    await client.leave()
                    return
                refused = f"CONNACK 0x{answer.reason:02X}"
        raise TargetError(f"{self.name} refuses the client in MQTT 5 and 3.1.1: {refused}")

    async def close(self) -> None:
        """Remove retained messages, sessions and files."""
        with contextlib.suppress(TargetError):
            await self._tidy()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _tidy(self) -> None:
        for topic in sorted(self._retained):
            role: Role = "other" if self.access.other and not self._own(topic) else "client"
            async with await self.client(role) as client:
                await client.publish(topic, b"", retain=True)
                await client.leave()
        self._retained.clear()
        for client_id, role in sorted(self._sessions.items()):
            async with await self.client(role, client_id=client_id) as client:
                await client.leave()
        self._sessions.clear()

    def _own(self, topic: str) -> bool:
        begin, end = self.access.topic.split("{}")
        return topic.startswith(begin) and topic.endswith(end)

    async def claim(self) -> Claim:
        """A broker says nothing of itself: all is asked."""
        return Claim(product=self.name, target=self.kind, written=False)

    def fingerprint(self) -> dict[str, str]:
        """Certificate, TLS, protocol version, and what CONNACK announces."""
        found = {"MQTT": "5" if self.modern else "3.1.1", "TLS": self._cipher}
        if self.certificate:
            found["certificate SHA-256"] = hashlib.sha256(self.certificate).hexdigest()
        for key, title in _ANNOUNCED.items():
            value = wire.first(self.welcome.properties, key)
            if value is not None:
                found[title] = str(value)
        return found

    def options(self) -> dict[str, str]:
        """Topics, roles and times."""
        roles = {"reader": self.access.reader, "other": self.access.other, "revoked": self.access.revoked}
        return {
            "topic": self.access.topic,
            "foreign topic": self.access.foreign_topic,
            "identities": ", ".join(["client", *(name for name, one in roles.items() if one is not None)]),
            "issues certificates": "yes" if self.access.ca_key else "no",
            "restarts the broker": "yes" if self.access.restart else "no",
            "patience": f"{self.access.patience:g} s",
        }

    def tree(self) -> tuple[TreeNode, ...]:
        """A broker has no machines."""
        return ()

    def repeat(self, check_id: str) -> str:
        """The command line that does one check again."""
        return f"{self._repeat} --only {check_id}"

    def channel(self, template: str = "") -> str:
        """A topic that nobody has used before, of `topic` or of another template."""
        self._count += 1
        return (template or self.access.topic).format(f"{self._tag}-{self._count}")

    def client_id(self) -> str:
        """A client identifier that nobody has used before: letters and digits alone, 23 at most (3.1.1, 3.1.3.1)."""
        self._count += 1
        return f"area4{self._tag}{self._count}"

    def identity(self, role: Role) -> Identity | None:
        """Whose certificate a role shows; None where none was given."""
        given = {"client": self.access.client, "reader": self.access.reader, "other": self.access.other}[role]
        return self.access.client if given is None and role == "reader" else given

    async def dial(
        self,
        role: Role = "client",
        *,
        version: int = 0,
        small: bool = False,
        tls: ssl.TLSVersion | None = None,
        patience: float = 0.0,
    ) -> Client:
        """A connection in a role, before CONNECT.

        Raises:
            TargetError: None comes about.
        """
        identity = self.identity(role)
        client = await Client.dial(
            self.access.host, self.access.port, context_of(identity, tls), version=version or self.version,
            patience=patience or self.access.patience, small=small,
        )  # fmt: skip
        client.user = identity.user if identity is not None else None
        return client

    async def client(
        self,
        role: Role = "client",
        *,
        client_id: str = "",
        clean: bool = True,
        keep: int = 0,
        entries: Properties = (),
        will: Will | None = None,
        keep_alive: int = 60,
        small: bool = False,
        user: str | None = None,
    ) -> Client:
        """A connection in a role, accepted by the broker.

        Args:
            role: Whose certificate.
            client_id: A new one where it is empty.
            clean: Clean start; in 3.1.1 clean session.
            keep: Seconds that the session is to outlive the connection; in 3.1.1 it then is for ever.
            entries: More properties of CONNECT.
            will: Last will.
            keep_alive: Seconds.
            small: With small buffers.
            user: User name.

        Raises:
            TargetError: It was not accepted.
        """
        client_id = client_id or self.client_id()
        if keep:
            entries = ((Prop.SESSION_EXPIRY, keep), *entries)
            self._sessions[client_id] = role
            clean = clean and self.modern
        link = await self.dial(role, small=small)
        try:
            answer = await link.connect(
                client_id, clean=clean, entries=entries, will=will, keep_alive=keep_alive, user=user
            )
        except BaseException:
            await link.abort()
            raise
        if answer.reason:
            await link.abort()
            raise TargetError(f"the broker refused the {role}: {Kind.CONNACK.name} 0x{answer.reason:02X}")
        return link

    def remember_retained(self, topic: str) -> str:
        """A topic on which a retained message may stay: `close` removes it."""
        self._retained.add(topic)
        return topic

    def _note(self, client: Client) -> None:
        tls = client.transport.get_extra_info("ssl_object")
        self.certificate = tls.getpeercert(binary_form=True) or b""
        self._cipher = f"{tls.version()} {tls.cipher()[0]}"
