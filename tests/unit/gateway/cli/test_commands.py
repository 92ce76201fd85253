from __future__ import annotations

import importlib
import subprocess
import sys

import click
import pytest

from gateway.cli.commands import COMMANDS
from gateway.cli.main import as_area4_error, one_line, run
from gateway.errors import ConfigurationError, LossError, MissingExtraError, StorageError, UnreachableError
from security.errors import ParameterError

INSTALL = "Install the extra `lab`; in a checkout: pip install -r requirements/lab.txt"
HEAVY = (
    "pydantic",
    "cryptography",
    "asyncua",
    "paho",
    "prometheus_client",
    "asyncio",
    "rich",
    "simulators",
    "conformance",
)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_is_there_and_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = importlib.import_module(COMMANDS[name].module).command
    assert isinstance(command, click.Command)
    assert command.name == name
    assert run([name, "--help"]) == 0
    assert f"area4 {name}" in capsys.readouterr().out


def test_help_lists_commands_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    told = capsys.readouterr().out
    for name, entry in COMMANDS.items():
        assert name in told
        assert entry.help in " ".join(told.split())
    for code in ("0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "6 ", "7 ", "130"):
        assert f"  {code}" in told


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; from gateway.cli.main import run; run(['--help']); "
        f"print('loaded:', *[name for name in {HEAVY} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.splitlines()[-1] == "loaded:"


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    assert "Commands:" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_ask_the_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"_AREA4_COMPLETE={shell}_complete" in script


def test_completion_answers() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "gateway.cli"],
        env={"_AREA4_COMPLETE": "bash_complete", "COMP_WORDS": "area4 disc", "COMP_CWORD": "1", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stdout == "plain,discover\n"


@pytest.mark.parametrize(
    ("problem", "kind", "text"),
    [
        (LossError("lost"), LossError, "lost"),
        (ExceptionGroup("g", [UnreachableError("gone", advice="Wait.")]), UnreachableError, "gone Wait."),
        (FileNotFoundError(2, "No such file or directory", "/x"), ConfigurationError, "/x: No such file or directory."),
        (OSError(28, "No space left on device", "/x"), StorageError, "/x: No space left on device."),
        (
            ModuleNotFoundError("No module named 'amqtt'", name="amqtt.broker"),
            MissingExtraError,
            f"this command needs the package amqtt, which is not installed. {INSTALL}",
        ),
        (
            ParameterError("x", found="y", allowed="z", action="do w"),
            ConfigurationError,
            "x: y; allowed: z; what to do: do w.",
        ),
    ],
)
def test_errors_that_have_a_sentence(problem: BaseException, kind: type, text: str) -> None:
    known = as_area4_error(problem)
    assert type(known) is kind
    assert known is not None
    assert known.told == text


@pytest.mark.parametrize(
    "problem",
    [
        ValueError("x"),
        OSError("without a file"),
        ModuleNotFoundError("No module named 'gateway.x'", name="gateway.x"),
        ExceptionGroup("g", [UnreachableError("gone"), ValueError("bug")]),
    ],
)
def test_a_bug_stays_a_bug(problem: BaseException) -> None:
    assert as_area4_error(problem) is None


def test_texts_of_errors_stay_on_one_line_and_harmless() -> None:
    assert one_line(ValueError("a\n  b\x1b[31m.")) == "a b\\x1b[31m"
    assert one_line(ValueError()) == "ValueError"
