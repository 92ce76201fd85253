"""`make bench`: cost of the whole gateway, and of a plain asyncua + paho script beside it, in one run.

One OPC UA server (SignAndEncrypt) with machines whose signals change at a fixed rate; mosquitto with mutual TLS; a
counting subscriber. For each gateway: CPU time of its process per 1000 values delivered, values per second, latency
from source time to the subscriber. The ratio between the two is what can be compared between computers.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from conformance.consumer import Access, Consumer
from gateway.cli.lab import Lab, MachineSpec, prepare_folder
from gateway.model.times import ticks_from_iso, ticks_from_unix_ns
from simulators.broker import Limits

LOAD = f"{Path(__file__).with_name('load_machine.py')}:machine"
BROKER = Limits(autosave_changes=1_000_000)
"""A broker that writes its whole database after each message would be what is measured, for both gateways."""

HERTZ = os.sysconf("SC_CLK_TCK")


@dataclass
class Figures:
    """What was measured of one gateway in one window."""

    name: str
    asked: float
    values: float
    cpu: float
    p50: float
    p99: float
    memory: float
    size: float

    def row(self, base: float) -> str:
        share = f"{self.cpu / base:.2f}" if base else "-"
        return (
            f"| {self.name} | {self.asked:.0f} | {self.values:.0f} | {self.cpu:.1f} | {share} "
            f"| {self.p50:.0f} | {self.p99:.0f} | {self.memory:.0f} | {self.size:.0f} |"
        )


HEAD = (
    "| gateway | values/s shown | values/s delivered | CPU ms per 1000 values | ratio | p50 ms | p99 ms | RSS MB "
    "| bytes per value |\n|---|---|---|---|---|---|---|---|---|"
)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / HERTZ


def resident_megabytes(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def measure(name: str, pid: int, access: Access, rate: float, seconds: float) -> Figures:
    """Count for some seconds what arrives, and what the process spends meanwhile."""
    values = size = 0
    latencies: list[float] = []
    with Consumer(access) as consumer:
        await asyncio.to_thread(consumer.drain, 5.0)
        await asyncio.sleep(2)
        consumer.drain()
        begin, used = time.monotonic(), cpu_seconds(pid)
        while time.monotonic() - begin < seconds:
            for message in await asyncio.to_thread(consumer.drain, 0.1):
                found = message.payload.count(b'"time"')
                values += found
                size += len(message.payload) if found else 0
                latencies += latency(message.payload, message.at) if found else []
        elapsed, used = time.monotonic() - begin, cpu_seconds(pid) - used
    cuts = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else [0.0] * 99
    return Figures(
        name, rate, values / elapsed, used * 1e6 / max(values, 1), cuts[49], cuts[98], resident_megabytes(pid),
        size / max(values, 1),
    )  # fmt: skip


def latency(payload: bytes, at: float) -> list[float]:
    """Milliseconds from the first value's source time to its arrival: the one that waited longest in its message."""
    found = re.search(rb'"time": ?"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.?(\d*)', payload)
    if found is None:
        return []
    ticks = ticks_from_iso(f"{found[1].decode()}.{found[2].decode().ljust(7, '0')[:7]}Z")
    return [(ticks_from_unix_ns(int(at * 1e9)) - ticks) / 10_000]


@contextlib.asynccontextmanager
async def plain_gateway(lab: Lab):
    """The peer, with the gateway's own certificates, as a process."""
    simulator = next(iter(lab.simulators.values()))
    machine = next(iter(lab.pki.machines.values()))
    own, mqtt = lab.pki.gateway_opcua, lab.pki.gateway_mqtt
    script = Path(__file__).with_name("plain_gateway.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), "--url", simulator.url, "--uri", lab.pki.uris["gateway"],
        "--cert", str(own.certificate_der), "--key", str(own.key), "--server-cert", str(machine.certificate_der),
        "--user-cert", str(lab.pki.user.certificate), "--user-key", str(lab.pki.user.key),
        "--host", "127.0.0.1", "--port", str(lab.broker.port), "--mqtt-ca", str(lab.pki.mqtt_ca_file),
        "--mqtt-cert", str(mqtt.certificate), "--mqtt-key", str(mqtt.key),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 120)
        if not line:
            raise SystemExit("the plain gateway did not start")
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def run(arguments: argparse.Namespace, folder: Path) -> list[Figures]:
    machines, signals = arguments.machines, arguments.signals
    os.environ["AREA4_LOAD"] = f"{signals}x{arguments.rate / machines}"
    prepare_folder(folder)
    lab = Lab(folder, machines=[MachineSpec("load", LOAD, "1", 1)], per_server=machines, ledger=False, limits=BROKER)
    figures = []
    await lab.start_machines()
    try:
        await lab.start_gateway()
        assert lab.gateway is not None
        figures.append(await measure("area4", lab.gateway.pid, lab.consumer, arguments.rate, arguments.seconds))
        await lab.stop_gateway()
        if not arguments.alone:
            async with plain_gateway(lab) as pid:
                access = lab.consumer
                plain = Access(access.url, access.ca, access.certificate, access.key, topics=("area4/v1/lab/plain/#",))
                figures.append(await measure("asyncua + paho", pid, plain, arguments.rate, arguments.seconds))
    finally:
        await lab.stop()
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rate", type=float, default=5000, help="values per second, all machines together")
    parser.add_argument("--machines", type=int, default=20)
    parser.add_argument("--signals", type=int, default=50, help="per machine")
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement")
    parser.add_argument("--alone", action="store_true", help="only our gateway, without the peer")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(run(arguments, Path(folder) / "lab"))
    if arguments.json:
        print(json.dumps([vars(one) for one in figures], indent=2))
        return 0
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; one server,")
    print(f"{arguments.machines} machines of {arguments.signals} signals, {arguments.seconds:.0f} s each\n")
    print(HEAD)
    for one in figures:
        print(one.row(figures[0].cpu))
    return 0


if __name__ == "__main__":
    sys.exit(main())
