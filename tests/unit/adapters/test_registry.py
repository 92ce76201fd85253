from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from adapters.mqtt.config import MqttConfig
from adapters.mqtt.sink import MqttSink
from adapters.registry import ENCODINGS, SINKS, SOURCES, Adapter, Registry, models
from gateway.config.load import parse_settings
from gateway.errors import ConfigurationError

SAMPLE = Path(__file__).parents[3] / "adapters" / "mqtt" / "sample.toml"


def test_names_lead_to_models_and_makers() -> None:
    assert SINKS["mqtt"].config is MqttConfig
    assert SINKS["mqtt"].make is MqttSink
    assert "opcua" in SOURCES
    assert list(SINKS) == ["mqtt"]
    assert len(SINKS) == 1


def test_what_is_not_there_is_told_with_what_there_is() -> None:
    with pytest.raises(ConfigurationError, match="no sink adapter named 'kafka'") as caught:
        SINKS["kafka"]
    assert caught.value.advice == "Allowed: mqtt."


def test_changed_copies_leave_the_original_as_it_is() -> None:
    one = Adapter[object]("a test", "adapters.mqtt.config:MqttConfig", "adapters.mqtt.sink:MqttSink")
    empty: Registry[Adapter[object]] = Registry("sink adapter", {})
    more = empty.with_("other", one)
    assert list(more) == ["other"]
    assert list(more.without("other")) == list(empty) == []
    with pytest.raises(ValueError, match="registered already"):
        more.with_("other", one)
    with pytest.raises(ConfigurationError):
        empty.without("other")


def test_a_reference_that_is_no_model_is_refused() -> None:
    with pytest.raises(TypeError, match="no pydantic model"):
        _ = Adapter[object]("a test", "adapters.mqtt.sink:MqttSink", "adapters.mqtt.sink:MqttSink").config


def test_the_common_encoding_changes_nothing() -> None:
    assert ENCODINGS["common"]("data", b'{"a":1}') == b'{"a":1}'


def test_importing_the_registry_loads_no_protocol() -> None:
    code = "import sys, adapters.registry; print([m for m in ('paho', 'asyncua') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_the_sample_is_a_valid_configuration(tmp_path: Path) -> None:
    text = SAMPLE.read_text(encoding="utf-8")
    head = '[gateway]\nname = "g"\nsite = "hall3"\n'
    source = '[source.mill]\ntype = "any"\n'
    loadable = {"any": MqttConfig}
    settings = parse_settings(
        tmp_path / "area4.toml",
        head + text + source + 'url = "mqtt://localhost"\nwaivers = ["plaintext"]\n',
        loadable,
        models(SINKS),
    )
    (link,) = settings.sinks
    assert isinstance(link.config, MqttConfig)
    assert link.config.security is not None
    assert link.config.security.trust == tmp_path / "pki/mqtt"


def test_the_sample_shows_every_key_with_its_default() -> None:
    text = SAMPLE.read_text(encoding="utf-8")
    table = tomllib.loads(text)["sink"]["hall"]
    del table["type"]
    shown = MqttConfig.model_validate(table)
    least = MqttConfig.model_validate({"url": table["url"], "security": table["security"]})
    assert shown == least
    everything = tomllib.loads(
        text.replace("\n# [", "\n[")
        .replace("\n# client_id", "\nclient_id")
        .replace("\n# message_expiry", "\nmessage_expiry")
        .replace("\n# backlog_rate", "\nbacklog_rate")
        .replace("\n# key_password", "\nkey_password")
        .replace("\n# name =", "\nname =")
        .replace("\n# password_file", "\npassword_file")
    )["sink"]["hall"]
    for model, found in (
        (MqttConfig, everything),
        *((MqttConfig.model_fields[name], everything[name]) for name in ("security", "user", "topics", "window")),
    ):
        fields = model.model_fields if model is MqttConfig else _fields(model)
        assert set(found) - {"type"} == set(fields)


def _fields(info: object) -> set[str]:
    from typing import get_args

    annotation = info.annotation  # type: ignore[attr-defined]
    models_of = [one for one in (annotation, *get_args(annotation)) if hasattr(one, "model_fields")]
    return set(models_of[0].model_fields)
