"""Alert rules and the dashboard speak of metrics that the gateway really has."""

import json
import re
from pathlib import Path

import pytest
import yaml

from gateway.contracts import LinkStatus
from gateway.ops.metrics import Metrics
from gateway.ops.snapshot import LinkFigures, MachineFigures, OutboxFigures, Snapshot

DEPLOY = Path(__file__).parents[3] / "deploy"


@pytest.fixture
def metrics() -> set[str]:
    status = LinkStatus("peer", "online", 0.0, certificate_expiry=1.0)
    snapshot = Snapshot(
        "g", "s", "1", 0.0,
        links=[LinkFigures("a", "source", status), LinkFigures("b", "sink", status)],
        machines=[MachineFigures("m", "a", "online", 0.0)],
        outbox=OutboxFigures(1, 1, 10),
        gaps={"evicted": 1},
        waivers=["sink.b:plaintext"],
    )  # fmt: skip
    text = Metrics(lambda: snapshot).exposition().decode()
    return {"up"} | {re.split(r"[{ ]", line)[0] for line in text.splitlines() if not line.startswith("#")}


def named(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:area4|process)_\w+", expression))


def test_every_alert_uses_existing_metrics(metrics: set[str]) -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"][0]["rules"]
    assert len(rules) >= 8
    for rule in rules:
        assert named(rule["expr"]) <= metrics, rule["alert"]
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"]["summary"].endswith(".")


def test_every_panel_uses_existing_metrics(metrics: set[str]) -> None:
    dashboard = json.loads((DEPLOY / "grafana/area4.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    expressions += [entry["query"]["query"] for entry in dashboard["templating"]["list"] if entry["type"] == "query"]
    assert len(expressions) > 10
    for expression in expressions:
        assert named(expression), expression
        assert named(expression) <= metrics, expression
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_prometheus_scrapes_the_default_address() -> None:
    from gateway.config.settings import HttpSettings

    scrape = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    assert scrape["scrape_configs"][0]["static_configs"][0]["targets"] == [HttpSettings().listen]
    for file in scrape["rule_files"]:
        assert (DEPLOY / "prometheus" / file).is_file()
