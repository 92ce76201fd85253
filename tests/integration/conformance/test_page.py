"""The report's page in a real browser: nothing of a target is run, the filter works, and it prints."""

import asyncio
import re
from pathlib import Path

import pytest

from conformance.reports.html.page import page
from conformance.suite.claims import Claim
from conformance.suite.report import Report
from conformance.suite.runner import Settings, run
from tests.tools import browser
from tests.unit.conformance.fake import HOSTILE, FakeTarget, machine, many


@pytest.fixture(scope="module")
def report() -> Report:
    target = FakeTarget(roots=machine(), facts={"product": HOSTILE}, name=f"opc.tcp://{HOSTILE}")
    claim = Claim(target="device", profiles=("urn:basic",), product=HOSTILE)
    return asyncio.run(run(target, many(), settings=Settings(version="0.1.0"), claim=claim))


@pytest.fixture(scope="module")
def file(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("page") / "report.html"
    made.write_text(page(report), encoding="utf-8")
    return made


def shown(document: str) -> set[str]:
    """Ids of the checks that the page shows."""
    found = re.findall(r'<details class="check [^"]*" id="c-([^"]+)" data-state="[^"]+"([^>]*)>', document)
    assert found
    return {name for name, attributes in found if "hidden" not in attributes}


def test_no_script_of_a_target_runs_and_all_checks_are_shown(file: Path, report: Report) -> None:
    document = browser.dom(file)
    title = re.search("<title>(.*?)</title>", document)
    assert title
    assert "&lt;script&gt;" in title[1]  # what was planted would have set it to `stolen`
    assert document.count("<script") == 1
    assert shown(document) == {one.check.id for one in report.results}
    assert 'class="filter">' in document  # the page's own script did run: it has shown the filter


def test_the_policy_stops_a_script_that_got_in_all_the_same(file: Path, tmp_path: Path) -> None:
    planted = tmp_path / "planted.html"
    planted.write_text(
        file.read_text(encoding="utf-8").replace(
            "<main>", "<main><script>document.title='stolen'</script><img src='x' onerror='document.title=1'>"
        ),
        encoding="utf-8",
    )
    title = re.search("<title>(.*?)</title>", browser.dom(planted))
    assert title
    assert title[1].startswith("Conformance of opc.tcp://")


@pytest.mark.parametrize(
    ("fragment", "ids"),
    [
        ("#state=fail", {"device.fake.named", "device.fake.hostile"}),
        ("#state=blocked,error&find=writing", {"device.fake.writing"}),
        ("#find=no%20such%20check", set()),
    ],
)
def test_the_address_filters(file: Path, fragment: str, ids: set[str]) -> None:
    document = browser.dom(file, fragment)
    assert shown(document) == ids
    assert f'data-shown="{len(ids)}"' in document
    assert ('id="none" hidden' in document) == bool(ids)


def test_a_link_to_a_check_unfolds_it(file: Path) -> None:
    document = browser.dom(file, "#c-device.fake.named")
    assert re.search(r'id="c-device\.fake\.named" data-state="fail" open', document)
    assert not re.search(r'id="c-device\.fake\.found" data-state="pass" open', document)


def test_it_is_seen_and_printed(file: Path, tmp_path: Path) -> None:
    browser.screenshot(file, tmp_path / "screen.png")
    assert (tmp_path / "screen.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "screen.png").stat().st_size > 30_000  # a blank picture has a few thousand bytes
    browser.paper(file, tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "report.pdf").stat().st_size > 30_000
