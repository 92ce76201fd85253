from __future__ import annotations

from pathlib import Path

import pytest

from gateway.ops.preflight import clock, secret, writable


def test_a_folder_that_can_be_written_or_made(tmp_path: Path) -> None:
    assert writable("data_dir", tmp_path).ok
    step = writable("data_dir", tmp_path / "a" / "b")
    assert step.ok
    assert f"will be made in {tmp_path}" in step.found
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["/proc/area4/data", "/dev/null/data"])
def test_a_folder_that_cannot(place: str) -> None:
    step = writable("data_dir", Path(place))
    assert not step.ok
    assert step.advice


@pytest.mark.parametrize(("mode", "ok"), [(0o600, True), (0o400, True), (0o640, False), (0o604, False), (0o700, True)])
def test_secrets_are_their_owners_alone(tmp_path: Path, mode: int, ok: bool) -> None:
    file = tmp_path / "key.pem"
    file.write_text("x")
    file.chmod(mode)
    step = secret("key", file)
    assert step.ok is ok
    assert f"mode {mode:04o}" in step.found
    assert ok or step.advice == f"chmod 600 {file}"


def test_a_secret_that_is_missing(tmp_path: Path) -> None:
    step = secret("key", tmp_path / "key.pem")
    assert not step.ok
    assert "No such file or directory" in step.found


def test_credentials_of_systemd_carry_an_access_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    file = tmp_path / "password"
    file.write_text("x")
    file.chmod(0o440)
    assert secret("password_file", file).ok


@pytest.mark.parametrize(("now", "ok"), [(0.0, False), (1_795_361_400.0, True), (9e9, False)])
def test_a_clock_that_was_never_set(now: float, ok: bool) -> None:
    assert clock(now).ok is ok


def test_certificates_that_end_are_told_and_ended_ones_fail(tmp_path: Path) -> None:
    from datetime import UTC, datetime, timedelta
    from types import SimpleNamespace

    from pydantic import BaseModel

    from gateway.ops.preflight import certificates
    from security.pki.lab import create_lab

    class Security(BaseModel):
        trust: Path

    class Config(BaseModel):
        security: Security

    lab = create_lab(tmp_path / "pki", machines=["mill"], lifetime=timedelta(days=60))
    link = SimpleNamespace(name="broker", config=Config(security=Security(trust=lab.gateway_mqtt.root)))
    settings = SimpleNamespace(sinks=(link,), sources=())
    now = datetime.now(UTC)
    (fine,) = certificates(settings, now)
    assert fine.ok
    assert fine.name == "sink.broker certificates"
    assert not fine.advice
    (soon,) = certificates(settings, now + timedelta(days=45))
    assert soon.ok
    assert "expires within 30 days" in soon.found
    assert soon.advice
    (ended,) = certificates(settings, now + timedelta(days=61))
    assert not ended.ok
    assert "expired on" in ended.found
    (stale,) = certificates(settings, now + timedelta(days=370))
    assert "revocation-list" in stale.found
