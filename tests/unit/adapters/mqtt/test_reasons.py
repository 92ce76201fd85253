from __future__ import annotations

import ssl

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from adapters.mqtt.reasons import closed_error, connack_error, disconnect_error, link_error
from gateway.errors import RefusedError, UnreachableError

PEER = "mqtts://broker:8883"


def alert(reason: str) -> ssl.SSLError:
    """As OpenSSL raises it when the peer sent an alert."""
    error = ssl.SSLError(1, f"[SSL: {reason}] {reason.lower().replace('_', ' ')}")
    error.reason = reason
    return error


def test_every_reason_of_connack_becomes_an_error_with_an_advice() -> None:
    codes = ReasonCode(PacketTypes.CONNACK).names
    failures = [code for code, names in codes.items() if code >= 0x80 and any(2 in kinds for kinds in names.values())]
    assert len(failures) > 15
    for code in failures:
        error = connack_error(ReasonCode(PacketTypes.CONNACK, identifier=code), PEER, "5")
        assert PEER in str(error)
        assert error.advice


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        (ConnectionResetError(104, "reset"), UnreachableError),
        (TimeoutError(), UnreachableError),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), UnreachableError),
        (alert("TLSV13_ALERT_CERTIFICATE_REQUIRED"), RefusedError),
        (alert("TLSV1_ALERT_UNKNOWN_CA"), RefusedError),
    ],
)
def test_only_a_word_of_refusal_is_a_refusal(problem: OSError, kind: type[Exception]) -> None:
    error = link_error(problem, PEER)
    assert type(error) is kind
    assert str(error).startswith(PEER)
    assert error.advice


def test_the_brokers_own_words_are_preferred() -> None:
    reason = ReasonCode(PacketTypes.DISCONNECT, identifier=0x8B)
    assert "maintenance until noon" in str(disconnect_error(reason, "maintenance until noon", PEER))
    assert "Server shutting down" in str(disconnect_error(reason, "", PEER))


def test_an_end_without_words() -> None:
    lost = ReasonCode(PacketTypes.DISCONNECT, "Unspecified error")
    assert "instead of answering CONNECT" in str(closed_error(lost, PEER, answered=False))
    assert "closed the connection" in str(closed_error(lost, PEER, answered=True))
    quiet = ReasonCode(PacketTypes.DISCONNECT, "Keep alive timeout")
    assert "keep-alive" in str(closed_error(quiet, PEER, answered=True))
