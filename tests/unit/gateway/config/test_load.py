from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from gateway import config
from gateway.config import (
    ConfigurationFileError,
    GatewaySettings,
    HttpSettings,
    OutboxSettings,
    Settings,
    load_settings,
)
from gateway.errors import ConfigurationError


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _User(_Closed):
    name: str
    password_file: Path | None = None


class _Source(_Closed):
    url: str
    user: _User | None = None
    nodes: tuple[_User, ...] = ()
    mode: Literal["sign", "none"] = "sign"
    waivers: tuple[str, ...] = ()
    size: int = Field(default=1, ge=1, le=10)


class _Sink(_Closed):
    url: str
    files: dict[str, Path] = Field(default_factory=dict)


GOOD = """\
[gateway]
name = "hall3"
site = "Werk Süd"

[source.mill]
type = "opcua"
url = "opc.tcp://mill:4840"

[sink.broker]
type = "mqtt"
url = "mqtts://broker:8883"
"""


def _load(folder: Path, text: str | bytes) -> Settings:
    file = folder / "area4.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_settings(file, {"opcua": _Source}, {"mqtt": _Sink})


def _problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigurationFileError) as caught:
        _load(folder, text)
    prefix = f"{folder / 'area4.toml'}:"
    assert all(one.startswith(prefix) and "\n" not in one for one in caught.value.problems)
    return [one.removeprefix(prefix) for one in caught.value.problems]


def test_defaults_and_paths_relative_to_the_file(tmp_path: Path) -> None:
    settings = _load(tmp_path, GOOD)
    assert settings.gateway.data_dir == tmp_path / "data"
    assert settings.outbox_path == tmp_path / "data" / "outbox.db"
    assert settings.http.address == ("127.0.0.1", 9464)
    assert settings.waivers == ()
    assert [(link.name, link.type) for link in settings.sources + settings.sinks] == [
        ("mill", "opcua"),
        ("broker", "mqtt"),
    ]


def test_every_path_of_an_adapter_is_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/area4")
    text = GOOD.replace(
        'url = "opc.tcp://mill:4840"',
        'url = "opc.tcp://mill:4840"\nuser = { name = "a", password_file = "credential:mill.password" }\n'
        'nodes = [{ name = "n", password_file = "../x" }]',
    ).replace('url = "mqtts://broker:8883"', 'url = "x"\nfiles = { ca = "pki/ca.pem", abs = "/etc/ca.pem" }')
    settings = _load(tmp_path, text)
    source, sink = settings.sources[0].config, settings.sinks[0].config
    assert isinstance(source, _Source)
    assert isinstance(sink, _Sink)
    assert source.user is not None
    assert source.user.password_file == Path("/run/credentials/area4/mill.password")
    assert source.nodes[0].password_file == tmp_path / "../x"
    assert sink.files == {"ca": tmp_path / "pki/ca.pem", "abs": Path("/etc/ca.pem")}


def test_credential_without_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    text = GOOD.replace(
        "opc.tcp://mill:4840", 'x"\nuser = { name = "a", password_file = "credential:pw" }\nmode = "sign'
    )
    (problem,) = _problems(tmp_path, text)
    assert problem.startswith('8: source.mill.user.password_file: found "credential:pw", but no credentials')


@pytest.mark.parametrize("name", ["../etc/passwd", "a/b", ".hidden", ""])
def test_a_credential_name_never_leaves_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/area4")
    text = GOOD.replace(
        "opc.tcp://mill:4840", f'x"\nuser = {{ name = "a", password_file = "credential:{name}" }}\nmode = "sign'
    )
    (problem,) = _problems(tmp_path, text)
    assert "allowed: credential:NAME" in problem


