"""Writes dashboards/unroll.json:  make dashboard

Positions follow from the order and the sizes of the panels in ``rows.py``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docker.grafana.dashboard.panels import SOURCE, Json
from docker.grafana.dashboard.queries import INSTANCE
from docker.grafana.dashboard.rows import ROWS

OUTPUT = Path(__file__).parent.parent / "dashboards" / "unroll.json"
WIDTH = 24
VARIABLES = (
    ("job", "Job", "label_values(unroll_build_info, job)"),
    ("instance", "Instance", 'label_values(up{job=~"$job"}, instance)'),
    ("model", "Model", f"label_values(unroll_model_info{{{INSTANCE}}}, model)"),
)


def variable(name: str, label: str, query: str) -> Json:
    """A variable with several values, all of them by default."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "options": [],
        "regex": "",
        "skipUrlSync": False,
    }


def annotation(name: str, color: str, expression: str, title: str, **more: Any) -> Json:
    """Marks on every panel."""
    return {
        "name": name,
        "datasource": SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "expr": expression,
        "titleFormat": title,
        "textFormat": "{{instance}}",
        "step": "15s",
        **more,
    }


def placed() -> list[Json]:
    """All panels with their numbers and positions."""
    panels: list[Json] = []
    top = 0
    for title, contents in ROWS.items():
        grid = {"h": 1, "w": WIDTH, "x": 0, "y": top}
        row = {"id": len(panels) + 1, "type": "row", "title": title, "collapsed": False}
        panels.append({**row, "panels": [], "gridPos": grid})
        x, y, bottom = 0, top + 1, top + 1
        for panel in contents():
            if x + panel.width > WIDTH:
                x, y = 0, bottom
            panels.append(panel.to_json(len(panels) + 1, x, y))
            x, bottom = x + panel.width, max(bottom, y + panel.height)
        top = bottom
    return panels


def dashboard() -> Json:
    """The JSON model."""
    # The value is the time of the start, so that a start after any downtime has its mark.
    starts = f"process_start_time_seconds{{{INSTANCE}}} * 1000"
    alerts = f'ALERTS{{alertname=~"Unroll.*", alertstate="firing", {INSTANCE}}}'
    return {
        "uid": "unroll",
        "title": "Unroll",
        "description": "Requests, latency, tokens and the step loop of the Unroll service.",
        "tags": ["unroll"],
        "schemaVersion": 39,
        "version": 2,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "timezone": "browser",
        "timepicker": {},
        "fiscalYearStartMonth": 0,
        "links": [],
        "annotations": {
            "list": [
                annotation("Alerts", "red", alerts, "{{alertname}}"),
                annotation("Starts", "blue", starts, "start", useValueForTime=True),
            ]
        },
        "templating": {"list": [variable(*each) for each in VARIABLES]},
        "panels": placed(),
    }


def text() -> str:
    """The file's content."""
    return json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    OUTPUT.write_text(text(), encoding="utf-8")
