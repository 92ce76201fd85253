"""Whom a simulated server believes that has the trust of a lab: as `area4 demo` starts it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from cryptography import x509

from security.pki import Authority, PkiFolder
from security.pki.lab import OPCUA_CA, LabPki, create_lab, trust_authority
from simulators.opcua.trust import Trust

pytestmark = pytest.mark.asyncio(loop_scope="session")
REFUSED = (ua.UaError, ConnectionError, TimeoutError)


@pytest.fixture
def lab(tmp_path: Path) -> LabPki:
    return create_lab(tmp_path / "lab", machines=["mill"])


@pytest.fixture
def lab_stage(stage: Any, lab: LabPki) -> Iterator[Any]:
    """The shared server with the trust of a machine in the lab."""
    clients, users = stage.server.trust.places, stage.server.users.trust
    own = lab.machines["mill"]
    stage.server.trust.places = (own.trusted_certs, own.trusted_crl)
    stage.server.users.trust = Trust([lab.users.root])
    yield stage
    stage.server.trust.places, stage.server.users.trust = clients, users


def serial_of(certificate: Path) -> int:
    return x509.load_der_x509_certificate(certificate.read_bytes()).serial_number


async def test_clients_of_the_labs_authority_until_they_are_revoked(
    lab_stage: Any,
    lab: LabPki,
    connect: Callable[..., Any],
    identity: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    gateway = identity(lab.gateway_opcua, lab.uris["gateway"])
    other = identity(lab.machines["mill"], lab.uris["mill"])
    for client in (gateway, other):
        assert await (await connect(lab_stage.url, client)).get_namespace_array()
    assert "is left out" not in caplog.text

    authority = Authority.load(lab.opcua_authority)
    authority.revoke(serial_of(gateway.certificate))
    trust_authority(lab.machines["mill"], authority, OPCUA_CA)
    with pytest.raises(REFUSED):
        await connect(lab_stage.url, gateway)
    assert "BadCertificateRevoked" in caplog.text
    assert await (await connect(lab_stage.url, other)).get_namespace_array()


async def test_clients_of_another_authority_with_the_same_name_are_refused(
    lab_stage: Any,
    lab: LabPki,
    tmp_path: Path,
    connect: Callable[..., Any],
    identity: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    twin = create_lab(tmp_path / "twin", machines=["mill"])
    mine, theirs = (
        x509.load_der_x509_certificate(one.gateway_opcua.certificate_der.read_bytes()) for one in (lab, twin)
    )
    assert mine.issuer == theirs.issuer
    false = identity(twin.gateway_opcua, twin.uris["gateway"])
    with pytest.raises(REFUSED):
        await connect(lab_stage.url, false)
    assert "BadCertificateUntrusted" in caplog.text
    # nor does a revocation list of the other authority count
    other = Authority.load(twin.opcua_authority)
    other.revoke(serial_of(twin.gateway_opcua.certificate_der))
    (lab.machines["mill"].trusted_crl / "other.der").write_bytes(other.crl_der.read_bytes())
    right = identity(lab.gateway_opcua, lab.uris["gateway"])
    assert await (await connect(lab_stage.url, right)).get_namespace_array()


async def test_users_by_certificate(
    lab_stage: Any,
    lab: LabPki,
    tmp_path: Path,
    connect: Callable[..., Any],
    identity: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = identity(lab.gateway_opcua, lab.uris["gateway"])
    known = identity(lab.user, "")
    assert await (await connect(lab_stage.url, client, user_identity=known)).get_namespace_array()

    authority = Authority.load(lab.opcua_authority)
    second = PkiFolder(tmp_path / "second")
    authority.issue_user("second").install(second)
    twin = create_lab(tmp_path / "twin", machines=["mill"])
    for stranger in (identity(second, ""), identity(twin.user, ""), client):
        with pytest.raises(ua.uaerrors.BadUserAccessDenied):
            await connect(lab_stage.url, client, user_identity=stranger)
    assert caplog.text.count("a user is refused: BadCertificateUntrusted") == 3

    stolen = dataclasses.replace(known, key=client.key)  # the certificate of the user without its key
    with pytest.raises(REFUSED):
        await connect(lab_stage.url, client, user_identity=stolen)

    authority.revoke(serial_of(known.certificate))
    (lab.users.issuers_crl / f"{OPCUA_CA}.der").write_bytes(authority.crl_der.read_bytes())
    with pytest.raises(ua.uaerrors.BadUserAccessDenied):
        await connect(lab_stage.url, client, user_identity=known)
    assert "a user is refused: BadCertificateRevoked" in caplog.text