def test_all_problems_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = (
        "[gatway]\nname = 1\n"
        + GOOD.replace('site = "Werk Süd"', 'site = "  "\nlog_level = "loud"')
        + '[http]\nlisten = "0.0.0.0:9464"\n[source.x]\ntype = "modbus"\n'
    )
    found = _problems(tmp_path, text)
    assert [one.split(": ")[:2] for one in found] == [
        ["1", "gatway"],
        ["5", "gateway.site"],
        ["6", "gateway.log_level"],
        ["15", "http"],
        ["18", "source.x.type"],
    ]
    assert found[0].endswith("did you mean gateway?")
    assert '"debug", "info", "warning" or "error"' in found[2]
    assert "http-exposed" in found[3]
    assert found[4].endswith('found "modbus", allowed: "opcua"')


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('name = "hall3"', 'name = "a b"', 'gateway.name: found "a b", allowed: 1 to 64 letters'),
        ('name = "hall3"\n', "", "gateway.name: missing, and there is no default: name of this gateway"),
        ('url = "opc.tcp://mill:4840"', "url = 4", "source.mill.url: found 4, allowed: a text in quotes"),
        (
            'url = "opc.tcp://mill:4840"',
            'ulr = "x"\nurl="x"',
            "source.mill.ulr: unknown key; allowed: mode, nodes, size,",
        ),
        ('url = "opc.tcp://mill:4840"', 'url = "x"\nsize = 11', "size: found 11, allowed: less than or equal to 10"),
        ('url = "opc.tcp://mill:4840"', 'url = "x"\nmode = "x"', 'mode: found "x", allowed: "sign" or "none"'),
        ('url = "opc.tcp://mill:4840"', 'url = "x"\nuser = 3', "source.mill.user: found 3, allowed: a table"),
        ('url = "opc.tcp://mill:4840"', 'url = "x"\nnodes = [{}]', "source.mill.nodes[0].name: missing"),
        ('type = "opcua"\n', "", 'source.mill.type: missing; allowed: "opcua"'),
        ("[sink.broker]", '[sink."a b"]', 'sink."a b": the name is not allowed; allowed: 1 to 64'),
        (
            '[source.mill]\ntype = "opcua"\nurl = "opc.tcp://mill:4840"',
            "",
            "source: missing, allowed: at least one table",
        ),
        ('[gateway]\nname = "hall3"\nsite = "Werk Süd"', "[outbox]", "gateway: missing: a table [gateway]"),
        ('[gateway]\nname = "hall3"\nsite = "Werk Süd"', "gateway = 4", "gateway: found 4, allowed: a table"),
        (
            "[sink.broker]",
            '[outbox]\nmax_bytes = "2 apples"\n[sink.broker]',
            'max_bytes: found "2 apples", allowed: a size',
        ),
        (
            "[sink.broker]",
            "[outbox]\nmax_age = 1\n[sink.broker]",
            "max_age: found 1, allowed: greater than or equal to 60",
        ),
        ("[sink.broker]", "[outbox]\nmax_age = true\n[sink.broker]", "outbox.max_age: found true, allowed: a duration"),
        ("[sink.broker]", '[http]\nlisten = "x"\n[sink.broker]', 'http.listen: found "x", allowed: host:port'),
        ("[sink.broker]", '[http]\nlisten = "127.0.0.1:70000"\n[sink.broker]', "port 0 to 65535"),
    ],
)
def test_one_problem(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in GOOD
    (problem,) = _problems(tmp_path, GOOD.replace(old, new, 1))
    assert expected in problem


def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path: Path) -> None:
    text = GOOD.replace("opc.tcp://mill:4840", 'x"\nuser = { name = "a", password = "hunter2" }\nmode = "sign')
    (problem,) = _problems(tmp_path, text)
    assert "secrets never stand in the configuration: use password_file" in problem
    assert "hunter2" not in problem


def test_credentials_in_a_url_are_not_repeated(tmp_path: Path) -> None:
    (problem,) = _problems(
        tmp_path,
        GOOD.replace('mode = "sign"', "").replace("[source.mill]", '[source.mill]\nmode = "opc.tcp://me:hunter2@x"'),
    )
    assert "hunter2" not in problem
    assert "***@x" in problem


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[gateway]\nname = \n", r":2: not valid TOML: Invalid value \(column 8\)"),
        (b"[gateway]\nname = 'x", r":2: not valid TOML: Expected \"'\" \(end of the file\)"),
        (b"[gateway]\nname = 'x'\nname = 'y'\n", ":3: not valid TOML: Cannot overwrite a value"),
        (b"[gateway]\n# \xff\n", ":2: byte 0xff is not UTF-8"),
        (b"a = " + b"[" * 5000, "not valid TOML"),
        (b"#" * 4_000_001, "larger than 4000000 bytes"),
    ],
)
def test_content_that_cannot_be_read(tmp_path: Path, content: bytes, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected) as caught:
        _load(tmp_path, content)
    assert "\n" not in caught.value.told


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    settings = _load(tmp_path, b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert settings.gateway.site == "Werk Süd"


def test_missing_file_and_folder_instead_of_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no such file"):
        load_settings(tmp_path / "no.toml", {}, {})
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_settings(tmp_path, {}, {})


def test_waivers_name_their_place(tmp_path: Path) -> None:
    text = GOOD.replace("[sink.broker]", '[http]\nlisten = "0.0.0.0:1"\nwaivers = ["http-exposed"]\n[sink.broker]')
    text = text.replace("[source.mill]", '[source.mill]\nwaivers = ["sign-only"]')
    assert _load(tmp_path, text).waivers == ("http:http-exposed", "source.mill:sign-only")


def test_the_sample_shows_every_key_with_its_default(tmp_path: Path) -> None:
    sample = (Path(config.__file__).parent / "sample.toml").read_text(encoding="utf-8")
    links = GOOD[GOOD.index("[source.mill]") :]
    settings = _load(tmp_path, sample + links)
    assert settings.outbox == OutboxSettings()
    assert settings.http == HttpSettings()
    assert settings.gateway == GatewaySettings(name="hall3-gateway", site="hall3", data_dir=tmp_path / "data")
    for table in (GatewaySettings, OutboxSettings, HttpSettings):
        for key in table.model_fields:
            assert re.search(rf"^(# )?{key} = ", sample, re.MULTILINE), key
