"""Panels in the order in which they are added, row by row, as Grafana's JSON has them."""

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]
Target = tuple[str, str]  # PromQL, legend

SOURCE = {"type": "prometheus", "uid": "prometheus"}
WINDOW = "$__rate_interval"
INSTANCE = 'instance=~"$instance"'
COLUMNS = 24
HIDDEN = ("Time", "Value", "__name__", "job")


class Board:
    """A dashboard that grows; panels flow from left to right and wrap."""

    def __init__(self) -> None:
        self.panels: list[Json] = []
        self._x = self._y = self._height = 0

    def row(self, title: str) -> None:
        """A title over what follows, from the left again."""
        self._break()
        self._place({"type": "row", "title": title, "collapsed": False, "panels": []}, COLUMNS, 1)
        self._break()

    def lines(
        self,
        title: str,
        description: str,
        targets: Sequence[Target],
        unit: str = "short",
        width: int = 8,
        **look: Any,
    ) -> None:
        """Series over time. `look`: stack, most (top of the axis), threshold (a dashed line)."""
        several = len(targets) > 1
        legend = {
            "displayMode": "table" if several else "list",
            "placement": "bottom",
            "calcs": ["lastNotNull", "max"] if several else [],
        }
        panel = _panel("timeseries", title, description, targets, unit)
        panel["fieldConfig"]["defaults"] |= _drawn(**look)
        panel["options"] = {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
        self._place(panel, width, 8)

    def stat(
        self,
        title: str,
        description: str,
        targets: Sequence[Target],
        unit: str,
        width: int = 6,
        *,
        steps: Sequence[tuple[str, float | None]] = (("text", None),),
        decimals: int | None = None,
    ) -> None:
        """Numbers of this moment; `steps` are colours, each from its value on."""
        panel = _panel("stat", title, description, targets, unit, instant=True)
        defaults = panel["fieldConfig"]["defaults"]
        defaults["thresholds"] = _thresholds(steps)
        if decimals is not None:
            defaults["decimals"] = decimals
        panel["options"] = {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value",
            "graphMode": "none",
            "textMode": "auto",
            "orientation": "auto",
        }
        self._place(panel, width, 4)

    def heat(
        self, title: str, description: str, expression: str, unit: str, width: int = 12
    ) -> None:
        """The buckets of a histogram over time."""
        panel = _panel(
            "heatmap", title, description, [(expression, "{{le}}")], unit, form="heatmap"
        )
        panel["options"] = {
            "calculate": False,
            "cellGap": 1,
            "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
            "yAxis": {"unit": unit, "axisPlacement": "left"},
            "rowsFrame": {"layout": "auto"},
            "tooltip": {"mode": "single", "yHistogram": True},
            "legend": {"show": True},
        }
        self._place(panel, width, 8)

    def table(
        self,
        title: str,
        description: str,
        expression: str,
        width: int,
        *,
        height: int = 6,
        hidden: Sequence[str] = HIDDEN,
    ) -> None:
        """The labels of series that are always 1."""
        panel = _panel(
            "table", title, description, [(expression, "")], "short", form="table", instant=True
        )
        panel["transformations"] = [
            {
                "id": "organize",
                "options": {"excludeByName": dict.fromkeys(hidden, True), "renameByName": {}},
            }
        ]
        panel["options"] = {"showHeader": True}
        self._place(panel, width, height)

    def _place(self, panel: Json, width: int, height: int) -> None:
        if self._x + width > COLUMNS:
            self._break()
        place = {"h": height, "w": width, "x": self._x, "y": self._y}
        self.panels.append({"id": len(self.panels) + 1, **panel, "gridPos": place})
        self._x += width
        self._height = max(self._height, height)

    def _break(self) -> None:
        self._y += self._height
        self._x = self._height = 0


def quantile(q: float, metric: str, conditions: str, *by: str) -> str:
    """The expression for a quantile of a histogram."""
    labels = ", ".join((*by, "le"))
    rate = f"rate({metric}_bucket{{{conditions}}}[{WINDOW}])"
    return f"histogram_quantile({q}, sum by ({labels}) ({rate}))"


def _panel(
    kind: str,
    title: str,
    description: str,
    targets: Sequence[Target],
    unit: str,
    *,
    form: str = "time_series",
    instant: bool = False,
) -> Json:
    asked = [
        {
            "refId": chr(ord("A") + place),
            "datasource": SOURCE,
            "expr": expression,
            "legendFormat": legend,
            "format": form,
            "range": not instant,
            "instant": instant,
            # slow requests lead to their traces where tracing is on
            "exemplar": not instant and "request_duration" in expression,
        }
        for place, (expression, legend) in enumerate(targets)
    ]
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "targets": asked,
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
    }


def _drawn(
    *, stack: bool = False, most: float | None = None, threshold: float | None = None
) -> Json:
    custom: Json = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 30 if stack else 5,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stack else "none", "group": "A"},
    }
    drawn: Json = {"custom": custom, "min": 0}
    if most is not None:
        drawn["max"] = most
    if threshold is not None:
        custom["thresholdsStyle"] = {"mode": "dashed"}
        drawn["thresholds"] = _thresholds((("green", None), ("red", threshold)))
    return drawn


def _thresholds(steps: Sequence[tuple[str, float | None]]) -> Json:
    found = [{"color": colour, "value": value} for colour, value in steps]
    return {"mode": "absolute", "steps": found}
