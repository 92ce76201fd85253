"""The shipped catalogue is whole: each check has its rule and a mutant that exists, and there is enough of it."""

import importlib
from collections import Counter

import pytest

from conformance.suite.catalogue import Catalogue, shipped
from conformance.suite.check import TargetKind
from simulators.mutants.gateway_table import gateway_mutants
from simulators.mutants.registry import mutants

ANSWERED = 60
"""Requirements of security, reliability and data protection that have a check, at least; it only grows."""

TARGETS = {
    TargetKind.DEVICE: ("conformance.device.target", "DeviceTarget"),
    TargetKind.GATEWAY: ("conformance.gateway.target", "GatewayTarget"),
    TargetKind.BROKER: ("conformance.broker.rules", "RULES"),
    TargetKind.NETWORK: ("conformance.network.rules", "RULES"),
}


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return shipped()


def rules(kind: TargetKind) -> set[str]:
    module, name = TARGETS[kind]
    found = getattr(importlib.import_module(module), name)
    return set(getattr(found, "rules", found))


@pytest.mark.parametrize("kind", TargetKind)
def test_every_check_has_its_rule(catalogue: Catalogue, kind: TargetKind) -> None:
    asked = {one.rule for one in catalogue.of(kind) if not one.manual}
    assert asked
    assert asked - rules(kind) == set()


def test_every_check_has_mutants_that_exist(catalogue: Catalogue) -> None:
    known = {*mutants(), *gateway_mutants()}
    missing = {
        one.id: sorted(set(one.mutants) - known) for one in catalogue.checks.values() if set(one.mutants) - known
    }
    assert missing == {}


def test_there_are_checks_for_everything(catalogue: Catalogue) -> None:
    automated = [one for one in catalogue.checks.values() if not one.manual]
    assert len(automated) >= 250
    assert set(Counter(one.target for one in automated)) == set(TargetKind)
    answered = {row for one in automated for row in one.requirements}
    of_standards = {row for row in answered if not row.startswith(("I-", "N-"))}
    assert len(of_standards) >= ANSWERED, sorted(set(catalogue.requirements) - answered)


def test_profiles_have_checks(catalogue: Catalogue) -> None:
    units = {unit for one in catalogue.checks.values() for unit in one.units}
    for profile in catalogue.profiles.values():
        if profile.name.startswith("MachineTool "):
            assert units & catalogue.units_of([profile.name]), profile.name


def test_titles_tell_the_checks_of_a_group_apart(catalogue: Catalogue) -> None:
    automated = [one for one in catalogue.checks.values() if not one.manual]
    titles = Counter((*one.id.split(".")[:2], one.title) for one in automated)
    assert [title for title, number in titles.items() if number > 1] == []


def test_ids_begin_with_their_target(catalogue: Catalogue) -> None:
    for one in catalogue.checks.values():
        assert one.id.startswith(f"{one.target}."), one.id
