"""Dashboards are files that Grafana takes as they are."""

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from monitoring.__main__ import texts
from tests.monitoring.tree import DASHBOARDS, GRAFANA, ROOT, panels, read_dashboard, read_yaml

COLUMNS = 24
BUILT_IN = {"$__rate_interval", "$__range"}

each_dashboard = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: str(path.stem))


def source() -> dict[str, Any]:
    (found,) = read_yaml(GRAFANA / "provisioning/datasources/prometheus.yml")["datasources"]
    return dict(found)


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    return not (beside or above)


def test_the_files_are_what_the_code_makes_of_them() -> None:
    """If not: python -m monitoring."""
    written = {path.name: path.read_text(encoding="utf-8") for path in DASHBOARDS}
    assert written == texts()


@each_dashboard
def test_every_query_goes_to_the_provisioned_source(path: Path) -> None:
    for panel in panels(path):
        for asking in (panel, *panel["targets"]):
            assert asking["datasource"] == {"type": "prometheus", "uid": source()["uid"]}


@each_dashboard
def test_panels_have_ids_titles_and_places_of_their_own(path: Path) -> None:
    shown = read_dashboard(path)["panels"]
    assert len({panel["id"] for panel in shown}) == len(shown)
    assert len({panel["title"] for panel in shown}) == len(shown)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= COLUMNS for panel in shown)
    for one, other in combinations(shown, 2):
        assert not overlap(one["gridPos"], other["gridPos"]), (one["title"], other["title"])


@each_dashboard
def test_a_query_uses_only_variables_that_the_dashboard_has(path: Path) -> None:
    variables = {f"${v['name']}" for v in read_dashboard(path)["templating"]["list"]}
    for panel in panels(path):
        for target in panel["targets"]:
            rest = target["expr"]
            for known in variables | BUILT_IN:
                rest = rest.replace(known, "")
            assert "$" not in rest, panel["title"]


@each_dashboard
def test_rates_follow_the_scrape_interval(path: Path) -> None:
    for panel in panels(path):
        for target in panel["targets"]:
            if "rate(" in target["expr"] or "increase(" in target["expr"]:
                assert any(f"[{known}]" in target["expr"] for known in BUILT_IN), panel["title"]


def test_dashboards_have_names_and_uids_of_their_own() -> None:
    found = [read_dashboard(path) for path in DASHBOARDS]
    assert len({dashboard["uid"] for dashboard in found}) == len(found) > 0
    assert len({dashboard["title"] for dashboard in found}) == len(found)


def test_grafana_finds_source_and_dashboards_where_compose_puts_them() -> None:
    (provider,) = read_yaml(GRAFANA / "provisioning/dashboards/slipway.yml")["providers"]
    grafana = read_yaml(ROOT / "docker-compose.yml")["services"]["grafana"]
    mounts = dict(volume.split(":")[:2] for volume in grafana["volumes"])
    assert mounts["./monitoring/grafana/dashboards"] == provider["options"]["path"]
    for kind in ("datasources", "dashboards"):
        place = f"./monitoring/grafana/provisioning/{kind}"
        assert mounts[place] == f"/etc/grafana/provisioning/{kind}"
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert home.name in {path.name for path in DASHBOARDS}
    assert str(home.parent) == provider["options"]["path"]


def test_the_point_of_a_slow_request_leads_to_its_trace() -> None:
    (traces,) = read_yaml(GRAFANA / "provisioning/datasources/jaeger.yml")["datasources"]
    (way,) = source()["jsonData"]["exemplarTraceIdDestinations"]
    assert way == {"name": "trace_id", "datasourceUid": traces["uid"]}
    host, port = traces["url"].removeprefix("http://").split(":")
    service = read_yaml(ROOT / "docker-compose.yml")["services"][host]
    assert [published.endswith(f":{port}") for published in service["ports"]] == [True]
    shown = [target for path in DASHBOARDS for panel in panels(path) for target in panel["targets"]]
    assert any(target["exemplar"] for target in shown)


def test_grafana_and_prometheus_agree_on_the_scrape_interval() -> None:
    config = read_yaml(ROOT / "monitoring/prometheus/prometheus.yml")
    assert source()["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]
