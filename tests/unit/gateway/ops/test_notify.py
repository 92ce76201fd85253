from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.ops.notify import Notifier


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        receiver.settimeout(5)
        yield receiver, path


def test_what_systemd_is_told(systemd: tuple[socket.socket, str]) -> None:
    receiver, path = systemd
    notifier = Notifier({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())})
    assert notifier.watchdog_interval == 30
    assert notifier.ready("running")
    assert notifier.status("2 of 2\nup")
    assert notifier.alive()
    assert notifier.stopping()
    assert [receiver.recv(200) for _ in range(4)] == [
        b"READY=1\nSTATUS=running",
        b"STATUS=2 of 2 up",
        b"WATCHDOG=1",
        b"STOPPING=1\nSTATUS=stopping",
    ]


def test_abstract_sockets() -> None:
    name = f"area4-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0" + name)
        receiver.settimeout(5)
        assert Notifier({"NOTIFY_SOCKET": "@" + name}).ready()
        assert receiver.recv(200) == b"READY=1"


@pytest.mark.parametrize(
    "environment",
    [{}, {"NOTIFY_SOCKET": "/nowhere/socket", "WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "5", "WATCHDOG_PID": "1"}],
)
def test_nothing_is_disturbed_where_nobody_listens(environment: dict[str, str]) -> None:
    notifier = Notifier(environment)
    assert notifier.ready() is False
    assert notifier.watchdog_interval is None
