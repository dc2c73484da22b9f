"""Pieces of documents: every prediction counts once, and reading them gives the exact figure."""

import math

import pytest
import torch

from benchmarks.commands.quantization import last_part, lost
from benchmarks.measurements.perplexity import Perplexity, limited, perplexity, pieces_of
from service.kernel.pytorch.kernel import TorchKernel
from tests.support.service.reference import random_network

END = 29
DOCUMENTS = [[3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5], [7], list(range(1, 28))]


@pytest.mark.parametrize("piece", [1, 2, 5, 100])
@pytest.mark.parametrize("run_in", [0, 3, 100])
def test_every_token_is_counted_once(piece: int, run_in: int) -> None:
    """The counted predictions of all pieces are the tokens of the documents, each with its end."""
    pieces = pieces_of(DOCUMENTS, END, piece=piece, run_in=run_in)
    counted = [list(one.feed[one.first + 1 :]) for one in pieces]
    assert [token for part in counted for token in part] == [
        token for document in DOCUMENTS for token in [*document, END]
    ]
    assert [one.counted for one in pieces] == [len(part) for part in counted]
    assert all(one.feed[0] == END for one in pieces)


@pytest.mark.parametrize("rows", [1, 2, 8])
def test_whole_documents_give_the_exact_perplexity(rows: int) -> None:
    """The same as torch's modules give, document after document, with any number of rows."""
    network = random_network("lstm", 2)
    kernel = TorchKernel(network, capacity=rows, end=END, never_drawn=())
    found = perplexity(kernel, pieces_of(DOCUMENTS, END))
    nats = 0.0
    for document in DOCUMENTS:
        whole = torch.tensor([END, *document, END])
        with torch.no_grad():
            logits, _ = network(whole[:-1].unsqueeze(1), network.initial_state(1))
        nats += float(torch.nn.functional.cross_entropy(logits[:, 0], whole[1:], reduction="sum"))
    assert found.tokens == sum(map(len, DOCUMENTS)) + 3
    assert found.nats == pytest.approx(nats, rel=1e-5)
    assert found.value == pytest.approx(math.exp(nats / found.tokens), rel=1e-5)


def test_a_run_in_longer_than_the_document_changes_nothing_but_the_first_state() -> None:
    """Pieces with all that stands before them count as many tokens, at nearly the same price."""
    network = random_network("gru", 1)
    kernel = TorchKernel(network, capacity=4, end=END, never_drawn=())
    whole = perplexity(kernel, pieces_of(DOCUMENTS, END))
    parts = perplexity(kernel, pieces_of(DOCUMENTS, END, piece=5, run_in=1000))
    assert parts.tokens == whole.tokens
    assert parts.nats == pytest.approx(whole.nats, rel=1e-5)


def test_few_tokens_come_from_pieces_spread_over_the_whole() -> None:
    """Half of the tokens: every second piece."""
    pieces = pieces_of([list(range(1, 20))], END, piece=2)
    assert limited(pieces, None) == pieces
    assert limited(pieces, 10) == pieces[::2]
    assert len(limited(pieces, 1)) == 1


def test_the_last_part_begins_with_a_line() -> None:
    """A tenth of the characters, from the next line on."""
    text = "".join(f"line {number}\n" for number in range(10))
    assert last_part(text, 1.0) == text
    assert last_part(text, 0.25) == "line 8\nline 9\n"


def test_what_is_lost_is_told_in_per_cent() -> None:
    """Perplexity 101 where 100 is exact: one per cent."""
    assert lost(Perplexity(math.log(101), 1), Perplexity(math.log(100), 1)) == pytest.approx(1.0)
