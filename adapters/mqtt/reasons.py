"""What ended or refused a connection, as errors with a sentence and an advice."""

from __future__ import annotations

import ssl

from paho.mqtt.reasoncodes import ReasonCode

from adapters.mqtt.wire import LateRefusalError
from gateway.errors import Area4Error, ConfigurationError, RefusedError, UnreachableError
from security.tls import classify

# Reason codes of CONNACK and DISCONNECT (MQTT 5.0, 2.4); paho translates those of MQTT 3.1.1 into them.
_UNSUPPORTED_VERSION = 0x84
_BAD_CLIENT_ID = 0x85
_TRANSIENT = {
    0x88,  # Server unavailable
    0x89,  # Server busy
    0x8B,  # Server shutting down
    0x97,  # Quota exceeded
    0x9C,  # Use another server
    0x9D,  # Server moved
    0x9F,  # Connection rate exceeded
}
_TAKEN_OVER = 0x8E
_RETAIN_NOT_SUPPORTED = 0x9A
_QOS_NOT_SUPPORTED = 0x9B


def link_error(problem: OSError, peer: str) -> Area4Error:
    """What ended a connection attempt or a connection below MQTT.

    A connection that ends without a word stays `UnreachableError`: a broker that restarts does that too.
    """
    if isinstance(problem, LateRefusalError):
        return RefusedError(
            f"{peer} ended the connection right after the TLS handshake: so does a broker that refuses us.",
            advice="Check that the broker trusts our certificate's authority and that it is not revoked; read its log.",
        )
    failure = classify(problem)
    silent_end = isinstance(problem, ssl.SSLEOFError | ssl.SSLZeroReturnError) or not isinstance(problem, ssl.SSLError)
    kind = UnreachableError if silent_end or not failure.needs_person else RefusedError
    return kind(f"{peer} {failure.cause}.", advice=f"What to do: {failure.action}.")


def connack_error(reason: ReasonCode, peer: str, protocol: str) -> Area4Error:
    """Why the broker does not accept CONNECT."""
    said = f"{peer} refuses the connection: {reason.getName()}"
    code = int(reason.value)
    if code == _UNSUPPORTED_VERSION:
        other = "3.1.1" if protocol == "5" else "5"
        return ConfigurationError(
            f"{said} (MQTT {protocol}).",
            advice=f'Set protocol = "{other}", or use a broker that speaks MQTT {protocol}.',
        )
    if code == _BAD_CLIENT_ID:
        return ConfigurationError(f"{said}.", advice="Set a client_id that the broker allows.")
    if code in {_RETAIN_NOT_SUPPORTED, _QOS_NOT_SUPPORTED}:
        return ConfigurationError(
            f"{said}.", advice="Descriptions and states need retained messages and QoS 1: allow both at the broker."
        )
    if code in _TRANSIENT:
        return UnreachableError(f"{said}.", advice="The broker is busy or shutting down; the next attempt may succeed.")
    return RefusedError(
        f"{said}.", advice="Let the broker know this certificate's name, client id or user; its log says what it saw."
    )


def disconnect_error(reason: ReasonCode, text: str, peer: str) -> UnreachableError:
    """Why the broker sent DISCONNECT."""
    advice = ""
    if int(reason.value) == _TAKEN_OVER:
        advice = "Another client connected with the same client id: give each gateway its own client_id."
    return UnreachableError(f"{peer} ended the connection: {text or reason.getName()}.", advice=advice)


def closed_error(reason: ReasonCode, peer: str, *, answered: bool) -> UnreachableError:
    """The connection ended without a word of the broker; `reason` is what paho makes of it."""
    name = str(reason.getName())
    if "rotocol" in name:
        return UnreachableError(
            f"{peer} sent something that is no MQTT.", advice="Check that an MQTT broker listens at the port in url."
        )
    if not answered:
        return UnreachableError(
            f"{peer} closed the connection instead of answering CONNECT.",
            advice="Brokers do so when they refuse certificate, client id or protocol version; its log says why.",
        )
    if "eep alive" in name:
        return UnreachableError(
            f"{peer} does not answer any more (keep-alive).", advice="Check the network to the broker."
        )
    return UnreachableError(
        f"{peer} closed the connection.",
        advice="It may have been stopped, or another client has the same client_id; its log says which.",
    )
