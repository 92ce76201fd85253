"""The live view fits any terminal, shows what it is given, and its commands stay what they are."""

from __future__ import annotations

import io
import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from conformance.consumer import Received
from conformance.observer import Observer
from gateway.cli.view import LiveView, continued

TAKEN = "2026-01-01T00:00:00.0000000Z"
SPEED = "Monitoring/Spindle1/ActualSpeed"
COMMAND = "(cd '/a b/c   d'; mosquitto_sub -h 127.0.0.1 -p 4711 --cafile ca.pem -v -t 'area4/v1/#')"
ECHOED = COMMAND.replace("cd ", "printf '%s|' ").replace("; mosquitto_sub", "; printf '%s|'")


def message(kind: str, seq: int, **body: object) -> Received:
    machine = body.pop("machine", "urn:m")
    whole = {"machine": machine, "epoch": "e", "seq": seq, "taken": TAKEN, **body}
    return Received(f"area4/v1/lab/m/{kind}", json.dumps(whole).encode(), retained=False, at=0.0)


def observed(machines: int = 1, name: str = "Mill-7", alarm: str = "Door opened") -> Observer:
    observer = Observer()
    signals = [{"path": SPEED, "unit": {"symbol": "r/min"}}, {"path": "Equipment/Uses", "unit": {"symbol": "1"}}]
    samples = [
        {"path": SPEED, "value": 12345.678},
        {"path": "Equipment/Uses", "value": 7},
        {"path": "Production/ActiveProgram/Name", "value": "bracket.nc"},
    ]
    condition = {"id": "c", "active": True, "acked": False, "retain": True}
    event = {"id": "AA==", "type": "AlertType", "severity": 500, "message": {"text": alarm}, "condition": condition}
    for number in range(machines):
        to = {"machine": f"urn:m{number}"}
        observer.take(
            [
                message("description", 1, description={"name": name, "signals": signals}, **to),
                message("data", 2, samples=[{**one, "time": TAKEN} for one in samples], **to),
                message("event", 3, event={**event, "time": TAKEN}, **to),
            ]
        )
    assert not observer.unreadable
    return observer


def drawn(observer: Observer, columns: int, lines: int) -> list[str]:
    console = Console(file=io.StringIO(), width=columns, height=lines, color_system=None, record=True)
    facts = {"broker": "mosquitto 127.0.0.1:4711", "outbox": "3 messages", "lost": "0"}
    console.print(LiveView(observer).draw(0.0, facts, ["in a second terminal:", COMMAND], (columns, lines)))
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_it_shows_state_values_with_units_alarms_and_losses() -> None:
    text = "\n".join(drawn(observed(), 120, 40))
    assert "Mill-7" in text
    assert "bracket.nc" in text
    assert "12,346 r/min" in text
    assert "Equipment Uses" in text
    assert "7 1" not in text
    assert "! Door opened (active, not acknowledged, severity 500)" in text
    assert "lost 0" in text
    lossy = observed()
    lossy.take([message("gap", 4, cause="evicted", signals=None, begin=TAKEN, end=TAKEN, lost=5, machine="urn:m0")])
    assert "lost 5" in "\n".join(drawn(lossy, 120, 40))


@given(
    st.integers(60, 220),
    st.integers(24, 70),
    st.integers(0, 3),
    st.text(max_size=90),
    st.text(max_size=300),
)
def test_nothing_wraps_or_scrolls(columns: int, lines: int, machines: int, name: str, alarm: str) -> None:
    shown = drawn(observed(machines, name, alarm), columns, lines)
    assert len(shown) <= lines
    assert all(cell_len(line) <= columns for line in shown)


def test_a_text_of_a_machine_does_not_reach_the_terminal_as_a_command() -> None:
    assert "\x1b" not in "\n".join(drawn(observed(name="\x1b[2J", alarm="\x1b]0;title\x07"), 100, 30))


@pytest.mark.parametrize("columns", [24, 30, 40, 61, 80, 200])
def test_a_shell_reads_a_command_on_several_lines_as_one(columns: int) -> None:
    lines = continued(ECHOED, columns)
    assert all(len(line) <= columns for line in lines)
    assert len(lines) > 1 or columns == 200
    read = [
        subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=True).stdout
        for text in ("\n".join(lines), ECHOED)
    ]
    assert read[0] == read[1] == "/a b/c   d|-h|127.0.0.1|-p|4711|--cafile|ca.pem|-v|-t|area4/v1/#|"
