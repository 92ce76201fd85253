"""The connection test of `area4 check`: each step told, ended by the first that fails."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator

from adapters.mqtt.client import RECEIVE_MAXIMUM, Connection, ConnectOptions, Granted
from adapters.mqtt.config import MqttConfig
from adapters.mqtt.opening import Opened, open_wire
from adapters.mqtt.tls import context_of
from adapters.mqtt.wire import dial, resolve
from gateway.contracts import ProbeStep
from gateway.errors import Area4Error, RefusedError, UnreachableError


async def probe(config: MqttConfig, options: ConnectOptions, topic: str) -> AsyncIterator[ProbeStep]:
    """Files, resolve, TCP, TLS, CONNECT, and whether the gateway may publish, tried on its status topic `topic`.

    What is published there is empty and not retained: it says nothing, so the status of a gateway that runs beside
    stays as it is. `options` have a client id of their own and no last will for the same reason.
    """
    step = "files"
    try:
        context = context_of(config)
        if context is not None:
            yield ProbeStep("files", ok=True, found="certificate, key, authorities and revocation lists are usable")
        step = "resolve"
        addresses = await resolve(config.host, config.port, config.connect_timeout)
        found = ", ".join(dict.fromkeys(str(address[4][0]) for address in addresses))
        yield ProbeStep("resolve", ok=True, found=f"{config.host}: {found}")
        step = "tcp"
        sock = await dial(addresses, config.url, config.connect_timeout, silence=2 * config.keep_alive)
        yield ProbeStep("tcp", ok=True, found=f"connected to {sock.getpeername()[0]}, port {config.port}")
        step = "tls"
        opened = await open_wire(config, sock, context)
        yield _tls_step(config, opened)
    except Area4Error as error:
        yield ProbeStep.failed(step, error)
        return
    async for told in _mqtt_steps(config, options, opened, topic):
        yield told


def _tls_step(config: MqttConfig, opened: Opened) -> ProbeStep:
    if not opened.tls_version:
        return ProbeStep("tls", ok=True, found='no TLS (waiver "plaintext")', advice="Use mqtts:// outside of a lab.")
    expiry = "unknown end" if opened.broker_expiry is None else f"valid until {_day(opened.broker_expiry)}"
    own = "" if opened.own_expiry is None else f"; our certificate is valid until {_day(opened.own_expiry)}"
    waived = f"; waived: {', '.join(config.waivers)}" if config.waivers else ""
    return ProbeStep(
        "tls", ok=True, found=f"{opened.tls_version}, {opened.cipher}; broker {opened.broker}, {expiry}{own}{waived}"
    )


async def _mqtt_steps(
    config: MqttConfig, options: ConnectOptions, opened: Opened, topic: str
) -> AsyncIterator[ProbeStep]:
    answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    def acknowledged(_mid: int, reason: str | None) -> None:
        if not answer.done():
            answer.set_result(reason)

    def lost(error: Area4Error) -> None:
        if not answer.done():
            answer.set_exception(error)

    connection = Connection(opened.wire, options, acknowledged=acknowledged, lost=lost)
    step = "connect"
    try:
        granted = await connection.open(config.connect_timeout)
        yield ProbeStep("connect", ok=True, found=_grants(config, granted))
        step = "publish"
        connection.publish(topic, b"", retain=False)
        async with asyncio.timeout(config.connect_timeout):
            reason = await answer
    except Area4Error as error:
        yield ProbeStep.failed(step, error)
    except TimeoutError:
        silent = UnreachableError(f"{topic}: no acknowledgement", advice="Check the broker's load and log.")
        yield ProbeStep.failed(step, silent)
    else:
        yield _publish_step(config, topic, reason)
    finally:
        await connection.leave(1.0)


def _grants(config: MqttConfig, granted: Granted) -> str:
    parts = [f"MQTT {config.protocol} accepted"]
    if config.protocol == "5":
        named = "not limited" if granted.receive_maximum == RECEIVE_MAXIMUM else str(granted.receive_maximum)
        parts.append(f"Receive Maximum {named}")
        largest = granted.maximum_packet
        parts.append(f"Maximum Packet Size {'not limited' if largest is None else f'{largest} bytes'}")
        parts.append(f"retained messages {'kept' if granted.retain else 'not kept'}")
    return ", ".join(parts)


def _publish_step(config: MqttConfig, topic: str, reason: str | None) -> ProbeStep:
    if reason is not None:
        advice = "Let the broker's access list allow this gateway to publish there."
        return ProbeStep.failed("publish", RefusedError(f"{topic}: {reason}", advice=advice))
    if config.protocol == "5":
        return ProbeStep("publish", ok=True, found=f"{topic}: acknowledged")
    return ProbeStep(
        "publish",
        ok=True,
        found=f"{topic}: acknowledged; in MQTT 3.1.1 a broker acknowledges what it denies too",
        advice='Use protocol = "5" to see denials, or subscribe to the topic at the broker.',
    )


def _day(moment: float) -> str:
    return dt.datetime.fromtimestamp(moment, dt.UTC).strftime("%Y-%m-%d")
