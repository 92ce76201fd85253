from __future__ import annotations

import datetime as dt
import os
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from security.errors import AlreadyExistsError, CertificateFileError, KeyFileError, ParameterError, SecurityError
from security.files import check_private, write_file
from security.pki import (
    Authority,
    LabPki,
    PkiFolder,
    Profile,
    create_lab,
    install_signed,
    lab_paths,
    load_certificates,
    load_key,
    load_request,
    make_request,
    profile_of,
    trust_authority,
)
from security.pki.keys import certificate_to_pem, key_to_pem, make_key, save_key

DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> LabPki:
    return create_lab(tmp_path_factory.mktemp("lab") / "pki", machines=["mill", "lathe"], watchers=["watcher", "mes"])


def openssl_verify(lab_ca: Path, crl: Path, certificate: Path, purpose: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *("openssl", "verify", "-x509_strict", "-crl_check_all", "-purpose", purpose),
            *("-CAfile", lab_ca, "-CRLfile", crl, certificate),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_openssl_accepts_every_certificate_of_a_lab(lab: LabPki) -> None:
    mqtt, opcua = lab.mqtt_authority, lab.opcua_authority
    cases = [(mqtt, lab.broker, "sslserver"), (mqtt, lab.gateway_mqtt, "sslclient"), (opcua, lab.user, "sslclient")]
    cases += [(mqtt, one, "sslclient") for one in lab.watchers.values()]
    cases += [
        (opcua, one, use) for one in (lab.gateway_opcua, *lab.machines.values()) for use in ("sslserver", "sslclient")
    ]
    for authority, folder, purpose in cases:
        done = openssl_verify(authority / "ca.pem", authority / "crl.pem", folder.certificate, purpose)
        assert done.returncode == 0, done.stderr
    wrong = openssl_verify(mqtt / "ca.pem", mqtt / "crl.pem", lab.gateway_mqtt.certificate, "sslserver")
    assert "unsuitable certificate purpose" in wrong.stderr


def test_keys_and_folders_are_their_owners_alone(lab: LabPki) -> None:
    keys = list(lab.root.rglob("*key*.pem"))
    assert len(keys) == 2 + 4 + 3 + 1
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}
    folders = [path for path in lab.root.rglob("*") if path.is_dir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in [lab.root, *folders]} == {0o700}
    for path in (path for path in lab.root.rglob("*") if path.is_file() and path not in keys):
        assert b"PRIVATE KEY" not in path.read_bytes()


def test_two_installations_share_nothing(lab: LabPki, tmp_path: Path) -> None:
    other = create_lab(tmp_path / "other", machines=["mill", "lathe"], watchers=["watcher", "mes"])
    names = {path.relative_to(lab.root) for path in lab.root.rglob("*key*.pem")}
    assert names == {path.relative_to(other.root) for path in other.root.rglob("*key*.pem")}
    for name in names:
        assert (lab.root / name).read_bytes() != (other.root / name).read_bytes()
    here, there = (load_certificates(one.broker.certificate)[0] for one in (lab, other))
    assert here.serial_number != there.serial_number


def test_a_lab_is_never_made_over_another(lab: LabPki) -> None:
    before = {path: path.read_bytes() for path in lab.root.rglob("*") if path.is_file()}
    with pytest.raises(AlreadyExistsError):
        create_lab(lab.root, machines=["mill"])
    assert before == {path: path.read_bytes() for path in lab.root.rglob("*") if path.is_file()}


def test_paths_of_an_existing_lab(lab: LabPki) -> None:
    assert lab_paths(lab.root, machines=["mill", "lathe"], watchers=["watcher", "mes"]) == lab
    assert lab.mqtt_ca_file.is_file()
    assert lab.mqtt_crl_file.is_file()


