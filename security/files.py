"""Files of keys and certificates: written whole or not at all, keys for their owner only."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from security.errors import AlreadyExistsError, KeyFileError, SecurityError

PRIVATE_MODE = 0o600
PUBLIC_MODE = 0o644
FOLDER_MODE = 0o700
MAX_FILE_BYTES = 4 * 1024 * 1024
"""No certificate, key or revocation list that we read is larger; a larger file is a mistake or an attack."""


def make_folder(folder: Path) -> Path:
    """Create `folder` and its parents as far as missing, each of mode 0700; existing ones stay as they are."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True, mode=FOLDER_MODE)
    return folder


def write_file(path: Path, content: bytes, *, mode: int = PUBLIC_MODE, replace: bool = False) -> Path:
    """Write `content` to `path` atomically and durably: temporary file, fsync, rename, fsync of the folder.

    Raises:
        AlreadyExistsError: The file is there and `replace` is false.
        OSError: The disk or the folder cannot be written.
    """
    make_folder(path.parent)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            _link_new(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
    sync_folder(path.parent)
    return path


def _link_new(temporary: Path, path: Path) -> None:
    """Give `temporary` its final name unless the name is taken: link(2) decides, without a race."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise refuse_existing(path) from None


def refuse_existing(path: Path) -> AlreadyExistsError:
    """The error for a file that must not be overwritten."""
    return AlreadyExistsError(
        path,
        found="the file exists already",
        allowed="a new file, or an explicit order to replace it",
        action="choose another folder, or ask for replacement (a replaced private key is lost)",
    )


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_file(path: Path, *, what: str, error: type[SecurityError]) -> bytes:
    """The content of `path`, bounded by `MAX_FILE_BYTES`.

    Args:
        path: The file.
        what: What it holds, for the error's sentence, for example ``certificate``.
        error: The class of error to raise.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as problem:
        raise error(
            path,
            found=f"the {what} cannot be read ({problem.strerror or problem})",
            allowed="a readable file",
            action="check the path in the configuration, and the owner and permissions of file and folder",
        ) from problem
    if len(content) > MAX_FILE_BYTES:
        raise error(
            path,
            found=f"the file is larger than {MAX_FILE_BYTES} bytes",
            allowed=f"a {what} in PEM or DER",
            action="name the right file",
        )
    return content


def check_private(path: Path) -> None:
    """Refuse a key file that anybody but its owner may read, write or execute.

    Raises:
        KeyFileError: The file is missing, no regular file, or its permissions are too wide.
    """
    try:
        status = path.stat()
    except OSError as problem:
        raise KeyFileError(
            path,
            found=f"the private key cannot be read ({problem.strerror or problem})",
            allowed="a PEM file of mode 0600",
            action="check the path in the configuration, or make a key with `area4 pki`",
        ) from problem
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(
            path, found="not a regular file", allowed="a PEM file of mode 0600", action="name the key file"
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise KeyFileError(
            path,
            found=f"the private key has mode {mode:04o}: others than its owner may use it",
            allowed="mode 0600 or 0400, owned by the user who runs this",
            action=f"chmod 600 {path} - and if others could read it, make a new key",
        )
