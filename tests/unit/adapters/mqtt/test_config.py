from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from adapters.mqtt.config import MqttConfig

SECURITY = {"certificate": "cert.pem", "key": "key.pem", "trust": "pki"}
BASE: dict[str, Any] = {"url": "mqtts://broker.example", "security": SECURITY}


def test_the_default_port_is_filled_in() -> None:
    config = MqttConfig.model_validate(BASE)
    assert (config.url, config.host, config.port, config.tls) == (
        *("mqtts://broker.example:8883", "broker.example"),
        *(8883, True),
    )
    plain = MqttConfig.model_validate({"url": "mqtt://[::1]", "waivers": ["plaintext"]})
    assert (plain.url, plain.host, plain.port, plain.tls) == ("mqtt://[::1]:1883", "::1", 1883, False)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": "broker:8883"}, "no URL of an MQTT broker; allowed: mqtts://HOST:PORT"),
        ({"url": "https://broker"}, "no URL of an MQTT broker"),
        ({"url": "mqtts://broker:port"}, "is no URL"),
        ({"url": "mqtts://broker:99999"}, "is no URL"),
        ({"url": "mqtts://"}, "no URL of an MQTT broker"),
        ({"url": "mqtts://broker/path"}, "no URL of an MQTT broker"),
        ({"url": "mqtts://me:secret@broker"}, "would end up in logs"),
        ({"url": "mqtt://broker"}, "no meaning with mqtt://"),
        ({"url": "mqtt://127.0.0.1", "security": None}, 'needs "plaintext" in `waivers`'),
        ({"security": None}, "`security` is missing"),
        ({"security": {"trust": "pki"}}, 'needs "no-client-certificate"'),
        ({"security": {"trust": "pki", "key": "k"}}, "belong together"),
        ({"security": {"trust": "pki", "key_password_file": "p"}}, "which is missing"),
        ({"waivers": ["plaintext"]}, "is not used"),
        ({"waivers": ["host-name", "host-name"]}, "named once"),
        ({"waivers": ["everything"]}, "'plaintext', 'no-client-certificate', 'host-name'"),
        ({"protocol": "3.1"}, "'5' or '3.1.1'"),
        ({"protocol": "3.1.1", "message_expiry": 5}, "MQTT 5 only"),
        ({"window": {"messages": 0}}, "greater than or equal to 1"),
        ({"windows": {}}, "Extra inputs"),
        ({"topics": {"machine": "a/{machine}"}}, r"lacks \{kind\}"),
        ({"topics": {"gateway_status": "a/b"}}, r"lacks \{gateway\}"),
        ({"keep_alive": 0}, "greater than or equal to 1"),
    ],
)
def test_what_is_wrong_is_told_with_what_is_allowed(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        MqttConfig.model_validate(BASE | changes)


def test_waivers_that_are_used_are_taken() -> None:
    config = MqttConfig.model_validate(
        BASE | {"security": {"trust": "pki"}, "waivers": ["no-client-certificate", "host-name", "missing-crl"]}
    )
    assert config.waivers == ("no-client-certificate", "host-name", "missing-crl")
