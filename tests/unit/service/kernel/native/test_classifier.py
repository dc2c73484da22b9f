"""Classification in slices against the network's own forward pass."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import pytest
import torch

from model.architecture import CELLS, POOLINGS, Cell, ClassifierArchitecture, Pooling
from model.networks import Classifier
from service.kernel.api.interface import ClassifierKernel, FloatArray
from service.kernel.api.packing import KernelPrecision
from service.kernel.native.classifier import NativeClassifierKernel
from service.kernel.pytorch.classifier import TorchClassifierKernel


def random_classifier(
    cell: Cell,
    *,
    bidirectional: bool = True,
    pooling: Pooling = "last_max_mean_words",
    ngrams: int = 1,
    linear_ngrams: int = 0,
) -> Classifier:
    """Two layers, four labels, random weights."""
    torch.manual_seed(1)
    network = Classifier(
        ClassifierArchitecture(
            cell=cell,
            vocabulary=40,
            embedding=10,
            hidden=14,
            layers=2,
            bidirectional=bidirectional,
            pooling=pooling,
            mlp=9,
            labels=4,
            ngrams=ngrams,
            ngram_buckets=16,
            linear_ngrams=linear_ngrams,
            linear_buckets=32,
        )
    )
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return network.eval()


def make(
    network: Classifier,
    slice_tokens: int,
    kind: str = "native",
    precision: KernelPrecision = "float32",
) -> ClassifierKernel:
    """A kernel with two threads, which share even a small slice."""
    if kind == "torch":
        return TorchClassifierKernel(network, slice_tokens)
    return NativeClassifierKernel(
        network, slice_tokens, threads=2, precision=precision, worth_sharing=0
    )


def documents(count: int) -> list[list[int]]:
    """Random documents of 1 to 30 tokens."""
    generator = np.random.default_rng(count)
    return [
        generator.integers(0, 40, length).tolist() for length in generator.integers(1, 31, count)
    ]


def classify(kernel: ClassifierKernel, batch: list[list[int]]) -> tuple[FloatArray, int]:
    """Logits and the number of slices."""
    slices = kernel.classify(batch)
    count = 0
    while True:
        try:
            next(slices)
        except StopIteration as finished:
            return finished.value, count
        count += 1


@pytest.mark.parametrize("kind", ["torch", "native"])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("ngrams", [1, 4])
def test_logits_do_not_depend_on_neighbors_or_slices(
    kind: str, cell: Cell, bidirectional: bool, pooling: Pooling, ngrams: int
) -> None:
    """Alone or in a batch, in small slices or whole: within 1e-6 of the network itself."""
    network = random_classifier(cell, bidirectional=bidirectional, pooling=pooling, ngrams=ngrams)
    batch = documents(13)
    kernel = make(network, 70, kind)
    logits_BC, _ = classify(kernel, batch)
    whole_BC, _ = classify(make(network, 10**6, kind), batch)
    assert logits_BC.shape == (13, 4)
    np.testing.assert_allclose(logits_BC, whole_BC, atol=1e-6, rtol=0)
    for row, document in enumerate(batch):
        alone_1C, _ = classify(kernel, [document])
        np.testing.assert_allclose(logits_BC[row], alone_1C[0], atol=1e-6, rtol=0)
        with torch.no_grad():
            exact_C = network(torch.tensor(document)[:, None], torch.tensor([len(document)]))[0]
        np.testing.assert_allclose(logits_BC[row], exact_C, atol=1e-5, rtol=0)


@pytest.mark.parametrize("precision", ["int8", "float32"])
@pytest.mark.parametrize("cell", CELLS)
def test_native_logits_are_the_same_to_the_bit(precision: KernelPrecision, cell: Cell) -> None:
    """Neighbors, slices and threads change no bit of a document's logits."""
    network = random_classifier(cell, ngrams=3, linear_ngrams=3)
    batch = documents(13)
    whole = NativeClassifierKernel(network, 10**6, threads=1, precision=precision)
    logits_BC, _ = classify(make(network, 70, precision=precision), batch)
    for row, document in enumerate(batch):
        alone_1C, _ = classify(whole, [document])
        assert logits_BC[row].tobytes() == alone_1C[0].tobytes()


