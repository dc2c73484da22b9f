"""Documents read part by part against the network's own forward pass over the whole."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from model.architecture import CELLS, POOLINGS, Cell, ClassifierArchitecture, Pooling
from model.artifact import weights_of
from model.networks import Classifier
from service.kernel.documents.document_reader import (
    DocumentReader,
    DocumentState,
    obstacle_to_reading_on,
)


def architecture(cell: Cell = "lstm", pooling: Pooling = "last") -> ClassifierArchitecture:
    """Two layers in one direction."""
    return ClassifierArchitecture(
        cell=cell,
        vocabulary=40,
        embedding=10,
        hidden=14,
        layers=2,
        pooling=pooling,
        mlp=9,
        labels=4,
    )


def read(
    reader: DocumentReader, tokens: list[int], start: DocumentState
) -> tuple[DocumentState, int]:
    """The state after the tokens, and the number of slices."""
    slices, count = reader.read(tokens, start), 0
    while True:
        try:
            next(slices)
        except StopIteration as finished:
            return finished.value, count
        count += 1


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_parts_give_the_logits_of_the_whole(cell: Cell, pooling: Pooling) -> None:
    """After each part the logits are those of the network for all tokens so far."""
    torch.manual_seed(1)
    network = Classifier(architecture(cell, pooling)).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    reader = DocumentReader(weights_of(network), slice_tokens=12)
    tokens = np.random.default_rng(0).integers(0, 40, 60).tolist()
    document, end = reader.first(), 0
    for length in (1, 7, 30, 22):
        document, slices = read(reader, tokens[end : end + length], document)
        end += length
        assert slices == -(-length // 6)
        assert document.token_count == end
        with torch.no_grad():
            exact_1C = network(torch.tensor(tokens[:end])[:, None], torch.tensor([end]))
        np.testing.assert_allclose(reader.logits(document), exact_1C, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bidirectional": True}, "both directions"),
        ({"ngrams": 3}, "n-grams"),
        ({"linear_ngrams": 2}, "linear part"),
        ({}, None),
    ],
)
def test_models_without_a_state_of_fixed_size_have_a_reason(
    changes: dict[str, Any], reason: str | None
) -> None:
    """Two directions, n-grams and a linear part each prevent reading on."""
    obstacle = obstacle_to_reading_on(replace(architecture(), **changes))
    assert obstacle is None if reason is None else reason in str(obstacle)
