"""Perplexity over windows: every token is scored once, and the result equals that of torch."""

import math

import pytest
import torch

from benchmarks.commands.quantization import last_part, percent_increase
from benchmarks.measurements.perplexity import (
    Perplexity,
    measure_perplexity,
    split_into_windows,
    subsample,
)
from service.kernel.pytorch.kernel import TorchKernel
from tests.support.service.reference import random_network

END = 29
DOCUMENTS = [[3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5], [7], list(range(1, 28))]


@pytest.mark.parametrize("window", [1, 2, 5, 100])
@pytest.mark.parametrize("burn_in", [0, 3, 100])
def test_every_token_is_scored_once(window: int, burn_in: int) -> None:
    """The scored predictions of all windows are the tokens of the documents, each with [END]."""
    windows = split_into_windows(DOCUMENTS, END, window=window, burn_in=burn_in)
    scored = [list(item.feed[item.first + 1 :]) for item in windows]
    assert [token for tokens in scored for token in tokens] == [
        token for document in DOCUMENTS for token in [*document, END]
    ]
    assert [item.scored for item in windows] == [len(tokens) for tokens in scored]
    assert all(item.feed[0] == END for item in windows)


@pytest.mark.parametrize("rows", [1, 2, 8])
def test_whole_documents_give_the_exact_perplexity(rows: int) -> None:
    """The perplexity equals that of torch's modules with any number of rows."""
    network = random_network("lstm", 2)
    kernel = TorchKernel(network, capacity=rows, end=END, suppressed=())
    perplexity = measure_perplexity(kernel, split_into_windows(DOCUMENTS, END))
    nats = 0.0
    for document in DOCUMENTS:
        tokens_T = torch.tensor([END, *document, END])
        with torch.no_grad():
            logits, _ = network(tokens_T[:-1].unsqueeze(1), network.initial_state(1))
        loss = torch.nn.functional.cross_entropy(logits[:, 0], tokens_T[1:], reduction="sum")
        nats += float(loss)
    assert perplexity.tokens == sum(map(len, DOCUMENTS)) + 3
    assert perplexity.nats == pytest.approx(nats, rel=1e-5)
    assert perplexity.value == pytest.approx(math.exp(nats / perplexity.tokens), rel=1e-5)


def test_a_burn_in_of_the_whole_document_gives_the_exact_perplexity() -> None:
    """Windows with all earlier tokens as burn-in score the same tokens with the same loss."""
    network = random_network("gru", 1)
    kernel = TorchKernel(network, capacity=4, end=END, suppressed=())
    whole = measure_perplexity(kernel, split_into_windows(DOCUMENTS, END))
    windows = split_into_windows(DOCUMENTS, END, window=5, burn_in=1000)
    split = measure_perplexity(kernel, windows)
    assert split.tokens == whole.tokens
    assert split.nats == pytest.approx(whole.nats, rel=1e-5)


def test_a_subsample_has_evenly_spaced_windows() -> None:
    """Half of the tokens are those of every second window."""
    windows = split_into_windows([list(range(1, 20))], END, window=2)
    assert subsample(windows, None) == windows
    assert subsample(windows, 10) == windows[::2]
    assert len(subsample(windows, 1)) == 1


def test_the_last_part_begins_with_a_line() -> None:
    """The last quarter of the characters begins after the next line break."""
    text = "".join(f"line {number}\n" for number in range(10))
    assert last_part(text, 1.0) == text
    assert last_part(text, 0.25) == "line 8\nline 9\n"


def test_the_increase_is_in_per_cent() -> None:
    """A perplexity of 101 exceeds one of 100 by one per cent."""
    perplexity, reference = Perplexity(math.log(101), 1), Perplexity(math.log(100), 1)
    assert percent_increase(perplexity, reference) == pytest.approx(1.0)
