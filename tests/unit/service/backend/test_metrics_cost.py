"""The share of the processor that metrics take, measured within one thread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest

from model.artifact import load_artifact, weights_of
from service.backend.metrics import Metrics
from service.kernel.api.interface import RowWork, Sampling
from service.kernel.factory import make_kernel
from tests.support.repository import ROOT

ROWS, STEPS = 64, 8
SMALLEST = ROOT / "pretrained" / "shakespeare-char"  # the model with the shortest steps
MOST = 0.02
REPEATS = 15


def seconds(action: Callable[[], object]) -> float:
    """The median time of this thread on the processor, which other processes do not lengthen."""
    times = []
    for _ in range(REPEATS):
        begun = time.thread_time()
        action()
        times.append(time.thread_time() - begun)
    return statistics.median(times)


def test_recording_a_burst_costs_less_than_two_percent_of_it() -> None:
    """Everything that the engine reports for a burst of a full batch, against the burst."""
    artifact = load_artifact(SMALLEST)
    tokenizer = artifact.tokenizer
    kernel = make_kernel(
        weights_of(artifact.network),
        kernel="native",
        precision="int8",
        threads=1,
        capacity=ROWS,
        end=tokenizer.end,
        suppressed=tokenizer.suppressed,
    )
    sampling = Sampling(logprob=False)
    work = [RowWork(row=row, feed=[1], sample=STEPS, sampling=sampling) for row in range(ROWS)]
    metrics = Metrics(
        {"m": {"version": "1", "kind": "language-model", "cell": "lstm", "tokenizer": "char"}}, []
    )

    def record_ten() -> None:
        for _ in range(10):
            metrics.steps("m", 0.004, [ROWS] * STEPS)
            metrics.inter_token("m", 0.0005, ROWS * STEPS)
            metrics.tokens("m", 0, ROWS * STEPS)

    burst = seconds(lambda: kernel.run(work, STEPS))
    assert seconds(record_ten) / 10 < MOST * burst


@pytest.mark.parametrize("models", [1, 20])
def test_the_exposition_grows_with_the_models_alone(models: int) -> None:
    """A model adds a fixed number of series, and requests add none."""
    facts = {"version": "1", "kind": "language-model", "cell": "lstm", "tokenizer": "char"}
    names = [f"m{number}" for number in range(models)]
    metrics = Metrics(dict.fromkeys(names, facts), ["/generate"])
    lines = len(metrics.exposition().splitlines())
    for name in names:
        metrics.steps(name, 0.004, [1, 2, 3])
        metrics.tokens(name, 5, 5)
    metrics.request("/generate", 200, 0.1)
    assert len(metrics.exposition().splitlines()) == lines
    assert lines < 300 + 200 * models
