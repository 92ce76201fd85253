"""`area4 pki` from the first authority to the last revocation, by the real command."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from security.pki import PkiFolder, load_certificates
from security.trust.quarantine import keep

from .conftest import Area4, assert_told


@pytest.fixture(scope="module")
def made(area4: Area4, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pki") / "pki"
    result = area4("pki", "create", root, "--machine", "mill", "--site", "hall", "--host", "hall3.example")
    assert result.returncode == 0, result.stderr
    return root


@pytest.fixture
def pki(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "pki"))


def _json(result: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert isinstance(found, list)
    return found


def test_show_tells_what_openssl_tells(area4: Area4, pki: Path) -> None:
    file = pki / "gateway/opcua/own/cert.pem"
    (told,) = _json(area4("pki", "show", file, "--json"))
    openssl = subprocess.run(
        ["openssl", "x509", "-in", file, "-noout", "-serial", "-fingerprint", "-sha1"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    serial = openssl.splitlines()[0].removeprefix("serial=")
    assert int(str(told["serial"]), 16) == int(serial, 16)
    assert str(told["thumbprint"]).upper() in openssl.replace(":", "")
    assert told["applicationUri"] == "urn:area4:hall:gateway"
    assert "hall3.example" in str(told["hosts"])
    people = area4("pki", "show", pki / "gateway").stdout
    assert "urn:area4:hall:gateway" in people
    assert "days left" in people


def test_list_knows_places_and_states(area4: Area4, pki: Path) -> None:
    places = [one["state"] for one in _json(area4("pki", "list", pki / "gateway/opcua", "--json"))]
    assert places == ["own", "trusted"]
    issued = _json(area4("pki", "list", pki / "ca/mqtt", "--json"))
    assert {one["state"] for one in issued} == {"valid"}
    assert len(issued) == 3


def test_issue_revoke_and_hand_on_the_list(area4: Area4, pki: Path) -> None:
    folder = pki / "new/mqtt"
    issue = ["pki", "issue", pki / "ca/mqtt", "--purpose", "client", "--name", "reader", "--into", folder]
    assert area4(*issue).returncode == 0
    assert_told(area4(*issue), 2, "a key is there already", "--replace")
    assert area4(*issue, "--replace", "--days", 10).returncode == 0
    assert (folder / "own/key.pem").stat().st_mode & 0o777 == 0o600
    assert area4("pki", "revoke", pki / "ca/mqtt", folder / "own/cert.pem", "--reason", "superseded").returncode == 0
    serial = _json(area4("pki", "show", folder / "own/cert.pem", "--json"))[0]["serial"]
    revoked = [one for one in _json(area4("pki", "list", pki / "ca/mqtt", "--json")) if one["state"] == "revoked"]
    assert [one["serial"] for one in revoked] == [serial]
    before = (pki / "broker/mqtt/trusted/crl/mqtt-ca.pem").read_bytes()
    handed = area4("pki", "crl", pki / "ca/mqtt", "--to", pki / "broker/mqtt")
    assert handed.returncode == 0
    assert (pki / "broker/mqtt/trusted/crl/mqtt-ca.pem").read_bytes() != before
    assert [one.name for one in (pki / "broker/mqtt/trusted/certs").iterdir()] == ["mqtt-ca.pem"]
    assert_told(area4("pki", "revoke", pki / "ca/mqtt", "abcdef"), 2, "not issued by")


def test_a_plants_own_authority(area4: Area4, pki: Path) -> None:
    folder, answer = pki / "own/opcua", pki / "answer.pem"
    names = ["--purpose", "application", "--name", "gw", "--uri", "urn:plant:gw", "--host", "gw.example"]
    assert area4("pki", "csr", folder, *names).returncode == 0
    request = folder / "own/request.pem"
    assert area4("pki", "sign", pki / "ca/opcua", request, *names, "--out", answer).returncode == 0
    assert_told(area4("pki", "sign", pki / "ca/opcua", request, *names, "--out", answer), 2, "exists already")
    assert_told(area4("pki", "install", folder, pki / "gateway/opcua/own/cert.pem"), 2, "the waiting request")
    assert area4("pki", "install", folder, answer).returncode == 0
    assert load_certificates(folder / "own/cert.pem")[0] == load_certificates(answer)[0]
    assert not request.exists()


def test_unknown_peers_wait_for_a_person(area4: Area4, pki: Path) -> None:
    folder = PkiFolder(pki / "gateway/opcua")
    certificate = load_certificates(pki / "machines/mill/opcua/own/cert.pem")[0]
    assert "No certificate waits" in area4("pki", "rejected", folder.root).stdout
    keep(folder, [certificate], dt.datetime.now(dt.UTC))
    (waiting,) = _json(area4("pki", "rejected", folder.root, "--json"))
    assert waiting["application_uri"] == "urn:area4:hall:mill"
    assert str(waiting["thumbprint"]) in area4("pki", "rejected", folder.root).stdout
    assert_told(area4("pki", "approve", folder.root, "00" * 20), 2, "no rejected certificate has it")
    approved = area4("pki", "approve", folder.root, waiting["sha256"])
    assert approved.returncode == 0
    assert "trusted: " in approved.stdout
    assert area4("pki", "reject", folder.root, waiting["thumbprint"]).stdout.startswith("no longer trusted")
    assert area4("pki", "reject", folder.root, waiting["thumbprint"]).stdout.startswith("off the list")
    assert_told(area4("pki", "reject", folder.root, waiting["thumbprint"]), 2, "no trusted certificate has it")


def test_expiring_is_an_exit_code_for_scripts(area4: Area4, pki: Path) -> None:
    assert "No certificate ends within 30 days" in area4("pki", "expiring", pki).stdout
    result = area4("pki", "expiring", pki / "gateway", "--days", 800, "--json")
    assert_told(result, 3, "3 certificate(s) and 2 revocation list(s) end within 800 days")
    assert len(json.loads(result.stdout)) == 5


def test_create_touches_nothing_that_exists(area4: Area4, pki: Path) -> None:
    before = {path: path.read_bytes() for path in pki.rglob("*") if path.is_file()}
    assert_told(area4("pki", "create", pki), 2, "the file exists already")
    assert {path: path.read_bytes() for path in pki.rglob("*") if path.is_file()} == before
