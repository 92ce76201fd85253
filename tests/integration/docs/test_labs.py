"""docs/labs.md: its exercises, done beside a running demo, whose summary must still say that nothing was lost."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import DOCS, Shell, script_of

PAGE = DOCS / "labs.md"
WAIT = 90.0


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path / "root", tmp_path)


@pytest.fixture
def demo(shell: Shell) -> Iterator[subprocess.Popen[bytes]]:
    """`make demo` as it is without a terminal, until it shows data."""
    told = shell.folder / "told"
    with told.open("wb") as said, (shell.folder / "summary").open("wb") as summary:
        process = subprocess.Popen(
            ["area4", "demo", "--json"], cwd=shell.folder, env=shell.environment, stdout=summary, stderr=said
        )
    deadline = time.monotonic() + WAIT
    try:
        while "in a second terminal" not in told.read_text():
            assert process.poll() is None, told.read_text()
            assert time.monotonic() < deadline, told.read_text()
            time.sleep(0.2)
        yield process
    finally:
        process.terminate()
        process.wait(WAIT)


def bash(shell: Shell, script: str) -> str:
    """What the lines said; each `area4` is followed by its exit code."""
    lines = re.sub(r"^(area4 .*)$", r'\1; echo "exit $?"', script, flags=re.MULTILINE)
    result = subprocess.run(
        ["bash"], input=script_of(PAGE, "Start").partition("export")[2].partition("\n")[2] + lines,
        cwd=shell.folder, env=shell.environment, capture_output=True, text=True, timeout=WAIT, check=False,
    )  # fmt: skip
    return result.stdout + result.stderr


@pytest.mark.timeout(300)
def test_the_exercises_show_what_the_page_says(shell: Shell, demo: subprocess.Popen[bytes]) -> None:
    watched = bash(shell, script_of(PAGE, "Exercise 1").replace("'Monitoring/Axes/*'", "'Monitoring/Axes/*' --for 10"))
    assert re.search(r"MC-1 Monitoring/Axes/[XYZ]/\S+ = ", watched), watched

    distrust, waiting, approve, trust = re.findall(
        r"```sh\n(.*?)```", PAGE.read_text().split("## Exercise 2")[1].split("\n## ")[0], re.DOTALL
    )
    refused = bash(shell, distrust)
    assert "exit 3" in refused
    assert refused.count("FAILED server certificate") == 3
    assert "no credential was sent" in refused
    listed = bash(shell, waiting)
    mill = listed[: listed.index("urn:area4:lab:mill")]
    thumbprint = re.findall(r"^[0-9A-F]{40}$", mill, re.MULTILINE)[-1]
    approved = bash(shell, approve.replace("THUMBPRINT", thumbprint))
    assert "trusted: " in approved
    assert approved.count("FAILED server certificate") == 2
    restored = bash(shell, trust)
    assert "exit 0" in restored, restored
    assert "Everything works." in restored

    depths = re.findall(r"^area4_outbox_messages (\S+)$", bash(shell, script_of(PAGE, "Exercise 3")), re.MULTILINE)
    while_frozen, after = map(float, depths)
    assert while_frozen > 20
    assert after < while_frozen

    demo.send_signal(signal.SIGINT)
    assert demo.wait(WAIT) == 0, (shell.folder / "summary").read_text()
    summary = json.loads((shell.folder / "summary").read_text())
    assert summary["lossless"] is True
    assert summary["lost"] == 0
    assert summary["delivered"] == summary["values"] > 0
