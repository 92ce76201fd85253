"""`make bench`: what the whole gateway costs, and what others cost in the same run.

Load source (SignAndEncrypt) -> gateway (outbox synchronous=FULL, QoS 1, mutual TLS) -> mosquitto -> subscriber.
CPU time is that of the gateway's processes alone, from /proc. Ratios can be compared between computers, figures cannot.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks import counting, peers, report, starts
from tests.benchmarks.stage import LoadLab, Window, cpu_seconds, resident_megabytes, subscriber, window

REFERENCE = 10_000.0
"""Values a second at which everything is compared."""


@dataclass(frozen=True)
class Shape:
    """Servers, machines of each, signals of each, publishing interval in seconds, and the rates; None is saturated."""

    servers: int
    machines: int
    signals: int
    rates: tuple[float | None, ...]
    interval: float = 0.1

    def __str__(self) -> str:
        return f"{self.servers} x {self.machines} x {self.signals}, {self.interval * 1000:.0f} ms"


FULL = (
    Shape(1, 20, 50, (1_000.0, 2_000.0, REFERENCE, 50_000.0, None)),
    Shape(1, 20, 5, (REFERENCE,)),
    Shape(1, 20, 250, (REFERENCE,)),
    Shape(1, 20, 1000, (REFERENCE,)),
    Shape(20, 1, 50, (REFERENCE,)),
    Shape(50, 1, 100, (20_000.0,), 0.25),
)
SHORT = (
    Shape(1, 20, 50, (1_000.0, 2_000.0, REFERENCE, None)),
    Shape(1, 20, 1000, (REFERENCE,)),
    Shape(20, 1, 50, (REFERENCE,)),
    Shape(50, 1, 100, (20_000.0,), 0.25),
)


@dataclass
class Row:
    """Figures of one gateway at one rate: medians of its windows; `lost` is the sum."""

    name: str
    shape: str
    asked: float | None
    values: float
    cpu: float
    p50: float
    p99: float
    memory: float
    size: float
    lost: int
    limited: bool


def row(name: str, shape: Shape, asked: float | None, found: list[tuple[Window, counting.Tally]]) -> Row:
    """Medians of some windows."""
    middle = statistics.median
    return Row(
        name, str(shape), asked,
        middle(tally.values / (one.end - one.begin) for one, tally in found),
        middle(one.cpu * 1e6 / max(tally.values, 1) for one, tally in found),
        middle(tally.age(0.5) for _, tally in found), middle(tally.age(0.99) for _, tally in found),
        max(one.memory for one, _ in found), middle(tally.size / max(tally.values, 1) for _, tally in found),
        sum(tally.missing + one.source["dropped"] for one, tally in found),
        any(one.source["limited"] for one, _ in found),
    )  # fmt: skip


async def saturate(lab: LoadLab, pid: int, file: Path, seconds: float) -> Window:
    """Give as much as is asked for, then nothing, until all of it has arrived: what it takes from end to end."""
    begin, used = time.time(), cpu_seconds(pid)
    await lab.source.rate(None)
    await asyncio.sleep(seconds)
    source = await lab.source.rate(0.0)
    size, quiet = -1, time.monotonic()
    while time.monotonic() - quiet < 1.5:
        await asyncio.sleep(0.2)
        if (now := os.path.getsize(file)) != size:  # noqa: PTH202 - a path of the loop
            size, quiet = now, time.monotonic()
    end = time.time() - 1.5
    return Window(begin, end, cpu_seconds(pid) - used, resident_megabytes(pid), source)


async def flowing(process: asyncio.subprocess.Process, file: Path, content: counting.Content, within: float) -> bool:
    """Whether values arrive at last."""
    begin = time.monotonic()
    while time.monotonic() - begin < within and process.returncode is None:
        await asyncio.sleep(0.5)
        if counting.tally(file, 0, float("inf"), content).values:
            await asyncio.sleep(2.0)
            return True
    return False


async def ours(shape: Shape, windows: int, seconds: float, folder: Path) -> list[Row]:
    """All rates of a shape with one gateway process."""
    load = {"servers": shape.servers, "machines": shape.machines, "signals": shape.signals, "rate": 500.0}
    lab = LoadLab(folder / "lab", load=load, interval=shape.interval)
    file = folder / "messages"
    measured: list[tuple[float | None, list[Window]]] = []
    try:
        await lab.start_machines()
        async with subscriber(lab, "area4/v1/#", file):
            await lab.start_gateway()
            assert lab.gateway is not None
            pid = lab.gateway.pid
            if not await flowing(lab.gateway, file, counting.area4, 60):
                raise SystemExit(f"no value arrived:\n{lab.log_tail()}")
            await asyncio.sleep(3)
            for rate in shape.rates:
                if rate is None:
                    found = [await saturate(lab, pid, file, min(seconds, 4.0)) for _ in range(windows)]
                else:
                    found = [await window(lab, pid, rate, seconds, 2.0 if at == 0 else 0.0) for at in range(windows)]
                measured.append((rate, found))
            await lab.source.rate(0.0)
            await asyncio.sleep(1.5)
        if counting.holes(file) or counting.gaps(file):
            print(f"{shape}: {counting.holes(file)} messages missing, {counting.gaps(file)} gaps", file=sys.stderr)
        await lab.stop_gateway()
        return [
            row(
                "area4", shape, rate, [(one, counting.tally(file, one.begin, one.end, counting.area4)) for one in found]
            )
            for rate, found in measured
        ]
    finally:
        await lab.stop()


async def theirs(peer: peers.Peer, shape: Shape, windows: int, seconds: float, folder: Path) -> list[Row] | str:
    """A peer at its rates, or a sentence why not; some end or stand still under load."""
    within = 120 + len(peer.rates) * (windows * seconds + 10)
    try:
        await asyncio.to_thread(peer.install)
        async with asyncio.timeout(within):
            return await _theirs(peer, shape, windows, seconds, folder)
    except peers.MissingError as problem:
        return str(problem)
    except TimeoutError:
        return f"it was not done within {within:.0f} s"


async def _theirs(peer: peers.Peer, shape: Shape, windows: int, seconds: float, folder: Path) -> list[Row] | str:
    load = {"servers": 1, "machines": shape.machines, "signals": shape.signals, "rate": 500.0}
    lab = LoadLab(folder / "lab", load=load)
    file = folder / "messages"
    measured = []
    try:
        await lab.start_machines()
        async with subscriber(lab, peer.topic, file):
            process = await peers.start(peer, lab, folder / "peer")
            try:
                if not await flowing(process, file, peer.content, 40):
                    log = (folder / "peer" / "output.log").read_text(errors="replace").strip().splitlines()
                    return f"no value arrived within 40 s; the end of its log: {log[-1][:200] if log else 'empty'}"
                for rate in peer.rates:
                    settle = [2.0] + [0.0] * (windows - 1)
                    measured.append((rate, [await window(lab, process.pid, rate, seconds, one) for one in settle]))
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        return [
            row(
                peer.name, shape, rate, [(one, counting.tally(file, one.begin, one.end, peer.content)) for one in found]
            )
            for rate, found in measured
        ]
    finally:
        await lab.stop()


async def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything; the results for the report."""
    shapes, windows, seconds = (FULL, 5, 4.0) if arguments.full else (SHORT, 1, 5.0)
    rows: list[Row] = []
    refused: dict[str, str] = {}
    for shape in shapes:
        with tempfile.TemporaryDirectory(prefix="area4-bench-") as folder:
            rows += _told(await ours(shape, windows if shape.servers < 50 else min(windows, 3), seconds, Path(folder)))
    for peer in () if arguments.alone else peers.PEERS:
        with tempfile.TemporaryDirectory(prefix="area4-bench-") as folder:
            found = await theirs(peer, shapes[0], windows, 3.0 if arguments.full else seconds, Path(folder))
        if isinstance(found, str):
            refused[peer.name] = found
            print(f"{peer.name}: {found}", flush=True)
        else:
            rows += _told(found)
    measured = await starts.measure()
    return {"rows": rows, "refused": refused, "starts": measured, "windows": windows, "seconds": seconds}


