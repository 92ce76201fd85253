"""An OPC UA client that looks at a server's certificate as carelessly as it is told to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

from simulators.mutants.peercheck import PeerCheck

EVERY = 0.5
"""Seconds between attempts."""

TIMEOUT = 5.0


async def read_without_care(told: Mapping[str, Any], check: PeerCheck, *, unsecured: bool, writes: bool) -> None:
    """Connects again and again, and opens a session wherever `check` finds nothing wrong.

    Args:
        told: Table `opcua` of a stage's file.
        check: How the certificate is looked at.
        unsecured: An endpoint without security will do.
        writes: It also tries to write a signal.
    """
    while True:
        with contextlib.suppress(OSError, TimeoutError, ua.UaError, asyncio.IncompleteReadError):
            await _attempt(told, check, unsecured=unsecured, writes=writes)
        await asyncio.sleep(EVERY)


async def _attempt(told: Mapping[str, Any], check: PeerCheck, *, unsecured: bool, writes: bool) -> None:
    client = Client(told["url"], timeout=TIMEOUT)
    client.application_uri = told["application_uri"]
    endpoints = await client.connect_and_get_server_endpoints()
    secure = [one for one in endpoints if one.SecurityMode == ua.MessageSecurityMode.SignAndEncrypt]
    if not secure and not unsecured:
        return
    if secure:
        shown = secure[0].ServerCertificate
        if check.wrong(shown, Path(told["ca"]), told["server_uri"]):
            return
        policy = SecurityPolicyBasic256Sha256
        await client.set_security(policy, told["certificate"], told["key"], server_certificate=_saved(told, shown))
        await client.load_client_certificate(told["user_certificate"])
        await client.load_private_key(told["user_key"])
    async with client:
        now = client.get_node(ua.ObjectIds.Server_ServerStatus_CurrentTime)
        value = await now.read_value()
        if writes:
            await now.write_value(value)


def _saved(told: Mapping[str, Any], shown: bytes) -> str:
    file = Path(told["key"]).with_name("taken-for-granted.der")
    file.write_bytes(shown)
    return str(file)
