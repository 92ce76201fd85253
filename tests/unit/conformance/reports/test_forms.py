"""Every form of a report says the same, is well formed whatever a target is called, and can be read back."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.reports import compare, document, junit, sarif, text
from conformance.reports.html.frame import resource
from conformance.reports.html.page import judgement, page
from conformance.reports.visible import escaped, visible
from conformance.suite.outcome import State
from conformance.suite.report import Report
from tests.unit.conformance.fake import HOSTILE

DOCS = Path(__file__).parents[4] / "docs" / "conformance"
VOID = {"meta", "br", "input", "rect"}


class Page(HTMLParser):
    """Collects elements, and complains about those that are not closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict]] = []
        self.text: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


async def test_json_follows_its_schema_and_is_read_back(report: Report) -> None:
    written = document.written(report)
    jsonschema.validate(json.loads(written), document.schema(), cls=jsonschema.Draft202012Validator)
    assert document.read(written) == report
    assert document.written(document.read(written)) == written
    assert json.loads(written)["conforms"] is False
    assert json.loads(written)["counts"]["fail"] == 2


def test_the_published_schema_is_that_of_the_models() -> None:
    jsonschema.Draft202012Validator.check_schema(document.schema())
    published = (DOCS / "report.schema.json").read_text(encoding="utf-8")
    assert published == document.schema_text(), "run `area4 conform schema > docs/conformance/report.schema.json`"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"conforms": false', '"conforms": true', "conforms is not what its results say"),
        ('"fail": 2', '"fail": 1', "counts is not what its results say"),
        ('"seed": 1', '"seed": "one"', "seed: "),
        ('"seed": 1', '"seed": 1, "colour": 2', "colour: Extra inputs"),
        ('"seed": 1', '"seed": 1, "seed": 2', "a name stands twice"),
        ("area4-conformance-report/1", "area4-conformance-report/9", "format 'area4-conformance-report/9', expected"),
        ("{", "[", "no JSON"),
    ],
)
async def test_what_is_no_report_is_told(report: Report, old: str, new: str, told: str) -> None:
    written = document.written(report)
    assert old in written
    with pytest.raises(document.DocumentError, match=told):
        document.read(written.replace(old, new, 1))


@pytest.mark.parametrize("body", ["", "[]", "1", "null", '"x"', "[" * 100_000])
def test_what_is_no_object_is_told(body: str) -> None:
    with pytest.raises(document.DocumentError):
        document.read(body)


async def test_junit_counts_what_breaks(report: Report) -> None:
    root = ET.fromstring(junit.written(report))
    assert {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "11", "failures": "3", "errors": "1", "skipped": "4",
    }  # fmt: skip
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert len(cases) == len(report.results)
    failure = cases["device.fake.named"].find("failure")
    assert failure.get("message") == "it does not"
    for part in ("OPC 40501-1 1.02, 8.4", "it does what is asked", "4d53474630000000", "--only device.fake.named"):
        assert part in failure.text
    assert "\u27e6ESC\u27e7" in cases["device.fake.hostile"].find("failure").get("message")


