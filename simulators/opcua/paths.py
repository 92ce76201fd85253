"""Browse paths below a machine: browse names joined by `/`; `%` and `/` inside of a name are written %25 and %2F."""

from __future__ import annotations


def split(path: str) -> list[str]:
    """The browse names of a path."""
    return [name.replace("%2F", "/").replace("%25", "%") for name in path.split("/")] if path else []


def join(parent: str, name: str) -> str:
    """The path of the child `name` of the node at `parent`."""
    escaped = name.replace("%", "%25").replace("/", "%2F")
    return f"{parent}/{escaped}" if parent else escaped


def parent_of(path: str) -> str:
    """The path one level up; empty for the machine itself."""
    return path.rpartition("/")[0]


def name_of(path: str) -> str:
    """The last browse name of a path."""
    return split(path)[-1]