def _told(rows: list[Row]) -> list[Row]:
    for one in rows:
        print(report.line(one, 0.0), flush=True)
    return rows


def main() -> int:
    """Measure, print, and write the page where asked to."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--full", action="store_true", help="all shapes, medians of 5; about 15 minutes")
    parser.add_argument("--alone", action="store_true", help="only this gateway")
    parser.add_argument("--micro", action="store_true", help="only the micro-benchmarks")
    parser.add_argument("--write", action="store_true", help="write the results into docs/performance.md")
    arguments = parser.parse_args()
    micro = Path(tempfile.gettempdir()) / f"area4-micro-{os.getpid()}.json"
    tests = [sys.executable, "-m", "pytest", "-m", "benchmark", "tests/benchmarks", "-q", "-p", "no:xdist",
             "--timeout", "0", f"--benchmark-json={micro}", "--benchmark-columns=median,stddev,rounds",
             "--benchmark-timer=time.process_time", "--benchmark-max-time=0.3"]  # fmt: skip
    code = subprocess.run(tests, check=False).returncode
    if arguments.micro or code:
        micro.unlink(missing_ok=True)
        return code
    print(f"\n{report.HEAD}", flush=True)
    results = asyncio.run(run(arguments))
    text = report.page(results, micro)
    micro.unlink(missing_ok=True)
    print(f"\n{text}")
    if arguments.write:
        report.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
