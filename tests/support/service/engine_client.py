"""Tiny artifacts, and a client for an engine with real artifacts and a real thread."""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from model.architecture import Cell, ClassifierArchitecture
from model.artifact import Artifact, Calibration, load_artifact, save_artifact
from model.networks import Classifier
from model.tokenization.tokenizer import Tokenizer
from model.tokenization.tokenizer_training import (
    train_bpe_tokenizer,
    train_char_tokenizer,
    train_word_tokenizer,
)
from service.engine.api.observer import Observer
from service.engine.api.tasks import Event, Finished, Generate, Task, Token
from service.engine.runners.engine import Engine, EngineOptions, Ticket
from tests.support.service.reference import random_network

TEXT = "The keys to the cabinet are on the table, and don't you forget it: the dogs' bowl.\n"
PATIENCE = 60.0  # seconds; only a hang takes as long


def tokenizer_of(kind: str) -> Tokenizer:
    """A tokenizer over the words, characters or byte pairs of TEXT."""
    if kind == "word":
        return train_word_tokenizer([TEXT], vocabulary=None)
    if kind == "char":
        return train_char_tokenizer([TEXT])
    return train_bpe_tokenizer([TEXT * 3], vocabulary=275)


def language_model(
    directory: Path, kind: str = "char", cell: Cell = "lstm", layers: int = 2, seed: int = 0
) -> Artifact:
    """A language model with random weights, saved and loaded."""
    tokenizer = tokenizer_of(kind)
    network = random_network(cell, layers, vocabulary=tokenizer.size, seed=seed)
    name = f"{kind}-{cell}-{layers}"
    save_artifact(
        directory / name, network=network, tokenizer=tokenizer, name=name, provenance={}, metrics={}
    )
    return load_artifact(directory / name)


def classifier(directory: Path) -> Artifact:
    """A classifier of three labels with random weights."""
    tokenizer = train_word_tokenizer([TEXT], vocabulary=None, lossless=False)
    torch.manual_seed(3)
    network = Classifier(
        ClassifierArchitecture(
            cell="gru", vocabulary=tokenizer.size, embedding=8, hidden=10, layers=1, mlp=6, labels=3
        )
    )
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    save_artifact(
        directory / "classifier",
        network=network,
        tokenizer=tokenizer,
        name="classifier",
        labels=["good", "bad", "neither"],
        calibration=Calibration(temperature=2.0),
        provenance={},
        metrics={},
    )
    return load_artifact(directory / "classifier")


class EngineClient:
    """Submits tasks and collects events, from the test's thread."""

    def __init__(
        self,
        models: Mapping[str, Artifact],
        options: EngineOptions | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._arrived = threading.Condition()
        self.events: dict[Ticket, list[Event]] = defaultdict(list)
        self.deliveries: list[list[tuple[Ticket, Event]]] = []
        options = options or EngineOptions(threads=1)
        self.engine = Engine(models, self._deliver, options=options, observer=observer)
        self._tickets = itertools.count()  # its next() is atomic: tests submit from two threads

    def submit(self, task: Task) -> int:
        """Submits under a new ticket."""
        ticket = next(self._tickets)
        self.engine.submit(task, ticket)
        return ticket

    def wait(self, ticket: Ticket) -> list[Event]:
        """All events of a ticket, once it has its final one."""
        self.wait_until(lambda: bool(self.events[ticket]) and self.events[ticket][-1].final)
        return self.events[ticket]

    def wait_until(self, condition: object) -> None:
        """Wait until a condition (a function without arguments) on the events holds."""
        assert callable(condition)
        with self._arrived:
            assert self._arrived.wait_for(condition, PATIENCE), "the engine hangs"

    def ask(self, task: Task) -> list[Event]:
        """Submits and waits."""
        return self.wait(self.submit(task))

    def text(self, task: Generate) -> str:
        """The whole text of a single choice."""
        return text_of(self.ask(task))

    def _deliver(self, events: list[tuple[Ticket, Event]]) -> None:
        with self._arrived:
            self.deliveries.append(events)
            for ticket, event in events:
                self.events[ticket].append(event)
            self._arrived.notify_all()


@contextmanager
def serving(
    models: Mapping[str, Artifact],
    options: EngineOptions | None = None,
    observer: Observer | None = None,
    *,
    start: bool = True,
) -> Iterator[EngineClient]:
    """A running engine, stopped at the end."""
    opened = EngineClient(models, options, observer)
    if start:
        opened.engine.start()
    try:
        yield opened
    finally:
        opened.engine.stop(0.0)


def token_count(events: Iterable[Event]) -> int:
    """The number of tokens in the events of a task."""
    return sum(max(1, len(event.texts)) for event in events if isinstance(event, Token))


def text_of(events: list[Event], index: int = 0) -> str:
    """The text of one choice, joined."""
    return "".join(
        event.text
        for event in events
        if isinstance(event, Token | Finished) and event.index == index
    )


def finished_of(events: list[Event]) -> dict[int, Finished]:
    """The Finished events by choice."""
    return {event.index: event for event in events if isinstance(event, Finished)}
