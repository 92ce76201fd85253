"""A catalogue is whole, or its error says which entry of which file is wrong."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from conformance.suite.catalogue import Catalogue, CatalogueError, load, shipped
from conformance.suite.check import TargetKind
from tests.unit.conformance.fake import ROWS, catalogue, check, many

CHECK = """
[[check]]
id = "device.info.name"
title = "the machine has a name"
target = "device"
goals = ["interoperable"]
sources = ["OPC 40001-1 1.04, 8"]
expected = "a name is there"
method = "its name is read"
rule = "name"
mutants = ["device.info.name"]
"""


def folder(tmp_path: Path, *texts: str) -> Path:
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.toml").write_text(text, encoding="utf-8")
    return tmp_path


def test_files_are_read_together(tmp_path: Path) -> None:
    made = load(folder(tmp_path, CHECK, CHECK.replace("info.name", "info.other")))
    assert list(made.checks) == ["device.info.name", "device.info.other"]
    assert made.of(TargetKind.BROKER) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[check", "Expected"),
        ("[[cheque]]\nid = 1", r"cheque: allowed are \[\[check\]\], \[\[requirement\]\], \[\[profile\]\]"),
        ("check = 1", "check: allowed are"),
        (CHECK + CHECK, "check device.info.name stands twice"),
        (CHECK.replace('rule = "name"\n', ""), "device.info.name.*needs a rule and a mutant"),
        (CHECK.replace('mutants = ["device.info.name"]', ""), "needs a rule and a mutant"),
        (CHECK + "manual = true", "neither rule nor mutants"),
        (CHECK.replace("device.info.name", "name", 1), "check name: id: "),
        (CHECK + "colour = 1", "device.info.name: colour: Extra inputs"),
        (CHECK.replace('goals = ["interoperable"]', "goals = []"), "goals: "),
    ],
)
def test_a_wrong_entry_is_named_with_its_file(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(CatalogueError, match=told) as caught:
        load(folder(tmp_path, text))
    assert str(tmp_path / "0.toml") in str(caught.value)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "0.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(CatalogueError, match=r"0\.toml: .*decode"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("checks", "told"),
    [
        ([check("a", "pass", needs=("device.fake.b",))], "device.fake.a needs device.fake.b, which is no check"),
        (
            [check("a", "pass", needs=("broker.b.c",)), check("broker.b.c", "pass", target="broker")],
            "which is no check of a device",
        ),
        (
            [check("a", "pass", needs=("device.fake.b",)), check("b", "pass", needs=("device.fake.a",))],
            "device.fake.a -> device.fake.b -> device.fake.a",
        ),
        ([check("a", "pass", requirements=("X-01",))], "device.fake.a answers X-01, which is no requirement"),
    ],
)
def test_names_that_lead_nowhere_are_told(checks, told) -> None:
    with pytest.raises(CatalogueError, match=told):
        catalogue(*checks)


def test_a_requirement_has_a_procedure() -> None:
    with pytest.raises(CatalogueError, match="C-01 has no procedure for a person"):
        catalogue(rows=(ROWS[0].model_copy(update={"procedure": ""}),))


def test_profiles_contain_each_other() -> None:
    made = many()
    assert made.units_of(["urn:basic", "More Profile"]) == {"Unit A", "Unit B"}
    with pytest.raises(CatalogueError, match="profile 'Basic' is not known; known are: Basic Profile, More Profile"):
        made.units_of(["Basic"])


def test_rows_without_a_check_are_left_to_a_person() -> None:
    made = many()
    by_hand = [one for one in made.checks.values() if one.manual]
    assert [(one.id, one.requirements, one.method) for one in by_hand] == [
        ("device.manual.C-02", ("C-02",), "Look at it.")
    ]
    assert made.completed() == made
    more = Catalogue({"vendor.c02": check("vendor.c02", "pass", requirements=("C-02",))}, {}, {})
    assert not any(one.manual for one in made.joined(more).completed().checks.values())


def test_what_stands_in_two_catalogues_is_told() -> None:
    with pytest.raises(CatalogueError, match=r"in two catalogues: device\.fake\.a"):
        catalogue(check("a", "pass")).joined(catalogue(check("a", "fail")))


def test_checks_are_immutable() -> None:
    with pytest.raises(ValidationError):
        check("a", "pass").title = "another"


def test_the_shipped_catalogue_lists_every_requirement_for_each_of_its_targets() -> None:
    made = shipped()
    for row in made.requirements.values():
        for target in row.targets:
            assert any(row.id in one.requirements for one in made.of(target)), f"{row.id} of a {target}"
