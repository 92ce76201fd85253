"""Servers that hang, lie, hang up or flood: the run of all device checks ends with a report and within its memory."""

from __future__ import annotations

import asyncio
import json
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from conformance.suite.report import Report

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
MEGABYTES = 250
"""More than the suite takes of memory by itself while it imports, and far less than what is sent to it."""
_RUN = """
import asyncio, json, resource, sys
from conformance.device.access import Access, Limits, Policy
from conformance.device.target import DeviceTarget, Observing
from conformance.suite.catalogue import Catalogue, shipped
from conformance.suite.check import TargetKind
from conformance.suite.runner import Settings, run

limits = Limits(request_seconds=0.5, connect_seconds=1.0, requests_per_second=1000.0)
target = DeviceTarget(Access(sys.argv[1], policy=Policy.NONE, limits=limits), Observing(0.2))
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
async def test_the_run_ends_with_a_report(behaviour: Behaviour, tmp_path: Path) -> None:
    async with serving(behaviour) as url:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _RUN, url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
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
    assert not any(one.state == "pass" for one in report.results)
    assert found["grown"] < MEGABYTES
