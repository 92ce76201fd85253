"""Peers that pretend to be a broker or a machine's server, at its address, and write down what a gateway tells them.

A gateway that looks at certificates ends the connection before anything of worth is said. What an impostor heard is
in its `Witness`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import ssl
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simulators.parent import die_with_parent

HOST = "127.0.0.1"
READY_SECONDS = 60.0
TLS_HANDSHAKE = 0x16
"""First byte of a TLS record with a handshake message (RFC 8446, 5.1)."""

_LISTEN_SECONDS = 3.0


@dataclass(slots=True)
class Witness:
    """What an impostor saw.

    Attributes:
        attempts: Connections that came.
        heard: What it was told that only the true peer should hear, as text.
    """

    attempts: int = 0
    heard: list[str] = field(default_factory=list)


@contextlib.asynccontextmanager
async def broker(
    port: int, certificate: Path | None, key: Path | None, clients: Path | None = None
) -> AsyncIterator[Witness]:
    """A broker that takes TLS connections with this certificate, or without one plain ones, and only listens.

    With `clients`, it demands certificates of that authority.
    """
    witness = Witness()
    context = None

    def begun(*_: object) -> None:
        witness.attempts += 1

    if certificate is not None and key is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        if clients is not None:
            context.load_verify_locations(clients)
            context.verify_mode = ssl.CERT_REQUIRED
        context.sni_callback = begun  # told of each handshake that begins, also of one that fails

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        plain = context is None
        witness.attempts += plain
        try:
            async with asyncio.timeout(_LISTEN_SECONDS):
                heard = await reader.read(4096)
            if heard and not (plain and heard[0] == TLS_HANDSHAKE):
                witness.heard.append(f"{len(heard)} bytes: {heard[:64].hex()}")
        except (OSError, TimeoutError):
            pass  # the gateway left without a word, or says nothing
        finally:
            writer.close()

    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda *_: None)  # a refused handshake is what is wanted
    server = await asyncio.start_server(serve, HOST, port, ssl=context, ssl_handshake_timeout=10 if context else None)
    try:
        yield witness
    finally:
        server.close()
        loop.set_exception_handler(before)


class ServerImpostor:
    """A plain OPC UA server in a process of its own; `start` it, then look at `witness` after `stop`.

    Args:
        port: Where the true server listened.
        certificate: DER, with its key; without, it offers no security at all.
        uri: Its ApplicationUri.
    """

    def __init__(self, port: int, certificate: Path | None, key: Path | None, uri: str) -> None:
        self.witness = Witness()
        self._arguments = [f"--port={port}", f"--uri={uri}"]
        if certificate is not None and key is not None:
            self._arguments += [f"--certificate={certificate}", f"--key={key}"]
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it and wait until it listens.

        Raises:
            OSError: It does not start.
        """
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "simulators.impostors", *self._arguments),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True, preexec_fn=die_with_parent,
        )  # fmt: skip
        assert self._process.stdout is not None
        async with asyncio.timeout(READY_SECONDS):
            line = await self._process.stdout.readline()
        if b"ready" not in line:
            raise OSError("the impostor of a server did not start")
        self._reading = asyncio.create_task(self._read(self._process.stdout), name="impostor")

    async def stop(self) -> Witness:
        """End it; what it heard."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._reading is not None:
            await self._reading
        return self.witness

    async def _read(self, lines: asyncio.StreamReader) -> None:
        while line := await lines.readline():
            told = json.loads(line)
            if told["service"] == "connection":
                self.witness.attempts += 1
            else:
                self.witness.heard.append(f"{told['service']} {told.get('detail', '')}".strip())


def main(arguments: Sequence[str] | None = None) -> int:
    """The child: an OPC UA server that lets everybody in and tells what they ask for."""
    made = argparse.ArgumentParser(prog="python -m simulators.impostors")
    made.add_argument("--port", type=int, required=True)
    made.add_argument("--uri", required=True)
    made.add_argument("--certificate", type=Path)
    made.add_argument("--key", type=Path)
    logging.disable(logging.CRITICAL)
    asyncio.run(_serve(made.parse_args(arguments)))
    return 0


async def _serve(options: argparse.Namespace) -> None:
    from asyncua import Server, ua  # noqa: PLC0415 - slow to import, needed by the child alone
    from asyncua.server.binary_server_asyncio import OPCUAProtocol  # noqa: PLC0415
    from asyncua.server.internal_session import InternalSession  # noqa: PLC0415

    def tell(service: str, detail: str = "") -> None:
        sys.stdout.write(json.dumps({"service": service, "detail": detail}) + "\n")
        sys.stdout.flush()

    made, create, activate = (
        OPCUAProtocol.connection_made,
        InternalSession.create_session,
        InternalSession.activate_session,
    )

    def connected(self: object, transport: object) -> None:
        tell("connection")
        made(self, transport)

    async def created(self: object, *given: object, **named: object) -> object:
        tell("CreateSession")
        return await create(self, *given, **named)

    def activated(self: object, *given: object, **named: object) -> object:
        tell("ActivateSession")
        return activate(self, *given, **named)

    OPCUAProtocol.connection_made = connected
    InternalSession.create_session = created
    InternalSession.activate_session = activated
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://{HOST}:{options.port}/")
    await server.set_application_uri(options.uri)
    if options.certificate is None:
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    else:
        server.set_security_policy(
            [
                ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
                ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
            ]
        )
        await server.load_certificate(str(options.certificate))
        await server.load_private_key(str(options.key))
    async with server:
        tell("ready")
        await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(main())
