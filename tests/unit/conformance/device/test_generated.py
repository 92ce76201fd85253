"""The committed checks and mutants are what the official nodesets give."""

from __future__ import annotations

import pytest

from conformance.device.derive import Model
from conformance.device.generate import CHECKS, MUTANTS, generate
from conformance.device.model import JUDGES
from conformance.device.nodeset import MANDATORY, Nodesets
from conformance.suite.catalogue import Catalogue, load
from conformance.suite.check import TargetKind
from simulators.mutants.registry import device_mutants


@pytest.fixture(scope="module")
def nodesets() -> Nodesets:
    return Nodesets()


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load(CHECKS.parent)


def test_committed_files_are_what_the_nodesets_give(nodesets):
    for path, content in generate(nodesets).items():
        assert path.read_text(encoding="utf-8") == content, f"run python -m conformance.device.generate --write: {path}"


def test_every_mutant_of_a_model_check_can_be_started_and_every_generated_one_is_named(catalogue):
    checks = [one for one in catalogue.of(TargetKind.DEVICE) if one.rule in JUDGES]
    named = {mutant for one in checks for mutant in one.mutants}
    known = set(device_mutants())
    assert named <= known
    assert {one for one in known if one.startswith(("device.model.", "device.basics."))} == named


def test_every_rule_is_asked_by_a_check(catalogue):
    assert {one.rule for one in catalogue.of(TargetKind.DEVICE)} >= set(JUDGES)


def test_there_is_a_check_for_each_mandatory_member_that_types_of_machine_tools_declare(nodesets, catalogue):
    model = Model(nodesets)
    asked = {
        (one.parameters["type"], one.parameters["path"][-1][1])
        for one in catalogue.of(TargetKind.DEVICE)
        if one.rule == "model.present"
    }
    for scope in model.scopes:
        for _, member in nodesets.members(scope.id):
            if nodesets.rule_of(member.id) == MANDATORY:
                assert (scope.id, member.name.name) in asked


@pytest.mark.parametrize(
    ("identifier", "rule"),
    [
        ("device.model.MachineryItemIdentificationType.Manufacturer.present", "model.present"),
        ("device.model.ChannelMonitoringType.FeedOverride.shape", "model.shape"),
        ("device.model.ToolListType.Tool.filled", "model.filled"),
        ("device.model.ChannelMode.values", "model.enumeration"),
        ("device.model.ProductionStateMachineType.states", "model.states"),
    ],
)
def test_ids_stay(catalogue, identifier, rule):
    assert catalogue.checks[identifier].rule == rule


def test_states_have_the_numbers_of_the_specification(catalogue):
    states = catalogue.checks["device.model.ProductionStateMachineType.states"].parameters["states"]
    assert [(number, name) for _, name, number in states] == [
        (0, "Initializing"),
        (1, "Running"),
        (2, "Ended"),
        (3, "Interrupted"),
        (4, "Aborted"),
    ]


def test_generated_files_lie_in_the_rooms_of_their_readers():
    assert CHECKS.parts[-3:] == ("conformance", "catalogue", "device-model.toml")
    assert MUTANTS.parts[-3:] == ("simulators", "mutants", "device-model.toml")
