"""The catalogue: TOML files of checks, requirements and profiles, read and held against each other."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from conformance.suite.check import Check, Profile, Requirement, TargetKind

_Entry = TypeVar("_Entry", bound=BaseModel)
_KINDS: dict[str, type[BaseModel]] = {"check": Check, "requirement": Requirement, "profile": Profile}

_MANUAL = "manual"
"""Second word of the ids of checks that were made from requirements."""


class CatalogueError(Exception):
    """A catalogue file is wrong; the text names file, entry and what is asked for."""


@dataclass(frozen=True)
class Catalogue:
    """All that can be asked of targets.

    Attributes:
        checks: By id, in the order of the files.
        requirements: By id.
        profiles: By name.
    """

    checks: Mapping[str, Check]
    requirements: Mapping[str, Requirement]
    profiles: Mapping[str, Profile]

    def of(self, target: TargetKind) -> list[Check]:
        """The checks of a kind of target, in their order."""
        return [one for one in self.checks.values() if one.target is target]

    def knows(self, profile: str) -> bool:
        """A profile of this name or URI is here."""
        return profile in self.profiles or any(profile == one.uri for one in self.profiles.values() if one.uri)

    def units_of(self, names: Iterable[str]) -> set[str]:
        """The conformance units of profiles, given by name or URI, with those of the profiles within.

        Raises:
            CatalogueError: A profile is not known.
        """
        by_uri = {one.uri: one for one in self.profiles.values() if one.uri}
        found: set[str] = set()
        seen: set[str] = set()
        left = list(names)
        while left:
            name = left.pop()
            profile = self.profiles.get(name) or by_uri.get(name)
            if profile is None:
                known = ", ".join(sorted(self.profiles)) or "none"
                raise CatalogueError(f"profile {name!r} is not known; known are: {known}")
            if profile.name not in seen:
                seen.add(profile.name)
                found.update(profile.units)
                left.extend(profile.includes)
        return found

    def joined(self, other: Catalogue) -> Catalogue:
        """With another's entries.

        Raises:
            CatalogueError: An id is in both.
        """
        for mine, its in (
            (self.checks, other.checks),
            (self.requirements, other.requirements),
            (self.profiles, other.profiles),
        ):
            twice = set(mine) & set(its)
            if twice:
                raise CatalogueError(f"in two catalogues: {', '.join(sorted(twice))}")
        return Catalogue(
            {**self.checks, **other.checks},
            {**self.requirements, **other.requirements},
            {**self.profiles, **other.profiles},
        )

    def completed(self) -> Catalogue:
        """With a manual check for each requirement that no check of a target answers: the row's own procedure."""
        checks = {one.id: one for one in self.checks.values() if not _generated(one)}
        answered = {(one.target, row) for one in checks.values() for row in one.requirements}
        for row in self.requirements.values():
            for target in row.targets:
                if (target, row.id) not in answered:
                    one = _by_hand(row, target)
                    checks[one.id] = one
        return Catalogue(checks, self.requirements, self.profiles)

    def verify(self) -> None:
        """Every name that an entry uses is there.

        Raises:
            CatalogueError: The first one that is not.
        """
        for check in self.checks.values():
            for need in check.needs:
                needed = self.checks.get(need)
                if needed is None or needed.target is not check.target:
                    raise CatalogueError(f"{check.id} needs {need}, which is no check of a {check.target}")
            for row in check.requirements:
                if row not in self.requirements:
                    raise CatalogueError(f"{check.id} answers {row}, which is no requirement")
        for requirement in self.requirements.values():
            if not requirement.procedure:
                raise CatalogueError(f"{requirement.id} has no procedure for a person")
        for profile in self.profiles.values():
            self.units_of([profile.name])
        _no_circle(self.checks)


def _by_hand(row: Requirement, target: TargetKind) -> Check:
    """A row of the requirements as a manual check of a kind of target."""
    return Check(
        id=f"{target}.{_MANUAL}.{row.id}",
        title=row.title[:200],
        target=target,
        goals=(row.goal,),
        requirements=(row.id,),
        sources=row.sources,
        expected=row.title,
        method=row.procedure,
        manual=True,
    )


def _generated(check: Check) -> bool:
    return check.manual and check.id.split(".")[1] == _MANUAL


def _no_circle(checks: Mapping[str, Check]) -> None:
    done: set[str] = set()

    def walk(one: str, path: tuple[str, ...]) -> None:
        if one in path:
            raise CatalogueError(f"checks need each other: {' -> '.join([*path, one])}")
        if one not in done:
            for need in checks[one].needs:
                walk(need, (*path, one))
            done.add(one)

    for one in checks:
        walk(one, ())


def load(folder: Path) -> Catalogue:
    """All TOML files of a folder, with tables `[[check]]`, `[[requirement]]`, `[[profile]]`, by file name.

    Raises:
        CatalogueError: A file cannot be read, an entry is wrong, or an id stands twice.
    """
    entries: dict[str, dict[str, BaseModel]] = {kind: {} for kind in _KINDS}
    for path in sorted(folder.glob("*.toml")):
        for kind, entry in _entries(path):
            key = str(getattr(entry, "name", None) or getattr(entry, "id", ""))
            if key in entries[kind]:
                raise CatalogueError(f"{path}: {kind} {key} stands twice")
            entries[kind][key] = entry
    return Catalogue(
        checks=_only(entries["check"], Check),
        requirements=_only(entries["requirement"], Requirement),
        profiles=_only(entries["profile"], Profile),
    )


def shipped() -> Catalogue:
    """The suite's own catalogue, verified, with the rows that are left to a person."""
    catalogue = load(Path(str(files("conformance") / "catalogue")))
    catalogue.verify()
    return catalogue.completed()


def _only(found: Mapping[str, BaseModel], kind: type[_Entry]) -> dict[str, _Entry]:
    return {key: entry for key, entry in found.items() if isinstance(entry, kind)}


def _entries(path: Path) -> Iterable[tuple[str, BaseModel]]:
    try:
        body: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CatalogueError(f"{path}: {error}") from error
    for kind, rows in body.items():
        if kind not in _KINDS or not isinstance(rows, list):
            raise CatalogueError(f"{path}: {kind}: allowed are [[{']], [['.join(_KINDS)}]]")
        for number, row in enumerate(rows, 1):
            try:
                yield kind, _KINDS[kind].model_validate(row)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"])
                name = row.get("id", row.get("name", f"number {number}"))
                raise CatalogueError(f"{path}: {kind} {name}: {where}: {first['msg']}") from error
