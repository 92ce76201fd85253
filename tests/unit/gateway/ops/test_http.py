from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from gateway.contracts import LinkStatus
from gateway.errors import ConfigurationError
from gateway.ops import http
from gateway.ops.http import Server, healthy
from gateway.ops.snapshot import LinkFigures, Snapshot

OFFLINE = LinkFigures("mill", "source", LinkStatus("opc.tcp://mill", "offline", 0.0, "No route.", "Look at the cable."))
ONLINE = LinkFigures("mill", "source", LinkStatus("opc.tcp://mill", "online", 0.0))


class _State:
    def __init__(self) -> None:
        self.link = ONLINE
        self.broken = False

    def snapshot(self) -> Snapshot:
        if self.broken:
            raise RuntimeError("secret detail")
        return Snapshot("g", "s", "1", 0.0, links=(self.link,))


@pytest.fixture
def state() -> _State:
    return _State()


@pytest.fixture
async def server(state: _State) -> AsyncIterator[Server]:
    async with Server("127.0.0.1", 0, state.snapshot) as running:
        yield running


async def _send(server: Server, request: bytes) -> tuple[int, dict[str, str], bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    return int(lines[0].split(" ")[1]), headers, body


async def _get(server: Server, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    return await _send(server, f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


async def test_pages(server: Server) -> None:
    status, headers, body = await _get(server, "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert int(headers["Content-Length"]) == len(body)
    status, headers, body = await _get(server, "/metrics?x=1")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b"area4_link_up" in body
    assert (await _get(server, "/healthz"))[2] == b'{"status":"alive"}\n'
    assert await healthy("127.0.0.1", server.port)


async def test_readiness_follows_the_links(server: Server, state: _State) -> None:
    status, _, body = await _get(server, "/readyz")
    assert (status, json.loads(body)["ready"]) == (200, True)
    state.link = OFFLINE
    status, _, body = await _get(server, "/readyz")
    assert status == 503
    assert json.loads(body)["reasons"] == ["source mill: offline: No route. Look at the cable."]
    assert json.loads(body)["links"] == {"source.mill": "offline"}
    assert (await _get(server, "/healthz"))[0] == 200


async def test_head_has_no_body(server: Server) -> None:
    status, headers, body = await _get(server, "/metrics", "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 100


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /nothing HTTP/1.1\r\n\r\n", 404),
        (b"GET /../etc/passwd HTTP/1.1\r\n\r\n", 404),
        (b"POST / HTTP/1.1\r\n\r\n", 405),
        (b"GET /\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", 431),
    ],
)
async def test_other_requests(server: Server, request_: bytes, status: int) -> None:
    assert (await _send(server, request_))[0] == status
    assert (await _get(server, "/healthz"))[0] == 200


async def test_a_bug_in_a_page_is_told_without_details(
    server: Server, state: _State, caplog: pytest.LogCaptureFixture
) -> None:
    state.broken = True
    status, _, body = await _get(server, "/")
    assert status == 500
    assert b"secret detail" not in body
    assert "secret detail" in caplog.text
    assert (await _get(server, "/healthz"))[0] == 200


@asynccontextmanager
async def _connected(server: Server) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """What still comes until the server ends the connection, in whichever way."""
    with suppress(ConnectionError):
        return await asyncio.wait_for(reader.read(), 20)
    return b""


async def test_slow_and_silent_clients_do_not_keep_connections(state: _State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "REQUEST_SECONDS", 0.2)
    monkeypatch.setattr(http, "MAX_CONNECTIONS", 2)
    async with Server("127.0.0.1", 0, state.snapshot) as server, _connected(server) as slow, _connected(server) as mute:
        slow[1].write(b"GET / HT")
        assert await _rest(slow[0]) == b""
        assert await _rest(mute[0]) == b""
        assert (await _get(server, "/healthz"))[0] == 200


async def test_too_many_connections_are_turned_away(state: _State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_CONNECTIONS", 1)
    async with (
        Server("127.0.0.1", 0, state.snapshot) as server,
        _connected(server),
        _connected(server) as (reader, _),
    ):
        assert await _rest(reader) == b""


async def test_closing_ends_open_connections(state: _State) -> None:
    server = Server("127.0.0.1", 0, state.snapshot)
    async with server, _connected(server) as (reader, _):
        await _get(server, "/healthz")
        await server.__aexit__(None, None, None)
        assert await _rest(reader) == b""


async def test_a_port_in_use_is_one_sentence(state: _State) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port}: the port is in use"):
            await Server("127.0.0.1", port, state.snapshot).__aenter__()


@pytest.mark.parametrize(
    ("host", "expected"), [("192.0.2.1", "no such address"), ("no-such-host.invalid", "no such address")]
)
async def test_an_address_that_is_not_ours(state: _State, host: str, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        await Server(host, 0, state.snapshot).__aenter__()
