from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.mqtt.config import MqttConfig
from adapters.opcua.config import OpcUaConfig
from gateway.cli.loading import models
from gateway.cli.template import Answers, configuration
from gateway.config import parse_settings

ANSWERS = Answers(
    name="hall3",
    site='Werk "Süd"',
    servers={"mill": "opc.tcp://mill:4840", "lathe": "opc.tcp://[fd00::1]:4841/ua"},
    broker="mqtts://broker",
    user="certificate",
    password_file=Path("secrets/opcua-password"),
    application_uri="urn:area4:south:hall3",
    opcua=Path("pki/hall3/opcua"),
    mqtt=Path("pki/hall3/mqtt"),
    user_pki=Path("pki/hall3/user"),
)


@pytest.mark.parametrize(
    ("user", "waivers"), [("certificate", ()), ("anonymous", ("anonymous-user",)), ('op"e\\r', ())]
)
def test_the_written_configuration_is_accepted(tmp_path: Path, user: str, waivers: tuple[str, ...]) -> None:
    text = configuration(replace(ANSWERS, user=user))
    settings = parse_settings(tmp_path / "area4.toml", text, *models())
    assert settings.gateway.site == 'Werk "Süd"'
    assert [link.name for link in settings.sources] == ["mill", "lathe"]
    source, sink = settings.sources[1].config, settings.sinks[0].config
    assert isinstance(source, OpcUaConfig)
    assert isinstance(sink, MqttConfig)
    assert source.url == "opc.tcp://[fd00::1]:4841/ua"
    assert source.waivers == waivers
    assert source.security.trust == tmp_path / "pki/hall3/opcua"
    assert sink.url == "mqtts://broker:8883"
    assert sink.security is not None
    assert sink.security.key == tmp_path / "pki/hall3/mqtt/own/key.pem"
    if user not in {"certificate", "anonymous"}:
        assert source.user.name == user


def test_what_it_writes_out_are_the_defaults(tmp_path: Path) -> None:
    """So a reader sees what holds, and leaving a line out changes nothing."""
    text = configuration(ANSWERS)
    settings = parse_settings(tmp_path / "area4.toml", text, *models())
    source = settings.sources[0].config
    assert isinstance(source, OpcUaConfig)
    assert source.subscription == type(source.subscription)()
    assert settings.outbox == type(settings.outbox)()
    assert settings.http == type(settings.http)()
    tables = tomllib.loads(text)
    assert set(tables) == {"gateway", "outbox", "http", "source", "sink"}
