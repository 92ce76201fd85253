"""Checks of others: from installed packages (entry points of the group `area4.conformance`) and from folders.

Either is a folder with TOML files, as the suite's own catalogue has them, and Python with `RULES`: a dictionary from
the names that the checks give to coroutine functions (`conformance.suite.target.Rule`). A package is named by its entry
point; in a folder the file is `rules.py`.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from conformance.suite.attempt import told
from conformance.suite.catalogue import Catalogue, CatalogueError, load
from conformance.suite.check import Check, TargetKind
from conformance.suite.target import Rule, Target

GROUP = "area4.conformance"
RULES_FILE = "rules.py"
_OURS = frozenset(TargetKind)


class PluginError(Exception):
    """A plug-in cannot be used; the text names it and says what is wrong."""


@dataclass(frozen=True)
class Plugin:
    """Somebody's own checks.

    Attributes:
        name: Of the entry point, or of the folder.
        catalogue: Its checks, requirements and profiles; a check's rule carries the plug-in's name.
        rules: By that name.
    """

    name: str
    catalogue: Catalogue
    rules: Mapping[str, Rule]


def installed() -> list[Plugin]:
    """Those of installed packages, by name.

    Raises:
        PluginError: One of them cannot be used: a run without it would be another one than was installed.
    """
    return [_of_package(one) for one in sorted(entry_points(group=GROUP), key=lambda one: one.name)]


def of_folder(folder: Path) -> Plugin:
    """The one in a folder.

    Raises:
        PluginError: It cannot be used.
    """
    if not folder.is_dir():
        raise PluginError(f"{folder} is no folder")
    file = folder / RULES_FILE
    spec = importlib.util.spec_from_file_location(f"area4_checks_{folder.name}", file) if file.exists() else None
    if spec is None or spec.loader is None:
        return _plugin(folder.name, folder, {})
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise PluginError(f"{file}: {told(error)}") from error
    return _plugin(folder.name, folder, _rules(module))


def joined(catalogue: Catalogue, plugins: Iterable[Plugin]) -> Catalogue:
    """The catalogue with the plug-ins' entries.

    Raises:
        PluginError: An id stands twice, or a name leads nowhere.
    """
    for one in plugins:
        try:
            catalogue = catalogue.joined(one.catalogue)
            catalogue.verify()
        except CatalogueError as error:
            raise PluginError(f"{one.name}: {error}") from error
    return catalogue.completed()


def equip(target: Target, plugins: Iterable[Plugin]) -> None:
    """Give a target the plug-ins' rules."""
    target.rules = {**target.rules, **{name: rule for one in plugins for name, rule in one.rules.items()}}


def _of_package(entry: EntryPoint) -> Plugin:
    try:
        module = entry.load()
    except Exception as error:
        raise PluginError(f"{entry.name}: {told(error)}") from error
    if not isinstance(module, ModuleType) or module.__file__ is None:
        raise PluginError(f"{entry.name}: {entry.value} is no package with files")
    return _plugin(entry.name, Path(module.__file__).parent, _rules(module))


def _rules(module: ModuleType) -> dict[str, Any]:
    rules = getattr(module, "RULES", None)
    if not isinstance(rules, Mapping):
        raise PluginError(f"{module.__file__}: RULES is missing: a dictionary of coroutine functions by name")
    for name, rule in rules.items():
        if not inspect.iscoroutinefunction(rule):
            raise PluginError(f"{module.__file__}: rule {name!r} is no coroutine function (async def)")
    return dict(rules)


def _plugin(name: str, folder: Path, rules: Mapping[str, Rule]) -> Plugin:
    try:
        found = load(folder)
    except CatalogueError as error:
        raise PluginError(str(error)) from error
    if not found.checks:
        raise PluginError(f"{folder}: there is no TOML file with a [[check]]")
    checks = {one.id: _named(one, name, rules) for one in found.checks.values()}
    return Plugin(name, replace(found, checks=checks), {f"{name}:{rule}": one for rule, one in rules.items()})


def _named(check: Check, plugin: str, rules: Mapping[str, Rule]) -> Check:
    """A check whose rule is the plug-in's own, or stays one of the target's."""
    word = check.id.partition(".")[0]
    if word in _OURS:
        raise PluginError(
            f"{plugin}: {check.id}: ids that begin with {word!r} are the suite's; begin with a word of yours"
        )
    return check.model_copy(update={"rule": f"{plugin}:{check.rule}"}) if check.rule in rules else check
