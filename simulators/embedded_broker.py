"""A lab broker for computers without mosquitto: amqtt with client certificates demanded and an access list.

What it cannot: MQTT 5, keeping anything over a restart, telling a publisher that it is denied (MQTT 3.1.1 has no word
for that: the message is acknowledged and dropped). It is for labs and tests; a plant uses a real broker.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from amqtt.broker import Broker
from amqtt.contexts import Action, BrokerConfig, ListenerConfig
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin

from security.tls import TlsFiles, server_context

READY = "embedded broker ready"
MODULE = "simulators.embedded_broker"
"""Where amqtt finds the plugins, also when this module runs as `__main__`."""


class Session(Protocol):
    """What is used of amqtt's session."""

    username: str | None
    ssl_object: ssl.SSLObject | None


class CertificateBroker(Broker):
    """An amqtt broker whose listener demands client certificates; amqtt's own accepts clients without one."""

    context: ssl.SSLContext
    """Set before `start`: amqtt makes the context in a static method."""

    @staticmethod
    def _create_ssl_context(listener: ListenerConfig) -> ssl.SSLContext:
        del listener
        return CertificateBroker.context


class CertificateIdentity(BaseAuthPlugin):
    """The user is the common name of the client's certificate, whatever CONNECT says."""

    async def authenticate(self, *, session: Session) -> bool:
        """Accept who has shown a certificate; TLS has verified it."""
        name = identity_of(session)
        session.username = name
        return name is not None

    @dataclass
    class Config:
        """Nothing to configure."""


class AccessList(BaseTopicPlugin):
    """Topics by certificate identity; what no line allows is denied."""

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: object = None
    ) -> bool:
        """Whether the client may do this with the topic."""
        name = identity_of(session)
        if name is None or topic is None:
            return False
        verbs = ("write", "readwrite") if action == Action.PUBLISH else ("read", "readwrite")
        rules: Mapping[str, Sequence[tuple[str, str]]] = self.config.rules
        return any(verb in verbs and covers(pattern, topic) for verb, pattern in rules.get(name, ()))

    @dataclass
    class Config:
        """The rules by identity."""

        rules: dict[str, list[tuple[str, str]]] = field(default_factory=dict)


def identity_of(session: Session | None) -> str | None:
    """Common name of the client's certificate."""
    tls = session.ssl_object if session is not None else None
    certificate = tls.getpeercert() if tls is not None else None
    if not certificate:
        return None
    subject = certificate.get("subject", ())
    assert isinstance(subject, tuple)
    names = [pair[1] for part in subject for pair in part if pair[0] == "commonName"]
    return str(names[0]) if len(names) == 1 else None


def read_access_list(text: str) -> dict[str, list[tuple[str, str]]]:
    """Verbs and topic filters by user, from a file as mosquitto reads it (`user` and `topic` lines).

    Raises:
        ValueError: A line of another kind: it must not be passed over.
    """
    rules: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        words = line.strip().split(" ", 2)
        if not words[0] or words[0].startswith("#"):
            continue
        if words[0] == "user" and len(words) > 1:
            current = rules.setdefault(line.strip()[5:], [])
        elif words[0] == "topic" and len(words) == 3 and words[1] in {"read", "write", "readwrite"}:
            if current is None:
                raise ValueError(f"line {number}: a topic before the first user")
            current.append((words[1], words[2]))
        else:
            raise ValueError(f"line {number}: {line!r}; allowed: user NAME, topic read|write|readwrite FILTER")
    return rules


def covers(pattern: str, topic: str) -> bool:
    """Whether the filter `pattern` covers `topic`, which may be a filter itself (MQTT 3.1.1, 4.7)."""
    allowed, asked = pattern.split("/"), topic.split("/")
    for index, level in enumerate(allowed):
        if level == "#":
            return not asked[0].startswith("$")
        if index >= len(asked) or asked[index] == "#":
            return False
        if level not in {"+", asked[index]}:
            return False
    return len(allowed) == len(asked)


async def serve(arguments: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT."""
    files = TlsFiles(
        certificate=arguments.certificate,
        key=arguments.key,
        authorities=(arguments.ca_file,),
        revocations=(arguments.crl_file,),
    )
    CertificateBroker.context = server_context(files)
    rules = read_access_list(arguments.access_list.read_text(encoding="utf-8"))
    broker = CertificateBroker(
        BrokerConfig(
            listeners={
                "default": ListenerConfig(
                    bind=f"{arguments.host}:{arguments.port}",
                    ssl=True,
                    certfile=arguments.certificate,
                    keyfile=arguments.key,
                )
            },
            plugins={
                f"{MODULE}.CertificateIdentity": {},
                f"{MODULE}.AccessList": {"rules": rules},
            },
        )
    )
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await broker.start()
    print(READY, flush=True)
    await ended.wait()
    await broker.shutdown()


def main() -> None:
    """Command line of the lab broker."""
    parser = argparse.ArgumentParser(prog="simulators.embedded_broker", description="MQTT lab broker, mutual TLS")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    for name in ("--certificate", "--key", "--ca-file", "--crl-file", "--access-list"):
        parser.add_argument(name, type=Path, required=True)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
