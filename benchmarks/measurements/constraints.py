"""Processor time of a generated token with and without a constraint, measured in turns.

A program of its own, since it steps the engine's runner: `python -m
benchmarks.measurements.constraints`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from benchmarks.harness.command import PRETRAINED_DIRECTORY
from model.storage.stored_artifact import load_stored_artifact
from service.engine.api.observer import Observer
from service.engine.api.options import EngineOptions
from service.engine.api.tasks import Constraint, Finished, Generate
from service.engine.runners.language_model import LanguageModelRunner
from service.kernel.api.interface import Sampling

REGEXES = {  # nearly all words
    "english-word": r"(( [A-Za-z]+)+[,.;]?)*",
    "shakespeare-char": r"(( ?[A-Za-z]+)+[,.;:!?]?\n*)*",
}
ROUNDS = 9
TOKENS = 400


def seconds_per_token(runner: LanguageModelRunner, tasks: Sequence[Generate]) -> float:
    """Processor seconds for each generated token of these tasks, run together."""
    for ticket, task in enumerate(tasks):
        request = runner.prepare(task)
        request.ticket = ticket
        runner.admission.take(request.size)
        runner.accept(request)
    begun, generated = time.process_time(), 0
    while runner.busy:
        ends = [event for _, event in runner.step() if isinstance(event, Finished)]
        generated += sum(end.completion_tokens for end in ends)
    return (time.process_time() - begun) / generated


def measure(model: str, streams: int, top_k: int) -> tuple[float, float]:
    """The medians without and with the constraint."""
    artifact = load_stored_artifact(PRETRAINED_DIRECTORY / model)
    options = EngineOptions(threads=1, kernel="native", pattern_seconds=60.0)
    runner = LanguageModelRunner(model, artifact, options, Observer())
    constraint = Constraint(field="regex", regex=REGEXES[model])
    free: list[float] = []
    bound: list[float] = []
    for turn in range(ROUNDS):
        for seconds, one in ((free, None), (bound, constraint)):
            tasks = [
                Generate(
                    model=model,
                    prompt="The",
                    max_tokens=TOKENS,
                    sampling=Sampling(seed=100 * turn + stream, top_k=top_k),
                    constraint=one,
                )
                for stream in range(streams)
            ]
            seconds.append(seconds_per_token(runner, tasks))
    return statistics.median(free), statistics.median(bound)


def main() -> None:
    """Prints a line for each model, number of streams and filter."""
    for model in REGEXES:
        for streams in (1, 16):
            for top_k in (0, 40):
                free, bound = measure(model, streams, top_k)
                print(
                    f"{model}, {streams} streams, top_k {top_k}: {free * 1e6:.1f} us free, "
                    f"{bound * 1e6:.1f} us constrained, ratio {bound / free:.2f}"
                )


if __name__ == "__main__":
    main()
