"""`area4 sim`: a server by itself, until Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from asyncua import Client
from asyncua.crypto.security_policies import SecurityPolicyAes256Sha256RsaPss

WITHIN = 60


async def test_a_load_says_what_a_client_needs_and_what_it_did(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.cli", "sim", "load", "--json", "--dir", str(tmp_path), "--machines", "1",
        "--signals", "3", "--rate", "100", "--types", "Int64,String",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        access = json.loads(await asyncio.wait_for(process.stdout.readline(), WITHIN))
        client = Client(access["urls"][0], timeout=WITHIN)
        client.application_uri = access["application_uri"]
        await client.set_security(
            SecurityPolicyAes256Sha256RsaPss, access["certificate"], access["key"],
            server_certificate=access["server_certificate"],
        )  # fmt: skip
        await client.load_client_certificate(access["user_certificate"])
        await client.load_private_key(access["user_key"])
        async with client:
            namespaces = await client.get_namespace_array()
        assert "urn:area4:load:Load1-1" in namespaces
        process.send_signal(signal.SIGINT)
        summary = json.loads(await asyncio.wait_for(process.stdout.read(), WITHIN))
        assert await process.wait() == 0
        assert summary["rate"] == 100
        assert summary["sent"] == summary["dropped"] == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
