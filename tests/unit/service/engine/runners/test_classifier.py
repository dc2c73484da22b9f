"""Classification through the engine: batching, limits, calibration."""

# ruff: noqa: ARG002 an observer hears more than it keeps

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from model.artifact import Artifact
from service.engine.api.errors import DeadlineExceeded, InvalidState, InvalidTask, QueueFull
from service.engine.api.observer import Observer
from service.engine.api.tasks import Classification, Classify, Failed, TextsClassified
from service.engine.runners.engine import EngineOptions
from tests.support.service.engine_client import EngineClient, classifier, serving

WORDS = ["the", "keys", "to", "cabinet", "are", "on", "table", "don't", "forget", "it", "dogs"]


class BatchSizes(Observer):
    """How many texts each batch had: their times in the queue are reported together."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.slices: list[int] = []
        self._queued = 0

    def queued(self, model: str, seconds: float) -> None:
        self._queued += 1

    def load(self, model: str, running: int, waiting: int) -> None:
        if self._queued:
            self.rows.append(self._queued)
        self._queued = 0

    def steps(self, model: str, seconds: float, rows: Sequence[int]) -> None:
        self.slices += rows


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    """Three labels, calibrated at temperature 2."""
    return classifier(tmp_path)


@pytest.fixture
def sizes() -> BatchSizes:
    """A fresh observer."""
    return BatchSizes()


@pytest.fixture
def served(artifact: Artifact, sizes: BatchSizes) -> Iterator[EngineClient]:
    """An engine with one classifier and small limits."""
    options = EngineOptions(
        threads=1, rows=16, waiting=16, classifier_tokens=40, classifier_batch_tokens=120
    )
    with serving({"c": artifact}, options, sizes, start=False) as opened:
        yield opened


def random_texts(count: int) -> list[str]:
    """Texts of 1 to 30 known words."""
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 31, count)
    return [" ".join(generator.choice(WORDS, size=length)) for length in lengths]


def results_of(events: list[object]) -> tuple[Classification, ...]:
    """The results in the only event."""
    (event,) = events
    assert isinstance(event, TextsClassified)
    return event.results


def exact(artifact: Artifact, text: str) -> list[float]:
    """Calibrated probabilities from the network's own forward pass on this text alone."""
    tokens = artifact.tokenizer.encode(text) or [artifact.tokenizer.end]
    with torch.no_grad():
        logits_1C = artifact.network(torch.tensor(tokens)[:, None], torch.tensor([len(tokens)]))
    probabilities: list[float] = torch.softmax(logits_1C[0].double() / 2.0, dim=0).tolist()
    return probabilities


def test_results_are_those_of_each_text_alone(
    served: EngineClient, artifact: Artifact, sizes: BatchSizes
) -> None:
    """Texts of many requests share batches within the token limit; results are in order and
    exact.
    """
    texts = random_texts(30)
    tasks = [
        Classify(model="c", texts=tuple(texts[place : place + 3])) for place in range(0, 30, 3)
    ]
    tickets = [served.submit(task) for task in tasks]
    served.engine.start()
    results = [result for ticket in tickets for result in results_of(list(served.wait(ticket)))]
    for text, result in zip(texts, results, strict=True):
        assert result.probabilities == pytest.approx(exact(artifact, text), abs=1e-5)
        assert sum(result.probabilities) == pytest.approx(1.0)
        assert (result.token_count, result.truncated) == (
            len(artifact.tokenizer.encode(text)),
            False,
        )
    assert sum(sizes.rows) == 30
    assert 3 < len(sizes.rows) < 15
    assert set(sizes.slices) == set(sizes.rows)


def test_long_and_empty_texts(served: EngineClient, artifact: Artifact) -> None:
    """A long text is truncated and marked so; a text without tokens is read as [END] alone."""
    served.engine.start()
    long, cut, empty = results_of(
        list(served.ask(Classify(model="c", texts=("keys " * 41, "keys " * 40, " "))))
    )
    assert (long.token_count, long.truncated) == (40, True)
    assert (cut.token_count, cut.truncated) == (40, False)
    assert long.probabilities == pytest.approx(cut.probabilities, abs=1e-6)
    assert (empty.token_count, empty.truncated) == (0, False)
    assert empty.probabilities == pytest.approx(exact(artifact, ""), abs=1e-5)


def test_a_document_grows(served: EngineClient, artifact: Artifact) -> None:
    """Each part continues from the state of the parts before; a part without tokens, first or
    later, changes nothing. Growing documents and others are served together.
    """
    served.engine.start()
    whole, state = "", None
    others = [served.submit(Classify(model="c", texts=("keys are",))) for _ in range(3)]
    for part in (" ", "the keys to", " the cabinet are", " ", " on it zyzzyva"):
        task = Classify(model="c", texts=(part,), state=state, return_state=True)
        (result,) = results_of(list(served.ask(task)))
        whole += part
        assert result.probabilities == pytest.approx(exact(artifact, whole), abs=1e-5)
        assert result.token_count == len(artifact.tokenizer.encode(part))
        assert result.unknown_tokens == part.count("zyzzyva")
        state = result.state
    (last,) = results_of(list(served.ask(Classify(model="c", texts=("dogs",), state=state))))
    assert last.state is None
    assert last.probabilities == pytest.approx(exact(artifact, whole + " dogs"), abs=1e-5)
    for ticket in others:
        assert results_of(list(served.wait(ticket)))[0].state is None


def test_the_state_is_of_one_text(served: EngineClient) -> None:
    """Several texts with return_state are refused by the name of the field."""
    with pytest.raises(InvalidTask, match=r"return_state: expected one text, got 2"):
        served.submit(Classify(model="c", texts=("keys", "dogs"), return_state=True))
    with pytest.raises(InvalidState):
        served.submit(Classify(model="c", texts=("keys",), state="forged"))


def test_the_queue_is_bounded_and_cancelling_frees_places(served: EngineClient) -> None:
    """A request gets places for all of its texts or for none."""
    first = served.submit(Classify(model="c", texts=("keys",) * 20))
    with pytest.raises(QueueFull):
        served.submit(Classify(model="c", texts=("keys",) * 13))
    second = served.submit(Classify(model="c", texts=("keys",) * 12))
    served.engine.cancel(first)
    served.engine.start()
    assert len(results_of(list(served.wait(second)))) == 12
    third = served.ask(Classify(model="c", texts=("keys",) * 32))
    assert len(results_of(list(third))) == 32
    assert served.events[first] == []


def test_a_deadline_that_passes_is_an_error(served: EngineClient) -> None:
    """The request fails as a whole; other requests are served."""
    late = served.submit(Classify(model="c", texts=("keys",), deadline_seconds=0.0))
    other = served.submit(Classify(model="c", texts=("keys",)))
    served.engine.start()
    (failed,) = served.wait(late)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, DeadlineExceeded)
    assert len(results_of(list(served.wait(other)))) == 1
