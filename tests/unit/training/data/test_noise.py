"""Made-up documents of a classifier's training."""

from collections import Counter

import pytest

from model.tokenization.tokenizer_training import (
    train_bpe_tokenizer,
    train_char_tokenizer,
    train_word_tokenizer,
)
from training.config.classifier import ClassifierRecipe
from training.data.batching import EncodedDocuments
from training.data.examples import OUT_OF_SCOPE_INDEX
from training.data.noise import with_recipe_noise

TEXTS = ["one two three", "three four", "five six seven eight"] * 40
TOKENIZERS = {
    "word": train_word_tokenizer(TEXTS, vocabulary=None, lossless=False),
    "char": train_char_tokenizer(TEXTS),
    "bpe": train_bpe_tokenizer(TEXTS, vocabulary=258),
}


def noisy(kind: str, share: float, epoch: int = 0) -> tuple[EncodedDocuments, EncodedDocuments]:
    """Documents, and the same with noise."""
    tokenizer = TOKENIZERS[kind]
    documents = EncodedDocuments(tokenizer.encode_batch(TEXTS), [0, 1, 0] * 40)
    recipe = ClassifierRecipe(noise=share)
    return documents, with_recipe_noise(recipe, documents, tokenizer, epoch=epoch)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_noise_follows_the_documents(kind: str) -> None:
    """It has no label, tokens of the vocabulary, and lengths as the documents have."""
    documents, all_documents = noisy(kind, 0.5)
    assert all_documents.tokens[: len(documents)] == documents.tokens
    assert all_documents.labels[: len(documents)] == documents.labels
    noise = all_documents.tokens[len(documents) :]
    assert len(noise) == 60
    assert set(all_documents.labels[len(documents) :]) == {OUT_OF_SCOPE_INDEX}
    size = TOKENIZERS[kind].size
    assert all(0 <= token < size for tokens in noise for token in tokens)
    assert all(1 <= len(tokens) <= max(documents.lengths) for tokens in noise)


def test_each_epoch_has_other_noise_and_repeats_it() -> None:
    """A resumed run sees the noise of the run before."""
    (_, first), (_, again), (_, second) = (noisy("word", 0.3, epoch) for epoch in (0, 0, 1))
    assert first.tokens == again.tokens
    assert first.tokens != second.tokens


def test_much_noise_is_of_unknown_words() -> None:
    """Texts of other languages are so to a word tokenizer; some documents have nothing else."""
    documents, all_documents = noisy("word", 0.9)
    unknown = TOKENIZERS["word"].unknown
    counts = Counter(
        all(token == unknown for token in tokens)
        for tokens in all_documents.tokens[len(documents) :]
    )
    assert counts[True] > 10
    assert counts[False] > 10


def test_no_noise_on_request() -> None:
    """--noise 0 leaves the documents as they are."""
    documents, all_documents = noisy("word", 0.0)
    assert list(all_documents.tokens) == list(documents.tokens)
