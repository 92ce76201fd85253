"""`area4 conform`: what it is given, what it writes, and how it ends."""

import asyncio
import json
import os
import signal
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from conformance.reports import document
from conformance.suite.claims import Claim
from conformance.suite.outcome import passed
from conformance.suite.runner import Settings
from conformance.suite.runner import run as run_suite
from gateway.cli import conformrun, conformtargets
from gateway.cli.main import run
from tests.unit.conformance.fake import FakeTarget, many
from tests.unit.conformance.reports.test_signature import LEAF, ROOT

URL = "opc.tcp://machine:4840"


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> FakeTarget:
    """A device and a catalogue without a network, behind the real command."""
    made = FakeTarget()
    monkeypatch.setattr(conformrun, "catalogue_of", lambda _folders: (many(), []))
    monkeypatch.setattr(conformtargets, "_device", lambda *_: made)
    return made


def test_a_conforming_target_ends_with_0(target: FakeTarget, tmp_path: Path, capsys) -> None:
    names = [("--html", "r.html"), ("--json", "r.json"), ("--junit", "r.xml"), ("--sarif", "r.sarif")]
    files = [part for option, name in names for part in (option, str(tmp_path / name))]
    assert run(["conform", "device", URL, "--only", "device.fake.found", "--seed", "7", *files]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "Conforms to what was asked: 1 of 1 judged checks passed."
    assert err == ""
    report = document.read_file(tmp_path / "r.json")
    assert (report.seed, report.options["only"], report.target) == (7, "device.fake.found", URL)
    assert (tmp_path / "r.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert ET.parse(tmp_path / "r.xml").getroot().get("tests") == "1"
    assert json.loads((tmp_path / "r.sarif").read_text(encoding="utf-8"))["version"] == "2.1.0"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["r.html", "r.json", "r.sarif", "r.xml"]
    assert target.closed == 1


def test_what_does_not_conform_ends_with_5_and_one_sentence(target: FakeTarget, capsys) -> None:
    assert run(["conform", "device", URL]) == 5
    out, err = capsys.readouterr()
    assert err == "area4: Does not conform: 3 of 5 judged checks passed; 2 fail, 1 blocked, 1 error of the suite.\n"
    assert "4d53474630000000" in out


def test_json_on_stdout_stands_alone(target: FakeTarget, capsys) -> None:
    assert run(["conform", "device", URL, "--json", "-", "--only", "device.fake.found"]) == 0
    assert document.read(capsys.readouterr().out).conforms


def test_quiet_says_one_sentence(target: FakeTarget, capsys) -> None:
    assert run(["conform", "device", URL, "--quiet", "--only", "device.fake.found"]) == 0
    assert capsys.readouterr().out == "Conforms to what was asked: 1 of 1 judged checks passed.\n"


def test_writes_are_asked_for(target: FakeTarget, tmp_path: Path) -> None:
    line = ["conform", "device", URL, "--only", "device.fake.writing", "--json", str(tmp_path / "r.json"), "--quiet"]
    assert run(line) == 5
    assert document.read_file(tmp_path / "r.json").results[0].blocked_by == ("--allow-writes",)
    assert run([*line, "--allow-writes"]) == 0


def test_a_claim_selects(target: FakeTarget, tmp_path: Path, capsys) -> None:
    claim = tmp_path / "claim.toml"
    claim.write_text('[claim]\ntarget = "device"\nunits = ["Unit B"]\n', encoding="utf-8")
    line = ["conform", "device", URL, "--claim", str(claim), "--only", "device.fake.named"]
    assert run([*line, "--only", "device.fake.unclaimed"]) == 0
    claim.write_text('[claim]\ntarget = "broker"\n', encoding="utf-8")
    assert run(line) == 2
    assert "target: found broker, the target is a device" in capsys.readouterr().err


def test_ctrl_c_ends_a_run_with_its_report(target: FakeTarget, tmp_path: Path, capsys) -> None:
    async def interrupted(_target, _check):
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()
        return passed("never")

    target.rules["fail"] = interrupted
    assert run(["conform", "device", URL, "--json", str(tmp_path / "r.json")]) == 5
    assert "The run was not complete" in capsys.readouterr().err
    report = document.read_file(tmp_path / "r.json")
    assert not report.complete
    assert report.results[0].state == "pass"
    assert report.results[1].seen == "somebody stopped it"
    assert target.closed == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["device"], "give either the URL of a server, or --lab"),
        (["device", URL, "--only", "device.fake.foun"], "no check of a device is 'device.fake.foun'; near is"),
        (["device", URL, "--html", "/no/such/folder/r.html"], "r.html: cannot be written"),
        (["device", URL, "--html", "-", "--json", "-"], "only one form of the report can go to stdout"),
        (["device", URL, "--claim", "/no/claim.toml"], "claim.toml: "),
        (["device", URL, "--window", "-1"], "--window"),
        (["robot"], "'robot'"),
        (["broker", "mqtts://localhost"], "missing: --ca, --certificate, --key"),
        (["broker"], "give either the URL of a broker, or --lab"),
        (["network"], "give either the URL of a broker, or --lab"),
        (["compare"], "REPORT"),
    ],
)
def test_wrong_use_ends_with_2_and_one_sentence(target: FakeTarget, arguments, told: str, capsys) -> None:
    assert run(["conform", *arguments]) == 2
    out, err = capsys.readouterr()
    assert told in err
    assert len(err.splitlines()) == 1
    assert out == ""
    assert target.closed == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["mqtt://machine"], "'mqtt://machine' is no address of an OPC UA server"),
        ([URL, "--policy", "rot13"], "--policy rot13; allowed: best, "),
        ([URL, "--certificate", __file__], "--certificate and --key belong together"),
    ],
)
def test_a_wrong_device_is_told_before_anything_is_tried(arguments, told: str, capsys) -> None:
    assert run(["conform", "device", *arguments]) == 2
    assert told in capsys.readouterr().err


