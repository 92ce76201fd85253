"""Whether certificate files were changed: the pure half of a rotation without restart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from security.files import MAX_FILE_BYTES


@dataclass(frozen=True, slots=True)
class FileState:
    """What tells one version of a file from the next; all None where there is no file.

    Attributes:
        modified: Time of modification in nanoseconds.
        inode: Number of the file, new after a rename.
        size: In bytes.
        digest: SHA-256 of the content.
    """

    modified: int | None = None
    inode: int | None = None
    size: int | None = None
    digest: bytes | None = None


def snapshot(paths: Iterable[Path], before: Mapping[Path, FileState] | None = None) -> dict[Path, FileState]:
    """The state of each file now; a file whose time, inode and size are as `before` is not read again."""
    known = before or {}
    return {path: _state(path, known.get(path)) for path in paths}


def _state(path: Path, before: FileState | None) -> FileState:
    try:
        status = path.stat()
        if before is not None and (before.modified, before.inode, before.size) == (
            status.st_mtime_ns,
            status.st_ino,
            status.st_size,
        ):
            return before
        with path.open("rb") as file:
            digest = hashlib.sha256(file.read(MAX_FILE_BYTES)).digest()
    except OSError:
        return FileState()
    return FileState(status.st_mtime_ns, status.st_ino, status.st_size, digest)


def changed(before: Mapping[Path, FileState], after: Mapping[Path, FileState]) -> list[Path]:
    """Files that came, went or have another content, in order; a mere touch or copy of the same content is no change.

    Key and certificate are two files: when a context made after a change says that they do not belong together, the
    rotation is half done, so keep the old context and look again.
    """
    paths = sorted({*before, *after})
    missing = FileState()
    return [path for path in paths if before.get(path, missing).digest != after.get(path, missing).digest]
