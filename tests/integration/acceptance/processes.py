"""The demo as a process, as a person starts it, and everything that it has started."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

COMMAND = [sys.executable, "-m", "gateway.cli"]
DEADLINE = 90.0


def until(condition: Callable[[], bool], what: str, within: float = DEADLINE) -> None:
    """Wait for something that other processes do."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, f"not within {within:g} s: {what}"
        time.sleep(0.05)


def processes_of(folder: Path) -> dict[int, str]:
    """Command lines by process id of everything that works in this folder."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):  # it has just ended
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if re.search(re.escape(str(folder)) + r"(/|\s|$)", line):
                    found[int(entry.name)] = line.strip()
    return found


def pid_of(folder: Path, text: str) -> int:
    """The one process that works in this folder and has this text in its command line."""
    (pid,) = [pid for pid, line in processes_of(folder).items() if text in line]
    return pid


def ports_of(folder: Path) -> list[int]:
    """Ports of broker, machines and status page, as the gateway's configuration names them."""
    text = (folder / "area4.toml").read_text(encoding="utf-8")
    ports = [int(port) for port in re.findall(r'^(?:url|listen) = "[^"]*:(\d+)/?"', text, re.MULTILINE)]
    assert len(ports) == 5
    return ports


def is_free(port: int) -> bool:
    """Whether nobody listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _hangs_up() -> None:
    """A terminal that goes away ends it, also where this test was started by `nohup`."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Demo:
    """`area4 demo` with pipes, in a session of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.told = folder.with_suffix(".stderr")
        with self.told.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*COMMAND, "demo", "--dir", str(folder), *options],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True,
                preexec_fn=_hangs_up,  # noqa: PLW1509 - a test without threads
            )  # fmt: skip

    @property
    def stderr(self) -> str:
        return self.told.read_text(encoding="utf-8")

    def started(self) -> None:
        """Wait until values of all machines flow."""
        until(lambda: "in a second terminal:" in self.stderr or self.process.poll() is not None, "first values")
        assert self.process.poll() is None, self.stderr

    def ended(self) -> tuple[int, str]:
        """Wait for its end; exit code and stdout."""
        stdout, _ = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, stdout.decode()

    def summary(self) -> dict[str, object]:
        _, stdout = self.ended()
        found: dict[str, object] = json.loads(stdout)
        return found

    def gone(self) -> None:
        """Nothing of it is left: no process, no port."""
        until(lambda: not processes_of(self.folder), f"nothing left of {processes_of(self.folder)}")
        if (self.folder / "area4.toml").exists():
            assert [port for port in ports_of(self.folder) if not is_free(port)] == []

    def kill(self) -> None:
        """For the end of a test that has failed."""
        for pid in processes_of(self.folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


class Terminal:
    """`area4 demo` on a terminal of its own, with a shell's place in it: what it writes is read all the time."""

    def __init__(self, folder: Path, columns: int, lines: int) -> None:
        self.folder = folder
        self.written = bytearray()
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.before = termios.tcgetattr(slave)
        self._slave = slave
        self.process = subprocess.Popen(
            [*COMMAND, "demo", "--dir", str(folder)],
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - a test without threads
            env={**{k: v for k, v in os.environ.items() if k not in {"COLUMNS", "LINES"}}, "TERM": "xterm-256color"},
        )  # fmt: skip

    @property
    def text(self) -> str:
        return self.written.decode(errors="replace")

    def read(self) -> None:
        """Take what was written; a terminal that nobody reads stops its program."""
        while select.select([self.master], [], [], 0.05)[0]:
            self.written += os.read(self.master, 65536)

    def until(self, condition: Callable[[], bool], what: str, within: float = DEADLINE) -> None:
        def look() -> bool:
            self.read()
            return condition()

        until(look, what, within)

    def press(self, key: bytes) -> None:
        """A person presses a key; the terminal makes a signal of Ctrl-C."""
        os.write(self.master, key)

    def settings(self) -> list[object]:
        return termios.tcgetattr(self._slave)

    def close(self) -> None:
        for pid in processes_of(self.folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.master)
        os.close(self._slave)


@contextlib.contextmanager
def demo(folder: Path, *options: str) -> Iterator[Demo]:
    made = Demo(folder, *options)
    try:
        yield made
    finally:
        made.kill()


_SEQUENCE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])")


def screen(text: str, columns: int, lines: int) -> list[str]:
    """What stands on a terminal of this size after `text`: enough of it for rich's pictures.

    Raises:
        AssertionError: A line was written beyond the width, or the picture scrolls.
    """
    rows: list[str] = [""]
    at = row = 0
    while at < len(text):
        found = _SEQUENCE.match(text, at)
        if found:
            at = found.end()
            if found[2] == "H":
                rows, row = [""], 0
            continue
        letter = text[at]
        at += 1
        if letter == "\n":
            row += 1
            rows.append("")
            assert row < lines, f"more than {lines} lines:\n" + "\n".join(rows)
        elif letter != "\r":
            rows[row] += letter
            assert len(rows[row]) <= columns, f"longer than {columns} columns: {rows[row]!r}"
    return [one.rstrip() for one in rows]
