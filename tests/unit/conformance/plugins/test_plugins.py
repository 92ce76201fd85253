"""Checks of others are taken from folders and packages, and cannot be mistaken for the suite's own."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from conformance import plugins
from conformance.suite.outcome import State
from conformance.suite.runner import Settings, run
from tests.unit.conformance.fake import FakeTarget, catalogue, check, many

CHECKS = """
[[requirement]]
id = "EW-01"
title = "A control of Example Works tells its firmware."
goal = "interoperable"
sources = ["Example Works house rule 7"]
targets = ["device"]
procedure = "Read the plate."

[[check]]
id = "exampleworks.firmware"
title = "the firmware has a version"
target = "device"
goals = ["interoperable"]
requirements = ["EW-01"]
sources = ["Example Works house rule 7"]
expected = "the product is named MC"
method = "the fingerprint is read"
rule = "firmware"
parameters = { prefix = "MC" }
mutants = ["exampleworks.nameless"]

[[check]]
id = "exampleworks.own.passes"
title = "a rule of the suite with a check of one's own"
target = "device"
goals = ["interoperable"]
sources = ["Example Works house rule 8"]
expected = "it passes"
method = "the target's own rule is used"
rule = "pass"
mutants = ["exampleworks.nameless"]
"""

RULES = """
from conformance.suite.outcome import failed, passed


async def firmware(target, check):
    product = target.fingerprint()["product"]
    return passed(product) if product.startswith(check.parameters["prefix"]) else failed(product)


RULES = {"firmware": firmware}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "exampleworks"
    made.mkdir()
    (made / "checks.toml").write_text(CHECKS, encoding="utf-8")
    (made / "rules.py").write_text(RULES, encoding="utf-8")
    return made


@pytest.mark.parametrize(("product", "state"), [("MC-500", State.PASS), ("nameless", State.FAIL)])
async def test_a_folder_of_checks_judges(folder: Path, product: str, state: State) -> None:
    plugin = plugins.of_folder(folder)
    target = FakeTarget(facts={"product": product})
    plugins.equip(target, [plugin])
    made = plugins.joined(many(), [plugin])
    report = await run(target, made, settings=Settings(), only=["exampleworks"])
    assert [(one.check.id, one.state) for one in report.results] == [
        ("exampleworks.firmware", state),
        ("exampleworks.own.passes", State.PASS),
    ]
    assert "EW-01" in {row.id for row in report.requirements}
    assert "device.manual.EW-01" not in made.checks
    assert "exampleworks:firmware" not in FakeTarget().rules


def test_an_installed_package_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "__init__.py").write_text(RULES, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder.parent))
    monkeypatch.setattr(plugins, "entry_points", lambda group: [EntryPoint("works", "exampleworks", group)])
    try:
        found = plugins.installed()
    finally:
        sys.modules.pop("exampleworks", None)
    assert [(one.name, set(one.rules)) for one in found] == [("works", {"works:firmware"})]


def test_a_package_that_is_broken_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "entry_points", lambda group: [EntryPoint("works", "no_such_package", group)])
    with pytest.raises(plugins.PluginError, match="works: ModuleNotFoundError"):
        plugins.installed()
    monkeypatch.setattr(plugins, "entry_points", lambda group: [EntryPoint("works", "json:loads", group)])
    with pytest.raises(plugins.PluginError, match="works: json:loads is no package"):
        plugins.installed()


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("checks.toml", "exampleworks.firmware", "device.firmware", "ids that begin with 'device' are the suite's"),
        ("checks.toml", '"firmware"', "firmware", "Invalid value"),
        ("checks.toml", "[[check]]", "[[cheque]]", "allowed are"),
        ("rules.py", "async def", "def", "rule 'firmware' is no coroutine function"),
        ("rules.py", "RULES =", "RULE =", "RULES is missing"),
        ("rules.py", "from conformance", "from nowhere", "ModuleNotFoundError"),
    ],
)
def test_a_wrong_plugin_is_told(folder: Path, file: str, old: str, new: str, told: str) -> None:
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(plugins.PluginError, match=told):
        plugins.of_folder(folder)


def test_what_is_no_plugin_is_told(tmp_path: Path) -> None:
    with pytest.raises(plugins.PluginError, match="is no folder"):
        plugins.of_folder(tmp_path / "nothing")
    with pytest.raises(plugins.PluginError, match=r"no TOML file with a \[\[check\]\]"):
        plugins.of_folder(tmp_path)


def test_ids_are_taken_once(folder: Path) -> None:
    mine = catalogue(check("exampleworks.firmware", "pass"))
    with pytest.raises(plugins.PluginError, match=r"in two catalogues: exampleworks\.firmware"):
        plugins.joined(mine, [plugins.of_folder(folder)])


def test_a_check_answers_requirements_that_are_there(folder: Path) -> None:
    text = (folder / "checks.toml").read_text(encoding="utf-8")
    (folder / "checks.toml").write_text(text.replace('requirements = ["EW-01"]', 'requirements = ["EW-02"]'))
    with pytest.raises(plugins.PluginError, match=r"exampleworks\.firmware answers EW-02, which is no requirement"):
        plugins.joined(many(), [plugins.of_folder(folder)])
