"""A claim file says what a product is said to do, or its error says what is wrong with it."""

from datetime import date
from pathlib import Path

import pytest

from conformance.suite.claims import ClaimError, read_claim
from tests.unit.conformance.fake import many

WHOLE = """
[claim]
product = "MC-500"
vendor = "Example Works"
version = "4.2"
target = "device"
profiles = ["Basic Profile", "urn:more"]
units = ["Unit B"]

[[waiver]]
check = "device.fake.named"
reason = "comes with version 5"
until = 2999-01-01
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "claim.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_claim_is_read_whole(tmp_path: Path) -> None:
    claim = read_claim(written(tmp_path, WHOLE), many())
    assert claim.claimed_units(many()) == {"Unit A", "Unit B"}
    assert (claim.product, claim.vendor, claim.version, claim.written) == ("MC-500", "Example Works", "4.2", True)
    assert claim.waiver("device.fake.named", date(2998, 12, 31)) == claim.waivers[0]
    assert claim.waiver("device.fake.named", date(2999, 1, 2)) is None


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[claim]", "[claims]", r"found claims; allowed are one \[claim\] and any number of \[\[waiver\]\]"),
        ('target = "device"', "", "target: Field required"),
        ('target = "device"', 'target = "robot"', "target: .*'robot'"),
        (
            '"Basic Profile"',
            '"Best Profile"',
            "profiles: profile 'Best Profile' is not known; known are: Basic Profile",
        ),
        ('["Unit B"]', '["Unit C"]', "units: 'Unit C' is not known"),
        ("device.fake.named", "device.fake.nobody", "waiver: check 'device.fake.nobody' is not known"),
        ('"comes with version 5"', '"later"', "waivers.0.reason: .*at least 8"),
        ("2999-01-01", '"soon"', "waivers.0.until"),
        ('vendor = "Example Works"', 'colour = "red"', "colour: Extra inputs"),
        ("[claim]", "[claim", r"claim\.toml: Expected"),
    ],
)
def test_a_wrong_claim_is_told(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(ClaimError, match=told):
        read_claim(written(tmp_path, WHOLE.replace(old, new)), many())


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ClaimError, match="No such file"):
        read_claim(tmp_path / "claim.toml", many())
