"""Metrics and the status page, made from snapshots."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

from prometheus_client.parser import text_string_to_metric_families

from gateway.contracts import LinkStatus
from gateway.ops.metrics import Metrics
from gateway.ops.page import duration, status_page
from gateway.ops.snapshot import LinkFigures, MachineFigures, OutboxFigures, Snapshot

NOW = 1_795_361_400.0
EVIL = '<script>alert("x")</script>&\x00\u2028'
ONLINE = LinkStatus(
    "opc.tcp://mill:4840", "online", NOW - 60, certificate_expiry=NOW + 86_400 * 5, waivers=("host-name",)
)
REFUSED = LinkStatus("mqtts://broker:8883", "refused", NOW - 5, "The certificate expired.", "Renew it.")
SNAPSHOT = Snapshot(
    gateway="hall3",
    site="Süd",
    version="0.1.0",
    started=NOW - 100_000,
    links=(LinkFigures("mill", "source", ONLINE, values=12345), LinkFigures("broker", "sink", REFUSED, 7, 2, 5)),
    machines=(MachineFigures("urn:mill", "mill", "online", NOW - 30),),
    outbox=OutboxFigures(5, 1000, 10_000, 3.5),
    gaps={"evicted": 2},
    waivers=("source.mill:host-name",),
)


def _samples(snapshot: Snapshot) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = Metrics(lambda: snapshot).exposition().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_say_what_the_snapshot_says() -> None:
    found = _samples(SNAPSHOT)
    source, sink = (("kind", "source"), ("name", "mill")), (("kind", "sink"), ("name", "broker"))
    assert found["area4_link_up", source] == 1
    assert found["area4_link_up", sink] == 0
    assert found["area4_link_state", (*sink, ("state", "refused"))] == 1
    assert found["area4_link_state", (*sink, ("state", "online"))] == 0
    assert found["area4_values_in_total", (("source", "mill"),)] == 12345
    assert found["area4_messages_out_total", (("sink", "broker"),)] == 7
    assert found["area4_messages_refused_total", (("sink", "broker"),)] == 2
    assert found["area4_messages_pending", (("sink", "broker"),)] == 5
    assert found["area4_certificate_expiry_timestamp_seconds", source] == NOW + 86_400 * 5
    assert found["area4_outbox_messages", ()] == 5
    assert found["area4_outbox_bytes", ()] == 1000
    assert found["area4_outbox_oldest_seconds", ()] == 3.5
    assert found["area4_outbox_writable", ()] == 1
    assert found["area4_gaps_total", (("cause", "evicted"),)] == 2
    assert found["area4_gaps_total", (("cause", "connection"),)] == 0
    assert found["area4_waiver_in_use", (("waiver", "source.mill:host-name"),)] == 1
    assert found["area4_machine_online", (("machine", "urn:mill"), ("source", "mill"))] == 1
    assert found["area4_ready", ()] == 0
    assert found["process_resident_memory_bytes", ()] > 1e6
    assert found["process_cpu_seconds_total", ()] > 0
    assert any(name == "area4_build_info" for name, _ in found)


def test_metrics_survive_hostile_names() -> None:
    machines = (MachineFigures(f'{EVIL}\n"\\', "mill", "offline", NOW),)
    found = _samples(replace(SNAPSHOT, machines=machines))
    assert found["area4_machine_online", (("machine", f'{EVIL}\n"\\'), ("source", "mill"))] == 0


def test_readiness_names_what_is_not_ready_and_why() -> None:
    assert SNAPSHOT.not_ready() == ["sink broker: refused: The certificate expired. Renew it."]
    full = replace(SNAPSHOT, outbox=OutboxFigures(problem="disk full"), links=SNAPSHOT.links[:1])
    assert full.not_ready() == ["outbox: cannot store: disk full"]
    assert replace(SNAPSHOT, links=SNAPSHOT.links[:1]).not_ready() == []


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _parsed(snapshot: Snapshot) -> _Parser:
    parser = _Parser()
    parser.feed(status_page(snapshot, NOW))
    assert parser.open == []
    return parser


def test_the_page_shows_everything_and_is_well_formed() -> None:
    parser = _parsed(SNAPSHOT)
    for text in ("hall3", "Süd", "refused", "The certificate expired.", "12,345", "urn:mill", "evicted", "host-name"):
        assert text in parser.text
    assert "script" not in parser.tags
    assert "img" not in parser.tags
    assert ("lang", "en") in parser.attributes


def test_the_page_loads_nothing_from_elsewhere() -> None:
    targets = [value for name, value in _parsed(SNAPSHOT).attributes if name in {"href", "src", "action"}]
    assert set(targets) == {"/metrics", "/readyz", "/healthz"}
    assert "url(" not in status_page(SNAPSHOT, NOW)
    assert "@import" not in status_page(SNAPSHOT, NOW)


def test_hostile_texts_are_shown_not_obeyed() -> None:
    status = LinkStatus(EVIL, "refused", NOW, EVIL, EVIL, waivers=(EVIL,), details={EVIL: EVIL})
    hostile = replace(
        SNAPSHOT,
        gateway=EVIL,
        site=EVIL,
        links=(LinkFigures(EVIL, "source", status),),
        machines=(MachineFigures(EVIL, EVIL, EVIL, NOW, EVIL),),
        outbox=OutboxFigures(problem=EVIL),
        gaps={EVIL: 1},
        waivers=(EVIL,),
    )
    assert "script" not in _parsed(hostile).tags


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_colours_have_the_contrast_of_wcag_aa() -> None:
    page = status_page(SNAPSHOT, NOW)
    themes = re.findall(r":root \{([^}]*)\}", page)
    assert len(themes) == 2
    for theme in themes:
        colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", theme))
        for name in ("fg", "ok", "warn", "bad"):
            for ground in ("bg", "soft") if name == "fg" else ("bg",):
                light, dark = sorted((_luminance(colours[name]), _luminance(colours[ground])), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, ground)


def test_durations_for_people() -> None:
    assert [duration(one) for one in (0.04, 9.99, 42, 312, 14_520, 277_200)] == [
        "0.0 s",
        "10.0 s",
        "42 s",
        "5 min 12 s",
        "4 h 2 min",
        "3 d 5 h",
    ]
