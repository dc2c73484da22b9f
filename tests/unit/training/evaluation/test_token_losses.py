"""Losses by frequency and by place: every prediction in the right bin, none lost."""

import numpy as np
import pytest

from model.tokenization.tokenizer_training import (
    train_bpe_tokenizer,
    train_char_tokenizer,
    train_word_tokenizer,
)
from tests.support.training.synthetic_corpus import text
from training.data.token_stream import build_stream
from training.evaluation.token_losses import by_frequency, by_position, targets_of


def test_words_are_sorted_by_their_rank_in_training() -> None:
    """The id of a word is its rank; unknown words and document ends stand apart."""
    tokenizer = train_word_tokenizer(["a a a a b b b c c d" + " e" * 9], vocabulary=None)
    stream = build_stream(["a e zebra", "a"], tokenizer)
    losses_N = np.arange(1.0, len(stream) + 1)
    found = by_frequency(stream, losses_N, tokenizer)
    bins = {found.label: found for found in found.bins}
    assert "training" in found.basis
    assert bins["[UNK]"].loss == 3.0  # zebra
    assert (bins["[END]"].tokens, bins["[END]"].loss) == (2, (4.0 + 6.0) / 2)
    assert sum(found.tokens for found in found.bins) == len(stream)
    (rank,) = tokenizer.encode(" e")
    assert rank == 1
    assert bins["1–3"].tokens >= 1


@pytest.mark.parametrize("kind", ["word", "char", "bpe"])
def test_no_loss_is_lost(kind: str) -> None:
    """The bins of both kinds add up to the whole, for every kind of token."""
    texts = [text(30), "Ünknown; 1", "x"]
    tokenizer = {
        "word": lambda: train_word_tokenizer(texts[:1], vocabulary=None),
        "char": lambda: train_char_tokenizer(texts[:1]),
        "bpe": lambda: train_bpe_tokenizer(texts[:1], vocabulary=270),
    }[kind]()
    stream = build_stream(texts, tokenizer)
    losses_N = np.random.default_rng(1).random(len(stream))
    for bins in (by_frequency(stream, losses_N, tokenizer).bins, by_position(stream, losses_N)):
        assert sum(found.tokens for found in bins) == len(stream)
        total = sum(found.tokens * found.loss for found in bins)
        assert total == pytest.approx(losses_N.sum())


def test_pieces_of_words_are_sorted_by_how_often_they_stand_there() -> None:
    """A byte pair encoding says nothing of its training text; the most frequent come first."""
    tokenizer = train_bpe_tokenizer([text(30)], vocabulary=258)
    stream = build_stream(["aaaaaaab"], tokenizer)
    found = by_frequency(stream, np.ones(len(stream)), tokenizer)
    assert "this text" in found.basis
    assert [(found.label, found.tokens) for found in found.bins] == [
        ("4–10", 7),
        ("1–3", 1),
        ("[END]", 1),
    ]


def test_places_begin_anew_in_every_document() -> None:
    """The first token of each is at place 1, its [END] one place after the last token."""
    tokenizer = train_word_tokenizer(["a b c d"], vocabulary=None)
    stream = build_stream(["a b c", "d"], tokenizer)
    assert [tokenizer.text_of(int(token)) for token in targets_of(stream)][:3] == ["a", " b", " c"]
    losses_N = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    found = {bin_.label: (bin_.tokens, bin_.loss) for bin_ in by_position(stream, losses_N)}
    assert found == {"1": (2, 3.0), "2–3": (3, (2 + 3 + 6) / 3), "4–7": (1, 4.0)}


def test_of_a_few_predictions_no_certainty_is_told() -> None:
    """Of more, the standard error of their mean."""
    tokenizer = train_word_tokenizer(["a"], vocabulary=None)
    stream = build_stream(["a" for _ in range(8)], tokenizer)
    first, second = by_position(stream, np.tile([1.0, 3.0], 8))
    assert (first.error, second.error) == (0.0, 0.0)
    few = by_position(build_stream(["a"], tokenizer), np.array([1.0, 3.0]))
    assert [found.error for found in few] == [None, None]
