# ruff: noqa: ASYNC110 - what is waited for happens in a server that has no event to await
from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua

from security.pki.lab import create_lab
from simulators.process import Options, SimulatorProcess, SimulatorProcessError

pytestmark = pytest.mark.asyncio(loop_scope="session")

MODEL = f"{Path(__file__).with_name('bench_machine.py')}:build"
SPEED = "Bench/Monitoring/Spindle1/Speed"


def options(pki: Any, folder: Path, **changes: Any) -> Options:
    given = {"ledger": folder / "ledger.jsonl", "users": {"operator": "secret"}, **changes}
    return Options((given.pop("kind", MODEL),), pki.server.certificate, pki.server.key, (pki.trust,), **given)


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


async def until(condition: Callable[[], bool], within: float = 20) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.05)


async def ended(process: SimulatorProcess, number: signal.Signals) -> int:
    """The exit code after a signal."""
    os.kill(process.pid, number)
    assert process._process is not None
    async with asyncio.timeout(20):
        return await process._process.wait()


async def test_a_process_serves_obeys_and_leaves_a_whole_ledger(
    pki: Any, tmp_path: Path, connect: Callable[..., Any]
) -> None:
    async with SimulatorProcess(options(pki, tmp_path, limit=40)) as process:
        assert process.machines == ["urn:example:bench:B-1"]
        client = await connect(process.url)
        speed = client.get_node(f"ns={await client.get_namespace_index('urn:example:bench:B-1')};s={SPEED}")
        await process.command(do="pause")
        held = await speed.read_value()
        await asyncio.sleep(0.3)
        assert await speed.read_value() == held
        await process.command(do="resume")
        await process.command(do="status", path="Monitoring/Spindle1/Speed", status="BadSensorFailure")
        assert (await speed.read_data_value(raise_on_bad_status=False)).StatusCode.name == "BadSensorFailure"
        await process.command(do="status", path="Monitoring/Spindle1/Speed", status="Good")
        assert (await speed.read_data_value()).StatusCode.is_good()
        assert len(await client.read_values([speed] * 40)) == 40
        with pytest.raises(ua.uaerrors.BadTooManyOperations):
            await client.read_values([speed] * 41)
        await process.command(do="add-tool", name="T7")
        with pytest.raises(SimulatorProcessError, match="already a tool"):
            await process.command(do="add-tool", name="T7")
        await process.command(do="remove-tool", name="T7")
        with pytest.raises(SimulatorProcessError, match="there are: pause"):
            await process.command(do="explode")
        url = process.url
        await client.disconnect()
        await process.command(do="restart")
        again = await connect(url)
        assert await again.get_namespace_array()
        lines = (await process.command(do="count"))["lines"]
        assert await ended(process, signal.SIGTERM) == 0
    written = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text("utf-8").splitlines()]
    assert [line["n"] for line in written] == list(range(1, len(written) + 1))
    assert len(written) >= lines
    statuses = [line.get("status") for line in written if line.get("path") == "Monitoring/Spindle1/Speed"]
    assert "BadSensorFailure" in statuses
    assert statuses[-1] is None


async def test_a_process_of_the_demonstration_and_sigint(
    pki: Any, tmp_path: Path, connect: Callable[..., Any], identity: Callable[..., Any]
) -> None:
    lab = await asyncio.to_thread(create_lab, tmp_path / "lab", machines=["mill"])
    own = lab.machines["mill"]
    process = SimulatorProcess(
        Options(
            kinds=("machining-centre", "turning-centre"),
            serials=("MC-1", "TC-1"),
            certificate=own.certificate_der,
            key=own.key,
            trust=(own.trusted_certs, own.trusted_crl),
            user_trust=(lab.users.root,),
            ledger=tmp_path / "ledger.jsonl",
            anonymous=True,
        )
    )
    await process.start()
    assert [uri.rpartition(":")[2] for uri in process.machines] == ["MC-1", "TC-1"]
    gateway = identity(lab.gateway_opcua, lab.uris["gateway"])
    by_name = {"server_certificate": own.certificate_der}
    for user in (identity(lab.user, ""), None):
        client = await connect(process.url, gateway, user=None, user_identity=user, **by_name)
        assert await client.get_namespace_array()
    with pytest.raises(ua.uaerrors.BadUserAccessDenied):
        await connect(process.url, gateway, user_identity=gateway, **by_name)
    assert await ended(process, signal.SIGINT) == 0
    assert json.loads((tmp_path / "ledger.jsonl").read_bytes().splitlines()[-1])["n"] > 0


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"kind": "nothing.py:build"}, "no file nothing.py"),
        ({"factor": 5000.0}, "1 to 1000"),
        ({"host": "203.0.113.1"}, "cannot listen on 203.0.113.1"),
    ],
)
async def test_a_process_that_cannot_start_says_why(
    pki: Any, tmp_path: Path, changes: dict[str, Any], text: str
) -> None:
    with pytest.raises(SimulatorProcessError, match=text):
        await SimulatorProcess(options(pki, tmp_path, **changes)).start()


async def test_it_dies_with_its_parent(pki: Any, tmp_path: Path) -> None:
    program = (
        "import asyncio,sys,json;from pathlib import Path;from simulators.process import *\n"
        "async def main():\n"
        f"    p=SimulatorProcess(Options(({MODEL!r},),Path({str(pki.server.certificate)!r}),"
        f"Path({str(pki.server.key)!r}),"
        f"(Path({str(pki.trust)!r}),),ledger=Path({str(tmp_path / 'l.jsonl')!r})))\n"
        "    await p.start()\n"
        "    print(p.pid,flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    async with asyncio.timeout(60):
        pid = int(await parent.stdout.readline())
    assert not gone(pid)
    os.kill(parent.pid, signal.SIGKILL)
    await parent.wait()
    await until(lambda: gone(pid))
