"""How long it takes until the first value, and what memory is needed."""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gateway.cli.lab import MACHINES, Lab, prepare_folder
from tests.benchmarks import counting
from tests.benchmarks.stage import LoadLab, resident_megabytes, subscriber


async def measure() -> dict[str, str]:
    """Figures by what they are."""
    found = {"importing the gateway": f"{_importing():.2f} s"}
    with tempfile.TemporaryDirectory(prefix="area4-bench-") as folder:
        found["process start to first value, 3 machines of about 260 nodes"] = await _first_value(Path(folder))
    for servers, machines, signals in ((1, 20, 250), (50, 1, 100)):
        with tempfile.TemporaryDirectory(prefix="area4-bench-") as folder:
            seconds, memory = await _subscribed(Path(folder), servers, machines, signals)
        shape = f"{servers} x {machines} x {signals}"
        found[f"process start until all of {shape} signals were seen"] = f"{seconds:.1f} s"
        found[f"RSS with {shape} signals at 5000 values/s"] = f"{memory:.0f} MB"
    return found


def _importing() -> float:
    """Seconds, the median of 5 new processes, their start subtracted."""

    def once(code: str) -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - begin

    return statistics.median(once("import gateway.app") - once("pass") for _ in range(5))


async def _first_value(folder: Path) -> str:
    prepare_folder(folder / "lab")
    lab = Lab(folder / "lab", machines=MACHINES, ledger=False)
    file = folder / "messages"
    await lab.start_machines()
    try:
        async with subscriber(lab, "area4/v1/#", file):  # type: ignore[arg-type]  # what it uses, every lab has
            begin = time.time()
            await lab.start_gateway()
            async with asyncio.timeout(60):
                while not (first := [at for at, topic, _ in counting.lines(file) if topic.endswith(b"/data")]):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        return f"{first[0] - begin:.2f} s"
    finally:
        await lab.stop()


async def _subscribed(folder: Path, servers: int, machines: int, signals: int) -> tuple[float, float]:
    lab = LoadLab(folder / "lab", load={"servers": servers, "machines": machines, "signals": signals, "rate": 0.0})
    file = folder / "messages"
    wanted = servers * machines * signals
    try:
        await lab.start_machines()
        async with subscriber(lab, "area4/v1/#", file):
            begin = time.time()
            await lab.start_gateway()
            assert lab.gateway is not None
            async with asyncio.timeout(120):
                while counting.tally(file, 0, float("inf"), counting.area4).values < wanted:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            last = max(at for at, topic, _ in counting.lines(file) if topic.endswith(b"/data"))
            await lab.source.rate(5000.0)
            await asyncio.sleep(5)
            return last - begin, resident_megabytes(lab.gateway.pid)
    finally:
        await lab.stop()
