"""The exception tree: an error says what happened, and by its class what to do next."""

from __future__ import annotations


class Area4Error(Exception):
    """Base of all errors that a person is told about; the text is one sentence without a traceback.

    Attributes:
        advice: What the reader can do about it, one sentence or empty.
    """

    exit_code = 1

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice

    @property
    def told(self) -> str:
        """Message and advice as one text."""
        return f"{self} {self.advice}".strip()


class ConfigurationError(Area4Error):
    """Something that a person wrote must be changed: a configuration, an argument, a file, a permission."""

    exit_code = 2


class RefusedError(Area4Error):
    """A peer or its certificate was refused, or refused us; trying again alone does not help, but is harmless."""

    exit_code = 3


class UnreachableError(Area4Error):
    """A peer could not be reached or went away; trying again is right."""

    exit_code = 4


class LossError(Area4Error):
    """Values were lost, or it could not be shown that none was."""

    exit_code = 5


class NonConformityError(Area4Error):
    """What was judged does not conform, or that could not be shown; a signature that does not hold likewise."""

    exit_code = 5


class StorageError(Area4Error):
    """The outbox cannot store: disk full, not writable, damaged; trying again is right."""

    exit_code = 6


class FullError(StorageError):
    """The outbox is as full as it may be, and what is in it may not leave undelivered; trying again is right."""


class MissingExtraError(Area4Error):
    """A command needs packages that the edge box does not have."""

    exit_code = 7
