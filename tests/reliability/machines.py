"""Machines for the reliability tests: a counter in every value, and an identity of its own for each server.

`python -m simulators --kind tests.reliability.machines:first`
"""

from __future__ import annotations

import os

from tests.benchmarks.load_machine import LoadMachine


class Counting(LoadMachine):
    """AREA4_LOAD says how many signals, and how many values they change each second: 20x100."""

    def __init__(self, name: str) -> None:
        signals, _, rate = os.environ.get("AREA4_LOAD", "20x100").partition("x")
        super().__init__(int(signals), float(rate))
        self.name = name.capitalize()
        self.namespace = f"urn:area4:counting:{name}"
        self._serial = name


def first() -> Counting:
    return Counting("first")


def second() -> Counting:
    return Counting("second")


def third() -> Counting:
    return Counting("third")
