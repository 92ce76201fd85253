"""`area4 init`: asked on a terminal, told by options, accepted by `check`."""

from __future__ import annotations

import os
import pty
import subprocess
import time
from pathlib import Path

from .conftest import COMMAND, Area4

GOOD = ["--name", "g", "--site", "s", "--opcua", "opc.tcp://127.0.0.1:1", "--broker", "mqtts://127.0.0.1:2"]


def _converse(arguments: list[str], answers: dict[str, str]) -> tuple[int, str]:
    """Run the command on a terminal and answer each question once."""
    master, slave = pty.openpty()
    with subprocess.Popen([*COMMAND, *arguments], stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        shown, told, end = "", 0, time.monotonic() + 60
        while time.monotonic() < end:
            try:
                shown += os.read(master, 4096).decode()
            except OSError:  # the terminal's other side is closed: the command has ended
                break
            for question in [one for one in answers if one in shown[told:]]:
                told = len(shown)
                os.write(master, answers.pop(question).encode() + b"\n")
        os.close(master)
        return process.wait(30), shown


def test_questions_on_a_terminal(area4: Area4, tmp_path: Path) -> None:
    folder = tmp_path / "gateway"
    code, shown = _converse(
        ["init", str(folder), "--no-pki"],
        {
            "Name of this gateway": "hall3",
            "Site": "",
            "URL of the OPC UA server": "opc.tcp://mill.example",
            "URL of the MQTT broker": "mqtts://broker.example",
            "User at the OPC UA server": "operator",
            "Password of operator": "hunter2",
            "Repeat for confirmation": "hunter2",
        },
    )
    assert code == 0, shown
    assert "hunter2" not in shown
    assert "Next steps" in shown
    assert "area4 pki csr" in shown
    text = (folder / "area4.toml").read_text()
    assert 'site = "site1"' in text
    assert "[source.mill-example]" in text
    assert "hunter2" not in text
    assert (folder / "secrets/opcua-password").read_text() == "hunter2"
    assert (folder / "secrets/opcua-password").stat().st_mode & 0o777 == 0o600
    assert not (folder / "pki").exists()


def test_what_it_writes_is_accepted_and_its_keys_are_its_own(area4: Area4, tmp_path: Path) -> None:
    for name in ("one", "two"):
        result = area4("init", tmp_path / name, *GOOD)
        assert result.returncode == 0, result.stderr
        assert f"area4 check --config {tmp_path / name / 'area4.toml'}" in result.stdout
        check = area4("check", "--offline", "--config", tmp_path / name / "area4.toml")
        assert check.returncode == 0, check.stdout + check.stderr
    keys = [(tmp_path / name / "pki/g/mqtt/own/key.pem") for name in ("one", "two")]
    assert keys[0].read_bytes() != keys[1].read_bytes()
    assert all(key.stat().st_mode & 0o777 == 0o600 for key in keys)


def test_several_servers_get_names(area4: Area4, tmp_path: Path) -> None:
    more = ["--opcua", "opc.tcp://127.0.0.1:3", "--opcua", "lathe=opc.tcp://x", "--user", "anonymous", "--no-pki"]
    assert area4("init", tmp_path / "x", *GOOD, *more).returncode == 0
    text = (tmp_path / "x/area4.toml").read_text()
    assert "[source.127-0-0-1]" in text
    assert "[source.127-0-0-1-2]" in text
    assert "[source.lathe]" in text
    assert text.count('waivers = ["anonymous-user"]') == 3
