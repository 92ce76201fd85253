"""A signed report names its signer, and any change to it is noticed."""

import base64
import datetime as dt
import json
import struct

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.reports import document
from conformance.reports.canonical import canonical
from conformance.reports.signature import SignatureError, sign, verify

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


class Made:
    """A certificate and its key."""

    def __init__(self, name, issuer=None, key=None, ca=False, begins=-DAY, ends=DAY, path=None, usage=True):
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + begins)
            .not_valid_after(NOW + ends)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=path), critical=True)
            .add_extension(x509.KeyUsage(usage, False, False, False, not usage, ca, ca, False, False), critical=True)
        )
        signer = issuer.key if issuer else self.key
        digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        self.certificate = builder.sign(signer, digest)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


ROOT = Made("Example Authority", ca=True)
LEAF = Made("Example Lab", ROOT)


@pytest.fixture
def text(report) -> str:
    return document.written(report)


@pytest.mark.parametrize(
    "key",
    [
        lambda: rsa.generate_private_key(65537, 2048),
        lambda: ec.generate_private_key(ec.SECP256R1()),
        ed25519.Ed25519PrivateKey.generate,
    ],
    ids=["rsa", "ec", "ed25519"],
)
def test_a_signature_names_its_signer(text: str, report, key) -> None:
    leaf = Made("Example Lab", ROOT, key())
    found = verify(sign(text, leaf.pem, leaf.key_pem), ROOT.pem)
    assert (found.signer, found.authority) == ("CN=Example Lab", "CN=Example Authority")
    assert found.thumbprint == leaf.certificate.fingerprint(hashes.SHA256()).hex().upper()
    assert found.report == report
    assert abs(found.signed - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=2)


def test_a_signed_report_is_still_a_report(text: str, report) -> None:
    signed = sign(text, LEAF.pem, LEAF.key_pem)
    assert document.read(signed) == report
    again = sign(signed, LEAF.pem, LEAF.key_pem)
    assert verify(again, ROOT.pem).signer == "CN=Example Lab"


def test_the_form_of_the_text_does_not_matter(text: str) -> None:
    body = json.loads(sign(text, LEAF.pem, LEAF.key_pem))
    other = json.dumps(dict(reversed(body.items())), separators=(", ", " : "), ensure_ascii=True)
    assert verify(other, ROOT.pem).signer == "CN=Example Lab"


def _changed(name):
    def change(body):
        body["signature"][name] = {
            "signed": "2020-01-01T00:00:00Z",
            "algorithm": "Ed25519",
            "value": base64.b64encode(b"x" * 70).decode(),
        }[name]

    return change


def _seed(body):
    body["seed"] += 1


def _seen(body):
    body["results"][1]["seen"] += "."


def _resigned_by_nobody(body):
    other = Made("Example Lab", ROOT)
    body["signature"]["certificates"] = [
        base64.b64encode(other.certificate.public_bytes(serialization.Encoding.DER)).decode()
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_seed, "was changed after it was signed"),
        (_seen, "was changed after it was signed"),
        (_changed("signed"), "was changed after it was signed"),
        (_changed("value"), "was changed after it was signed"),
        (_changed("algorithm"), "algorithm does not fit"),
        (_resigned_by_nobody, "was changed after it was signed"),
        (lambda body: body.pop("signature"), "is not signed"),
        (lambda body: body["signature"].update(value="*"), "cannot be read"),
        (lambda body: body["signature"].update(certificates=[]), "cannot be read"),
        (lambda body: body["signature"].pop("signed"), "cannot be read"),
        (lambda body: body["signature"].update(signed="2026-01-01T00:00:00"), "cannot be read"),
    ],
)
def test_any_change_is_noticed(text: str, change, told: str) -> None:
    body = json.loads(sign(text, LEAF.pem, LEAF.key_pem))
    change(body)
    with pytest.raises(SignatureError, match=told):
        verify(json.dumps(body), ROOT.pem)


