"""What every page of docs/ says exists: commands, options, files, links."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import get_args

import pytest

from adapters.mqtt.config import Waiver as MqttWaiver
from adapters.opcua.config import Waiver as OpcUaWaiver
from gateway.config.settings import HTTP_EXPOSED

from .conftest import DOCS, ROOT, Command, check_options, commands_of

PAGES = sorted(DOCS.glob("*.md"))
COMMANDS = [pytest.param(one, id=f"{page.stem}-{one.line}") for page in PAGES for one in commands_of(page)]
_PLACES = ("deploy/", "docs/", "requirements/", "simulators/", "tests/")


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_options_and_files_exist(command: Command) -> None:
    words = command.words
    if words[0] == "area4":
        check_options(words)
    for word in words:
        if word.startswith(_PLACES):
            assert (ROOT / word).exists(), f"line {command.line}: there is no {word}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_within_the_text_exist(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for script in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for line in re.findall(r"^area4 .*", script, re.MULTILINE):
            check_options(shlex.split(line))
    for quoted in re.findall(r"`(area4 [a-z][^`]*)`", text):
        check_options([word for word in shlex.split(quoted) if word != "..."])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_waiver_is_explained_and_none_that_does_not_exist() -> None:
    text = (DOCS / "security.md").read_text(encoding="utf-8")
    section = text.split("## Waivers", 1)[1].split("\n## ", 1)[0]
    explained = re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)
    known = {*get_args(OpcUaWaiver), *get_args(MqttWaiver), HTTP_EXPOSED}
    assert set(explained) == known
    for waiver in get_args(OpcUaWaiver):
        assert re.search(rf"^\| `{waiver}` \| .*source", section, re.MULTILINE), waiver
    for waiver in get_args(MqttWaiver):
        assert re.search(rf"^\| `{waiver}` \| .*sink", section, re.MULTILINE), waiver
