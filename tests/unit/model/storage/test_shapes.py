"""Names and shapes of stored tensors against those of the networks."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.architecture import (
    CELLS,
    POOLINGS,
    Architecture,
    ClassifierArchitecture,
    LanguageModelArchitecture,
)
from model.artifact import build_network
from model.storage.shapes import parameter_shapes

sizes = st.integers(1, 9)


@st.composite
def language_models(draw: st.DrawFn) -> LanguageModelArchitecture:
    """Any language model: projected or not, tied or not, with a full or an adaptive softmax."""
    embedding, tied = draw(sizes), draw(st.booleans())
    projection = draw(st.none() | sizes)
    adaptive: dict[str, Any] = {}
    if draw(st.booleans()):
        cutoffs = draw(st.lists(st.integers(1, 18), min_size=1, max_size=4, unique=True))
        adaptive = {"cutoffs": tuple(sorted(cutoffs)), "division": draw(st.integers(1, 4))}
    return LanguageModelArchitecture(
        cell=draw(st.sampled_from(CELLS)),
        vocabulary=20,
        embedding=embedding,
        hidden=draw(sizes),
        layers=draw(st.integers(1, 3)),
        projection=embedding if tied else projection,
        tied=tied,
        **adaptive,
    )


classifiers = st.builds(
    ClassifierArchitecture,
    cell=st.sampled_from(CELLS),
    vocabulary=sizes,
    embedding=sizes,
    hidden=sizes,
    layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    pooling=st.sampled_from(POOLINGS),
    mlp=sizes,
    labels=st.integers(2, 5),
    ngrams=st.integers(1, 3),
    ngram_buckets=sizes,
    linear_ngrams=st.integers(0, 3),
    linear_buckets=sizes,
)


@settings(deadline=None)
@given(architecture=language_models() | classifiers)
def test_shapes_are_those_of_the_network(architecture: Architecture) -> None:
    """Every parameter of the network has its name and shape, and there is no other."""
    with torch.device("meta"):
        network = build_network(architecture)
    expected = {name: tuple(tensor.shape) for name, tensor in network.named_parameters()}
    assert parameter_shapes(architecture) == expected
