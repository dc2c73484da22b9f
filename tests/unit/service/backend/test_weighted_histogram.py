"""A histogram of weighted observations beside that of prometheus_client."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from service.backend.metrics import DURATION_BUCKETS
from service.backend.weighted_histogram import WeightedHistogram

AMOUNTS = st.one_of(st.sampled_from((0.0, *DURATION_BUCKETS)), st.floats(0, 100, width=16))


@given(st.lists(st.tuples(st.sampled_from("ab"), AMOUNTS, st.integers(1, 5))))
def test_it_counts_as_the_library_counts_one_by_one(
    observations: list[tuple[str, float, int]],
) -> None:
    """A call with a count has the effect of as many observations, in every line of the text."""
    expected, actual = CollectorRegistry(), CollectorRegistry()
    plain = Histogram("gaps", "Gaps.", ("model",), buckets=DURATION_BUCKETS, registry=expected)
    weighted = WeightedHistogram("gaps", "Gaps.", "model", DURATION_BUCKETS)
    actual.register(weighted)
    for model in "ab":
        plain.labels(model)
        weighted.reset(model)
    for model, amount, count in observations:
        for _ in range(count):
            plain.labels(model).observe(amount)
        weighted.observe(model, amount, count)
    assert _lines(actual) == _lines(expected)


def _lines(registry: CollectorRegistry) -> list[tuple[str, float]]:
    """The series with their values, without creation times. Sums are rounded."""
    lines = generate_latest(registry).decode().splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return [(name, round(float(value), 6)) for name, value in pairs if "_created" not in name]
