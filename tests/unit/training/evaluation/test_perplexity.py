"""Likelihood: parallel columns give the same result as one document after the other."""

import math
import time

import pytest
import torch
from torch.nn import functional

from model.architecture import Cell, LanguageModelArchitecture
from model.networks import LanguageModel
from model.regularization import Regularization
from model.tokenization.tokenizer_training import train_word_tokenizer
from tests.support.training.synthetic_corpus import text
from training.data.token_stream import TokenStream, build_stream
from training.evaluation.language_model import evaluate_language_model
from training.evaluation.perplexity import likelihood, split_into_columns, token_losses

TEXT = text(120)
TOKENIZER = train_word_tokenizer([TEXT], vocabulary=None)


def network(cell: Cell = "lstm") -> LanguageModel:
    """Untrained, with large weights and initial state, and with dropout."""
    torch.manual_seed(1)
    model = LanguageModel(
        LanguageModelArchitecture(
            cell=cell, vocabulary=TOKENIZER.size, embedding=8, hidden=8, layers=2
        ),
        Regularization(input=0.5, hidden=0.5, output=0.5, weight=0.5, embedding=0.5),
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def reference_nats(model: LanguageModel, stream: TokenStream) -> float:
    """Nats of all documents, each read alone from the initial state."""
    model.eval()
    nats = 0.0
    with torch.no_grad():
        for index in range(len(stream.borders_D)):
            tokens_T = torch.from_numpy(stream.document(index))
            targets_T = torch.cat([tokens_T[1:], torch.tensor([stream.end])])
            logits_TBV, _ = model(tokens_T.unsqueeze(1), model.initial_state(1))
            nats += float(functional.cross_entropy(logits_TBV[:, 0], targets_T, reduction="sum"))
    return nats


@pytest.mark.parametrize("cell", ["elman", "gru", "lstm"])
@pytest.mark.parametrize("columns", [1, 5])
def test_short_documents_are_exact_in_any_number_of_columns(cell: Cell, columns: int) -> None:
    """Every column begins early enough to have read the whole document it begins in."""
    stream = build_stream([*TEXT.split("\n")[:60], "x"], TOKENIZER)
    model = network(cell)
    result = likelihood(model, split_into_columns(stream, columns=columns), "float32")
    assert result.count == len(stream)
    assert result.nats == pytest.approx(reference_nats(model, stream), rel=1e-5)


def test_one_column_is_exact_for_a_long_document() -> None:
    """One column gives the exact loss; many columns with a burn-in are close to it."""
    stream = build_stream([TEXT], TOKENIZER)
    model = network()
    exact = reference_nats(model, stream)
    assert likelihood(
        model, split_into_columns(stream, columns=1), "float32"
    ).nats == pytest.approx(exact)
    near = likelihood(model, split_into_columns(stream, columns=4, burn_in=64), "float32")
    assert near.count == len(stream)
    assert near.nats == pytest.approx(exact, rel=2e-3)


@pytest.mark.parametrize("columns", [1, 3])
def test_every_token_has_its_loss_in_the_order_of_the_text(columns: int) -> None:
    """However many columns are read: document by document they add up to what each costs alone."""
    documents = TEXT.split("\n")[:20]
    model, stream = network().train(), build_stream(documents, TOKENIZER)
    losses_N = token_losses(model, split_into_columns(stream, columns=columns), "float32")
    assert len(losses_N) == len(stream)
    assert model.training
    for begin, text_ in zip(stream.borders_D, documents, strict=True):
        alone = build_stream([text_], TOKENIZER)
        nats = float(losses_N[begin : begin + len(alone)].sum())
        assert nats == pytest.approx(reference_nats(model, alone), rel=1e-4)


def test_a_limit_counts_about_so_many_predictions() -> None:
    """Spread over the stream."""
    stream = build_stream([TEXT], TOKENIZER)
    batches = split_into_columns(stream, columns=8, limit=100)
    assert 96 <= batches.count <= 104
    assert (batches.counted(0, batches.steps).sum(dim=0) > 0).all()


def test_the_network_is_left_in_its_mode() -> None:
    """Dropout is off during evaluation and on again afterwards."""
    model = network().train()
    batches = split_into_columns(build_stream([TEXT], TOKENIZER))
    assert likelihood(model, batches, "float32") == likelihood(model, batches, "float32")
    assert model.training


def test_a_deadline_ends_the_evaluation_once_anything_is_counted() -> None:
    """A deadline in the past ends it after the first block that counts."""
    stream = build_stream([TEXT], TOKENIZER)
    result = likelihood(
        network(), split_into_columns(stream, columns=1), "float32", deadline=time.monotonic() - 1
    )
    assert 0 < result.count < len(stream)


def test_metrics_of_an_evaluation_agree_with_each_other() -> None:
    """All are one sum of nats divided by a count."""
    documents = [text(5), "ünknown wörds"]
    metrics = evaluate_language_model(network(), TOKENIZER, documents).metrics
    nats = metrics["loss"] * metrics["tokens"]
    assert metrics["perplexity"] == pytest.approx(math.exp(metrics["loss"]))
    assert metrics["words"] == sum(len(document.split()) for document in documents)
    assert math.log(metrics["word_perplexity"]) * metrics["words"] == pytest.approx(nats)
    assert metrics["bits_per_byte"] * metrics["bytes"] * math.log(2) == pytest.approx(nats)
    assert metrics["bytes"] == metrics["characters"] + 2
    assert metrics["unknown_share"] == pytest.approx(2 / metrics["tokens"])
