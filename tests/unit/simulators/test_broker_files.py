from __future__ import annotations

from pathlib import Path
from string import Template

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from simulators.broker import TEMPLATES, Access, BrokerFiles, MosquittoBroker, render_access
from simulators.embedded_broker import covers, read_access_list

LEVELS = st.lists(st.sampled_from(["a", "b", "", "_gateway"]), min_size=1, max_size=5)
FILTERS = st.builds(
    lambda levels, tail: "/".join([*levels, *tail]),
    st.lists(st.sampled_from(["a", "b", "", "+"]), min_size=1, max_size=4),
    st.sampled_from([[], ["#"]]),
)


def test_the_access_list_names_each_gateway_and_consumer() -> None:
    rules = read_access_list(render_access(Access({"gateway-a": "hall 3", "gateway-b": "hall4"}, ["watcher"])))
    assert list(rules) == ["gateway-a", "gateway-b", "watcher"]
    assert ("write", "area4/v1/hall_203/_gateway/gateway-a/status") in rules["gateway-a"]
    assert ("write", "area4/v1/hall4/+/data") in rules["gateway-b"]
    assert all(verb == "write" for verb, _ in rules["gateway-a"])
    assert rules["watcher"] == [("read", "area4/v1/#")]
    assert not any("$" in text for text in map(str, rules.values()))


def test_nobody_is_in_the_empty_access_list() -> None:
    assert read_access_list(render_access(Access({}))) == {}


def test_every_kind_of_the_model_may_be_written() -> None:
    from gateway.model.messages import KINDS

    rules = read_access_list(render_access(Access({"g": "s"})))["g"]
    for kind in (*KINDS, "status"):
        assert any(covers(pattern, f"area4/v1/s/machine/{kind}") for _, pattern in rules)


@pytest.mark.parametrize("line", ["topic read a", "user a\npattern read %u", "user a\ntopic a/b", "allow all", "user"])
def test_a_line_that_is_not_understood_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="line "):
        read_access_list(line)


@given(FILTERS, LEVELS)
def test_filters_cover_the_topics_that_mqtt_says(pattern: str, levels: list[str]) -> None:
    topic = "/".join(levels)
    if not pattern or not topic:
        return
    assert covers(pattern, topic) == topic_matches_sub(pattern, topic)


@pytest.mark.parametrize(
    ("pattern", "asked", "allowed"),
    [
        ("area4/v1/#", "area4/v1/#", True),
        ("area4/v1/#", "area4/v1/+/+/data", True),
        ("area4/v1/#", "area4/v1", True),
        ("area4/v1/#", "#", False),
        ("area4/v1/#", "area4/#", False),
        ("area4/v1/#", "+/v1/#", False),
        ("area4/v1/+/data", "area4/v1/+/data", True),
        ("area4/v1/+/data", "area4/v1/#", False),
        ("#", "$SYS/broker", False),
    ],
)
def test_a_subscription_may_not_be_wider_than_the_access(pattern: str, asked: str, allowed: bool) -> None:
    assert covers(pattern, asked) is allowed


def test_the_templates_hold_no_placeholder_that_is_not_filled(tmp_path: Path) -> None:
    files = BrokerFiles(tmp_path / "c", tmp_path / "k", tmp_path / "ca", tmp_path / "crl")
    rendered = MosquittoBroker(tmp_path, files, Access({}), port=8883)._render()
    assert "$" not in rendered
    lines = [line for line in rendered.splitlines() if line and not line.startswith("#")]
    for needed in (
        *("require_certificate true", "use_identity_as_username true", "allow_anonymous false", "tls_version tlsv1.2"),
        *("autosave_on_changes true", "autosave_interval 1", f"crlfile {tmp_path}/crl", "listener 8883 127.0.0.1"),
    ):
        assert needed in lines
    names = set(Template((TEMPLATES / "mosquitto.conf.template").read_text(encoding="utf-8")).get_identifiers())
    readme = (TEMPLATES / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in readme for name in names)
