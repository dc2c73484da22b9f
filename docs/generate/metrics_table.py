"""The table of metrics, made from the registry of `service.backend.metrics.Metrics`."""

from __future__ import annotations

from docs.generate.markdown import code, table
from service.backend.metrics import Metrics

MODEL = {"version": "1", "kind": "language-model", "cell": "lstm", "tokenizer": "word"}


def metrics_table() -> str:
    """Every metric with its type, its labels and its help text."""
    registry = Metrics({"model": MODEL}, ["/generate"]).registry
    rows = []
    for metric in registry.collect():
        if not metric.name.startswith("unroll_"):
            continue
        labels = {name: None for sample in metric.samples for name in sample.labels}
        labels.pop("le", None)
        suffix = {"counter": "_total", "info": "_info"}.get(metric.type, "")
        rows.append(
            (
                code(metric.name + suffix),
                metric.type,
                ", ".join(map(code, labels)),
                metric.documentation,
            )
        )
    return table(("Metric", "Type", "Labels", "Meaning"), rows)
