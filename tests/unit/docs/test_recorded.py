"""What the docs show was recorded, and is still what the schemas say."""

import importlib.util
import json
from pathlib import Path

import jsonschema
import pytest

from gateway.model.schema import json_schemas

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.json"))


@pytest.fixture(scope="module")
def record():
    spec = importlib.util.spec_from_file_location("record", ROOT / "tests" / "tools" / "record.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_recorded_messages_follow_the_schemas(file: Path) -> None:
    recorded = json.loads(file.read_text())
    assert recorded["kind"] == file.stem
    jsonschema.validate(recorded["payload"], json_schemas()[recorded["kind"]])
    assert recorded["topic"].startswith("area4/v1/")


def test_the_kinds_that_a_demo_shows_are_recorded() -> None:
    assert {file.stem for file in EXAMPLES} >= {"data", "event", "description", "status", "gateway-status"}


def between(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    return text.split("<!-- recorded: begin -->")[1].split("<!-- recorded: end -->")[0].strip()


def test_the_pages_show_the_files(record) -> None:
    assert between(ROOT / "docs" / "topics.md") == record.messages_text().strip()
    assert between(ROOT / "README.md") == record.demo_text().strip()


def test_the_shown_demo_lost_nothing() -> None:
    lines = (ROOT / "docs" / "examples" / "summary.txt").read_text().splitlines()
    figures = {line.rsplit(":", 1)[0].strip(): line.rsplit(":", 1)[1].strip() for line in lines if ":" in line}
    assert figures["lost"] == "0"
    assert int(next(value for name, value in figures.items() if name.startswith("values delivered"))) > 1000