@pytest.mark.parametrize("names", [["../x"], ["mill", "mill"], ["users"], [".hidden"], [""], ["a" * 65], ["a+b"]])
def test_names_that_cannot_be(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(ParameterError):
        create_lab(tmp_path / "lab", machines=names)
    assert not (tmp_path / "lab").exists()


def test_application_certificate_is_as_opc_ua_wants_it(lab: LabPki) -> None:
    (certificate,) = load_certificates(lab.machines["mill"].certificate_der)
    extensions = certificate.extensions
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.content_commitment, usage.key_encipherment, usage.data_encipherment) == (
        True,
    ) * 4
    assert not usage.key_cert_sign
    extended = set(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert extended == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [lab.uris["mill"]] == ["urn:area4:lab:mill"]
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048


def test_the_user_store_trusts_one_user_and_no_application(lab: LabPki) -> None:
    from security.trust import CertificateRefusedError, TrustStore

    store = TrustStore(lab.users)
    assert store.check(lab.user.certificate_der.read_bytes(), purpose="user").waived == ()
    with pytest.raises(CertificateRefusedError, match="BadCertificateUntrusted"):
        store.check(lab.machines["mill"].certificate_der.read_bytes(), purpose="user")


def test_authority_keeps_its_revocations(tmp_path: Path, now: dt.datetime) -> None:
    made = Authority.create(tmp_path / "ca", "Plant", now=now)
    one, two = (made.issue_client(name, now=now).certificate for name in ("one", "two"))
    made.revoke(one, reason=x509.ReasonFlags.key_compromise, now=now + DAY)
    again = Authority.load(tmp_path / "ca")
    again.revoke(two.serial_number, now=now + 2 * DAY)
    again.write_crl(now=now + 3 * DAY)
    assert set(again.revoked()) == {one.serial_number, two.serial_number}
    current = x509.load_pem_x509_crl(again.crl_pem.read_bytes())
    assert current.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 4
    assert current.next_update_utc == now + 93 * DAY
    assert x509.load_der_x509_crl(again.crl_der.read_bytes()) == current
    assert set(again.issued()) == {one, two}


def test_revoking_what_another_authority_issued(tmp_path: Path, root: Authority, now: dt.datetime) -> None:
    twin = Authority.create(tmp_path / "twin", "Test root", now=now)
    foreign = twin.issue_client("someone", now=now).certificate
    for which in (foreign, foreign.serial_number):
        with pytest.raises(ParameterError, match="not issued by"):
            root.revoke(which, now=now)
    assert root.revoked() == {}


def test_a_damaged_revocation_list_is_not_started_anew(root: Authority, now: dt.datetime) -> None:
    root.crl_pem.write_bytes(b"gone")
    with pytest.raises(CertificateFileError, match="forget all revocations"):
        root.write_crl(now=now)


def test_renewal_keeps_names_and_kind_and_changes_the_key(root: Authority, now: dt.datetime) -> None:
    old = root.issue_application("mill", uri="urn:x:mill", hosts=["mill.example"], now=now).certificate
    new = root.renew(old, now=now + 700 * DAY)
    assert profile_of(new.certificate) == profile_of(old)
    assert new.certificate.public_key() != old.public_key()
    assert isinstance(new.key, rsa.RSAPrivateKey)
    assert new.certificate.not_valid_after_utc == now + 1430 * DAY


def test_nothing_outlives_its_authority(tmp_path: Path, now: dt.datetime) -> None:
    short = Authority.create(tmp_path / "ca", "Short", lifetime=10 * DAY, now=now)
    assert short.issue_client("one", now=now).certificate.not_valid_after_utc == now + 10 * DAY
    with pytest.raises(ParameterError, match="new authority"):
        short.issue_client("two", now=now + 11 * DAY)


def test_install_never_replaces_a_key_unasked(root: Authority, folder: PkiFolder, now: dt.datetime) -> None:
    first, second = (root.issue_client("one", now=now) for _ in range(2))
    first.install(folder)
    with pytest.raises(AlreadyExistsError):
        second.install(folder)
    assert load_key(folder.key).public_key() == load_certificates(folder.certificate)[0].public_key()
    second.install(folder, replace=True)
    assert load_certificates(folder.certificate)[0] == second.certificate
    assert not [path for path in folder.own.iterdir() if path.name.startswith(".")]


def test_intermediate_is_installed_with_the_certificate(tmp_path: Path, root: Authority, folder: PkiFolder) -> None:
    middle = Authority.create(tmp_path / "middle", "Middle", issuer=root)
    Authority.load(tmp_path / "middle").issue_client("one").install(folder)
    chain = load_certificates(folder.certificate)
    assert chain[1:] == [middle.certificate]
    assert len(load_certificates(folder.certificate_der)) == 1


def test_request_and_signed_answer(tmp_path: Path, root: Authority, folder: PkiFolder, now: dt.datetime) -> None:
    profile = Profile("application", "gateway", ("gw.example",), "urn:x:gateway")
    root.issue_application("gateway", uri="urn:x:gateway", hosts=["gw.example"], now=now).install(folder)
    in_use = folder.key.read_bytes()
    request = load_request(make_request(folder, profile))
    assert profile_of(request) == profile
    assert stat.S_IMODE(folder.pending_key.stat().st_mode) == 0o600
    assert folder.key.read_bytes() == in_use
    with pytest.raises(AlreadyExistsError):
        make_request(folder, profile)
    answer = tmp_path / "answer.pem"
    other = root.issue_client("someone else", now=now).certificate
    answer.write_bytes(certificate_to_pem(other))
    with pytest.raises(KeyFileError, match="no certificate for the key"):
        install_signed(folder, answer)
    signed = root.sign_request(request, profile, now=now)
    assert signed.key is None
    answer.write_bytes(certificate_to_pem(root.certificate, signed.certificate))
    assert install_signed(folder, answer) == signed.certificate
    assert load_key(folder.key).public_key() == signed.certificate.public_key()
    assert not folder.pending_key.exists()
    assert not folder.request.exists()


def test_a_signer_decides_the_names_not_the_request(root: Authority, folder: PkiFolder, now: dt.datetime) -> None:
    request = load_request(make_request(folder, Profile("server", "broker", ("evil.example",))))
    signed = root.sign_request(request, Profile("client", "reader"), now=now)
    assert profile_of(signed.certificate) == Profile("client", "reader")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_key_that_others_may_use(tmp_path: Path, mode: int) -> None:
    path = save_key(tmp_path / "key.pem", make_key("ec-p256"))
    path.chmod(mode)
    with pytest.raises(KeyFileError) as caught:
        load_key(path)
    assert str(path) in str(caught.value)
    assert f"{mode:04o}" in str(caught.value)
    assert "0600" in str(caught.value)


def test_key_modes_that_are_right(tmp_path: Path) -> None:
    path = save_key(tmp_path / "key.pem", make_key("ec-p256"))
    for mode in (0o600, 0o400):
        path.chmod(mode)
        check_private(path)
    with pytest.raises(KeyFileError, match="regular file"):
        check_private(tmp_path)


def test_encrypted_key(tmp_path: Path) -> None:
    key = make_key("ec-p256")
    path = save_key(tmp_path / "key.pem", key, password=b"correct")
    assert load_key(path, b"correct").public_key() == key.public_key()
    with pytest.raises(KeyFileError, match="wrong password"):
        load_key(path, b"other")
    with pytest.raises(KeyFileError, match="no password is given"):
        load_key(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"\x30\x82", "not a PEM file"), (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "decoded")],
)
def test_key_file_that_is_none(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = write_file(tmp_path / "key.pem", content, mode=0o600)
    with pytest.raises(KeyFileError, match=sentence):
        load_key(path)


def test_certificate_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(CertificateFileError, match="cannot be read"):
        load_certificates(tmp_path / "missing.pem")
    path = write_file(tmp_path / "key.pem", key_to_pem(make_key("ec-p256")), mode=0o600)
    with pytest.raises(CertificateFileError, match="a private key"):
        load_certificates(path)


@pytest.mark.parametrize("host", ["", "a b", "http://x", "x:8883", "a" * 64, "x..y", "[", "x/24"])
def test_hosts_that_are_none(root: Authority, host: str) -> None:
    with pytest.raises(ParameterError, match="neither a DNS name nor an IP address"):
        root.issue_server("broker", [host])


def test_hosts_in_any_form(root: Authority) -> None:
    made = root.issue_server("broker", ["Broker.Example.", "[::1]", "münchen.example", "::1"])
    assert profile_of(made.certificate).hosts == ("broker.example", "xn--mnchen-3ya.example", "::1")


def test_profiles_that_cannot_be(root: Authority) -> None:
    with pytest.raises(ParameterError, match="no host"):
        root.issue_server("broker", [])
    with pytest.raises(ParameterError, match="ApplicationUri"):
        root.issue_application("x", uri="no uri", hosts=[])
    with pytest.raises(ParameterError, match="RSA"):
        root.issue_application("x", uri="urn:x", hosts=[], key_kind="ec-p256")
    with pytest.raises(ParameterError, match=r"without \+ # /"):
        root.issue_client("#")


def test_authority_with_another_key_is_refused(tmp_path: Path, root: Authority) -> None:
    save_key(root.folder / "key.pem", make_key("ec-p256"), replace=True)
    with pytest.raises(KeyFileError, match="does not belong"):
        Authority.load(root.folder)


def test_authority_with_password(tmp_path: Path) -> None:
    Authority.create(tmp_path / "ca", "Plant", password=b"secret")
    assert b"ENCRYPTED" in (tmp_path / "ca" / "key.pem").read_bytes()
    assert isinstance(Authority.load(tmp_path / "ca", b"secret")._key, ec.EllipticCurvePrivateKey)
    with pytest.raises(KeyFileError):
        Authority.load(tmp_path / "ca")


def test_folders_that_exist_keep_their_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    write_file(tmp_path / "new" / "deep" / "file", b"x")
    write_file(tmp_path / "file", b"x")
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (tmp_path, tmp_path / "new", tmp_path / "new" / "deep")]
    assert modes == [0o755, 0o700, 0o700]


def test_files_are_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_file(tmp_path / "file", b"before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_file(path, b"after", replace=True)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_errors_have_their_parts(tmp_path: Path) -> None:
    with pytest.raises(SecurityError) as caught:
        load_certificates(tmp_path / "missing.pem")
    error = caught.value
    assert error.subject == str(tmp_path / "missing.pem")
    assert all((error.found, error.allowed, error.action))


def test_a_new_list_reaches_a_trust_folder(root: Authority, folder: PkiFolder, now: dt.datetime) -> None:
    trust_authority(folder, root, "plant", pem=True)
    leaf = root.issue_client("one", now=now).certificate
    root.revoke(leaf, now=now)
    trust_authority(folder, root, "plant", pem=True)
    installed = x509.load_pem_x509_crl((folder.trusted_crl / "plant.pem").read_bytes())
    assert installed.get_revoked_certificate_by_serial_number(leaf.serial_number) is not None