async def test_sarif_has_what_its_readers_need(report: Report) -> None:
    log = json.loads(sarif.written(report))
    run = log["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert log["version"] == "2.1.0"
    assert len({rule["id"] for rule in rules}) == len(rules) == len(report.results)
    for one in run["results"]:
        assert rules[one["ruleIndex"]]["id"] == one["ruleId"]
        assert one["message"]["text"]
        assert one["locations"][0]["logicalLocations"][0]["fullyQualifiedName"]
        assert one["kind"] in {"pass", "fail", "review", "open", "notApplicable", "informational"}
        assert (one["kind"] == "fail") == (one["level"] in {"error", "warning"})  # SARIF 2.1.0, 3.27.9 and 3.27.10
    levels = {one["ruleId"]: one["level"] for one in run["results"]}
    assert (levels["device.fake.named"], levels["device.fake.advised"]) == ("error", "warning")
    notifications = run["invocations"][0]["toolExecutionNotifications"]
    assert [one["associatedRule"]["id"] for one in notifications] == ["device.fake.mistaken"]
    assert "\x1b" not in json.dumps(log, ensure_ascii=False)


async def test_the_terminal_gets_everything_in_plain_text(report: Report) -> None:
    lines = [line.text for line in text.lines(report)]
    assert lines[-1] == judgement(report)
    assert lines[-1].startswith("Does not conform: 2 of 4 judged checks passed; 2 fail, 1 blocked, 1 error")
    assert all(line.isprintable() for line in lines)
    shown = "\n".join(lines)
    for part in ("4d53474630000000", "again     area4 conform device", "OPC 40501-1", "Basic Profile: 1 of 2", "u27e6"):
        assert part.replace("u27e6", "\u27e6ESC\u27e7") in shown
    result = report.results[0]
    assert text.progress(result, 3, 120).text == "  3/120  pass           device.fake.found"


async def test_the_page_is_well_formed_and_self_contained(report: Report) -> None:
    source = page(report)
    made = Page(source)
    policy = made.all("meta")[1]["content"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert len(made.all("script")) == len(made.all("style")) == 1
    for tag, attributes in made.elements:
        assert tag not in {"img", "link", "iframe", "object", "embed", "form", "base", "video", "audio"}
        assert not [name for name in attributes if name.startswith("on") or name in {"style", "src", "srcset"}]
        assert attributes.get("href", "#").startswith("#")
    assert not re.search(r"url\(|@import|https?://", resource("page.css") + resource("page.js"))
    ids = [attributes["id"] for _, attributes in made.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {attributes["href"][1:] for attributes in made.all("a")}
    assert {link for link in links if not link.startswith("state=")} <= set(ids)


async def test_the_page_says_everything_of_a_check(report: Report) -> None:
    source = page(report)
    part = source.split('id="c-device.fake.named"')[1].split("</details>")[0]
    for told in (
        "OPC 40501-1 1.02, 8.4", "it does what is asked", "it does not", "4d 53 47 46 30 00 00 00",
        "Monitoring/Spindle1", "area4 conform device opc.tcp://machine:4840 --only device.fake.named", "I-01",
    ):  # fmt: skip
        assert told in part
    tree = source.split('id="machines"')[1].split("</section>")[0]
    assert re.search(r"Spindle1</span> <span class=\"kind\">SpindleMonitoringType</span> <span class=\"marks\">", tree)
    shown = "".join(Page(source).text)
    for told in ("0.1.0", "Example Works MC-500 4.2", "What keeps it from conforming", *(State(one) for one in State)):
        assert str(told).replace("-claimed", " claimed").replace("error", "error of the suite") in shown


async def test_a_hostile_name_is_text_and_steers_nothing(report: Report) -> None:
    source = page(report)
    assert source.count("<script>") == 1
    assert "<script>document" not in source
    assert HOSTILE not in source
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", source)
    assert "\u27e6RLO\u27e7gnp.exe" in source


@settings(deadline=None)
@given(st.text())
def test_nothing_that_steers_stays(name: str) -> None:
    assert visible(visible(name)) == visible(name)
    assert not re.search(r"[<>\"'\x00-\x1f\x7f\u202a-\u202e]", escaped(name))
    ET.fromstring(f'<a b="{escaped(name)}">{escaped(name, lines=True)}</a>')


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_colours_have_the_contrast_of_wcag_aa() -> None:
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", resource("page.css")))
    pairs = [(colours[f"{state.value}-ink"], colours[f"{state.value}-paper"]) for state in State]
    pairs += [(colours[ink], colours[paper]) for ink in ("ink", "soft", "link") for paper in ("paper", "shade")]
    for ink, paper in pairs:
        assert _contrast(ink, paper) >= 4.5, f"{ink} on {paper}"  # WCAG 2.1, 1.4.3
    for state in set(State) - {State.NOT_CLAIMED, State.NON_STRICT}:  # their numbers stand beside the bar
        assert _contrast(colours[f"{state.value}-fill"], colours["paper"]) >= 3, state  # 1.4.11


async def test_reports_side_by_side_show_differences_first(report: Report) -> None:
    better = report.model_copy(
        update={
            "results": tuple(
                one.model_copy(update={"state": State.PASS, "seen": "it does"}) if one.state is State.FAIL else one
                for one in report.results[:-1]
            )
        }
    )
    found = compare.compare([report, better])
    assert found.names == ("MC-500 4.2 (1)", "MC-500 4.2 (2)")
    assert [row.id for row in found.differing] == ["device.fake.named", "device.fake.hostile", "device.manual.C-02"]
    assert [row.id for row in found.rows[:3]] == [row.id for row in found.differing]
    lines = compare.text(found)
    assert lines[-1] == "3 checks differ, 8 came out alike."
    assert re.search(r"device\.fake\.named +fail +pass", "\n".join(lines))
    assert re.search(r"device\.manual\.C-02 +manual +not asked", "\n".join(lines))
    facts = compare.facts(found)
    assert facts["checks"][0]["states"] == ["fail", "pass"]
    made = Page(compare.page(found))
    assert made.all("meta")[1]["content"].startswith("default-src 'none'")
    assert "3 checks differ" in "".join(made.text)
