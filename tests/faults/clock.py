"""A wall clock that jumps: libfaketime, loaded into a process, reads its offset from a file that a test rewrites."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LIBRARIES = ("libfaketimeMT.so.1", "libfaketime.so.1")
"""The first one is safe with threads."""

FOLDERS = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/local/lib/faketime", "/usr/lib64/faketime")


def library() -> Path | None:
    """libfaketime, None where it is not installed (Debian: apt install faketime)."""
    for name in LIBRARIES:
        for folder in FOLDERS:
            found = sorted(Path("/").glob(f"{folder[1:]}/{name}"))
            if found:
                return found[0]
    return None


class Clock:
    """The clock of processes that are started with its `environment`; the monotonic clock stays as it is.

    Event loops and threads wait as ever; `time.sleep`, that is clock_nanosleep with an absolute time, fails in
    libfaketime 0.9.10 with EINVAL while the clock is ahead.

    Args:
        file: Holds the offset.

    Raises:
        FileNotFoundError: libfaketime is not installed.
    """

    def __init__(self, file: Path) -> None:
        found = library()
        if found is None:
            raise FileNotFoundError("libfaketime is not installed; run tests/tools/ensure.sh")
        self._library = found
        self._file = file
        self.set(0.0)

    @property
    def environment(self) -> dict[str, str]:
        """Of this process, with what a child needs to read this clock."""
        return {
            **os.environ,
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
            # Else it takes the monotonic deadlines of Python's lock for wall-clock ones, and threads stand still.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }

    def set(self, seconds: float) -> None:
        """Let it be so many seconds ahead of the true time; negative: behind."""
        fresh = self._file.with_name(f"{self._file.name}.new")
        fresh.write_text(f"{seconds:+.3f}\n", encoding="ascii")
        fresh.replace(self._file)

    @contextmanager
    def jump(self, seconds: float) -> Iterator[None]:
        """Ahead or behind while the context lasts; its end is a jump too."""
        self.set(seconds)
        try:
            yield
        finally:
            self.set(0.0)
