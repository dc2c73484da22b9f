"""Runners without a thread, stepped by the test."""

from __future__ import annotations

import itertools
from pathlib import Path

from model.artifact import Artifact
from service.engine.api.observer import Observer
from service.engine.api.tasks import Event, Generate, Task
from service.engine.runners.classifier import ClassifierRunner
from service.engine.runners.engine import EngineOptions
from service.engine.runners.language_model import LanguageModelRunner
from service.kernel.api.interface import GREEDY
from tests.support.service.engine_client import classifier

ROWS = 8
OPTIONS = EngineOptions(
    threads=1,
    kernel="native",
    rows=ROWS,
    waiting=2000,
    burst_steps=4,
    slice_steps=8,
    state_cache_bytes=0,
)


class Turns:
    """A runner that the test steps turn by turn."""

    def __init__(self, runner: LanguageModelRunner | ClassifierRunner) -> None:
        self.runner = runner
        self._tickets = itertools.count()
        self.events: dict[object, list[Event]] = {}

    def submit(self, task: Task) -> int:
        """Submit a task, as the engine would between two turns."""
        request = self.runner.prepare(task)
        ticket = next(self._tickets)
        request.ticket, request.client = ticket, task.client
        self.runner.admission.take(request.size, request.client)
        self.runner.accept(request)
        self.events[ticket] = []
        return ticket

    def take(self, count: int = 1) -> None:
        """Run ``count`` turns."""
        for _ in range(count):
            for ticket, event in self.runner.step():
                self.events[ticket].append(event)

    def until_answered(self, ticket: int, limit: int = 10**6) -> int:
        """The number of turns until the ticket's last event."""
        for turns in range(1, limit + 1):
            self.take()
            if self.events[ticket] and self.events[ticket][-1].final:
                return turns
        raise AssertionError(f"not answered within {limit} turns")


def language_turns(
    artifact: Artifact, options: EngineOptions = OPTIONS, observer: Observer | None = None
) -> Turns:
    """A language model's turns."""
    return Turns(LanguageModelRunner("m", artifact, options, observer or Observer()))


def classifier_turns(directory: Path) -> Turns:
    """A classifier's turns, with small slices."""
    options = EngineOptions(
        threads=1, rows=64, waiting=2000, classifier_batch_tokens=1024, classifier_slice_tokens=64
    )
    return Turns(ClassifierRunner("c", classifier(directory), options, Observer()))


def endless(client: str, n: int = 1) -> Generate:
    """A stream that outlasts any test."""
    return Generate(model="m", client=client, prompt="The", max_tokens=10**6, n=n, sampling=GREEDY)
