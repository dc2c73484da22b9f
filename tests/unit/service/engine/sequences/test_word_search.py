"""The search for next words, with a distribution that does not depend on the context."""

from __future__ import annotations

import numpy as np
import pytest

from model.tokenization.tokenizer import Tokenizer
from model.tokenization.tokenizer_training import train_char_tokenizer
from service.engine.sequences.subword_tokens import Spelling
from service.engine.sequences.word_search import SearchResult, WordSearch
from service.kernel.api.interface import FloatArray
from service.kernel.api.row_state import RowState

STATE = RowState(np.zeros((1, 1, 1), dtype=np.float32))
PROBABILITIES = {"a": 0.5, "b": 0.2, ".": 0.3}  # "." ends a word


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """Characters "a", "b" and "."."""
    return train_char_tokenizer(["ab."])


def logprobs(tokenizer: Tokenizer) -> FloatArray:
    """The logarithms of PROBABILITIES; other tokens are impossible."""
    values = [PROBABILITIES.get(tokenizer.text_of(token), 0.0) for token in range(tokenizer.size)]
    with np.errstate(divide="ignore"):
        return np.log(np.array(values, dtype=np.float32))


def probability(word: str) -> float:
    """Of the word and a full stop."""
    return float(np.prod([PROBABILITIES[character] for character in word + "."]))


def search(
    tokenizer: Tokenizer, top: int, *, known: str = "", required: str = "", expansions: int = 1000
) -> tuple[SearchResult, int]:
    """The result of a whole search, and the number of nodes it expanded."""
    word_search = WordSearch(
        Spelling(tokenizer), top, known.encode(), required.encode(), expansions
    )
    logprobs_V = logprobs(tokenizer)
    word_search.expand(word_search.root, logprobs_V, STATE)
    count = 0
    while (node := word_search.next_node()) is not None:
        word_search.expand(node, logprobs_V, STATE)
        count += 1
    assert word_search.is_over
    return word_search.result, count


def best(result: SearchResult, count: int) -> list[str]:
    """The likeliest words."""
    return sorted(result.words, key=lambda word: (-result.words[word], word))[:count]


def test_the_likeliest_words_are_found(tokenizer: Tokenizer) -> None:
    """Each has the probability of its spelling and of the border after it."""
    result, _ = search(tokenizer, 5)
    assert best(result, 5) == ["a", "aa", "b", "aaa", "ab"]
    for word in best(result, 5):
        assert result.words[word] == pytest.approx(probability(word), rel=1e-6)


def test_a_search_ends_when_no_node_can_matter(tokenizer: Tokenizer) -> None:
    """For the likeliest word alone few nodes are expanded; for more words, more."""
    _, few = search(tokenizer, 1)
    _, many = search(tokenizer, 10)
    assert 1 <= few < many < 1000


def test_the_number_of_expansions_is_bounded(tokenizer: Tokenizer) -> None:
    """The search ends after the last allowed expansion with the words found so far."""
    result, count = search(tokenizer, 10, expansions=2)
    assert count == 2
    assert set(result.words) == {"a", "aa"}


def test_the_known_part_of_a_word_is_part_of_it(tokenizer: Tokenizer) -> None:
    """The prompt has spelled "ab"; the search gives whole words that begin so."""
    result, _ = search(tokenizer, 3, known="ab")
    assert best(result, 3) == ["ab", "aba", "abaa"]
    assert result.words["aba"] == pytest.approx(probability("a"), rel=1e-6)


def test_the_required_text_is_spelled_again(tokenizer: Tokenizer) -> None:
    """Only words that begin with it are found; ``possible`` is its probability."""
    result, _ = search(tokenizer, 2, required="b")
    assert best(result, 2) == ["b", "ba"]
    assert result.possible == pytest.approx(PROBABILITIES["b"], rel=1e-6)
