from __future__ import annotations

import logging

import pytest

from adapters.mqtt.client import Granted
from adapters.mqtt.config import MqttConfig
from adapters.mqtt.opening import Opened
from adapters.mqtt.status import REFUSED_TOPICS, StatusBoard, gateway_status
from adapters.mqtt.wire import Wire
from gateway.errors import RefusedError, UnreachableError
from gateway.model.messages import GatewayStatus

CONFIG = MqttConfig.model_validate({"url": "mqtt://localhost", "waivers": ["plaintext"]})


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def opened(**facts: object) -> Opened:
    import socket

    with socket.socket() as sock:
        return Opened(Wire(sock), **facts)  # type: ignore[arg-type]


def test_a_first_failure_is_a_warning_and_its_repeats_are_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    clock = Clock()
    board = StatusBoard(CONFIG, clock)
    for _ in range(3):
        clock.now += 1
        board.connecting()
        board.failed(UnreachableError("no answer.", advice="Look."))
    board.failed(RefusedError("refused."))
    assert [record.levelname for record in caplog.records] == ["WARNING", "DEBUG", "DEBUG", "WARNING"]
    status = board.status(in_flight=0, announcing=0)
    assert (status.state, status.reason, status.advice, status.waivers) == ("refused", "refused.", "", ("plaintext",))


def test_the_reason_of_the_last_failure_stays_while_connecting_again() -> None:
    board = StatusBoard(CONFIG, Clock())
    board.failed(UnreachableError("no answer.", advice="Look."))
    board.connecting()
    status = board.status(in_flight=0, announcing=0)
    assert (status.state, status.reason) == ("connecting", "no answer.")
    board.online(opened(tls_version="TLSv1.3", cipher="C", broker_expiry=50.0, own_expiry=40.0), Granted(5), window=4)
    status = board.status(in_flight=3, announcing=1)
    assert (status.state, status.reason, status.certificate_expiry) == ("online", "", 40.0)
    assert status.details == {
        "protocol": "MQTT 5",
        "window": 4,
        "tls": "TLSv1.3",
        "cipher": "C",
        "receive_maximum": 5,
        "delivered": 0,
        "refused": 0,
        "in_flight": 3,
        "announcing": 1,
    }


def test_refused_topics_are_bounded_and_forgotten_when_accepted() -> None:
    board = StatusBoard(CONFIG, Clock())
    board.online(opened(), Granted(), window=1)
    for number in range(REFUSED_TOPICS + 50):
        board.refused(f"t{number}", "Not authorized")
    status = board.status(in_flight=0, announcing=0)
    assert status.state == "degraded"
    assert status.reason == f"The broker refuses t0 and {REFUSED_TOPICS - 1} more: Not authorized."
    for number in range(REFUSED_TOPICS):
        board.accepted(f"t{number}", message=True)
    assert board.status(in_flight=0, announcing=0).state == "online"
    board.silent(12)
    assert board.status(in_flight=0, announcing=0).state == "silent"


def test_the_gateways_status_is_a_message_of_the_model() -> None:
    payload = gateway_status(gateway="g", version="1", state="online", since=0.5, reason=None, waivers=["plaintext"])
    message = GatewayStatus.model_validate_json(payload)
    assert message.since == "1970-01-01T00:00:00.5000000Z"
    assert message.waivers == ["plaintext"]
    assert b"reason" not in payload
