"""Which adapters there are, by name; what each is made of is loaded only when it is used.

The composition root takes `SOURCES`, `SINKS` and `ENCODINGS` as they are, or a changed copy (`with_`, `without`).
Nothing registers itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel

from adapters.encodings import common
from gateway.contracts import MachineListener, Sink, Source
from gateway.errors import ConfigurationError

Encode = Callable[[str, bytes], bytes]
"""Kind and common JSON of a message to the payload that a sink publishes."""


class MakeSource(Protocol):
    """Makes a source from its name in the configuration and its configuration; touches no network."""

    def __call__(self, name: str, config: BaseModel, *, on_machine: MachineListener) -> Source:
        """The source."""


class MakeSink(Protocol):
    """Makes a sink from its name in the configuration and its configuration; touches no network."""

    def __call__(self, name: str, config: BaseModel, *, site: str, gateway: str, version: str, encode: Encode) -> Sink:
        """The sink."""


MadeT = TypeVar("MadeT")
OtherT = TypeVar("OtherT")


@dataclass(frozen=True)
class Adapter(Generic[MadeT]):
    """One adapter, as references `module:attribute`.

    Attributes:
        about: What it connects, in a few words, for `area4 init`.
        config_reference: The pydantic model of its configuration.
        make_reference: What makes a source or sink.
    """

    about: str
    config_reference: str
    make_reference: str

    @property
    def config(self) -> type[BaseModel]:
        """The model of its configuration."""
        model = load(self.config_reference)
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise TypeError(f"{self.config_reference} is no pydantic model")
        return model

    @property
    def make(self) -> MadeT:
        """What makes it."""
        made: MadeT = load(self.make_reference)
        return made


class Registry(Mapping[str, OtherT]):
    """Adapters by name; never changes, `with_` and `without` give changed copies."""

    def __init__(self, what: str, entries: Mapping[str, OtherT]) -> None:
        self._what = what
        self._entries = MappingProxyType(dict(entries))

    def __getitem__(self, name: str) -> OtherT:
        """The entry of this name.

        Raises:
            ConfigurationError: There is none; the text names those that there are.
        """
        try:
            return self._entries[name]
        except KeyError:
            raise ConfigurationError(
                f"There is no {self._what} named {name!r}.", advice=f"Allowed: {', '.join(self._entries) or 'none'}."
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def with_(self, name: str, entry: OtherT) -> Registry[OtherT]:
        """A copy with one more; a name that is taken is an error.

        Raises:
            ValueError: The name is taken.
        """
        if name in self._entries:
            raise ValueError(f"{self._what} {name!r} is registered already; take it out first with without()")
        return Registry(self._what, {**self._entries, name: entry})

    def without(self, *names: str) -> Registry[OtherT]:
        """A copy without these.

        Raises:
            ConfigurationError: One of them is not there.
        """
        for name in names:
            self[name]
        return Registry(self._what, {name: entry for name, entry in self._entries.items() if name not in names})


class _Models(Mapping[str, type[BaseModel]]):
    """Configuration models by type, each loaded when it is looked at."""

    def __init__(self, registry: Mapping[str, Adapter[Any]]) -> None:
        self._registry = registry

    def __getitem__(self, name: str) -> type[BaseModel]:
        if name not in self._registry:
            raise KeyError(name)
        return self._registry[name].config

    def __iter__(self) -> Iterator[str]:
        return iter(self._registry)

    def __len__(self) -> int:
        return len(self._registry)


def models(registry: Mapping[str, Adapter[Any]]) -> Mapping[str, type[BaseModel]]:
    """The configuration models by type, as `gateway.config.load_settings` takes them; loads only those in use."""
    return _Models(registry)


def load(reference: str) -> Any:  # noqa: ANN401 - whatever the reference names
    """The object behind `module:attribute`."""
    module, _, attribute = reference.partition(":")
    return getattr(import_module(module), attribute)


SOURCES: Registry[Adapter[MakeSource]] = Registry(
    "source adapter",
    {"opcua": Adapter("OPC UA server", "adapters.opcua.config:OpcUaConfig", "adapters.opcua.source:OpcUaSource")},
)
SINKS: Registry[Adapter[MakeSink]] = Registry(
    "sink adapter",
    {"mqtt": Adapter("MQTT broker", "adapters.mqtt.config:MqttConfig", "adapters.mqtt.sink:MqttSink")},
)
ENCODINGS: Registry[Encode] = Registry("encoding", {"common": common.encode})
"""Encodings of payloads: `common` is the common JSON as it is."""
