"""`area4 sim mutant`: brokers and networks that are broken, and what is said of those that cannot be started so."""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from .conftest import COMMAND, Area4, assert_told

WITHIN = 60


@asynccontextmanager
async def mutant(folder: Path, *arguments: str) -> AsyncIterator[dict[str, Any]]:
    """What it tells, until Ctrl-C; after that its port is closed."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "sim", "mutant", *arguments, "--json", "--dir", str(folder), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        access = json.loads(await asyncio.wait_for(process.stdout.readline(), WITHIN))
        yield access
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.stdout.read(), WITHIN) == b""
        assert await process.wait() == 0
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port_of(access))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def port_of(access: dict[str, Any]) -> int:
    return int(access["urls"][0].rpartition(":")[2])


def content(file: str) -> bytes:
    return Path(file).read_bytes()


async def judged(access: dict[str, Any], folder: Path, *checks: str) -> dict[str, str]:
    """State by check, of the line that the mutant itself tells."""
    line = shlex.split(access["conform"])
    assert line[0] == "area4"
    only = [part for check in checks for part in ("--only", check)]
    report = folder / "report.json"
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *line[1:], *only, "--json", str(report), stdout=asyncio.subprocess.DEVNULL
    )
    try:
        assert await asyncio.wait_for(process.wait(), WITHIN) == 5
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    found = {one["check"]["id"]: one["state"] for one in json.loads(report.read_text("utf-8"))["results"]}
    return {check: found[check] for check in checks}


async def test_a_broker_fails_its_check_alone_and_starts_again_with_what_it_kept(tmp_path: Path) -> None:
    async with mutant(tmp_path / "sim", "broker.plain-listener") as access:
        found = await judged(access, tmp_path, "broker.tls.no-plain-listener", "broker.certificate.chain")
        assert found == {"broker.tls.no-plain-listener": "fail", "broker.certificate.chain": "pass"}
        certificate = content(access["certificate"])
    port = port_of(access)
    async with mutant(tmp_path / "sim", "broker.plain-listener", "--port", str(port)) as access:
        assert port_of(access) == port
        assert content(access["certificate"]) == certificate


async def test_a_network_fails_its_check_alone(tmp_path: Path) -> None:
    async with mutant(tmp_path / "sim", "network.wrong-clock") as access:
        found = await judged(access, tmp_path, "network.clock", "network.reached")
        assert found == {"network.clock": "fail", "network.reached": "pass"}


async def test_a_network_leads_to_the_given_target(tmp_path: Path) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(100))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, mutant(tmp_path, "network.drops-connections", "--target", f"127.0.0.1:{port}") as access:
        assert set(access) == {"urls"}
        assert [await answer(port_of(access)) for _ in range(5)] == [b"hello", b"hello", b"hello", b"", b"hello"]


async def answer(port: int) -> bytes:
    """What comes back through the relay; nothing where it ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"hello")
        async with asyncio.timeout(WITHIN):
            return await reader.read(100)
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


def test_all_kinds_are_listed(area4: Area4) -> None:
    result = area4("sim", "mutants", "--json")
    assert result.returncode == 0, result.stderr
    rows = json.loads(result.stdout)
    kinds = {row["id"].partition(".")[0] for row in rows}
    assert kinds == {"device", "gateway", "broker", "network"}
    assert all(row["title"] and row["breaks"] and row["source"] for row in rows)


@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        (["broker.no-such"], ["broker.no-such is no mutant", "area4 sim mutants"]),
        (
            ["gateway.data.machine-missing"],
            ['--command "python -m simulators.mutants.gateway gateway.data.machine-missing --stage {stage}"'],
        ),
        (["network.lossy"], ["network.lossy is no relay"]),
        (["broker.no-puback", "--target", "127.0.0.1:1"], ["broker.no-puback is no network"]),
        (["broker.no-puback", "--anonymous"], ["--kind and --anonymous are for devices"]),
        (["network.slow", "--target", "nowhere"], ["--target nowhere; allowed is HOST:PORT"]),
    ],
)
def test_what_cannot_be_started_is_said_in_a_sentence(
    area4: Area4, tmp_path: Path, arguments: list[str], texts: list[str]
) -> None:
    result = area4("sim", "mutant", *arguments, "--dir", tmp_path)
    assert_told(result, 2, *texts)
    assert list(tmp_path.iterdir()) == []


async def test_a_taken_port_is_told(area4: Area4, tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        result = await asyncio.to_thread(
            area4, "sim", "mutant", "broker.no-puback", "--port", port, "--dir", tmp_path / "sim"
        )
    assert_told(result, 2, f"port {port} cannot be used")
