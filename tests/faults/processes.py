"""Processes that are killed or stand still, at moments that a seed decides."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Moments:
    """Random moments, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def within(self, shortest: float, longest: float) -> float:
        """Seconds to wait, evenly between both."""
        return self._random.uniform(shortest, longest)

    def spread(self, shortest: float, longest: float) -> float:
        """Seconds to wait, evenly on a logarithmic scale: as many short ones as long ones."""
        return float(shortest * (longest / shortest) ** self._random.random())


def kill(pid: int) -> None:
    """SIGKILL: no handler runs, nothing is flushed.

    Raises:
        ProcessLookupError: There is no such process, so nothing was killed.
    """
    os.kill(pid, signal.SIGKILL)


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    """SIGSTOP, and SIGCONT at the end: connections stay, and nobody answers."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        if alive(pid):
            os.kill(pid, signal.SIGCONT)


def alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    state = state_of(pid)
    return state not in {"", "Z", "X"}


def state_of(pid: int) -> str:
    """The letter of its state (R, S, D, T, Z); empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def resident_bytes(pid: int) -> int:
    """Memory that the process holds (RSS)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