def test_the_chain_leads_to_an_authority_that_is_trusted(text: str) -> None:
    middle = Made("Middle", ROOT, ca=True, path=0)
    leaf = Made("Lab", middle)
    assert verify(sign(text, leaf.pem + middle.pem, leaf.key_pem), ROOT.pem).authority == "CN=Example Authority"
    with pytest.raises(SignatureError, match="CN=Lab is of no authority that is trusted here"):
        verify(sign(text, leaf.pem, leaf.key_pem), ROOT.pem)
    with pytest.raises(SignatureError, match="of no authority"):
        verify(sign(text, LEAF.pem, LEAF.key_pem), Made("Example Authority", ca=True).pem)


@pytest.mark.parametrize(
    "issuer",
    [
        lambda: Made("no authority", ROOT),
        lambda: Made("too deep", Made("short", ROOT, ca=True, path=0), ca=True),
    ],
    ids=["no CA", "path too long"],
)
def test_who_may_not_issue_does_not(text: str, issuer) -> None:
    middle = issuer()
    leaf = Made("Lab", middle)
    short = Made("short", ROOT, ca=True, path=0)
    with pytest.raises(SignatureError, match="of no authority"):
        verify(sign(text, leaf.pem + middle.pem + short.pem, leaf.key_pem), ROOT.pem)


def test_a_chain_that_leads_in_a_circle_ends(text: str) -> None:
    one = Made("one", ca=True)
    two = Made("one", one, one.key, ca=True)
    leaf = Made("Lab", two)
    with pytest.raises(SignatureError, match="of no authority"):
        verify(sign(text, leaf.pem + one.pem + two.pem, leaf.key_pem), ROOT.pem)


def test_certificates_are_valid_when_they_sign(text: str) -> None:
    over = Made("Lab", ROOT, begins=-2 * DAY, ends=-DAY)
    with pytest.raises(SignatureError, match="CN=Lab was not valid at the time of signing"):
        sign(text, over.pem, over.key_pem)
    signed = sign(text, LEAF.pem, LEAF.key_pem)
    later = NOW + 400 * DAY
    assert verify(signed, ROOT.pem, later).signer == "CN=Example Lab"  # valid then, and that is what counts
    with pytest.raises(SignatureError, match="in the future"):
        verify(signed, ROOT.pem, NOW - DAY)


def test_who_signs_with_a_false_time_before_the_run_is_told(text: str) -> None:
    old = Made("Lab", ROOT, begins=-20 * DAY)
    with pytest.raises(SignatureError, match="before its run ended"):
        verify(sign(text, old.pem, old.key_pem, NOW - 10 * DAY), ROOT.pem)


def test_a_certificate_for_something_else_does_not_sign(text: str) -> None:
    other = Made("TLS", ROOT, usage=False)
    with pytest.raises(SignatureError, match="not made for signatures"):
        verify(sign(text, other.pem, other.key_pem), ROOT.pem)


@pytest.mark.parametrize(
    ("certificate", "key", "told"),
    [
        (LEAF.pem, ROOT.key_pem, "the key is not that of the certificate"),
        (b"nothing", LEAF.key_pem, "no certificate can be read"),
        (LEAF.pem, b"nothing", "the key cannot be read"),
    ],
)
def test_what_cannot_sign_is_told(text: str, certificate, key, told) -> None:
    with pytest.raises(SignatureError, match=told):
        sign(text, certificate, key)


@pytest.mark.parametrize(
    ("bits", "written"),
    [  # RFC 8785, appendix B
        ("0000000000000000", "0"), ("8000000000000000", "0"), ("0000000000000001", "5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"), ("4340000000000000", "9007199254740992"),
        ("4430000000000000", "295147905179352830000"), ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"), ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef50", "1e+21"), ("3eb0c6f7a0b5ed8d", "0.000001"), ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("41b3de4355555553", "333333333.3333332"), ("becbf647612f3696", "-0.0000033333333333333333"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_the_standard_says(bits: str, written: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical(number) == written.encode()


def test_names_are_sorted_by_their_utf_16_units() -> None:
    body = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\u00f6": 7}  # RFC 8785, 3.2.3
    assert [*json.loads(canonical(body))] == ["\r", "1", "\x80", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(JSON)
def test_canonical_bytes_are_the_same_value_and_the_same_bytes_again(body) -> None:
    try:
        once = canonical(body)
    except UnicodeEncodeError:
        return  # a lone surrogate has no UTF-8
    assert json.loads(once, parse_int=float) == body
    assert canonical(json.loads(once)) == once
