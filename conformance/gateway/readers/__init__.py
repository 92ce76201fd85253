"""Readers: they translate what a gateway publishes into messages of the common data model (docs/topics.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points

from conformance.gateway.readers.area4 import Area4Reader
from conformance.gateway.readers.base import Reader, ReaderError
from conformance.gateway.readers.pubsub import PubSubReader
from conformance.gateway.readers.sparkplug import SparkplugReader
from conformance.gateway.readers.umati import UmatiReader

__all__ = ["GROUP", "READERS", "Reader", "ReaderError", "reader"]

GROUP = "area4.conformance.readers"
"""Entry points of packages that bring readers of their own: name = "module:Class"."""

READERS: Mapping[str, Callable[[Sequence[str]], Reader]] = {
    "area4": Area4Reader,
    "pubsub-json": PubSubReader,
    "sparkplug-b": SparkplugReader,
    "umati": UmatiReader,
}
"""The suite's own, by the name of their format."""


def reader(name: str, machines: Sequence[str]) -> Reader:
    """The reader of a format, for these machines.

    Raises:
        ReaderError: There is none of that name.
    """
    others = {one.name: one for one in entry_points(group=GROUP)}
    if name in READERS:
        return READERS[name](machines)
    if name not in others:
        raise ReaderError(f"no reader of format {name!r}; there are: {', '.join([*READERS, *sorted(others)])}")
    made: Reader = others[name].load()(machines)
    return made
