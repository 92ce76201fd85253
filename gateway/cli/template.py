"""The configuration that `area4 init` writes: every choice with its reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Answers:
    """What `area4 init` was told.

    Attributes:
        servers: URLs of OPC UA servers by the name of their source.
        user: `certificate`, `anonymous`, or the name of a user with a password.
        password_file: Of that user, relative to the configuration.
        application_uri: Of the gateway, as in its certificate.
        opcua: PKI folder of the gateway as OPC UA application, relative to the configuration.
        mqtt: PKI folder of the gateway as MQTT client, likewise.
        user_pki: PKI folder of the gateway's OPC UA user, likewise.
        listen: Address of status page and metrics.
        protocol: MQTT version of the broker.
    """

    name: str
    site: str
    servers: Mapping[str, str]
    broker: str
    user: str
    password_file: Path
    application_uri: str
    opcua: Path
    mqtt: Path
    user_pki: Path
    listen: str = "127.0.0.1:9464"
    protocol: str = "5"


def configuration(answers: Answers) -> str:
    """The configuration's text."""
    return "\n".join(
        [
            _GATEWAY.format(name=_text(answers.name), site=_text(answers.site), listen=_text(answers.listen)),
            *(_source(name, url, answers) for name, url in answers.servers.items()),
            _SINK.format(
                url=_text(answers.broker),
                protocol=_text(answers.protocol),
                certificate=_text(answers.mqtt / "own" / "cert.pem"),
                key=_text(answers.mqtt / "own" / "key.pem"),
                trust=_text(answers.mqtt),
            ),
        ]
    )


def _source(name: str, url: str, answers: Answers) -> str:
    user, waivers = _user(answers)
    return _SOURCE.format(
        name=name,
        url=_text(url),
        application_uri=_text(answers.application_uri),
        certificate=_text(answers.opcua / "own" / "cert.pem"),
        key=_text(answers.opcua / "own" / "key.pem"),
        trust=_text(answers.opcua),
        user=user,
        waivers=waivers,
    )


def _user(answers: Answers) -> tuple[str, str]:
    """Lines of the table of the user, and the line of waivers that it needs."""
    if answers.user == "anonymous":
        return (
            "anonymous = true",
            '\nwaivers = ["anonymous-user"]  # weaker than the default: status, log and metrics show it',
        )
    if answers.user == "certificate":
        own = answers.user_pki / "own"
        return f"certificate = {_text(own / 'cert.pem')}\nkey = {_text(own / 'key.pem')}", ""
    comment = "readable for the gateway's user only; or credential:NAME under systemd"
    return f"name = {_text(answers.user)}\npassword_file = {_text(answers.password_file)}  # {comment}", ""


def _text(value: object) -> str:
    """A TOML string: JSON's escapes are TOML's."""
    return json.dumps(str(value), ensure_ascii=False)


_GATEWAY = """\
# Configuration of an area4 gateway. Relative paths are relative to this file. Secrets never stand in here.
# Try it with `area4 check --config FILE`; run it with `area4 run --config FILE`.

[gateway]
name = {name}  # stands in the topic of the gateway's status
site = {site}  # stands in every topic: area4/v1/SITE/MACHINE/data ...
data_dir = "data"  # what must not be lost; on a disk, not in memory
log_level = "info"  # debug, info, warning, error
log_format = "auto"  # text, json; auto: text

[outbox]  # the durable store between the machines and the broker
max_bytes = "2GB"  # full: the oldest messages leave first, and the loss is announced
max_age = "7d"
linger = "50ms"  # least time between two messages of a machine: its samples gather meanwhile
max_message_samples = 500

[http]  # /metrics, /healthz, /readyz and a status page
listen = {listen}  # another address than loopback needs waivers = ["http-exposed"]
"""

_SOURCE = """\
[source.{name}]
type = "opcua"
url = {url}{waivers}

[source.{name}.security]  # who we are for the server, and whom we trust
application_uri = {application_uri}  # must be the one in the certificate
certificate = {certificate}
key = {key}
trust = {trust}  # trusted/, issuers/, rejected/: unknown servers wait in rejected/ for `area4 pki approve`
policies = ["Aes256_Sha256_RsaPss", "Aes128_Sha256_RsaOaep", "Basic256Sha256"]
modes = ["sign-and-encrypt"]  # others need a waiver

[source.{name}.user]  # certificate with key, or name with password_file, or anonymous with a waiver
{user}

[source.{name}.subscription]
publishing_interval = 0.1  # seconds
sampling_interval = 0  # seconds; 0: every change, or as fast as the server can
queue_size = 100  # values of one signal that the server keeps through a stall

# Other settings for some signals; the first that fits decides. Patterns know * and ?.
# [[source.{name}.overrides]]
# path = "Monitoring/Spindle*/Override"
# sampling_interval = 1.0
"""

_SINK = """\
[sink.broker]
type = "mqtt"
url = {url}
protocol = {protocol}  # MQTT version: 5, or 3.1.1 for older brokers

[sink.broker.security]  # mutual TLS
certificate = {certificate}  # its common name is our identity in the broker's access list
key = {key}
trust = {trust}  # the broker's authority and its revocation list
"""
