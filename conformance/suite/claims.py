"""The vendor's claim: what the product is said to do, before anything is tried.

```toml
[claim]
product = "MC-500"
vendor = "Example Works"
version = "4.2"
target = "device"
profiles = ["MachineTool Basic Server"]   # names or URIs
units = ["MachineTool Equipment ToolLife"]  # single conformance units on top

[[waiver]]
check = "device.security.C-04"
reason = "revocation lists come with 5.0"
until = 2027-06-30
```
"""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from conformance.suite.catalogue import Catalogue, CatalogueError
from conformance.suite.check import Check, TargetKind


class ClaimError(Exception):
    """A claim file is wrong; the text names file, key, what was found, what is allowed."""


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Waiver(_Written):
    """A failure that the vendor knows of. It stays a failure in the report, beside its reason.

    Attributes:
        check: Its id.
        reason: Why.
        until: Last day on which it counts.
    """

    check: str
    reason: str = Field(min_length=8)
    until: date


class Claim(_Written):
    """What a vendor says of a product.

    Attributes:
        product: Name.
        vendor: Who makes it.
        version: Of the product.
        target: What kind of thing it is.
        profiles: Names or URIs of profiles.
        units: Single conformance units besides.
        waivers: Known failures.
        written: A file says so; else it is what the target says of itself.
    """

    product: str = ""
    vendor: str = ""
    version: str = ""
    target: TargetKind
    profiles: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    written: bool = True

    def claimed_units(self, catalogue: Catalogue) -> set[str]:
        """All conformance units that are claimed; profiles that a target names and nobody here knows say nothing.

        Raises:
            CatalogueError: A profile of a claim file is not known.
        """
        names = [one for one in self.profiles if self.written or catalogue.knows(one)]
        return set(self.units) | catalogue.units_of(names)

    def asks(self, check: Check, units: set[str]) -> bool:
        """The claim contains this check; `units` is `claimed_units`.

        Where no file says what is claimed, what is there is asked: a target that names no profile is still judged.
        """
        return not self.written or not check.units or not units.isdisjoint(check.units)

    def waiver(self, check_id: str, today: date) -> Waiver | None:
        """The one that counts today for a check."""
        return next((one for one in self.waivers if one.check == check_id and today <= one.until), None)


def read_claim(path: Path, catalogue: Catalogue) -> Claim:
    """From a TOML file, held against the catalogue.

    Raises:
        ClaimError: Unreadable, a key is wrong, or a profile, unit or check is not known.
    """
    try:
        body = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ClaimError(f"{path}: {error}") from error
    unknown = sorted(set(body) - {"claim", "waiver"})
    if unknown or not isinstance(body.get("claim"), dict):
        found = f"found {', '.join(unknown)}" if unknown else "[claim] is missing"
        raise ClaimError(f"{path}: {found}; allowed are one [claim] and any number of [[waiver]]")
    try:
        claim = Claim.model_validate({**body["claim"], "waivers": body.get("waiver", [])})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ClaimError(f"{path}: {where}: {first['msg']} (found {first['input']!r})") from error
    _known(path, claim, catalogue)
    return claim


def _known(path: Path, claim: Claim, catalogue: Catalogue) -> None:
    try:
        catalogue.units_of(claim.profiles)
    except CatalogueError as error:
        raise ClaimError(f"{path}: profiles: {error}") from error
    units = {unit for check in catalogue.checks.values() for unit in check.units}
    units |= {unit for profile in catalogue.profiles.values() for unit in profile.units}
    for unit in claim.units:
        if unit not in units:
            raise ClaimError(f"{path}: units: {unit!r} is not known; `area4 conform list --units` shows all")
    for waiver in claim.waivers:
        if waiver.check not in catalogue.checks:
            raise ClaimError(f"{path}: waiver: check {waiver.check!r} is not known; `area4 conform list` shows all")
