"""docs/security.md: its commands, one after the other, in an empty folder."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path

import pytest

from security.pki import PkiFolder, load_certificates
from security.pki.folder import PkiFolder as Folder
from security.trust.quarantine import keep
from simulators.embedded_broker import read_access_list

from .conftest import DOCS, Command, Shell, commands_of


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    (tmp_path / "acl").write_text("user edge1\ntopic write area4/v1/hall3/+/data\n")
    return Shell(tmp_path / "root", tmp_path)


def refuse_a_stranger(shell: Shell) -> str:
    """What the gateway does with an unknown machine; its thumbprint."""
    machine = load_certificates(shell.folder / "pki/machines/mill/opcua/own/cert.pem")[0]
    keep(Folder(shell.folder / "pki/edge1/opcua"), [machine], dt.datetime.now(dt.UTC))
    (waiting,) = json.loads(shell.run(Command(0, "area4 pki rejected pki/edge1/opcua --json")))
    return str(waiting["thumbprint"])


def test_every_command_does_what_the_page_says(shell: Shell) -> None:
    folder = shell.folder
    for command in commands_of(DOCS / "security.md"):
        words = command.words
        assert words[0] == "area4" or shutil.which(words[0]), words[0]
        if words[:3] == ["area4", "pki", "rejected"]:
            shell.replaced["THUMBPRINT"] = refuse_a_stranger(shell)
        shell.run(command)
        if words[:3] == ["area4", "pki", "approve"]:
            assert len(list((folder / "pki/edge1/opcua/trusted/certs").iterdir())) == 2
        if words[:3] == ["area4", "pki", "reject"]:
            assert len(list((folder / "pki/edge1/opcua/trusted/certs").iterdir())) == 1
    assert shell.replaced["THUMBPRINT"] in shell.output["area4 pki rejected pki/edge1/opcua"]
    assert read_access_list((folder / "acl").read_text())["dashboard"] == [("read", "area4/v1/hall3/#")]
    installed = load_certificates(folder / "plant/opcua/own/cert.pem")
    assert installed == load_certificates(folder / "answer.pem")
    for name in ("edge1/opcua", "edge1/mqtt", "broker/mqtt"):
        own = PkiFolder(folder / "pki" / name)
        assert own.key.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "part", ["ca/mqtt", "ca/opcua", "edge1/opcua", "edge1/mqtt", "edge1/user", "broker/mqtt", "watcher/mqtt"]
)
def test_the_folders_of_the_page_exist(shell: Shell, part: str) -> None:
    shell.run(next(commands_of(DOCS / "security.md")))
    assert (shell.folder / "pki" / part).is_dir()
    assert f"`pki/{part}`" in (DOCS / "security.md").read_text(encoding="utf-8")
