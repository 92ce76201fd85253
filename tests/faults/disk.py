"""A disk that is as small as one likes and can be filled: a file system in memory, which takes root to mount."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

FILLER = "filler"
TIMEOUT = 30


def cannot_mount() -> str:
    """Why no disk can be made here; empty where it can."""
    if os.geteuid() != 0:
        return "mounting a tmpfs takes root"
    if shutil.which("mount") is None:
        return "the command mount is missing"
    made = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    return "" if made.returncode == 0 else f"this container may not mount: {made.stderr.strip()}"


class SmallDisk:
    """Mounted at `place` while the context lasts.

    Raises:
        PermissionError: It cannot be mounted; the text says why.
    """

    def __init__(self, place: Path, size: int) -> None:
        self.place = place
        self._size = size

    def __enter__(self) -> Self:
        why = cannot_mount()
        if why:
            raise PermissionError(why)
        self.place.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={self._size}", "small-disk", str(self.place)]
        subprocess.run(command, check=True, timeout=TIMEOUT)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        subprocess.run(["umount", "-l", str(self.place)], check=True, timeout=TIMEOUT)

    @property
    def free(self) -> int:
        """Bytes that can still be written."""
        found = os.statvfs(self.place)
        return found.f_bavail * found.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Take what is free, but for so many bytes."""
        with (self.place / FILLER).open("ab") as file:
            if self.free > leave:
                os.posix_fallocate(file.fileno(), file.tell(), self.free - leave)

    def empty(self) -> None:
        """Give back what `fill` took."""
        (self.place / FILLER).unlink(missing_ok=True)

    @contextmanager
    def full(self, leave: int = 0) -> Iterator[None]:
        """Full while the context lasts."""
        self.fill(leave)
        try:
            yield
        finally:
            self.empty()
