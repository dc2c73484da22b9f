"""The dashboard's queries, as Grafana sends them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from tests.support.repository import ROOT

DASHBOARD: dict[str, Any] = json.loads(
    (ROOT / "docker" / "grafana" / "dashboards" / "unroll.json").read_text(encoding="utf-8")
)
QUERIES: dict[str, str] = {
    f"{panel['id']}{target['refId']} {panel['title']}": target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", [])
}
"""The query of each line of each panel, by a name for it."""


def selected(query: str, *, instance: str, models: Iterable[str], window: str) -> str:
    """The query with one instance and these models selected. ``window``: of rates."""
    for variable, value in (
        ("$__rate_interval", window),
        ("$job", "unroll"),
        ("$instance", re.escape(instance).replace("\\", "\\\\")),
        ("$model", f"({'|'.join(models)})"),
    ):
        query = query.replace(variable, value)
    assert "$" not in query
    return query
