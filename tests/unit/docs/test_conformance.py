"""What the conformance docs say is what the suite says."""

import re
import tomllib
from pathlib import Path

from conformance import plugins
from conformance.suite.catalogue import shipped
from conformance.suite.claims import read_claim
from conformance.suite.outcome import State

DOCS = Path(__file__).parents[3] / "docs" / "conformance"
README = (DOCS / "README.md").read_text(encoding="utf-8")
PLUGINS = (DOCS / "plugins.md").read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def test_every_state_is_explained() -> None:
    table = README.split("## What a result means")[1].split("\n\n")[1]
    told = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    assert told == [state.value.replace("-claimed", " claimed") for state in State]


def test_the_shown_claim_is_one(tmp_path: Path) -> None:
    file = tmp_path / "claim.toml"
    file.write_text(blocks(README, "toml")[0], encoding="utf-8")
    claim = read_claim(file, shipped())
    assert claim.waivers[0].check in shipped().checks


def test_the_shown_plugin_is_one(tmp_path: Path) -> None:
    (tmp_path / "checks.toml").write_text(blocks(PLUGINS, "toml")[0], encoding="utf-8")
    (tmp_path / "rules.py").write_text(blocks(PLUGINS, "python")[0], encoding="utf-8")
    plugin = plugins.of_folder(tmp_path)
    assert list(plugin.catalogue.checks) == ["exampleworks.firmware"]
    assert len(plugin.rules) == 1
    entry = tomllib.loads(blocks(PLUGINS, "toml")[1])["project"]["entry-points"]
    assert list(entry) == [plugins.GROUP]


def test_every_picture_and_page_that_is_shown_exists_and_is_small() -> None:
    pages = [DOCS / name for name in ("README.md", "report.md", "plugins.md")]
    links = {link for page in pages for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))}
    assert len(links) > 5
    for link in links:
        assert (DOCS / link).is_file(), link
    for image in (DOCS / "img").glob("*.png"):
        assert image.stat().st_size < 200_000
        assert f"img/{image.name}" in links
