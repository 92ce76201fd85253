"""Servers that hang, lie, hang up or flood: the run of all device checks ends with a report and within its memory."""

from __future__ import annotations

import asyncio
import json
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from conformance.suite.report import Report
from tests.tools.device_runs import Site

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
MEGABYTES = 250
"""More than the suite takes of memory by itself while it imports, and far less than what is sent to it."""
_RUN = """
import asyncio, json, pathlib, resource, sys
from conformance.device.access import Access, Limits, Policy
from conformance.device.target import DeviceTarget, Observing
from conformance.suite.catalogue import Catalogue, shipped
from conformance.suite.check import TargetKind
from conformance.suite.runner import Settings, run

limits = Limits(request_seconds=0.5, connect_seconds=1.0, requests_per_second=1000.0)
files = [pathlib.Path(one) for one in sys.argv[2:]]
policy = Policy.BEST if files else Policy.NONE
user = {"user": "operator", "password": "a long one"} if files else {}
target = DeviceTarget(Access(sys.argv[1], *files, policy=policy, limits=limits, **user), Observing(0.2))
settings = Settings(allow_writes=True, allow_stress=True, open_seconds=5.0, check_seconds=2.0, total_seconds=40.0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
report = asyncio.run(run(target, shipped(), settings=settings))
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
print(json.dumps({"grown": grown, "report": report.model_dump(mode="json")}))
"""


async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    while await reader.read(65_536):
        pass


async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(65_536):
        writer.write(bytes(range(256)) * 64)


async def after_hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Answer Hello; whether something came after it."""
    head = await reader.readexactly(8)
    await reader.readexactly(int.from_bytes(head[4:], "little") - 8)
    writer.write(b"ACKF" + struct.pack("<6I", 28, 0, 65_535, 65_535, 0, 0))
    return bool(await reader.read(65_536))


async def huge_chunk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if await after_hello(reader, writer):
        writer.write(b"OPNF" + struct.pack("<I", 0x7FFF_FFFF))
        for _ in range(50):
            writer.write(bytes(1024 * 1024))
            await writer.drain()


async def endless_chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if await after_hello(reader, writer):
        for number in range(1, 5_000):
            body = struct.pack("<IIII", 1, 1, number, 1) + bytes(60_000)
            writer.write(b"MSGC" + struct.pack("<I", len(body) + 8) + body)
            await writer.drain()


async def truncated(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if await after_hello(reader, writer):
        writer.write(b"OPNF" + struct.pack("<I", 200) + bytes(20))
        writer.close()


async def errors(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if await after_hello(reader, writer):
        text = b"\xff\x1b[31m<script>" * 400
        writer.write(b"ERRF" + struct.pack("<III", 16 + len(text), 0x80010000, len(text)) + text)


@asynccontextmanager
async def serving(behaviour: Behaviour) -> AsyncIterator[str]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behaviour(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"opc.tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(one, marks=() if one in {hang, garbage, huge_chunk} else pytest.mark.soak, id=one.__name__)
        for one in (hang, hang_up, garbage, huge_chunk, endless_chunks, truncated, errors)
    ],
)
@pytest.mark.timeout(300)
async def test_the_run_ends_with_a_report(behaviour: Behaviour, tmp_path: Path) -> None:
    async with serving(behaviour) as url:
        report = await report_of(url)
    assert not any(one.state == "pass" for one in report.results)


async def report_of(*arguments: str | Path) -> Report:
    """Of a run in a process of its own, which keeps within its memory and has no error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _RUN, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(150):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()[-2_000:]
    found = json.loads(out.splitlines()[-1])
    report = Report.model_validate(found["report"])
    assert report.results
    assert not [one.check.id for one in report.results if one.state == "error"]
    assert found["grown"] < MEGABYTES
    return report


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for number in range(1, 900):
        body = struct.pack("<IIII", 1, 1, number, 1) + bytes(60_000)
        writer.write(b"MSGC" + struct.pack("<I", len(body) + 8) + body)
        await writer.drain()
    await hang(reader, writer)


@dataclass
class Turning:
    """Stands before a server, and after this many answers of it behaves badly on all connections, for ever.

    Attributes:
        answers: Pieces that the server has sent so far.
    """

    server: str
    after: int
    bad: Behaviour
    answers: int = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.answers >= self.after:
            await self.bad(reader, writer)
            return
        address = urlsplit(self.server)
        from_server, to_server = await asyncio.open_connection(address.hostname, address.port)
        asking = asyncio.create_task(self.pass_on(reader, to_server))
        try:
            while self.answers < self.after and (piece := await from_server.read(65_536)):
                self.answers += 1
                writer.write(piece)
                await writer.drain()
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            to_server.close()
        if self.answers >= self.after:
            await self.bad(reader, writer)

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
        writer.close()


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("after", [15, 200], ids=["while looking", "while judging"])
@pytest.mark.parametrize("bad", [hang, hang_up, garbage, flood])
async def test_a_device_that_turns_bad_in_the_middle_ends_in_a_report(
    bad: Behaviour, after: int, tmp_path: Path
) -> None:
    site = Site(tmp_path)
    async with site.lane() as lane:
        turning = Turning(lane.server.url, after, bad)
        async with serving(turning) as url:
            report = await report_of(url, *site.client)
    assert turning.answers >= after
    assert any(one.state == "pass" for one in report.results) is (after == 200)
    assert any(one.state in {"blocked", "fail"} for one in report.results)
