from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.mqtt.topics import GATEWAY_TOPIC, MACHINE_TOPIC, MACHINE_VARIABLES, Topics, check_template
from gateway.model.names import unescape_level


def check(template: str) -> str:
    return check_template(template, MACHINE_VARIABLES, required=("machine", "kind"))


@given(st.text(), st.text(), st.text(min_size=1), st.sampled_from(["data", "event", "gap", "status"]))
def test_no_name_makes_a_bad_topic_and_names_come_back(site: str, gateway: str, machine: str, kind: str) -> None:
    topics = Topics(MACHINE_TOPIC, GATEWAY_TOPIC, site=site, name=gateway)
    for _ in range(2):
        levels = topics.of_machine(machine, kind).split("/")
        assert levels[:2] == ["area4", "v1"]
        assert [unescape_level(level) for level in levels[2:]] == [site, machine, kind]
    assert not set(topics.of_machine(machine, kind)) & set("+#\0")
    _, _, found_site, fixed, found_gateway, last = topics.gateway_status.split("/")
    assert (unescape_level(found_site), fixed, unescape_level(found_gateway), last) == (
        *(site, "_gateway"),
        *(gateway, "status"),
    )


def test_a_machine_cannot_take_the_gateways_place() -> None:
    topics = Topics(MACHINE_TOPIC, GATEWAY_TOPIC, site="s", name="g")
    assert topics.of_machine("_gateway", "status") == "area4/v1/s/_5Fgateway/status"


def test_other_templates() -> None:
    template = check("plant/{site}/{gateway}/m-{machine}/{kind}")
    topics = Topics(template, "g/{gateway}", site="a b", name="g")
    assert topics.of_machine("x/y", "data") == "plant/a_20b/g/m-x_2Fy/data"
    assert topics.gateway_status == "g/g"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("area4/{machine}", r"lacks \{kind\}"),
        ("area4/{kind}", r"lacks \{machine\}"),
        ("{machine}/{kind}/{shift}", r"holds \{shift\}; allowed are \{gateway\} \{kind\} \{machine\} \{site\}"),
        ("{machine}/{kind!r}", "allowed are"),
        ("{machine:>9}/{kind}", "allowed are"),
        ("{machine}/{kind}/{}", "allowed are"),
        ("{machine/{kind}", "allowed are"),
        ("{machine}/{kind}/#", "holds '#'"),
        ("+/{machine}/{kind}", r"holds '\+'"),
        ("{machine}/{kind}\n", r"holds '\\n'"),
        ("/{machine}/{kind}", "starts with /"),
        ("$SYS/{machine}/{kind}", r"starts with / or \$"),
        ("{machine}//{kind}", "empty level"),
        ("{machine}/{kind}/", "ends with /"),
    ],
)
def test_a_bad_template_is_told_with_what_is_allowed(template: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check(template)
