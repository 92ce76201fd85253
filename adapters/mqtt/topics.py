"""Topics from templates: which variables they may hold, and the names put in (escaped by `gateway.model.names`)."""

from __future__ import annotations

from collections.abc import Iterable
from string import Formatter

from gateway.model.names import escape_level

MACHINE_TOPIC = "area4/v1/{site}/{machine}/{kind}"
GATEWAY_TOPIC = "area4/v1/{site}/_gateway/{gateway}/status"
MACHINE_VARIABLES = frozenset({"site", "gateway", "machine", "kind"})
GATEWAY_VARIABLES = frozenset({"site", "gateway"})
MAX_TOPIC = 65535
"""Bytes of a topic (MQTT 5.0, 1.5.4)."""

_CACHED = 20_000


def check_template(template: str, allowed: frozenset[str], required: Iterable[str]) -> str:
    """The template as it is, if topics can be made of it.

    Raises:
        ValueError: What is wrong, what is allowed.
    """
    names: set[str] = set()
    told = "allowed are " + " ".join(sorted(f"{{{name}}}" for name in allowed))
    try:
        parts = list(Formatter().parse(template))
    except ValueError as problem:
        raise ValueError(f"topic template {template!r}: {problem}; {told}") from problem
    for literal, name, form, conversion in parts:
        bad = sorted(set(literal) & set("+#")) or [letter for letter in literal if not letter.isprintable()]
        if bad:
            raise ValueError(f"topic template {template!r} holds {bad[0]!r}; a topic that is published must not")
        if name is not None:
            if name not in allowed or form or conversion:
                raise ValueError(f"topic template {template!r} holds {{{name}}}; {told}")
            names.add(name)
    missing = [name for name in required if name not in names]
    if missing:
        raise ValueError(f"topic template {template!r} lacks {{{missing[0]}}}; without it topics would meet")
    if template.startswith(("/", "$")) or template.endswith("/") or "//" in template:
        raise ValueError(f"topic template {template!r} starts with / or $, ends with /, or holds an empty level")
    return template


class Topics:
    """Topics of one gateway at one site."""

    def __init__(self, machine: str, gateway: str, *, site: str, name: str) -> None:
        """`machine` and `gateway` are checked templates; `name` is the gateway's."""
        self._site = escape_level(site)
        self._gateway = escape_level(name)
        self._template = machine
        self._known: dict[tuple[str, str], str] = {}
        self.gateway_status = gateway.format(site=self._site, gateway=self._gateway)

    def of_machine(self, machine: str, kind: str) -> str:
        """Topic of a machine's messages of this kind."""
        topic = self._known.get((machine, kind))
        if topic is None:
            topic = self._template.format(
                site=self._site, gateway=self._gateway, machine=escape_level(machine), kind=escape_level(kind)
            )
            if len(self._known) >= _CACHED:
                self._known.clear()
            self._known[machine, kind] = topic
        return topic
