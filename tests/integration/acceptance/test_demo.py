"""`area4 demo` as a process: nothing lost with either broker, losses found, second terminals, nothing left behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .processes import COMMAND, Demo, Terminal, demo, pid_of, processes_of, screen, until

SECONDS = 38
"""Door opened, acknowledged, closed, program resumed: that is what a viewer sees first."""


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with demo(tmp_path_factory.mktemp("long") / "lab", "--for", str(SECONDS), "--json") as made:
        yield made


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    made = Terminal(tmp_path_factory.mktemp("terminal") / "lab", 80, 24)
    yield made
    made.close()


def test_the_view_fits_a_small_terminal(terminal: Terminal, long: Demo) -> None:
    """The first test of the module: both demos start side by side."""
    terminal.until(lambda: "acknowledged, severity" in terminal.text.rpartition("\x1b[H")[0], "an alarm")
    pictures = terminal.text.split("\x1b[?1049h")[1].split("\x1b[H")[1:]
    for picture in pictures[:-1]:
        assert len(screen(picture, 80, 24)) <= 24
    (*_, picture) = [one for one in pictures[:-1] if "not acknowledged" in one]
    shown = screen(picture, 80, 24)
    text = "\n".join(shown)
    assert re.match(r"area4  broker \w+ 127\.0\.0\.1:\d+  outbox \d+ messages  lost 0  running \d+ s$", shown[0])
    heads = [line for line in shown if line.startswith("━━ ")]
    assert [head.split()[1] for head in heads] == ["LaserCutter-LC-1", "MachiningCentre-MC-1", "TurningCentre-TC-1"]
    assert all(re.search(r"Automatic  \S+\.nc (Running|Interrupted) ━* *\d+ values/s  lost 0$", head) for head in heads)
    assert re.search(r" ActualPosition +-?\d+\.\d+ mm", text)
    assert len(re.findall(r"  \w+ \w+ +-?[\d,]+(?:\.\d+)? \S+", text)) >= 9, text
    assert "! Door opened while the program runs (active, not acknowledged, severity 500)" in text
    assert f"watch --lab {terminal.folder}" in text.replace(" \\\n ", "")
    assert "Ctrl-C ends all of it" in text
    assert "WARNING" not in terminal.text


def test_commands_of_the_second_terminal_work_as_they_are_printed(long: Demo) -> None:
    long.started()
    watch, subscribe = long.stderr.split("in a second terminal:\n")[1].splitlines()[:2]
    assert watch.endswith(f"watch --lab {long.folder}")
    result = subprocess.run(
        f"{watch} --for 3", shell=True, cwd="/", capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    assert re.search(r"^\S+Z +urn:\S+MC-1 Monitoring/\S+ = -?[\d.]+ \S+$", result.stdout, re.MULTILINE)
    if shutil.which("mosquitto_sub") is None:
        assert "mosquitto_sub" in subscribe
        return
    once = subscribe.replace(" -v ", " -W 20 -C 20 -v ")
    result = subprocess.run(once, shell=True, cwd="/", capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    topics = [line.split(" ", 1)[0] for line in result.stdout.splitlines()]
    assert any(topic.startswith("area4/v1/lab/") and topic.endswith("/data") for topic in topics)


def test_a_second_demo_does_not_touch_the_folder_of_the_first(long: Demo) -> None:
    result = subprocess.run(
        [*COMMAND, "demo", "--dir", str(long.folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 2
    assert "another `area4 demo` runs" in result.stderr
    assert (long.folder / "area4.toml").exists()


def test_ctrl_c_ends_all_with_a_summary_and_restores_the_terminal(terminal: Terminal) -> None:
    running = processes_of(terminal.folder)
    assert len(running) == 6, running  # the demo, its broker, three machines, the gateway
    terminal.press(b"\x03")
    terminal.until(lambda: terminal.process.poll() is not None, "the end after Ctrl-C")
    after = terminal.text.split("\x1b[?1049l")[1]
    assert terminal.process.returncode == 0, after
    assert "\x1b[?25h" in terminal.text.split("\x1b[?25l")[-1]
    assert terminal.settings() == terminal.before
    assert "stopping the machines and delivering the rest ..." in after
    found = dict(
        re.findall(
            r"^(values shown|values delivered|events|lost).*: +(\d+)(?:, with [1-9] alarms)?\r?$", after, re.MULTILINE
        )
    )
    assert found["lost"] == "0"
    assert found["values shown"] == found["values delivered"] != "0"
    assert found["events"] != "0"
    until(lambda: not processes_of(terminal.folder), "no process is left")


def test_embedded_broker_a_loss_and_hard_ends(tmp_path: Path, long: Demo) -> None:
    """Three demos side by side: one without mosquitto, one that loses its gateway, one that dies without a word."""
    with (
        demo(tmp_path / "embedded", "--for", "6", "--json", "--broker", "embedded") as embedded,
        demo(tmp_path / "losing", "--for", "6", "--json") as losing,
        demo(tmp_path / "killed") as killed,
    ):
        until(lambda: len(processes_of(killed.folder)) == 6, "all processes have been started")
        killed.process.kill()
        assert killed.ended() == (-signal.SIGKILL, "")
        killed.gone()

        losing.started()
        os.kill(pid_of(losing.folder, "gateway.cli run"), signal.SIGKILL)
        shutil.rmtree(losing.folder / "data")

        code, stdout = embedded.ended()
        summary = json.loads(stdout)
        assert code == 0, embedded.stderr
        assert "broker: embedded at mqtts://" in embedded.stderr
        assert "--protocol" not in embedded.stderr
        assert (summary["machines"], summary["lost"], summary["lossless"]) == (3, 0, True)
        assert summary["values"] == summary["delivered"] > 100

        code, stdout = losing.ended()
        summary = json.loads(stdout)
        assert code == 5
        assert "area4: values are missing or wrong." in losing.stderr
        assert "the gateway has ended" in losing.stderr
        assert summary["unannounced"] == summary["lost"] == summary["values"] - summary["delivered"] > 0
        assert any(re.match(r"missing: urn:\S+ Monitoring/\S+ = \S+ at \S+Z \(good\)$", p) for p in summary["problems"])


def _kinds(folder: Path) -> set[tuple[Any, Any]]:
    lines = [json.loads(line) for file in folder.glob("ledger-*.jsonl") for line in file.read_text().splitlines()]
    events = [line["fields"] for line in lines if line["kind"] == "event" and "ActiveState/Id" in line["fields"]]
    return {(one["ActiveState/Id"], one["AckedState/Id"]) for one in events}


def test_nothing_is_lost_and_something_happens(long: Demo) -> None:
    code, stdout = long.ended()
    summary = json.loads(stdout)
    assert code == 0, long.stderr
    assert (summary["machines"], summary["described"]) == (3, 3)
    assert summary["alarms"] >= 2
    assert summary["values"] == summary["delivered"] > 1000
    assert (summary["lost"], summary["unannounced"], summary["problems"]) == (0, 0, [])
    assert summary["lossless"] is True
    assert summary["events"] >= 12
    assert _kinds(long.folder) == {(True, False), (True, True), (False, True)}
    assert "WARNING" not in long.stderr
    long.gone()


@pytest.mark.parametrize(
    ("number", "code", "told"),
    [
        (signal.SIGINT, 130, "area4: interrupted."),
        (signal.SIGTERM, 130, "area4: interrupted."),
        (signal.SIGHUP, -signal.SIGHUP, ""),
    ],
    ids=["SIGINT", "SIGTERM", "SIGHUP"],
)
def test_a_signal_while_it_starts_ends_it_at_once(tmp_path: Path, number: signal.Signals, code: int, told: str) -> None:
    with demo(tmp_path / "lab") as made:
        until(lambda: any("-m simulators " in line for line in processes_of(made.folder).values()), "a machine starts")
        os.killpg(made.process.pid, number)
        assert made.ended() == (code, "")
        assert told in made.stderr
        assert "Traceback" not in made.stderr
        made.gone()
