"""Rules and alerts speak only of what exists, and each alert has its page in the runbook."""

import re
from collections import Counter
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from service.http.application import make_application
from service.http.limits import Limits
from service.http.native import ItemLimits
from service.metrics import Metrics
from service.repository.lifecycle import Lifecycle
from service.repository.models import Models
from tests.monitoring import promql
from tests.monitoring.exported import VALUES, edges, exported
from tests.monitoring.tree import (
    DASHBOARDS,
    PROMETHEUS,
    ROOT,
    alerts,
    panel_queries,
    panels,
    read_yaml,
    records,
    rule_queries,
    variable_queries,
)

QUERIES = [*rule_queries(), *panel_queries(), *variable_queries()]
EXPORTED = exported()
RECORDED = {rule["record"] for rule in records()}
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")


def test_every_series_is_exported_or_recorded() -> None:
    known = EXPORTED.keys() | RECORDED
    unknown = {query.place: promql.metrics(query.expression) - known for query in QUERIES}
    assert {place: names for place, names in unknown.items() if names} == {}


def test_every_condition_names_a_label_and_a_value_that_exist() -> None:
    for query in QUERIES:
        for matcher in promql.matchers(query.expression):
            if matcher.metric in EXPORTED:
                assert matcher.label in EXPORTED[matcher.metric], query
            if matcher.label == "le":
                assert set(matcher.values) <= edges(matcher.metric), query
            if matcher.label in VALUES:
                assert set(matcher.values) <= VALUES[matcher.label], query


def test_series_are_summed_by_labels_that_they_have() -> None:
    for query in QUERIES:
        names = promql.metrics(query.expression)
        if names and names <= EXPORTED.keys():
            known = set.union(*(EXPORTED[name] for name in names))
            assert promql.grouping_labels(query.expression) <= known, query


def test_every_recording_is_used() -> None:
    used = {name for query in QUERIES for name in promql.metrics(query.expression)}
    assert used >= RECORDED


@pytest.fixture
async def asking_paths() -> set[str]:
    """The routes that a body is posted to."""
    application = make_application(
        Models(Lifecycle()),
        Metrics.create(CollectorRegistry()),
        limits=Limits(body_bytes=1),
        item_limits=ItemLimits(max_items=1, max_characters=1),
        timeout_s=1.0,
        version="0",
    )
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://slipway") as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
    return {path for path, methods in paths.items() if "post" in methods}


def endpoint_patterns(slo: str) -> set[str]:
    """How the objective chooses endpoints, as regular expressions."""
    chosen = [rule["expr"] for rule in records() if rule.get("labels") == {"slo": slo}]
    matchers = [matcher for expression in chosen for matcher in promql.matchers(expression)]
    return {"|".join(matcher.values) for matcher in matchers if matcher.label == "endpoint"}


@pytest.mark.anyio
@pytest.mark.parametrize("slo", ["availability", "latency"])
async def test_an_objective_counts_the_endpoints_that_ask_a_model_and_no_other(
    slo: str, asking_paths: set[str]
) -> None:
    patterns = endpoint_patterns(slo)
    others = {"/livez", "/readyz", "/metrics", "/docs", "/v1/models", "other"}
    counted = {
        path
        for path in asking_paths | others
        if any(re.fullmatch(pattern, path) for pattern in patterns)
    }
    assert counted == asking_paths


def test_alerts_have_names_of_their_own() -> None:
    assert max(Counter(alert["alert"] for alert in alerts()).values()) == 1


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: str(alert["alert"]))
def test_an_alert_says_how_urgent_it_is_and_where_to_read_on(alert: dict[str, Any]) -> None:
    name = alert["alert"]
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"


def test_the_runbook_has_a_section_for_every_alert_and_for_no_other() -> None:
    sections = re.findall(r"^### (Slipway\w+)$", RUNBOOK, re.MULTILINE)
    assert sorted(sections) == sorted(alert["alert"] for alert in alerts())


def test_the_runbook_sends_people_to_panels_that_are_there() -> None:
    titles = {panel["title"] for path in DASHBOARDS for panel in panels(path)}
    named = {" ".join(found.split()) for found in re.findall(r"[Pp]anel\s+\*([^*]+)\*", RUNBOOK)}
    assert len(named) > 5
    assert named - titles == set()


def test_prometheus_loads_every_rule_and_scrapes_what_compose_calls_the_service() -> None:
    config = read_yaml(PROMETHEUS / "prometheus.yml")
    assert config["rule_files"] == ["rules/*.yml"]
    (job,) = [job for job in config["scrape_configs"] if job["job_name"] == "slipway"]
    (discovery,) = job["dns_sd_configs"]
    services = read_yaml(ROOT / "docker-compose.yml")["services"]
    assert set(discovery["names"]) == {name for name in services if name.startswith("slipway")}
    assert discovery["port"] == 8000
