"""Who may speak with whom, with a server of another stack: policies, users, and certificates that nobody knows."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from security.pki import create_lab

from .conftest import MILL, POOR, Plant, View, write_password

MODE = "Monitoring/MachineTool/OperationMode"
USERS = {
    "Aes256_Sha256_RsaPss": ("certificate", "X509IdentityToken"),
    "Aes128_Sha256_RsaOaep": ("reader", "UserNameIdentityToken"),
    "Basic256Sha256": ("anonymous", "AnonymousIdentityToken"),
}
PASSWORD = "let me read"


def area4(*arguments: object) -> str:
    """What the command printed; it must succeed."""
    result = subprocess.run(
        [sys.executable, "-m", "gateway.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr + result.stdout
    return result.stdout


def sessions(plant: Plant) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = plant.server.tell("sessions")["sessions"]
    return found


def assert_nothing_was_told(plant: Plant, view: View) -> None:
    """Neither a value nor a name of a machine left the gateway, and the server has no session of it."""
    view.take(wait=0.5)
    assert not [topic for topic in view.live if "/_gateway/" not in topic]
    assert sessions(plant) == []


def test_a_server_with_an_unknown_certificate_is_read_only_once_a_person_approved_it(
    plant: Plant, tmp_path: Path
) -> None:
    gateway = plant.gateway("unknown")
    pki = gateway.folder / "pki/gateway/opcua"
    stranger = create_lab(tmp_path / "stranger", machines=[])
    shutil.rmtree(pki / "trusted")
    shutil.copytree(stranger.gateway_opcua.root / "trusted", pki / "trusted")
    with plant.running(gateway) as view:
        view.until(lambda: "It is kept in quarantine" in gateway.told(), told=gateway.told)
        assert_nothing_was_told(plant, view)
        (waiting,) = json.loads(area4("pki", "rejected", pki, "--json"))
        assert waiting["application_uri"] == "urn:area4:foreign:server"
        assert waiting["thumbprint"] in gateway.told()
        assert "refused" in gateway.get("/")
        area4("pki", "approve", pki, waiting["thumbprint"])
        # its issuer completes the chain and says what is revoked, but is not trusted itself
        shutil.copy(plant.pki.root / "ca/opcua/ca.der", pki / "issuers/certs/ca.der")
        shutil.copy(plant.pki.root / "ca/opcua/crl.der", pki / "issuers/crl/ca.der")
        view.until(lambda: view.of(MODE) and view.machine(POOR).values, told=gateway.told)
        assert gateway.running
        assert json.loads(area4("pki", "rejected", pki, "--json")) == []
        assert view.of(MODE)[0]["value"] == 1


@pytest.mark.parametrize("policy", USERS)
def test_values_come_by_each_security_policy_and_kind_of_user(plant: Plant, policy: str) -> None:
    user, token = USERS[policy]
    gateway = plant.gateway(policy, user=user, policies=f'["{policy}"]')
    if user == "reader":
        write_password(gateway, PASSWORD)
    with plant.running(gateway) as view:
        view.until(lambda: {MILL, POOR} <= {machine for machine, _ in view.samples}, told=gateway.told)
        view.until(lambda: view.of(MODE), told=gateway.told)
        assert sessions(plant) == [{"policy": policy, "mode": "SignAndEncrypt", "user": token}]
        value = 10 + list(USERS).index(policy)
        plant.server.tell("set", name="OperationMode", value=value)
        view.until(lambda: view.of(MODE)[-1]["value"] == value, told=gateway.told)
        view.until(lambda: view.observer.gateways)
        waived = view.observer.gateways["gateway"].get("waivers", [])
        assert [one for one in waived if "anonymous" in one] == (
            ["source.mill:anonymous-user"] if user == "anonymous" else []
        )
    assert sessions(plant) == []
    assert PASSWORD not in gateway.log.read_text()


def test_a_wrong_password_brings_nothing_until_it_is_corrected(plant: Plant) -> None:
    gateway = plant.gateway("password", user="reader")
    write_password(gateway, "hunter2")
    with plant.running(gateway) as view:
        view.until(lambda: "refused" in gateway.told(), told=gateway.told)
        assert_nothing_was_told(plant, view)
        assert "password" in gateway.told()
        write_password(gateway, PASSWORD)
        view.until(lambda: view.of(MODE), told=gateway.told)
        assert gateway.running
    for secret in ("hunter2", PASSWORD):
        assert secret not in gateway.log.read_text()


def test_a_user_certificate_that_the_server_does_not_know_brings_nothing(plant: Plant, tmp_path: Path) -> None:
    gateway = plant.gateway("stranger")
    stranger = create_lab(tmp_path / "stranger", machines=[])
    own = gateway.folder / "pki/gateway/user/own"
    shutil.rmtree(own)
    shutil.copytree(stranger.user.own, own)
    with plant.running(gateway) as view:
        view.until(lambda: "refused" in gateway.told(), told=gateway.told)
        assert_nothing_was_told(plant, view)
        assert "user" in gateway.told()


def test_a_gateway_whose_certificate_the_server_does_not_know_brings_nothing(plant: Plant, tmp_path: Path) -> None:
    gateway = plant.gateway("other")
    stranger = create_lab(tmp_path / "stranger", machines=[], site="foreign")
    own = gateway.folder / "pki/gateway/opcua/own"
    shutil.rmtree(own)
    shutil.copytree(stranger.gateway_opcua.own, own)
    with plant.running(gateway) as view:
        view.until(lambda: "mill is " in gateway.told(), told=gateway.told)
        assert_nothing_was_told(plant, view)
        assert "does not accept this gateway's certificate" in gateway.told()
