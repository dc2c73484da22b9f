"""Tasks for engines that cache or return states, and an observer that counts prompt tokens."""

# ruff: noqa: ARG002 an observer hears more than it keeps

from __future__ import annotations

from service.engine.api.observer import Observer
from service.engine.api.tasks import Finished, Generate
from service.engine.runners.engine import EngineOptions
from service.kernel.api.interface import Sampling
from tests.support.service.engine_client import EngineClient, finished_of, text_of

PROMPT = "The keys to the cabinet are on the table"
OPTIONS = EngineOptions(threads=1, kernel="native", state_key=b"a key")
SAMPLINGS = {
    "greedy": Sampling(temperature=0.0),
    "sampled": Sampling(seed=77),
    "penalised": Sampling(seed=5, repetition_penalty=1.4, top_k=12),
    "counted": Sampling(seed=6, presence_penalty=0.4, frequency_penalty=0.9),
}


class Reads(Observer):
    """Counts the prompt tokens read, and cache hits and misses."""

    def __init__(self) -> None:
        self.tokens_read = 0
        self.lookups: list[bool] = []

    def tokens(self, model: str, prompt: int, generated: int) -> None:
        self.tokens_read += prompt

    def cache_lookup(self, model: str, *, hit: bool) -> None:
        self.lookups.append(hit)


def ask(prompt: str = PROMPT, max_tokens: int = 25, **more: object) -> Generate:
    """A task, with defaults."""
    sampling = more.pop("sampling", SAMPLINGS["sampled"])
    return Generate(
        model="m",
        prompt=prompt,
        max_tokens=max_tokens,
        sampling=sampling,  # type: ignore[arg-type]
        **more,  # type: ignore[arg-type]
    )


def seeded(seed: int, max_tokens: int, prompt: str = "") -> Generate:
    """A task with another seed."""
    return ask(prompt, max_tokens, sampling=Sampling(seed=seed))


def last(served: EngineClient, task: Generate) -> tuple[str, Finished]:
    """The text of the only choice, and its end."""
    events = served.ask(task)
    return text_of(events), finished_of(events)[0]
