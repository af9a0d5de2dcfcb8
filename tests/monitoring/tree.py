"""Where the monitoring files are, and what is written in them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "monitoring" / "prometheus"
GRAFANA = ROOT / "monitoring" / "grafana"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))

yaml: Any = import_module("yaml")  # its types are not among the development dependencies


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression, and the panel, rule or alert that asks it."""

    place: str
    expression: str


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def read_dashboard(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def rules() -> list[dict[str, Any]]:
    """Every rule of every file, in order."""
    groups = [group for path in RULES for group in read_yaml(path)["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def records() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "record" in rule]


def panels(path: Path) -> list[dict[str, Any]]:
    """The panels that show something; rows are titles."""
    return [panel for panel in read_dashboard(path)["panels"] if panel["type"] != "row"]


def rule_queries() -> Iterator[Query]:
    for rule in rules():
        yield Query(rule.get("alert") or rule["record"], rule["expr"])


def panel_queries() -> Iterator[Query]:
    for path in DASHBOARDS:
        for panel in panels(path):
            for target in panel["targets"]:
                place = f"{path.name}: {panel['title']} {target['refId']}"
                yield Query(place, target["expr"])


def variable_queries() -> Iterator[Query]:
    """What the variables of a dashboard ask, less the label whose values they list."""
    for path in DASHBOARDS:
        for variable in read_dashboard(path)["templating"]["list"]:
            asked = variable["definition"].removeprefix("label_values(").rpartition(",")[0]
            yield Query(f"{path.name}: ${variable['name']}", asked)