def test_a_short_batch_is_one_slice() -> None:
    """A batch within the length of a slice is classified in one call."""
    _, slices = classify(make(random_classifier("lstm"), 512), [[1] * 13])
    assert slices == 0


@pytest.mark.parametrize("ngrams", [1, 4])
@pytest.mark.parametrize("cell", CELLS)
def test_int8_stays_near(cell: Cell, ngrams: int) -> None:
    """Other documents change nothing, and the labels' probabilities are those of float32 within
    0.05.
    """
    network = random_classifier(cell, ngrams=ngrams)
    batch = documents(21)
    kernel = make(network, 70, precision="int8")
    logits_BC, _ = classify(kernel, batch)
    alone_C = np.concatenate([classify(kernel, [document])[0] for document in batch])
    np.testing.assert_allclose(logits_BC, alone_C, atol=1e-6, rtol=0)
    exact_BC, _ = classify(make(network, 70), batch)
    shares_BC, exact_shares_BC = (
        torch.softmax(torch.tensor(logits), dim=1).numpy() for logits in (logits_BC, exact_BC)
    )
    np.testing.assert_allclose(shares_BC, exact_shares_BC, atol=0.05)


@pytest.mark.parametrize("kind", ["torch", "native"])
def test_the_linear_classifier_is_added(kind: str) -> None:
    """The logits of the linear classifier are added to the network's, in a batch as alone."""
    network = random_classifier("lstm", linear_ngrams=3)
    kernel, batch = make(network, 70, kind), documents(13)
    logits_BC, _ = classify(kernel, batch)
    assert network.linear is not None
    for row, document in enumerate(batch):
        tokens_T1, length_1 = torch.tensor(document)[:, None], torch.tensor([len(document)])
        with torch.no_grad():
            linear_C = network.linear(tokens_T1, length_1)[0]
            exact_C = network(tokens_T1, length_1)[0]
        assert linear_C.abs().max() > 0.05
        np.testing.assert_allclose(logits_BC[row], exact_C, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["torch", "native"])
def test_slices_are_bounded(kind: str) -> None:
    """A long document is read in parts of the slice's length, in each direction and layer."""
    kernel = make(random_classifier("lstm"), 80, kind)
    _, slices = classify(kernel, [[1] * 1000])
    assert slices == 2 * 2 * 1000 * 8 // 80


@pytest.mark.parametrize("kind", ["native", "torch"])
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_embeddings_are_the_inputs_of_the_mlp(
    kind: str, pooling: Pooling, bidirectional: bool
) -> None:
    """Features of documents of different lengths are those of the network, in their order; the MLP
    maps them to the logits.
    """
    network = random_classifier("lstm", pooling=pooling, bidirectional=bidirectional)
    documents = [[3], [5, 7, 30, 2, 9], [1, 1], [8, 12, 4, 39, 22, 17, 6]]
    kernel = make(network, 8, kind)
    features_BF = completed(kernel.embed(documents))
    assert features_BF.shape == (4, kernel.features) == (4, network.architecture.pooled)
    with torch.no_grad():
        logits_BC = network.logits_of_pooled(torch.tensor(features_BF)).numpy()
    assert np.allclose(logits_BC, completed(kernel.classify(documents)), atol=1e-5)
    for document, features_F in zip(documents, features_BF, strict=True):
        assert np.allclose(completed(kernel.embed([document]))[0], features_F, atol=1e-6)


def completed(slices: Generator[None, None, FloatArray]) -> FloatArray:
    """The result of a generator."""
    while True:
        try:
            next(slices)
        except StopIteration as finished:
            result: FloatArray = finished.value
            return result
