"""Texts over HTTP against the network itself, one token at a time in torch."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from model.artifact import Artifact, load_artifact
from model.networks import LanguageModel
from service.kernel.api.interface import Sampling
from service.kernel.pytorch.sampler import Sampler, SamplerRequest
from tests.support.service.process import RunningService

MODELS = [f"{cell}-{layers}" for cell in ("elman", "gru", "lstm") for layers in (1, 2, 3)]
PROMPT = "The keys to the"
TOKENS = 40
SAMPLINGS = [Sampling(temperature=0), Sampling(seed=2**40 + 7)]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_alone(float_service: RunningService, models: Path, model: str, sampling: Sampling) -> None:
    """Greedy and seeded texts are those of the naive loop, on either kernel."""
    assert _asked(float_service, model, sampling) == _naive(load_artifact(models / model), sampling)


def test_in_a_crowd(float_service: RunningService, models: Path) -> None:
    """The same among 63 other requests that join and leave the batch."""
    with _crowd(float_service, 63):
        asked = _all_asked(float_service)
    for (model, sampling), text in asked.items():
        assert text == _naive(load_artifact(models / model), sampling)


def test_a_crowd_changes_nothing_in_int8(service: RunningService) -> None:
    """With default settings, a text among 63 others equals the text alone, to the last byte."""
    alone = _all_asked(service)
    with _crowd(service, 63):
        assert _all_asked(service) == alone


def _all_asked(service: RunningService) -> dict[tuple[str, Sampling], str]:
    return {pair: _asked(service, *pair) for pair in itertools.product(MODELS, SAMPLINGS)}


def _asked(service: RunningService, model: str, sampling: Sampling) -> str:
    return service.text(
        model=model,
        prompt=PROMPT,
        max_tokens=TOKENS,
        temperature=sampling.temperature,
        seed=sampling.seed,
    )


def _naive(artifact: Artifact, sampling: Sampling) -> str:
    """One token at a time through torch's own recurrent module, from the learned initial state."""
    network, tokenizer = artifact.network, artifact.tokenizer
    assert isinstance(network, LanguageModel)
    sampler = Sampler(tokenizer.size, tokenizer.suppressed)
    state = _first_state(network)
    feed = [tokenizer.end, *tokenizer.encode(PROMPT)]
    generated: list[int] = []
    while len(generated) < TOKENS:
        for token in feed:
            values_TBE = network.embedding(torch.tensor([[token]]))
            hidden_TBH, state = network.recurrent(values_TBE, state)
        logits_BV = network.output(hidden_TBH[-1])
        ask = SamplerRequest(sampling, position=len(generated), sample=True)
        (answer,) = sampler.answer(np.ascontiguousarray(logits_BV.numpy()), [ask])
        assert answer.generated is not None
        if sampling.temperature == 0:
            logits_BV[:, list(tokenizer.suppressed)] = -torch.inf
            assert answer.generated.token == int(logits_BV.argmax())
        generated.append(answer.generated.token)
        feed = generated[-1:]
    return tokenizer.decode(generated)


def _first_state(network: LanguageModel) -> Tensor | tuple[Tensor, Tensor]:
    if network.architecture.cell == "lstm":
        return network.initial_hidden_L1H, network.initial_cell_L1H
    return network.initial_hidden_L1H


@contextmanager
def _crowd(service: RunningService, size: int) -> Iterator[None]:
    """Many clients, each of which sends its next request after a response."""
    over = threading.Event()
    failures: list[BaseException] = []

    def client(number: int) -> None:
        try:
            round_number = 0
            while not over.is_set():
                round_number += 1
                service.events(
                    model=MODELS[number % len(MODELS)],
                    prompt="A dog near the cats"[: number % 20],
                    max_tokens=1 + (number * 7 + round_number) % 60,
                )
        except BaseException as error:  # noqa: BLE001 - reraised by the test below
            failures.append(error)

    clients = [threading.Thread(target=client, args=(number,)) for number in range(size)]
    for thread in clients:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in clients:
            thread.join()
    assert not failures
