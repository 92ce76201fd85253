import pytest

from security.waivers import check_waivers

NEEDED = {"plaintext": (True, "url with mqtt://"), "anonymous-user": (False, "user.anonymous = true")}


def test_what_is_needed_and_named_is_fine() -> None:
    check_waivers(("plaintext", "host-name"), NEEDED)


@pytest.mark.parametrize(
    ("waivers", "told"),
    [
        ((), 'needs "plaintext"'),
        (("plaintext", "anonymous-user"), "is not used"),
        (("plaintext", "plaintext"), "named once"),
    ],
)
def test_anything_else_is_told(waivers: tuple[str, ...], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        check_waivers(waivers, NEEDED)
