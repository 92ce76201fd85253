"""Where the gateway's time goes: py-spy's samples by function, saturated and with 20 servers.

Run: `python -m tests.benchmarks.profile [--write]`, as a user who may attach to processes.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from tests.benchmarks import counting, report
from tests.benchmarks.__main__ import flowing
from tests.benchmarks.stage import LoadLab, subscriber

BEGIN, END = "<!-- profile: begin -->", "<!-- profile: end -->"
SECONDS, TOP = 8, 14
CASES: tuple[tuple[str, dict[str, Any], float | None], ...] = (
    ("one server of 20 x 50 signals, saturated", {"servers": 1, "machines": 20, "signals": 50}, None),
    ("20 servers of 50 signals, 10,000 values/s", {"servers": 20, "machines": 1, "signals": 50}, 10_000.0),
)


async def samples(load: dict[str, Any], rate: float | None, folder: Path) -> Counter[str]:
    """Samples by the function in which they were taken; only those on a CPU."""
    lab = LoadLab(folder / "lab", load={**load, "rate": 500.0})
    file, raw = folder / "messages", folder / "profile.txt"
    try:
        await lab.start_machines()
        async with subscriber(lab, "area4/v1/#", file):
            await lab.start_gateway()
            assert lab.gateway is not None
            if not await flowing(lab.gateway, file, counting.area4, 60):
                raise SystemExit(f"no value arrived:\n{lab.log_tail()}")
            await lab.source.rate(rate)
            await asyncio.sleep(2)
            spy = str(Path(sys.executable).with_name("py-spy"))
            command = [spy, "record", "--duration", str(SECONDS), "--rate", "250", "--format", "raw", "--nonblocking",
                       "--output", str(raw), "--pid", str(lab.gateway.pid)]  # fmt: skip
            await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
            await lab.source.rate(0.0)
    finally:
        await lab.stop()
    found: Counter[str] = Counter()
    for line in raw.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        found[place(stack.rpartition(";")[2])] += int(count)
    return found


def place(frame: str) -> str:
    """A frame without its line: `function (module)`."""
    name, _, where = frame.partition(" (")
    return f"`{name}` ({where.partition(':')[0].rstrip(')')})"


def table(title: str, found: Counter[str]) -> str:
    """The functions with the most samples."""
    total = sum(found.values())
    rows = [f"| {name} | {count / total:.0%} |" for name, count in found.most_common(TOP)]
    return "\n".join([f"| {title}, by function itself | share |", "|---|---|", *rows])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.profile", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the tables into docs/performance.md")
    arguments = parser.parse_args()
    texts = []
    for title, load, rate in CASES:
        with tempfile.TemporaryDirectory(prefix="area4-bench-") as folder:
            texts.append(table(title, asyncio.run(samples(load, rate, Path(folder)))))
    text = "\n\n".join(texts)
    print(text)
    if arguments.write:
        report.write(f"## Where the time goes\n\n{text}\n", BEGIN, END)
    return 0


if __name__ == "__main__":
    sys.exit(main())
