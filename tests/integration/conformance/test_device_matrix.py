"""The device model's kill matrix, over the wire, is the committed one."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(TOOLS))
    yield importlib.import_module("matrix")
    sys.modules.pop("matrix", None)


@pytest.mark.timeout(600)
async def test_every_check_fails_on_its_mutants_and_the_reference_passes(tool: ModuleType, tmp_path: Path) -> None:
    section = await tool.device_model(tmp_path)
    assert not section.reference, "the reference does not pass"
    assert not section.survived, "checks that do not notice their mutants"
    assert all(section.checks.values())
    assert all(section.mutants.values()), "mutants that no check notices"
    assert all(section.reasons.values())
    committed = json.loads(tool.JSON.read_text(encoding="utf-8"))
    assert committed["device model"] == section.content(), "run python tests/tools/matrix.py --write"
    assert tool.PAGE.read_text(encoding="utf-8") == tool.page(committed)
