"""docs/simulators.md: its server starts, and its lists are those of the code."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sys
from pathlib import Path

from simulators.gcode.program import load_program
from simulators.machines import KINDS
from simulators.machines.commands import METHODS
from simulators.machines.laser import LASER_CUTTER
from simulators.machines.milling import MACHINING_CENTRE
from simulators.machines.turning import TURNING_CENTRE
from simulators.opcua import control

from .conftest import DOCS, Shell, commands_of

PAGE = DOCS / "simulators.md"
SPECS = (MACHINING_CENTRE, TURNING_CENTRE, LASER_CUTTER)


def rows(title: str) -> str:
    """The text of a section."""
    return PAGE.read_text(encoding="utf-8").split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_kinds_programs_methods_and_commands_are_all_there() -> None:
    assert set(re.findall(r"^\| `([a-z-]+)` \|", rows("Machines"), re.MULTILINE)) == set(KINDS)
    named = set(re.findall(r"`(\w+\.nc)`", rows("Part programs")))
    made = {program for spec in SPECS for product in spec.products for program in product.programs}
    assert named == made
    for spec in SPECS:
        for product in spec.products:
            for channel, program in zip(spec.channels, product.programs, strict=True):
                assert load_program(program, channel.dialect).blocks
    methods = {method.path.rpartition("/")[2] for method in METHODS}
    assert (
        set(
            re.findall(
                r"`([A-Z]\w+)(?:\(\w+\))?`",
                "".join(re.findall(r"^\| `[A-Z].*?\|", rows("What clients may do"), re.MULTILINE)),
            )
        )
        == methods
    )
    listed = {
        name
        for row in re.findall(r"^\| (`.*?) \|", rows("Faults on command"), re.MULTILINE)
        for name in re.findall(r"`([a-z-]+)`", row)
    }
    assert listed == set(control._COMMANDS)


async def test_the_server_of_the_page_serves_obeys_and_writes_its_ledger(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "root", tmp_path)
    create, serve = commands_of(PAGE)
    await asyncio.to_thread(shell.run, create)
    process = await asyncio.create_subprocess_exec(
        sys.executable, *shlex.split(serve.text)[1:], cwd=tmp_path,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None

    async def told() -> dict[str, object]:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            found: dict[str, object] = json.loads(await process.stdout.readline())
        return found

    try:
        ready = await told()
        assert ready["machines"] == ["urn:area4-sim:machining-centre:MC-1"]
        for line, answer in (('{"do":"pause"}', "pause"), ('{"do":"count"}', "count")):
            process.stdin.write(line.encode() + b"\n")
            found = await told()
            assert found["done"] == answer
        lines = [json.loads(one) for one in (tmp_path / "ledger.jsonl").read_text().splitlines()[: found["lines"]]]  # type: ignore[misc]
        assert [one["n"] for one in lines] == list(range(1, len(lines) + 1))
        process.stdin.write(b"nonsense\n")
        assert "error" in await told()
    finally:
        process.stdin.close()
        async with asyncio.timeout(60):
            assert await process.wait() == 0


def test_the_line_of_the_ledger_has_the_fields_of_the_table() -> None:
    section = rows("The ledger")
    block = re.search(r"```json\n(.*?)\n```", section, re.DOTALL)
    assert block
    named = {
        name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert set(json.loads(block[1])) | {"status"} == named
