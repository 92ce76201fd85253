"""A small HTTP/1.1 server for GET and HEAD: metrics, health, readiness, status page; bounded in every direction."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from gateway.errors import ConfigurationError
from gateway.ops.metrics import CONTENT_TYPE, Metrics
from gateway.ops.page import status_page
from gateway.ops.snapshot import Snapshot

_LOG = logging.getLogger(__name__)

MAX_HEAD_BYTES = 16_384
"""Of request line and headers; a scraper or browser sends less than 2 kB."""

REQUEST_SECONDS = 10.0
"""Within which a request has to be complete and its answer taken: slow clients do not keep a connection."""

MAX_CONNECTIONS = 64
_OUR_HEADER = "X-Area4"
_JSON = "application/json; charset=utf-8"
_TEXT = "text/plain; charset=utf-8"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, content type and body."""

    status: HTTPStatus
    kind: str
    body: bytes


class Server:
    """Serves how the gateway stands; an async context manager."""

    def __init__(self, host: str, port: int, snapshot: Callable[[], Snapshot]) -> None:
        self._host = host
        self._port = port
        self._snapshot = snapshot
        self._metrics = Metrics(snapshot)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._routes: dict[str, Callable[[], Answer]] = {
            "/": self._page,
            "/metrics": self._exposition,
            "/healthz": self._health,
            "/readyz": self._readiness,
        }

    @property
    def port(self) -> int:
        """The port that is listened on, also where 0 was asked for."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            ConfigurationError: The address cannot be listened on.
        """
        try:
            self._server = await asyncio.start_server(
                self._accepted, self._host, self._port, limit=MAX_HEAD_BYTES, reuse_address=True
            )
        except (OSError, UnicodeError) as problem:
            raise _cannot_listen(self._host, self._port, problem) from problem
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening and end open connections."""
        if self._server is not None:
            self._server.close()
            for task in list(self._connections):
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
            await self._server.wait_closed()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer), name="http-connection")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                except asyncio.LimitOverrunError:
                    answer, method = _error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE), "GET"
                else:
                    answer, method = self._answer(head)
                writer.write(_response(answer, head=method == "HEAD"))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            _LOG.debug("a client of the status page went away or was too slow")
        finally:
            writer.transport.abort()

    def _answer(self, head: bytes) -> tuple[Answer, str]:
        parts = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            return _error(HTTPStatus.BAD_REQUEST), "GET"
        method, target, _ = parts
        if method not in {"GET", "HEAD"}:
            return _error(HTTPStatus.METHOD_NOT_ALLOWED), method
        try:
            path = urlsplit(target).path
        except ValueError:
            return _error(HTTPStatus.BAD_REQUEST), method
        route = self._routes.get(path)
        if route is None:
            return _error(HTTPStatus.NOT_FOUND), method
        try:
            return route(), method
        except Exception:  # noqa: BLE001 - a bug in a page is logged and answered, and the gateway goes on
            _LOG.exception("the status page %s failed", path)
            return _error(HTTPStatus.INTERNAL_SERVER_ERROR), method

    def _page(self) -> Answer:
        return Answer(HTTPStatus.OK, "text/html; charset=utf-8", status_page(self._snapshot()).encode())

    def _exposition(self) -> Answer:
        return Answer(HTTPStatus.OK, CONTENT_TYPE, self._metrics.exposition())

    def _health(self) -> Answer:
        return Answer(HTTPStatus.OK, _JSON, b'{"status":"alive"}\n')

    def _readiness(self) -> Answer:
        snapshot = self._snapshot()
        reasons = snapshot.not_ready()
        body = {
            "ready": not reasons,
            "reasons": reasons,
            "links": {f"{link.kind}.{link.name}": link.status.state for link in snapshot.links},
            "outbox": "cannot store" if snapshot.outbox.problem else "writable",
            "waivers": list(snapshot.waivers),
        }
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        return Answer(status, _JSON, json.dumps(body).encode() + b"\n")


async def healthy(host: str, port: int) -> bool:
    """Whether a gateway answers at this address."""
    try:
        async with asyncio.timeout(2.0):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n")
                answer = await reader.read(MAX_HEAD_BYTES)
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError):
        return False
    return answer.startswith(b"HTTP/1.1 200 ") and _OUR_HEADER.encode() in answer


def _error(status: HTTPStatus) -> Answer:
    return Answer(status, _TEXT, f"{status.value} {status.phrase}: / /metrics /healthz /readyz, GET only\n".encode())


def _response(answer: Answer, *, head: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
        f"Content-Type: {answer.kind}",
        f"Content-Length: {len(answer.body)}",
        f"{_OUR_HEADER}: gateway",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Referrer-Policy: no-referrer",
        f"Content-Security-Policy: {_POLICY}",
        "Connection: close",
    ]
    if answer.status is HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append("Allow: GET, HEAD")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + (b"" if head else answer.body)


def _cannot_listen(host: str, port: int, problem: Exception) -> ConfigurationError:
    number = problem.errno if isinstance(problem, OSError) else None
    where = f"http.listen: {host}:{port}"
    if number == errno.EADDRINUSE:
        return ConfigurationError(
            f"{where}: the port is in use.", advice="Is a gateway running already? Stop it, or choose another port."
        )
    if number in {errno.EACCES, errno.EPERM}:
        return ConfigurationError(f"{where}: listening is not permitted.", advice="Choose a port above 1023.")
    if number == errno.EADDRNOTAVAIL or isinstance(problem, socket.gaierror | UnicodeError):
        return ConfigurationError(f"{where}: this computer has no such address.", advice="Use 127.0.0.1 or [::1].")
    return ConfigurationError(f"{where}: cannot listen ({problem}).")
