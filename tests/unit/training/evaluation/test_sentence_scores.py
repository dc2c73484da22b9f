"""Scores of sentences in batches are those of each sentence read alone, for every tokenizer."""

from dataclasses import replace

import pytest
import torch

from model.architecture import Cell, LanguageModelArchitecture
from model.networks import LanguageModel
from model.tokenization.tokenizer import Tokenizer
from model.tokenization.tokenizer_training import (
    train_bpe_tokenizer,
    train_char_tokenizer,
    train_word_tokenizer,
)
from tests.support.training.synthetic_corpus import text
from training.evaluation.sentence_scores import (
    Continuation,
    SentenceForm,
    is_pretokenized,
    score_continuations,
    unknown_words,
)

TEXT = text(80)
BARE = SentenceForm(before="", capitalize=False, full_stop=False)


def tokenizer(kind: str) -> Tokenizer:
    """A tokenizer trained on the test's text."""
    if kind == "word":
        return train_word_tokenizer([TEXT], vocabulary=None)
    if kind == "char":
        return train_char_tokenizer([TEXT])
    return train_bpe_tokenizer([TEXT], vocabulary=280)


def network(vocabulary: int, cell: Cell = "lstm") -> LanguageModel:
    """Untrained, with large weights, in evaluation mode."""
    torch.manual_seed(1)
    model = LanguageModel(
        LanguageModelArchitecture(cell=cell, vocabulary=vocabulary, embedding=8, hidden=8, layers=2)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model.eval()


def alone(model: LanguageModel, continuation: Continuation, end: int) -> float:
    """The score of one continuation, read alone."""
    tokens = [end, *continuation.tokens]
    with torch.no_grad():
        logits_TBV, _ = model(torch.tensor(tokens).unsqueeze(1), model.initial_state(1))
    log_probs_TV = logits_TBV[:, 0].log_softmax(dim=1)
    places = range(continuation.start, len(continuation.tokens))
    return sum(float(log_probs_TV[place, tokens[place + 1]]) for place in places)


@pytest.mark.parametrize("kind", ["word", "char", "bpe"])
@pytest.mark.parametrize("cell", ["elman", "gru", "lstm"])
def test_padding_has_no_influence(kind: str, cell: Cell) -> None:
    """Sentences of all lengths, scored from various positions, have the scores of each alone."""
    words = tokenizer(kind)
    model = network(words.size, cell)
    sentences = ["The old dog sees", "A", *TEXT.split("\n")[:40], TEXT[:900]]
    encoded = [words.encode(sentence) for sentence in sentences]
    continuations = [Continuation(ids, place % (len(ids) + 1)) for place, ids in enumerate(encoded)]
    shares: list[float] = []
    scores = score_continuations(model, continuations, words.end, on_progress=shares.append)
    expected = [alone(model, continuation, words.end) for continuation in continuations]
    assert scores == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert shares[-1] == 1.0


def test_the_form_of_a_sentence() -> None:
    """Capital letter, full stop and context are added where they are missing."""
    full = SentenceForm(before="Yes.", capitalize=True, full_stop=True)
    assert full.in_context(" the dog is ") == "Yes. The dog is."
    assert full.apply("Who is?") == "Who is?"
    assert BARE.in_context("the dog") == "the dog"
    assert SentenceForm(before="x\n", capitalize=False, full_stop=False).in_context("a") == "x\na"
    spaced = SentenceForm(before="", capitalize=False, full_stop=True, pretokenized=True)
    assert replace(spaced, before=".").in_context("a") == " . a ."
    assert [spaced.apply(text_) for text_ in ("a b", "a b.", "a b ?")] == [
        "a b .",
        "a b .",
        "a b ?",
    ]


def test_pretokenized_vocabularies_are_recognized() -> None:
    """Only in a vocabulary of tokenized text are punctuation marks separate words."""
    before = train_word_tokenizer(["a b , c ."], vocabulary=None, pretokenized=True)
    assert is_pretokenized(before)
    assert not any(is_pretokenized(tokenizer(kind)) for kind in ("word", "char", "bpe"))


def test_unknown_words_are_named() -> None:
    """Skipped tokens are ignored; a byte pair vocabulary has no unknown words."""
    words = tokenizer("word")
    sentence = "Zebra the dog sees unicorns"
    assert unknown_words(words.encode(sentence), sentence, words) == ["Zebra", "unicorns"]
    assert unknown_words(words.encode(sentence), sentence, words, skip=1) == ["unicorns"]
    pieces = tokenizer("bpe")
    assert unknown_words(pieces.encode(sentence), sentence, pieces) == []
