"""Merging the metrics of workers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service.supervisor.merged_metrics import Family, MergedMetrics

COUNTS = st.lists(st.integers(0, 1000), min_size=1, max_size=5)


def family(name: str, kind: str, value: float, **labels: str) -> Family:
    """A family of one sample."""
    series = f"{name}_total" if kind == "counter" else name
    return {"name": name, "type": kind, "help": "", "samples": [[series, labels, value]]}


def value_of(metrics: MergedMetrics, name: str) -> float:
    """The value of the first sample of a family."""
    found = next(each for each in metrics.merged() if each["name"] == name)
    return float(found["samples"][0][2])


@given(COUNTS)
def test_counters_are_sums(counts: list[int]) -> None:
    """A counter is the sum over all workers, and so is a gauge of work."""
    metrics = MergedMetrics()
    for slot, count in enumerate(counts):
        running = family("unroll_sequences_running", "gauge", count)
        metrics.update(slot, [family("unroll_requests", "counter", count), running])
    assert value_of(metrics, "unroll_requests") == sum(counts)
    assert value_of(metrics, "unroll_sequences_running") == sum(counts)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 50), st.booleans()), max_size=40))
def test_a_counter_never_falls(events: list[tuple[int, int, bool]]) -> None:
    """In any order of counting, answers and ends of workers, the sum rises only, and what a worker
    had counted at its last answer stays in it.
    """
    metrics, counts, last, kept = MergedMetrics(), [0, 0, 0], [0, 0, 0], 0
    before = 0.0
    for slot, more, ends in events:
        counts[slot] += more
        if ends:
            metrics.worker_ended(slot)
            kept, counts[slot], last[slot] = kept + last[slot], 0, 0
        for each in range(3):
            metrics.update(each, [family("unroll_requests", "counter", counts[each])])
            last[each] = counts[each]
        now = value_of(metrics, "unroll_requests")
        assert now >= before - 1e-9
        assert now == kept + sum(counts)
        before = now


def test_gauges_about_the_whole_are_not_sums() -> None:
    """The service is ready if all workers are, drains if one does, and has a model once."""
    metrics = MergedMetrics()
    for slot, ready in enumerate((1.0, 0.0)):
        metrics.update(
            slot,
            [
                family("unroll_ready", "gauge", ready),
                family("unroll_draining", "gauge", 1 - ready),
                family("unroll_model_info", "gauge", 1.0, model="words"),
            ],
        )
    assert value_of(metrics, "unroll_ready") == 0
    assert value_of(metrics, "unroll_draining") == 1
    assert value_of(metrics, "unroll_model_info") == 1


def test_gauges_of_a_worker_end_with_it() -> None:
    """Sequences that ran in a worker that has ended do not run any more."""
    metrics = MergedMetrics()
    for slot in range(2):
        metrics.update(slot, [family("unroll_sequences_running", "gauge", 3.0)])
    metrics.worker_ended(0)
    assert value_of(metrics, "unroll_sequences_running") == 3


def test_series_of_a_removed_model_start_again_from_zero() -> None:
    """What ended workers counted of a model is forgotten once no worker has the model."""
    metrics = MergedMetrics()
    tokens = family("unroll_tokens", "counter", 5.0, model="old")
    metrics.update(0, [tokens])
    metrics.worker_ended(0)
    metrics.update(1, [family("unroll_requests", "counter", 1.0)])
    metrics.merged()
    metrics.update(1, [family("unroll_tokens", "counter", 2.0, model="old")])
    assert value_of(metrics, "unroll_tokens") == 2
