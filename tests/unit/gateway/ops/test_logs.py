from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ops.logs import configure, escape, redact, utc


@pytest.fixture
def root() -> Iterator[None]:
    """The root logger as it was, afterwards."""
    logger = logging.getLogger()
    handlers, level = list(logger.handlers), logger.level
    libraries = {name: logging.getLogger(name).level for name in ("asyncua", "paho", "amqtt", "asyncio")}
    yield
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    for handler in handlers:
        logger.addHandler(handler)
    logger.setLevel(level)
    for name, before in libraries.items():
        logging.getLogger(name).setLevel(before)
    logging.captureWarnings(capture=False)


@pytest.mark.usefixtures("root")
def test_text_lines_carry_time_level_logger_and_extras() -> None:
    stream = io.StringIO()
    configure("info", "auto", stream)
    logging.getLogger("gateway.x").warning("machine %s", "mill", extra={"count": 3})
    line = stream.getvalue()
    assert line.endswith(" WARNING gateway.x: machine mill (count=3)\n")
    assert line[4] == "-"
    assert line.split(" ")[0].endswith("Z")


@pytest.mark.usefixtures("root")
def test_json_lines_are_one_object_each_with_the_traceback_inside() -> None:
    stream = io.StringIO()
    configure("debug", "json", stream)
    try:
        raise ValueError("password='hunter2'")  # noqa: TRY301 - to have a traceback
    except ValueError:
        logging.getLogger("gateway.x").exception("it failed\nreally")
    (line,) = stream.getvalue().splitlines()
    body = json.loads(line)
    assert body["level"] == "error"
    assert body["message"] == "it failed\\nreally"
    assert "ValueError" in body["traceback"]
    assert "hunter2" not in line


@pytest.mark.usefixtures("root")
def test_libraries_are_silent_below_warning_even_at_debug() -> None:
    stream = io.StringIO()
    configure("debug", "text", stream)
    logging.getLogger("asyncua.client.ua_client.UaClient").debug("ActivateSession Password=b'hunter2'")
    logging.getLogger("asyncua.server").info("request")
    logging.getLogger("paho.mqtt.client").debug("CONNECT")
    assert stream.getvalue() == ""
    logging.getLogger("asyncua.client").warning("UserNameIdentityToken(UserName='op', Password=b'hunter2')")
    assert "hunter2" not in stream.getvalue()
    assert "UserName='op'" in stream.getvalue()


@pytest.mark.usefixtures("root")
def test_a_line_that_cannot_be_formatted_is_still_logged() -> None:
    stream = io.StringIO()
    configure("info", "text", stream)
    logging.getLogger("x").info("%d values", "three")
    assert "%d values" in stream.getvalue()
    assert "three" in stream.getvalue()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\u2028next", "\\u2028next"),
        ("\ud800", "\\ud800"),
        ("\U000e0001", "\\U000e0001"),
        ("Müller 車", "Müller 車"),
    ],
)
def test_control_characters_are_shown_not_obeyed(text: str, shown: str) -> None:
    assert escape(text) == shown


@given(st.text(st.characters(), max_size=200))
def test_whatever_a_peer_says_stays_on_one_line(text: str) -> None:
    assert escape(text).isprintable()
    assert len(escape(text).splitlines()) <= 1


def test_long_texts_are_cut() -> None:
    assert len(escape("x" * 1_000_000)) < 9_000


@pytest.mark.parametrize(
    "text",
    [
        "password: hunter2",
        "Password=b'hunter2'",
        '"password": "hunter2"',
        "token=hunter2, x",
        "mqtts://me:hunter2@broker",
        "passphrase = 'hun\\'ter2 hunter2'",
        "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----",
        "-----BEGIN EC PRIVATE KEY-----\nhunter2",
    ],
)
def test_secrets_are_taken_out(text: str) -> None:
    assert "hunter2" not in redact(text)


@pytest.mark.parametrize("text", ["Spin: 1200", "mapping=3", "passed: 5", "opc.tcp://mill:4840/x@y"])
def test_what_only_looks_like_a_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_times_are_utc_with_milliseconds() -> None:
    assert utc(1_795_361_400.1234) == "2026-11-22T15:30:00.123Z"
    assert utc(1_795_361_399.9999) == "2026-11-22T15:30:00.000Z"
