"""The histogram that takes equal values in one call."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from service.telemetry.histogram import BurstHistogram

BOUNDS = (50e-6, 0.001, 0.5, 1.0, 60.0)
VALUES = st.lists(
    st.tuples(
        st.sampled_from([*BOUNDS, 0.0, 1e-7, 0.7, 100.0]) | st.floats(0, 100),
        st.integers(1, 9),
    ),
    max_size=20,
)


def exposed(registry: CollectorRegistry) -> dict[str, float]:
    """The values of all series but creation times, by name with labels."""
    lines = generate_latest(registry).decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs if "_created" not in name}


@given(VALUES)
def test_it_counts_like_the_library(values: list[tuple[float, int]]) -> None:
    """It exposes what the histogram of the library exposes after as many single observations."""
    own, reference = CollectorRegistry(), CollectorRegistry()
    burst = BurstHistogram("x_seconds", "Text.", "model", BOUNDS, own)
    single = Histogram("x_seconds", "Text.", ["model"], buckets=BOUNDS, registry=reference)
    series, expected = burst.labels("m"), single.labels("m")
    for value, count in values:
        series.observe(value, count)
        for _ in range(count):
            expected.observe(value)
    shown, wanted = exposed(own), exposed(reference)
    name = 'x_seconds_sum{model="m"}'
    assert abs(shown.pop(name) - wanted[name]) <= 1e-9 * (1 + wanted.pop(name))
    assert shown == wanted


def test_series_are_removed() -> None:
    """A removed label value, and after clear every value, is no longer exposed."""
    registry = CollectorRegistry()
    histogram = BurstHistogram("x", "Text.", "model", BOUNDS, registry)
    histogram.labels("a").observe(1.0)
    histogram.labels("b").observe(1.0)
    histogram.remove("a")
    histogram.remove("unknown")
    assert {name for name in exposed(registry) if "_count" in name} == {'x_count{model="b"}'}
    histogram.clear()
    assert exposed(registry) == {}
