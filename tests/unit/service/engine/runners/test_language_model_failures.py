"""A failure in one row or one text fails its request and no other."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from model.artifact import Artifact
from service.engine.api.errors import StepFailed
from service.engine.api.tasks import Classify, Failed, Generate
from service.engine.runners.classifier import ClassifierRunner
from service.engine.runners.language_model import LanguageModelRunner
from service.engine.sequences.generation import ChoiceSequence
from service.kernel.api.interface import LogitSlices, Sampling
from service.kernel.api.row_state import RowState
from tests.support.service.engine_client import finished_of, language_model
from tests.support.service.turns import OPTIONS, Turns, classifier_turns, endless, language_turns


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A character model."""
    return language_model(tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize(
    ("kernel", "broken"), [("native", "token"), ("torch", "token"), ("torch", "state")]
)
def test_a_bad_row_fails_alone(
    artifact: Artifact, kernel: Literal["native", "torch"], broken: str
) -> None:
    """Impossible work, or a state with NaN, fails its own request. The other requests of the
    step continue with the same bits as without it.
    """
    options = dataclasses.replace(OPTIONS, kernel=kernel, precision="float32")
    texts = []
    for spoilt in (False, True):
        turns = language_turns(artifact, options)
        task = Generate(model="m", prompt="The", max_tokens=60, logprobs=2)
        tickets = [
            turns.submit(dataclasses.replace(task, sampling=Sampling(seed=seed)))
            for seed in range(5)
        ]
        turns.take(3)
        if spoilt:
            spoil(turns, turns.runner._requests[tickets[2]].sequences[0], broken)
        turns.take(60)
        texts.append([turns.events[ticket] for ticket in tickets])
    (last,) = texts[1][2][-1:]
    assert isinstance(last, Failed)
    assert isinstance(last.error, StepFailed)
    assert [texts[0][place] for place in (0, 1, 3, 4)] == [
        texts[1][place] for place in (0, 1, 3, 4)
    ]


def spoil(turns: Turns, sequence: object, broken: str) -> None:
    """Give a running choice an unknown token, or a state of NaN."""
    assert isinstance(turns.runner, LanguageModelRunner)
    assert isinstance(sequence, ChoiceSequence)
    if broken == "token":
        sequence._last = 10**6
        return
    kernel = turns.runner._kernel
    state = kernel.save(sequence.row)
    kernel.restore(sequence.row, RowState(np.full_like(state.values_PLH, np.nan)))


def test_a_row_that_cannot_be_set_fails_alone(artifact: Artifact) -> None:
    """A state of the wrong shape fails the request that resumed it, before its first step."""
    turns = language_turns(artifact)
    other = turns.submit(endless("a"))
    made = turns.submit(Generate(model="m", prompt="", max_tokens=1, return_state=True))
    turns.until_answered(made)
    state = finished_of(turns.events[made])[0].state
    bad = turns.submit(Generate(model="m", prompt="", max_tokens=1, state=state))
    sequence = turns.runner._requests[bad].sequences[0]
    assert isinstance(sequence, ChoiceSequence)
    assert sequence._shared.resumed is not None
    wrong = RowState(sequence._shared.resumed.state.values_PLH[:1])
    sequence._shared.resumed = dataclasses.replace(sequence._shared.resumed, state=wrong)
    turns.take(2)
    (failed,) = turns.events[bad]
    assert isinstance(failed, Failed)
    before = len(turns.events[other])
    turns.take(2)
    assert len(turns.events[other]) > before


def test_a_text_that_fails_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other texts of its batch are classified without it."""
    texts = classifier_turns(tmp_path)
    assert isinstance(texts.runner, ClassifierRunner)
    kernel = texts.runner._kernel
    classify = kernel.classify
    bad = texts.runner._tokenizer.encode("bowl")[0]

    def broken(documents: Sequence[Sequence[int]]) -> LogitSlices:
        if any(bad in document for document in documents):
            raise MemoryError("no room for a bowl")
        return (yield from classify(documents))

    monkeypatch.setattr(kernel, "classify", broken)
    words = ["keys", "the bowl", "cabinet", "dogs table", "the the"]
    tickets = [texts.submit(Classify(model="c", texts=(word,))) for word in words]
    texts.take(20)
    failed = [isinstance(texts.events[ticket][-1], Failed) for ticket in tickets]
    assert failed == [False, True, False, False, False]
