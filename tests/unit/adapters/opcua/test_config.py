from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from pydantic import ValidationError

import adapters.opcua
from adapters.opcua.config import OpcUaConfig
from adapters.opcua.plan import MachinePlan, SignalPlan
from adapters.opcua.settings import settings_of, wanted
from gateway.model import MachineDescription, SignalRef

SAMPLE = Path(adapters.opcua.__file__).parent / "sample.toml"


def table() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(SAMPLE.read_text())["source"]["hall3"]
    del found["type"]
    return found


def uncommented() -> dict[str, Any]:
    """The sample with its commented defaults switched on, but for what excludes each other."""
    lines = []
    for line in SAMPLE.read_text().splitlines():
        key = line.removeprefix("# ").split(" = ")[0]
        default = line.startswith("# ") and " = " in line and key.isidentifier()
        alternative = key in {"name", "password_file", "anonymous"}
        lines.append(line.removeprefix("# ") if default and not alternative else line)
    found: dict[str, Any] = tomllib.loads("\n".join(lines))["source"]["hall3"]
    del found["type"]
    return found


def test_the_sample_is_valid_and_shows_the_defaults() -> None:
    plain, full = OpcUaConfig.model_validate(table()), OpcUaConfig.model_validate(uncommented())
    assert plain.subscription == full.subscription.model_copy(update={"items_per_call": None})
    assert plain.transport == full.transport
    assert plain.machines == full.machines
    assert plain.security.policies == full.security.policies
    assert plain.security.modes == full.security.modes


def test_the_sample_names_every_key() -> None:
    text = SAMPLE.read_text()
    full = uncommented()
    for section in ("security", "subscription", "transport", "machines"):
        model = type(getattr(OpcUaConfig.model_validate(table()), section))
        assert set(full[section]) == set(model.model_fields)
    for field in ("name", "password_file", "anonymous", "deadband_percent"):
        assert field in text


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"url": "http://machine:4840"}, "allowed: opc.tcp://"),
        ({"url": "opc.tcp://user:secret@machine:4840"}, "would end up in logs"),
        ({"user": {"anonymous": True}}, 'needs "anonymous-user"'),
        ({"waivers": ["anonymous-user"]}, 'the waiver "anonymous-user" is not used'),
        ({"waivers": ["sign-only"]}, "only allowed together with"),
        ({"user": {"name": "x"}}, "belong together"),
        ({"user": {"name": "x", "password_file": "p", "anonymous": True}}, "exactly one kind"),
        ({"subscription": {"keep_alive": 10, "lifetime": 20}}, "at least three times keep_alive"),
        ({"subscription": {"requests_in_flight": 1}}, "greater than or equal to 2"),
        ({"subscription": {"requests_in_flight": 5, "unacknowledged": 4}}, "must be at least requests_in_flight"),
        ({"overrides": [{"path": "a"}]}, "needs at least one of"),
        ({"overrides": [{"deadband": 1, "deadband_percent": 1}]}, "exclude each other"),
        ({"unknown": 1}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_settings_are_told(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        OpcUaConfig.model_validate({**table(), **change})


def test_the_host_is_dialled_with_the_default_port() -> None:
    config = OpcUaConfig.model_validate({**table(), "url": "opc.tcp://[::1]/path"})
    assert (config.url, config.host, config.port) == ("opc.tcp://[::1]:4840/path", "::1", 4840)


def machine() -> MachinePlan:
    description = MachineDescription(id="urn:m:1", name="Mill", type="MachineToolType", source="s")
    return MachinePlan(ua.NodeId(1), description, [])


def signal(path: str, kind: str = "Double", component: str = "SpindleMonitoringType") -> SignalPlan:
    return SignalPlan(ua.NodeId(2), SignalRef(path), lambda value: value, kind, component)


def test_overrides_by_path_and_type() -> None:
    config = OpcUaConfig.model_validate(table())
    usual = settings_of(config, machine(), signal("Monitoring/X"))
    assert usual is not None
    assert (usual.sampling, usual.queue, usual.deadband) == (0.0, 100, None)
    slow = settings_of(config, machine(), signal("Monitoring/Spindle1/Override"))
    assert slow is not None
    assert slow.sampling == 1.0
    channel = settings_of(config, machine(), signal("Monitoring/C", component="ChannelMonitoringType"))
    assert channel is not None
    assert (channel.queue, channel.deadband) == (50, (1, 0.5))
    assert settings_of(config, machine(), signal("Vendor/Internal/Secret")) is None


def test_the_queue_holds_three_publishing_intervals() -> None:
    config = OpcUaConfig.model_validate(
        {**table(), "subscription": {"sampling_interval": 0.001, "publishing_interval": 1, "keep_alive": 5}}
    )
    found = settings_of(config, machine(), signal("X"))
    assert found is not None
    assert found.queue == 3001


def test_machines_by_identity_or_name() -> None:
    config = OpcUaConfig.model_validate({**table(), "machines": {"include": ["urn:m:*"], "exclude": ["Mill"]}})
    assert not wanted(config.machines, machine())
    assert wanted(config.machines.model_copy(update={"exclude": ()}), machine())