def test_a_folder_with_wrong_checks_is_told(tmp_path: Path, capsys) -> None:
    assert run(["conform", "list", "--checks", str(tmp_path)]) == 2
    assert "there is no TOML file with a [[check]]" in capsys.readouterr().err


def test_checks_units_and_requirements_are_listed(capsys) -> None:
    assert run(["conform", "list", "--target", "gateway", "--json"]) == 0
    checks = json.loads(capsys.readouterr().out)
    assert {one["target"] for one in checks} == {"gateway"}
    assert run(["conform", "list"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("that are left to a person")
    assert run(["conform", "list", "--units"]) == 0
    assert "http://opcfoundation.org/UA-Profile/MachineTool/Server/Basic" in capsys.readouterr().out
    assert run(["conform", "list", "--requirements", "--target", "broker"]) == 0
    assert "C-15" in capsys.readouterr().out
    assert run(["conform", "list", "--requirements", "--units"]) == 2


def test_a_check_and_a_requirement_are_shown(capsys) -> None:
    assert run(["conform", "show", "C-15"]) == 0
    out = capsys.readouterr().out
    assert "broker" in out
    assert "IEC 62443-4-2 CR 1.2" in out
    assert run(["conform", "show", "gateway.manual.P-04", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["manual"] is True
    assert run(["conform", "show", "C-99"]) == 2
    assert "no check or requirement 'C-99'" in capsys.readouterr().err


@pytest.fixture
def reports(tmp_path: Path) -> list[Path]:
    """Two written reports."""
    files = []
    for product, only in (("one", ["device.fake.found"]), ("two", ["device.fake"])):
        claim = Claim(target="device", product=product)
        report = asyncio.run(run_suite(FakeTarget(), many(), settings=Settings(), claim=claim, only=only))
        files.append(tmp_path / f"{product}.json")
        files[-1].write_text(document.written(report), encoding="utf-8")
    return files


def test_reports_are_compared(reports: list[Path], tmp_path: Path, capsys) -> None:
    page = tmp_path / "both.html"
    assert run(["conform", "compare", *map(str, reports), "--html", str(page)]) == 0
    out = capsys.readouterr().out
    assert "checks differ" in out
    assert "2 implementations" in page.read_text(encoding="utf-8")
    assert run(["conform", "compare", *map(str, reports), "--json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["implementations"]] == ["one", "two"]
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    assert run(["conform", "compare", str(tmp_path / "other.json")]) == 2
    assert "no report of this suite" in capsys.readouterr().err


def test_a_report_is_signed_and_verified_and_a_change_ends_with_5(reports: list[Path], tmp_path: Path, capsys) -> None:
    for name, data in (("lab.pem", LEAF.pem), ("lab.key", LEAF.key_pem), ("ca.pem", ROOT.pem)):
        (tmp_path / name).write_bytes(data)
    keys = ["--cert", str(tmp_path / "lab.pem"), "--key", str(tmp_path / "lab.key")]
    signed = tmp_path / "signed.json"
    assert run(["conform", "sign", str(reports[0]), *keys, "--out", str(signed)]) == 0
    verify = ["conform", "verify", str(signed), "--ca", str(tmp_path / "ca.pem")]
    assert run(verify) == 0
    assert "CN=Example Lab" in capsys.readouterr().out
    signed.write_text(signed.read_text(encoding="utf-8").replace('"seed": 1', '"seed": 2'), encoding="utf-8")
    assert run(verify) == 5
    assert capsys.readouterr().err == f"area4: {signed}: the report was changed after it was signed.\n"
    assert run(["conform", "verify", str(reports[0]), "--ca", str(tmp_path / "ca.pem")]) == 5
    assert "is not signed" in capsys.readouterr().err
    assert run(["conform", "sign", str(reports[0]), "--cert", keys[1], "--key", keys[1]]) == 2
    assert "the key cannot be read" in capsys.readouterr().err


def test_the_schema_is_printed(capsys) -> None:
    assert run(["conform", "schema"]) == 0
    assert capsys.readouterr().out == document.schema_text()
