"""A second host and a cable to it that can be unplugged: a network namespace and a pair of virtual interfaces."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

TIMEOUT = 30


def cannot_namespace() -> str:
    """Why no second host can be made here; empty where it can."""
    if os.geteuid() != 0:
        return "network namespaces take root"
    if shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
        return "the command ip is missing (Debian: apt install iproute2)"
    name = f"probe-{secrets.token_hex(3)}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    if made.returncode:
        return f"this container may not make network namespaces: {made.stderr.strip()}"
    _ip("netns", "del", name)
    return ""


class Cable:
    """A second host behind a cable while the context lasts.

    Attributes:
        here: Our address on the cable.
        there: The other host's.

    Raises:
        PermissionError: It cannot be made; the text says why.
    """

    def __init__(self, number: int = 1) -> None:
        self.here, self.there = f"10.213.{number}.1", f"10.213.{number}.2"
        token = secrets.token_hex(3)
        self._name = f"faults-{token}"
        self._end, self._other_end = f"fh{token}", f"ft{token}"

    def __enter__(self) -> Self:
        why = cannot_namespace()
        if why:
            raise PermissionError(why)
        _ip("netns", "add", self._name)
        try:
            _ip("link", "add", self._end, "type", "veth", "peer", "name", self._other_end, "netns", self._name)
            _ip("addr", "add", f"{self.here}/24", "dev", self._end)
            _ip("link", "set", self._end, "up")
            _ip("-n", self._name, "addr", "add", f"{self.there}/24", "dev", self._other_end)
            _ip("-n", self._name, "link", "set", self._other_end, "up")
            _ip("-n", self._name, "link", "set", "lo", "up")
        except BaseException:
            _ip("netns", "del", self._name)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _ip("netns", "del", self._name)

    def command(self, command: Sequence[str]) -> list[str]:
        """How a command is run on the other host."""
        return ["ip", "netns", "exec", self._name, *command]

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        """Nothing passes and nobody is told; the far end is pulled, so that routes and sockets here stay."""
        _ip("-n", self._name, "link", "set", self._other_end, "down")
        try:
            yield
        finally:
            _ip("-n", self._name, "link", "set", self._other_end, "up")


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
