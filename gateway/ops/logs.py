"""Logging: text for people on a terminal, JSON lines for machines; nothing of a peer's text can forge a line."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import traceback
from typing import IO, Literal

Format = Literal["auto", "text", "json"]

FOREIGN = {"asyncua": logging.WARNING, "paho": logging.WARNING, "amqtt": logging.WARNING, "asyncio": logging.WARNING}
"""Libraries and the lowest level at which they may speak: asyncua logs whole requests, passwords included, at DEBUG."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_NAMES_HIDDEN = r"(?:pass(?:word|wd|phrase)?|secret|token|authenticationtoken|privatekey|(?<![A-Za-z])pin)"
_SECRET = re.compile(
    rf"""({_NAMES_HIDDEN}["']?\s*[=:]\s*)(b?'(?:[^'\\]|\\.)*'|b?"(?:[^"\\]|\\.)*"|[A-Za-z]+\([^)]*\)|[^\s,;)}}\]]+)""",
    re.IGNORECASE,
)
_USER_INFO = re.compile(r"(?<=://)[^/@\s]*@")
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL)
_COLOURS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[1;31m", "DEBUG": "\x1b[2m"}
_RESET = "\x1b[0m"
_MAX_TEXT = 8_000
"""Characters of one message: a peer's text never fills a disk line by line."""


def configure(level: str = "info", form: Format = "auto", stream: IO[str] | None = None) -> None:
    """Set up the root logger; `auto` is text, coloured on a terminal.

    Args:
        level: debug, info, warning or error: for our own loggers; libraries stay at WARNING or above.
        form: How lines look.
        stream: Where they go; stderr by default.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    terminal = stream.isatty()
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter(colour=terminal))
    handler.addFilter(Redaction())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name, lowest in FOREIGN.items():
        logging.getLogger(name).setLevel(max(lowest, logging.getLevelName(level.upper())))
    logging.captureWarnings(capture=True)


def escape(text: str) -> str:
    """`text` on one line: control characters, line separators and lone surrogates as escapes, length bounded."""
    if len(text) > _MAX_TEXT:
        text = f"{text[:_MAX_TEXT]}... ({len(text)} characters)"
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    code = ord(letter)
    known = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(letter)
    return known or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65_536 else f"\\U{code:08x}")


def redact(text: str) -> str:
    """`text` without values that stand behind a secret's name, without user info of URLs, without private keys."""
    text = _PEM.sub("(private key not shown)", text)
    text = _USER_INFO.sub("***@", text)
    return _SECRET.sub(r"\1***", text)


class Redaction(logging.Filter):
    """Takes secrets out of every record, also of those that libraries log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace the message by its redacted text."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = f"{record.msg!r} {record.args!r}"
        record.msg, record.args = redact(message), None
        return True


def utc(moment: float) -> str:
    """Unix seconds as ISO 8601, UTC, milliseconds."""
    milliseconds = round(moment * 1000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    return f"{text}.{milliseconds % 1000:03d}Z"


class TextFormatter(logging.Formatter):
    """`2026-11-22T15:30:00.123Z WARNING gateway.pipeline: text (key=value)`; a traceback is indented below."""

    def __init__(self, *, colour: bool = False) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback where there is one."""
        extra = " ".join(f"{name}={value!r}" for name, value in _extra(record).items())
        text = escape(record.getMessage()) + (escape(f" ({extra})") if extra else "")
        line = f"{utc(record.created)} {record.levelname:<7} {record.name}: {text}"
        if record.exc_info and record.exc_info[1] is not None:
            lines = "".join(traceback.format_exception(record.exc_info[1])).splitlines()
            line += "".join(f"\n    {escape(redact(one))}" for one in lines)
        colour = _COLOURS.get(record.levelname) if self._colour else None
        return f"{colour}{line}{_RESET}" if colour else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, what `extra` gave, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        body: dict[str, object] = {
            "time": utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": escape(record.getMessage()),
        }
        body.update({name: value for name, value in _extra(record).items() if name not in body})
        if record.exc_info and record.exc_info[1] is not None:
            body["traceback"] = redact("".join(traceback.format_exception(record.exc_info[1])))
        return json.dumps(body, default=str)


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {
        name: redact(value) if isinstance(value, str) else value
        for name, value in vars(record).items()
        if name not in _STANDARD
    }
