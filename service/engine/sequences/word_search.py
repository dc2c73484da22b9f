"""Next words of a char or bpe model: best-first search over the ways to spell them.

A node is a text that may still become a word, with its probability and the state before its last
token. The likeliest node is expanded first: its last token is read and every token after it
either ends the word (its probability goes to that word, whatever the spelling), goes on (a new
node), or starts something that is no word. Since a node's probability bounds every word beneath
it, the search is over when no node is likelier than the last word asked for. It is bounded in
expansions besides, and deterministic. Knows no kernel: states are handles.

For bpe the prompt's last, unfinished word is spelt again from its beginning ("required"), since
its tokens may not be the ones the finished word has; probabilities are given that text.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.state import State
from service.engine.sequences.subword_tokens import IdArray, Spelling
from service.engine.sequences.word_boundaries import INCOMPLETE_CHARACTER, WordProgress, first_word
from service.kernel.api.filters import descending
from service.kernel.api.interface import FloatArray

MAX_BRANCHES = 256  # of one node
MIN_NODE_PROBABILITY = 1e-6  # less likely texts, given what is required, are not followed


@dataclass(frozen=True, slots=True)
class Node:
    """``text`` holds the part of the word that the prompt gave; ``required`` what it still must
    spell. ``state`` is the state before ``token``; None for the root, whose prompt is to be read.
    """

    text: bytes
    required: bytes
    probability: float
    token: int
    state: State | None


class SearchResult(NamedTuple):
    """The words found and the probability of all texts that agree with the prompt."""

    words: dict[str, float]
    possible: float


class WordSearch:
    """One search. ``next_node`` and ``expand`` alternate, for several nodes at a time if wanted."""

    def __init__(
        self, spelling: Spelling, top: int, known: bytes, required: bytes, most_expansions: int
    ) -> None:
        self._spelling = spelling
        self._top = top
        self._words: dict[str, float] = {}
        self._possible = 0.0 if required else 1.0
        self._expansions_left = most_expansions
        self._made = 0
        self._bar: float | None = 0.0  # what the last word asked for has; None: to be found out
        self._frontier: list[tuple[float, int, Node]] = []
        self.root = Node(known, required, 1.0, -1, None)

    @property
    def is_over(self) -> bool:
        """Whether nothing that waits is worth expanding."""
        if not self._frontier or self._expansions_left <= 0:
            return True
        return -self._frontier[0][0] < self._last_word_asked_for()

    @property
    def found(self) -> SearchResult:
        """What the search has found so far."""
        return SearchResult(self._words, self._possible)

    def next_node(self) -> Node | None:
        """Takes the likeliest node; None if the search is over."""
        if self.is_over:
            return None
        self._expansions_left -= 1
        return heapq.heappop(self._frontier)[2]

    def expand(self, node: Node, logprobs_V: FloatArray, state: State) -> None:
        """Follows a node: ``logprobs_V`` and ``state`` are what comes after its last token."""
        probabilities_V = self._spelling.drawable(logprobs_V) * node.probability
        word = first_word(node.text.decode("utf-8", errors="replace"))
        if not node.required and word.reading is WordProgress.INSIDE:
            ending_V = self._spelling.ending(node.text)
            self._add(word.word, float(probabilities_V[ending_V].sum()))
            probabilities_V = np.where(ending_V, 0.0, probabilities_V)
        probabilities_V[self._spelling.end] = 0.0  # no way on from there
        for token in self._branches(node, probabilities_V):
            self._branch(node, int(token), float(probabilities_V[token]), state)

    def _branches(self, node: Node, probabilities_V: NDArray[np.float64]) -> IdArray:
        """Tokens worth following: the likeliest, and all that spell part of what is required."""
        if not node.required:
            return self._likeliest(probabilities_V, np.arange(len(probabilities_V)))
        completing = self._spelling.completing(node.required)
        self._possible += float(probabilities_V[completing].sum())
        beginning = self._spelling.beginning(node.required)
        return np.concatenate([beginning, self._likeliest(probabilities_V, completing)])

    def _likeliest(self, probabilities_V: NDArray[np.float64], tokens: IdArray) -> IdArray:
        tokens = tokens[probabilities_V[tokens] >= MIN_NODE_PROBABILITY * self._possible]
        if len(tokens) <= MAX_BRANCHES:
            return tokens
        return np.sort(tokens[descending(probabilities_V[tokens], MAX_BRANCHES)])

    def _branch(self, node: Node, token: int, probability: float, state: State) -> None:
        spelt = self._spelling.bytes_of(token)
        text = node.text + spelt
        required = node.required[len(spelt) :]
        decoded = text.decode("utf-8", errors="replace")
        # a cut character at the end decodes to a border, though it may yet become a letter
        word = first_word(decoded.rstrip(INCOMPLETE_CHARACTER))
        if required or word.reading in (WordProgress.BEFORE, WordProgress.INSIDE):
            self._made += 1
            child = Node(text, required, probability, token, state)
            heapq.heappush(self._frontier, (-probability, self._made, child))
        elif word.reading is WordProgress.OVER:
            self._add(word.word, probability)

    def _add(self, word: str, probability: float) -> None:
        if word and probability > 0.0:
            self._words[word] = self._words.get(word, 0.0) + probability
            self._bar = None

    def _last_word_asked_for(self) -> float:
        if self._bar is None:
            best = heapq.nlargest(self._top, self._words.values())
            self._bar = best[-1] if len(best) == self._top else 0.0
        return self._bar
