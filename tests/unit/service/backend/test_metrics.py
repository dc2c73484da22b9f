"""The metrics of the service, fed as the engine feeds them."""

from __future__ import annotations

import pytest

from service.backend.metrics import Metrics

FACTS = {"version": "1", "kind": "language-model", "cell": "lstm", "tokenizer": "word"}


@pytest.fixture
def metrics() -> Metrics:
    """The metrics of one model."""
    return Metrics({"m": FACTS}, ["/generate"])


def value(metrics: Metrics, name: str, **labels: str) -> float:
    """The value of one series."""
    found = metrics.registry.get_sample_value(name, {"model": "m", **labels})
    assert found is not None, name
    return found


def test_a_burst_counts_each_of_its_steps(metrics: Metrics) -> None:
    """Eight steps in 0.4 seconds: eight observations of 0.05, whose sum is the whole time; the
    rows are those of each step.
    """
    metrics.steps("m", 0.4, [3, 3, 3, 3, 3, 1, 1, 1])
    assert value(metrics, "unroll_step_seconds_count") == 8
    assert value(metrics, "unroll_step_seconds_sum") == pytest.approx(0.4)
    assert value(metrics, "unroll_step_seconds_bucket", le="0.05") == 8
    assert value(metrics, "unroll_batch_rows_count") == 8
    assert value(metrics, "unroll_batch_rows_sum") == 18
    assert value(metrics, "unroll_batch_rows_bucket", le="1.0") == 3


def test_gaps_between_tokens_are_counted_by_token(metrics: Metrics) -> None:
    """Seven tokens of a burst are seven gaps."""
    metrics.inter_token("m", 0.01, 7)
    assert value(metrics, "unroll_inter_token_seconds_count") == 7
    assert value(metrics, "unroll_inter_token_seconds_sum") == pytest.approx(0.07)


def test_starting_from_zero_keeps_every_series(metrics: Metrics) -> None:
    """The same series exist afterwards, all with the value 0."""
    before = {line.rpartition(" ")[0] for line in _series(metrics)}
    metrics.steps("m", 0.4, [3, 3])
    metrics.tokens("m", 5, 7)
    metrics.request("/generate", 200, 0.1)
    metrics.start_from_zero()
    after = _series(metrics)
    assert {line.rpartition(" ")[0] for line in after} == before
    assert {line.rpartition(" ")[2] for line in after if "_info" not in line} == {"0.0"}


def test_health_is_asked_at_every_scrape(metrics: Metrics) -> None:
    """The gauges follow the functions that they were given."""
    state = {"live": True, "ready": True, "draining": False}
    metrics.watch(
        live=lambda: state["live"],
        ready=lambda: state["ready"],
        draining=lambda: state["draining"],
    )
    shown = metrics.registry.get_sample_value
    assert [shown(f"unroll_{name}") for name in state] == [1, 1, 0]
    state.update(live=False, ready=False, draining=True)
    assert [shown(f"unroll_{name}") for name in state] == [0, 0, 1]


def _series(metrics: Metrics) -> list[str]:
    lines = metrics.exposition().decode().splitlines()
    return [line for line in lines if line.startswith("unroll_")]
