"""Losses by token frequency and by position: every prediction is in its bin."""

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
    """The id of a word is its rank; [UNK] and [END] have bins of their own."""
    tokenizer = train_word_tokenizer(["a a a a b b b c c d" + " e" * 9], vocabulary=None)
    stream = build_stream(["a e zebra", "a"], tokenizer)
    losses_N = np.arange(1.0, len(stream) + 1)
    result = by_frequency(stream, losses_N, tokenizer)
    bins = {bin_.label: bin_ for bin_ in result.bins}
    assert "training" in result.basis
    assert bins["[UNK]"].loss == 3.0  # zebra
    assert (bins["[END]"].tokens, bins["[END]"].loss) == (2, (4.0 + 6.0) / 2)
    assert sum(bin_.tokens for bin_ in result.bins) == len(stream)
    (rank,) = tokenizer.encode(" e")
    assert rank == 1
    assert bins["1–3"].tokens >= 1


@pytest.mark.parametrize("kind", ["word", "char", "bpe"])
def test_the_bins_add_up(kind: str) -> None:
    """Tokens and losses of the bins add up to the total, for every kind of tokenizer."""
    texts = [text(30), "Ünknown; 1", "x"]
    tokenizer = {
        "word": lambda: train_word_tokenizer(texts[:1], vocabulary=None),
        "char": lambda: train_char_tokenizer(texts[:1]),
        "bpe": lambda: train_bpe_tokenizer(texts[:1], vocabulary=270),
    }[kind]()
    stream = build_stream(texts, tokenizer)
    losses_N = np.random.default_rng(1).random(len(stream))
    for bins in (by_frequency(stream, losses_N, tokenizer).bins, by_position(stream, losses_N)):
        assert sum(bin_.tokens for bin_ in bins) == len(stream)
        total = sum(bin_.tokens * bin_.loss for bin_ in bins)
        assert total == pytest.approx(losses_N.sum())


def test_byte_pairs_are_sorted_by_their_count_in_the_text() -> None:
    """Ids of byte pairs give no rank; the most frequent tokens come first."""
    tokenizer = train_bpe_tokenizer([text(30)], vocabulary=258)
    stream = build_stream(["aaaaaaab"], tokenizer)
    result = by_frequency(stream, np.ones(len(stream)), tokenizer)
    assert "this text" in result.basis
    assert [(bin_.label, bin_.tokens) for bin_ in result.bins] == [
        ("4–10", 7),
        ("1–3", 1),
        ("[END]", 1),
    ]


def test_positions_start_at_1_in_every_document() -> None:
    """The [END] of a document has the position after its last token."""
    tokenizer = train_word_tokenizer(["a b c d"], vocabulary=None)
    stream = build_stream(["a b c", "d"], tokenizer)
    assert [tokenizer.text_of(int(token)) for token in targets_of(stream)][:3] == ["a", " b", " c"]
    losses_N = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    bins = {bin_.label: (bin_.tokens, bin_.loss) for bin_ in by_position(stream, losses_N)}
    assert bins == {"1": (2, 3.0), "2–3": (3, (2 + 3 + 6) / 3), "4–7": (1, 4.0)}


def test_few_predictions_have_no_standard_error() -> None:
    """A bin of few predictions has no standard error; others have that of their mean."""
    tokenizer = train_word_tokenizer(["a"], vocabulary=None)
    stream = build_stream(["a" for _ in range(8)], tokenizer)
    first, second = by_position(stream, np.tile([1.0, 3.0], 8))
    assert (first.error, second.error) == (0.0, 0.0)
    few = by_position(build_stream(["a"], tokenizer), np.array([1.0, 3.0]))
    assert [bin_.error for bin_ in few] == [None, None]
