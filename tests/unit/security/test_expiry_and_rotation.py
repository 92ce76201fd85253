from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from security.files import write_file
from security.pki import Authority, Issued, PkiFolder
from security.rotation import changed, snapshot
from security.trust import expiring
from security.trust.expiry import warning

DAY = dt.timedelta(days=1)


@pytest.mark.parametrize(
    ("left", "level"),
    [(31, None), (30.5, None), (30, 30), (8, 30), (7, 7), (1.01, 7), (1, 1), (0.1, 1), (0, 1), (-0.1, 0), (-99, 0)],
)
def test_warning_days(now: dt.datetime, left: float, level: int | None) -> None:
    assert warning(now + left * DAY, now) == level


def test_all_that_expires_is_named(
    root: Authority, folder: PkiFolder, now: dt.datetime, put: Callable[..., None], issue: Callable[..., Issued]
) -> None:
    put(root, "trusted")
    root.issue_client("gateway", now=now, lifetime=100 * DAY).install(folder)
    peer = issue(root, lifetime=95 * DAY).certificate
    assert expiring(folder, now) == []
    found = expiring(folder, now + 89 * DAY + dt.timedelta(hours=1), peers=[("opc.tcp://mill:4840", peer)])
    assert [(one.kind, one.days) for one in found] == [("revocation-list", 1), ("peer", 7), ("own", 30)]
    assert "opc.tcp://mill:4840: peer CN=machine expires within 7 days" in str(found[1])
    (expired, *_) = expiring(folder, now + 120 * DAY)
    assert expired.days == 0
    assert "expired on" in str(expired)


def test_only_another_content_is_a_change(tmp_path: Path) -> None:
    one, two = (write_file(tmp_path / name, b"first") for name in ("one.pem", "two.pem"))
    before = snapshot([one, two, tmp_path / "three.pem"])
    assert changed(before, snapshot(before, before)) == []
    os.utime(one, ns=(1, 1))
    write_file(two, b"first", replace=True)
    assert changed(before, snapshot(before, before)) == []
    write_file(two, b"other", replace=True)
    write_file(tmp_path / "three.pem", b"new")
    after = snapshot(before, before)
    assert changed(before, after) == [tmp_path / "three.pem", two]
    one.unlink()
    assert changed(after, snapshot(after, after)) == [one]


def test_same_size_in_place_is_seen_by_its_time(tmp_path: Path) -> None:
    path = write_file(tmp_path / "key.pem", b"aaaa")
    before = snapshot([path])
    path.write_bytes(b"bbbb")
    os.utime(path, ns=(2, 2))
    assert changed(before, snapshot([path], before)) == [path]


def test_unchanged_files_are_not_read_again(tmp_path: Path) -> None:
    path = write_file(tmp_path / "key.pem", b"aaaa")
    before = snapshot([path])
    assert snapshot([path], before)[path] is before[path]
