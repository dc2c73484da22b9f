"""The panels of Grafana that the dashboard uses, as its JSON model has them.

They need no package: this part of the model is small, and Grafana's own SDK is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from docker.grafana.dashboard.queries import MODEL, of_kind, quantile

SOURCE = {"type": "prometheus", "uid": "prometheus"}

Json = dict[str, Any]


@dataclass(frozen=True)
class Query:
    """A PromQL expression and the legend of its series."""

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One panel. ``kind`` is Grafana's type; ``options`` and ``defaults`` are its settings."""

    title: str
    description: str
    kind: str
    queries: tuple[Query, ...]
    width: int
    height: int = 8
    options: Json = field(default_factory=dict)
    defaults: Json = field(default_factory=dict)
    target: Json = field(default_factory=dict)
    transformations: tuple[Json, ...] = ()

    def to_json(self, number: int, x: int, y: int) -> Json:
        """The panel at a place."""
        target = {"format": "time_series", "instant": False, "range": True, **self.target}
        panel: Json = {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": SOURCE,
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "fieldConfig": {"defaults": self.defaults, "overrides": []},
            "options": self.options,
            "targets": [
                {
                    "datasource": SOURCE,
                    "editorMode": "code",
                    "expr": query.expression,
                    "legendFormat": query.legend,
                    "refId": chr(ord("A") + index),
                    **target,
                }
                for index, query in enumerate(self.queries)
            ],
        }
        if self.transformations:
            panel["transformations"] = list(self.transformations)
        return panel


def stat(
    title: str, description: str, expression: str, *, unit: str = "short", red_from: float | None
) -> Panel:
    """One number, red from ``red_from`` up; with None it is red below 1."""
    steps: list[Json] = [{"color": "green", "value": None}, {"color": "red", "value": red_from}]
    if red_from is None:
        steps = [{"color": "red", "value": None}, {"color": "green", "value": 1}]
    return Panel(
        title,
        description,
        "stat",
        (Query(expression),),
        width=3,
        height=4,
        options={
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "graphMode": "area",
            "colorMode": "value",
            "textMode": "auto",
            "justifyMode": "auto",
            "orientation": "auto",
        },
        defaults={
            "unit": unit,
            "color": {"mode": "thresholds"},
            "thresholds": {"mode": "absolute", "steps": steps},
        },
    )


def lines(
    title: str,
    description: str,
    *queries: Query,
    unit: str = "short",
    width: int = 8,
    stacked: bool = False,
) -> Panel:
    """Lines over time."""
    custom: Json = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 5, "showPoints": "never"}
    if stacked:
        custom |= {"fillOpacity": 20, "stacking": {"mode": "normal", "group": "A"}}
    return Panel(
        title,
        description,
        "timeseries",
        queries,
        width=width,
        options={
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        defaults={"unit": unit, "min": 0, "custom": custom},
    )


def quantiles(title: str, description: str, name: str, kind: str) -> Panel:
    """The median, p90 and p99 of a histogram of seconds, by model."""
    queries = [
        Query(quantile(q, name, kind), f"{{{{model}}}} p{100 * q:g}") for q in (0.5, 0.9, 0.99)
    ]
    return lines(title, description, *queries, unit="s")


def heatmap(title: str, description: str, name: str, kind: str) -> Panel:
    """The buckets of a histogram of seconds over time."""
    buckets = of_kind(f"increase({name}_bucket{{{MODEL}}}[$__rate_interval])", kind)
    return Panel(
        title,
        description,
        "heatmap",
        (Query(f"sum by (le) ({buckets})", "{{le}}"),),
        width=8,
        options={
            "calculate": False,
            "cellGap": 1,
            "color": {
                "mode": "scheme",
                "scheme": "Oranges",
                "steps": 64,
                "exponent": 0.5,
                "fill": "dark-orange",
                "reverse": False,
            },
            "filterValues": {"le": 1e-9},
            "legend": {"show": True},
            "rowsFrame": {"layout": "auto"},
            "tooltip": {"mode": "single", "yHistogram": False},
            "yAxis": {"unit": "s", "axisPlacement": "left", "reverse": False},
        },
        defaults={"custom": {"scaleDistribution": {"type": "linear"}}},
        target={"format": "heatmap"},
    )


def table(title: str, description: str, expression: str, width: int) -> Panel:
    """The labels of series."""
    hidden = {"Time": True, "Value": True, "__name__": True}
    organize = {"excludeByName": hidden, "indexByName": {}, "renameByName": {}}
    return Panel(
        title,
        description,
        "table",
        (Query(expression),),
        width=width,
        height=6,
        options={"showHeader": True, "cellHeight": "sm"},
        target={"format": "table", "instant": True, "range": False},
        transformations=({"id": "organize", "options": organize},),
    )
