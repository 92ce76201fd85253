"""Tests of this computer before a connection is tried: folders, secrets, clock, port."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel

from gateway.config import Settings
from gateway.contracts import ProbeStep
from gateway.errors import Area4Error
from gateway.ops.http import Server, healthy
from gateway.ops.logs import utc
from gateway.ops.snapshot import Snapshot
from security.pki.folder import PkiFolder
from security.trust.expiry import WARNING_DAYS, expiring

EARLIEST = 1_767_225_600.0
"""2026-01-01: a clock before this one has never been set."""

LATEST = 4_102_444_800.0
"""2100-01-01."""

_SECRET_FIELDS = frozenset({"key", "password_file", "key_password_file"})


async def local_steps(settings: Settings) -> list[ProbeStep]:
    """What this computer has to offer, one step after the other; all of them, also after a failure."""
    return [
        writable("data_dir", settings.gateway.data_dir),
        *([writable("outbox", settings.outbox_path.parent)] if settings.outbox.path else []),
        space(settings),
        *secrets(settings),
        *certificates(settings, datetime.now(UTC)),
        clock(time.time()),
        *([await port(settings)] if settings.http.enabled else []),
    ]


def writable(name: str, folder: Path) -> ProbeStep:
    """Whether files can be made in `folder`, or whether it can be made."""
    existing = folder
    while not existing.exists() and existing.parent != existing:
        existing = existing.parent
    advice = f"Give the user who runs the gateway write permission in {existing}, or name another folder."
    if not existing.is_dir():
        return ProbeStep(name, ok=False, found=f"{existing} is no folder", advice="Name a folder.")
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as problem:
        return ProbeStep(name, ok=False, found=f"{existing} cannot be written ({problem.strerror})", advice=advice)
    made = "" if existing == folder else f" (will be made in {existing})"
    return ProbeStep(name, ok=True, found=f"{folder} can be written{made}")


def space(settings: Settings) -> ProbeStep:
    """Whether the disk holds a full outbox."""
    folder = settings.outbox_path.parent
    while not folder.exists() and folder.parent != folder:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    wanted = settings.outbox.max_bytes
    found = f"{free / 1e9:.1f} GB free for an outbox of at most {wanted / 1e9:.1f} GB"
    if free >= wanted:
        return ProbeStep("disk", ok=True, found=found)
    advice = "Before the outbox is full the disk will be, and then the oldest values leave: lower outbox.max_bytes."
    return ProbeStep("disk", ok=True, found=found, advice=advice)


def secrets(settings: Settings) -> Iterator[ProbeStep]:
    """Whether every file with a key or a password is there, and its owner's alone."""
    for kind, links in (("source", settings.sources), ("sink", settings.sinks)):
        for link in links:
            for where, path in _secret_files(link.config):
                yield secret(f"{kind}.{link.name}.{where}", path)


def secret(name: str, path: Path) -> ProbeStep:
    """Whether a secret's file can be read by us and by nobody else."""
    try:
        status = path.stat()
        with path.open("rb"):
            pass
    except OSError as problem:
        advice = "Check the path and the owner; `area4 pki` makes keys and certificates."
        return ProbeStep(name, ok=False, found=f"{path}: cannot be read ({problem.strerror})", advice=advice)
    mode = stat.S_IMODE(status.st_mode)
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if credentials and path.is_relative_to(credentials):
        return ProbeStep(name, ok=True, found=f"{path}: handed over by systemd")
    if mode & 0o077:
        found = f"{path}: mode {mode:04o}, others than its owner may use it"
        return ProbeStep(name, ok=False, found=found, advice=f"chmod 600 {path}")
    return ProbeStep(name, ok=True, found=f"{path}: mode {mode:04o}")


def certificates(settings: Settings, now: datetime) -> Iterator[ProbeStep]:
    """Whether own and trusted certificates and revocation lists are valid, and for how long."""
    folders = {
        path: f"{kind}.{link.name}"
        for kind, links in (("sink", settings.sinks), ("source", settings.sources))
        for link in links
        for _, path in _paths(link.config, frozenset({"trust"}))
    }
    for folder, name in sorted(folders.items()):
        ending = expiring(PkiFolder(folder), now)
        ended = [one for one in ending if one.days == 0]
        found = (
            "; ".join(str(one) for one in ended or ending) or f"{folder}: nothing ends within {WARNING_DAYS[0]} days"
        )
        advice = "Issue successors (`area4 pki issue`, `area4 pki crl`)." if ending else ""
        yield ProbeStep(f"{name} certificates", ok=not ended, found=found, advice=advice)


def _secret_files(model: BaseModel) -> Iterator[tuple[str, Path]]:
    return _paths(model, _SECRET_FIELDS)


def _paths(model: BaseModel, wanted: frozenset[str], where: str = "") -> Iterator[tuple[str, Path]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, Path) and name in wanted:
            yield where + name, value
        elif isinstance(value, BaseModel):
            yield from _paths(value, wanted, f"{where}{name}.")
        elif isinstance(value, list | tuple | Mapping):
            inner = value.values() if isinstance(value, Mapping) else value
            for one in inner:
                if isinstance(one, BaseModel):
                    yield from _paths(one, wanted, f"{where}{name}.")


def clock(now: float) -> ProbeStep:
    """Whether the clock can be right: certificates and times of values depend on it."""
    if EARLIEST <= now <= LATEST:
        return ProbeStep("clock", ok=True, found=utc(now))
    advice = "Set the clock, and let it be kept by NTP (timedatectl set-ntp true)."
    return ProbeStep("clock", ok=False, found=f"{utc(now)} cannot be right", advice=advice)


async def port(settings: Settings) -> ProbeStep:
    """Whether the status page can be served, or is served by a gateway that runs already."""
    address = settings.http.address
    if address.port and await healthy(address.host, address.port):
        return ProbeStep("http", ok=True, found=f"a gateway answers at {address}: it runs already")
    try:
        async with Server(address.host, address.port, lambda: Snapshot("", "", "", 0.0)):
            return ProbeStep("http", ok=True, found=f"{address} is free")
    except Area4Error as problem:
        return ProbeStep("http", ok=False, found=str(problem), advice=problem.advice)
