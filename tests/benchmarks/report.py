"""The results as Markdown, into docs/performance.md between its markers, and their ratios into README.md."""

import json
import os
import platform
import re
import textwrap
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE, README = ROOT / "docs" / "performance.md", ROOT / "README.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
RATIOS = ("<!-- ratios: begin -->", "<!-- ratios: end -->")
REFERENCE = "10000"
HEAD = (
    "| gateway | servers x machines x signals | values/s asked | delivered | CPU ms per 1000 values | ratio | p50 ms "
    "| p99 ms | RSS MB | bytes per value | lost |\n|---|---|---|---|---|---|---|---|---|---|---|"
)


def line(row: Any, base: float) -> str:
    """A row of the table; `base` is what this gateway needs at the same rate, 0 where that was not measured."""
    asked = "saturated" if row.asked is None else f"{row.asked:.0f}"
    if row.values < 1:
        none = f"| {row.name} | {row.shape} | {asked} | none arrived | - | - | - | - |"
        return f"{none} {row.memory:.0f} | - | {row.lost} |"
    ratio = f"{row.cpu / base:.2f}" if base else "-"
    flag = " (source)" if row.limited else ""
    return (
        f"| {row.name} | {row.shape} | {asked} | {row.values:.0f}{flag} | {row.cpu:.1f} | {ratio} | {row.p50:.0f} "
        f"| {row.p99:.0f} | {row.memory:.0f} | {row.size:.0f} | {row.lost} |"
    )


def page(results: dict[str, Any], micro: Path) -> str:
    """All of it."""
    rows = results["rows"]
    own = {row.asked: row.cpu for row in reversed(rows) if row.name == "area4" and row.shape.startswith("1 x 20 x 50,")}
    lines = [_computer(), "", f"Medians of {results['windows']} windows of {results['seconds']:.0f} s.", "", HEAD]
    lines += [line(row, own.get(row.asked, 0.0)) for row in rows]
    if results["refused"]:
        lines += ["", "Not measured:", ""]
        lines += [f"- {name}: {why}" for name, why in results["refused"].items()]
    lines += ["", "| start and memory | measured |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in results["starts"].items()]
    lines += ["", "| part alone | median us | per |", "|---|---|---|"]
    for one in json.loads(micro.read_text())["benchmarks"]:
        extra = one["extra_info"]
        value = one["stats"]["median"] / extra.get("count", 1) * 1e6
        lines.append(f"| {extra.get('label', one['name'])} | {value:.2f} | {extra.get('per', 'call')} |")
    return "\n".join(lines)


def ratios(page_text: str) -> str:
    """What others need at the reference rate as multiples of what this gateway needs, from the page's table."""
    cells = [[one.strip() for one in row.split("|")[1:-1]] for row in page_text.splitlines() if row.startswith("| ")]
    peers = [row for row in cells if len(row) == 11 and row[2] == REFERENCE and row[0] != "area4" and row[5] != "-"]
    named = "; ".join(f"{row[0]}: {float(row[5]):.2g}" for row in peers)
    intro = "CPU time per value at 10,000 values/s, this gateway with everything on = 1"
    return f"{intro} ([measured](docs/performance.md)):\n{textwrap.fill(f'{named}.', 118)}"


def write(text: str, begin: str = BEGIN, end: str = END) -> None:
    """Replace what stands between two markers of the page, and the README's ratios."""
    _replace(PAGE, text, begin, end)
    _replace(README, ratios(PAGE.read_text(encoding="utf-8")), *RATIOS)


def _replace(file: Path, text: str, begin: str, end: str) -> None:
    head, _, rest = file.read_text(encoding="utf-8").partition(begin)
    file.write_text(f"{head}{begin}\n{text}\n{end}{rest.partition(end)[2]}", encoding="utf-8")


def _computer() -> str:
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    busy = os.getloadavg()[2]
    parts = ", ".join(f"{name} {version(name)}" for name in ("asyncua", "paho-mqtt", "msgspec", "cryptography"))
    system = f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}"
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {model[1] if model else platform.processor()} "
        f"({platform.machine()}), {os.cpu_count()} cores, {memory:.0f} GB, {system}, {parts}. "
        f"Load average of the last 15 minutes at the end: {busy:.1f}."
    )
