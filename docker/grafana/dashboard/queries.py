"""PromQL expressions of the panels.

A query selects by the variables $job, $instance and $model. ``of_kind`` keeps the series of
language models or of classifiers, and ``measured`` drops values that are not numbers (the quantile
of nothing), so that no panel draws an empty line.
"""

from __future__ import annotations

INSTANCE = 'job=~"$job", instance=~"$instance"'
MODEL = f'{INSTANCE}, model=~"$model"'
# Routes of work: scrapes, probes, pages and unknown paths would dilute every ratio. The alert rules
# have the same pattern.
WORK = (
    'route!~"/|/docs|/openapi.json|/playground.*|/health.*|/metrics|(/v1)?/models.*'
    '|/tokenizer_info|/admin.*|other"'
)
LANGUAGE_MODEL, CLASSIFIER = "language-model", "classifier"


def rate(series: str) -> str:
    """The increase per second."""
    return f"rate({series}[$__rate_interval])"


def of_kind(expression: str, kind: str) -> str:
    """The series of models of this kind. A set operator, since two versions of a model may be
    served at a time.
    """
    models = f'unroll_model_info{{{INSTANCE}, kind="{kind}"}}'
    return f"({expression} and on (job, instance, model) {models})"


def measured(expression: str) -> str:
    """Without values that are not a number: NaN is not greater than anything."""
    return f"({expression}) >= 0"


def model_rate(name: str, kind: str, labels: str = "") -> str:
    """The rate of a series of the selected models of one kind."""
    return of_kind(rate(f"{name}{{{MODEL}{labels}}}"), kind)


def quantile(q: float, name: str, kind: str) -> str:
    """A quantile of a histogram, by model."""
    buckets = model_rate(f"{name}_bucket", kind)
    return measured(f"histogram_quantile({q:g}, sum by (model, le) ({buckets}))")


def share_of_status(status: str) -> str:
    """The share of answers to work with these statuses. Mistakes of clients do not count."""
    requests = "unroll_requests_total{" + INSTANCE + ", " + WORK
    part = f"sum({rate(f'{requests}, status=~{chr(34)}{status}{chr(34)}}}')})"
    whole = f"sum({rate(f'{requests}, status=~{chr(34)}2..|429|5..{chr(34)}}}')})"
    return f"({part} / ({whole} > 0)) or vector(0)"
