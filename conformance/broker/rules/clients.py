"""Whom the broker lets in."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from cryptography import x509

from conformance.broker.access import Identity, context_of
from conformance.broker.client import Client
from conformance.broker.rules.common import came, pair
from conformance.suite.check import Check
from conformance.suite.outcome import Outcome, failed, passed, untried
from conformance.suite.target import TargetError

if TYPE_CHECKING:
    from conformance.broker.target import BrokerTarget

_VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


async def accepted(target: BrokerTarget, _: Check) -> Outcome:
    """Client and reader come in, and a message goes from one to the other."""
    async with pair(target) as (client, reader, topic):
        reason = await client.publish(topic, b"hello")
        if reason >= 0x80:
            return failed(f"the client may not publish on {topic}: 0x{reason:02X}")
        message = await reader.message()
    if (message.topic, message.payload) != (topic, b"hello"):
        return failed("another message came", came("message", message))
    return passed("a message went from the client to the reader")


async def refused(target: BrokerTarget, check: Check) -> Outcome:
    """A client with a certificate of this kind gets no CONNACK that says success, in either TLS version."""
    kind = str(check.parameters["certificate"])
    if kind == "revoked":
        identity = target.access.revoked
        if identity is None:
            return untried("no revoked certificate was given", "--revoked-certificate")
    else:
        identity = target.forge.make(kind)
        if identity is None and kind != "none":
            return untried("the suite cannot issue this certificate", "--ca-key")
    logins: list[list[str]] = check.parameters.get("logins", [[]])
    told: list[str] = []
    for version in _VERSIONS:
        for login in logins:
            come_in, words = await attempt(target, identity, version, login)
            if come_in:
                with_login = f" and user {login[0]!r}" if login else ""
                return failed(f"{version.name}: accepted with certificate {kind!r}{with_login}", came("packet", words))
            told.append(f"{version.name}: {words}")
    return passed("; ".join(dict.fromkeys(told)))


async def attempt(
    target: BrokerTarget, identity: Identity | None, version: ssl.TLSVersion, login: list[str]
) -> tuple[bool, str]:
    """Connect once: whether the broker accepted, and what it said.

    In TLS 1.3 the handshake is over for the client before the server has seen its certificate: only a CONNACK tells.
    """
    access = target.access
    user, password = (login[0], login[1].encode()) if login else (None, None)
    try:
        async with await Client.dial(
            access.host, access.port, context_of(identity, version), version=target.version, patience=access.patience
        ) as client:
            client.user = target.access.client.user
            answer = await client.connect(target.client_id(), user=user, password=password)
    except TargetError as error:
        return False, str(error)
    return answer.reason == 0, f"CONNACK 0x{answer.reason:02X}"


async def user_name(target: BrokerTarget, _: Check) -> Outcome:
    """A user name in CONNECT does not make another of who shows a certificate."""
    if target.access.other is None:
        return untried("no other identity was given", "--other-certificate")
    name = _common_name(target.access.other)
    topic = target.channel(target.access.foreign_topic)
    async with await target.client("reader") as watcher:
        await watcher.subscribe(topic)
        try:
            async with await target.client(user=name) as client:
                await client.publish(topic, b"as another")
        except TargetError as error:
            return passed(f"refused: {error}")
        async with await target.client("other") as other:
            await other.publish(topic, b"fence")
        before = await watcher.messages_until(b"fence")
    if before:
        return failed(f"with user name {name!r} the client published as that one", came("message", before[0]))
    return passed("the certificate decided, not the user name")


def _common_name(identity: Identity) -> str:
    certificate = x509.load_pem_x509_certificate(identity.certificate.read_bytes())
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


RULES = {"clients.accepted": accepted, "clients.refused": refused, "clients.user-name": user_name}
"""By name."""
