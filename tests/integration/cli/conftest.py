"""The real command as a process, and an installation that `area4 init` has written."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

COMMAND = [sys.executable, "-m", "gateway.cli"]
DEADLINE = 60


class Area4(Protocol):
    def __call__(
        self, *arguments: object, stdin: str = "", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""


@pytest.fixture(scope="session")
def area4() -> Area4:
    def run(*arguments: object, stdin: str = "", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            env={**os.environ, "COLUMNS": "120", **(env or {})},
            check=False,
        )

    return run


def assert_told(result: subprocess.CompletedProcess[str], code: int, *texts: str) -> None:
    """One sentence on stderr, the right exit code, no traceback."""
    assert result.returncode == code, result.stderr + result.stdout
    assert "Traceback" not in result.stderr + result.stdout
    lines = [line for line in result.stderr.splitlines() if line.startswith("area4: ")]
    assert len(lines) == 1, result.stderr
    for text in texts:
        assert text in lines[0], lines[0]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def written(area4: Area4, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written") / "gateway"
    result = area4(
        "init", folder, "--name", "gateway", "--site", "lab",
        "--opcua", f"mill=opc.tcp://127.0.0.1:{free_port()}", "--broker", f"mqtts://127.0.0.1:{free_port()}",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture
def installation(written: Path, tmp_path: Path) -> Path:
    """A copy of an installation, to be spoilt by the test; its HTTP port is free."""
    folder = tmp_path / "gateway"
    shutil.copytree(written, folder)
    change(folder, "127.0.0.1:9464", f"127.0.0.1:{free_port()}")
    return folder


def change(folder: Path, old: str, new: str) -> None:
    """Change the configuration."""
    file = folder / "area4.toml"
    text = file.read_text(encoding="utf-8")
    assert old in text, text
    file.write_text(text.replace(old, new), encoding="utf-8")


Spoil = Callable[[Path], object]
