"""From a board to the file that Grafana reads."""

import json
from collections.abc import Sequence

from monitoring.board import SOURCE, Board, Json


def dashboard(
    board: Board, uid: str, title: str, description: str, variables: Sequence[Json]
) -> Json:
    """The whole file."""
    link = {
        "type": "dashboards",
        "title": "Slipway",
        "tags": ["slipway"],
        "asDropdown": True,
        "keepTime": True,
        "includeVars": True,
    }
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["slipway"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [link],
        "templating": {"list": list(variables)},
        "panels": board.panels,
    }


def variable(name: str, label: str, query: str, *, multi: bool) -> Json:
    """A choice at the top of a dashboard, filled from the label that `query` lists."""
    found: Json = {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": "A"},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": multi,
        "includeAll": multi,
        "current": {},
    }
    if multi:
        found |= {"allValue": ".*", "current": {"text": "All", "value": "$__all"}}
    return found


def instances() -> Json:
    """The choice of instances, all of them by default."""
    return variable("instance", "Instance", 'label_values(up{job="slipway"}, instance)', multi=True)


def as_json(content: Json) -> str:
    """As it is written into a file."""
    return json.dumps(content, indent=2) + "\n"
