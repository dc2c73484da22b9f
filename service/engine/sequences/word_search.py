"""Next words of a char or bpe model: best-first search over the spellings of words.

A node is a text that may become a word, with its probability and the state before its last token.
The likeliest node is expanded first: its last token is read, and each possible next token ends the
word (its probability is added to that word, for any spelling), continues it (a new node), or starts
something other than a word. A node's probability bounds every word below it, so the search ends
when no node is likelier than the least likely word asked for. The number of expansions is bounded,
and the search is deterministic.

For bpe, the last unfinished word of the prompt is spelled again from its beginning (``required``),
since the finished word may have other tokens. Probabilities are conditional on that text.
"""

from __future__ import annotations

import heapq
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.engine.sequences.subword_tokens import Spelling
from service.engine.sequences.word_boundaries import WordProgress, first_word
from service.kernel.api.filters import IdArray, descending
from service.kernel.api.interface import FloatArray
from service.kernel.api.row_state import RowState

MAX_BRANCHES = 256  # per node
MIN_NODE_PROBABILITY = 1e-6  # relative to the required text; smaller nodes are dropped


class Node(NamedTuple):
    """A text that may become a word.

    ``text`` includes the part of the word from the prompt. ``required`` is the text that the node
    must still spell. ``state`` is the state before ``token``; None for the root, whose prompt is
    not read yet.
    """

    text: bytes
    required: bytes
    probability: float
    token: int
    state: RowState | None


class SearchResult(NamedTuple):
    """The words found, the probability of all texts that agree with the prompt, and that of the
    prompt with [END] after it.
    """

    words: dict[str, float]
    possible: float
    end: float


class WordSearch:
    """One search. Call ``next_node`` and ``expand`` in turn, for one node or several at a time.

    ``known`` and ``required`` are those of :class:`WordStart`, in UTF-8. ``end``: read each found
    spelling of the prompt first, since the probability of [END] is the sum over them.
    """

    def __init__(
        self,
        spelling: Spelling,
        top: int,
        known: bytes,
        required: bytes,
        most_expansions: int,
        *,
        end: bool = False,
    ) -> None:
        self._spelling = spelling
        self._top = top
        self._words: dict[str, float] = {}
        self._possible = 0.0 if required else 1.0
        self._prompted = known + required
        self._wants_end = end
        self._end = 0.0
        self._expansions_left = most_expansions
        self._node_count = 0
        self._threshold: float | None = 0.0  # cached; None if outdated
        self._frontier: list[tuple[float, int, Node]] = []
        self.root = Node(known, required, 1.0, -1, None)

    @property
    def is_over(self) -> bool:
        """Whether no node is worth expanding."""
        if not self._frontier or self._expansions_left <= 0:
            return True
        return -self._frontier[0][0] < self._threshold_probability()

    @property
    def result(self) -> SearchResult:
        """The words found so far."""
        return SearchResult(self._words, self._possible, self._end)

    def next_node(self) -> Node | None:
        """Take the likeliest node; None if the search is over."""
        if self.is_over:
            return None
        self._expansions_left -= 1
        return heapq.heappop(self._frontier)[2]

    def expand(self, node: Node, logprobs_V: FloatArray, state: RowState) -> None:
        """Expand a node with ``logprobs_V`` and ``state`` after its last token."""
        probabilities_V = self._spelling.probabilities(logprobs_V) * node.probability
        if not node.required:
            self._end_word(node.text, probabilities_V)
        probabilities_V[self._spelling.end] = 0.0  # [END] has no continuation
        if node.required:
            tokens = self._spelling.completing(node.required)
            self._possible += float(probabilities_V[tokens].sum())
            beginning = self._spelling.beginning(node.required)
            self._push(node, beginning, probabilities_V, state)
        else:
            tokens = np.arange(len(probabilities_V))
        tokens = self._likeliest(probabilities_V, tokens)
        longer, complete = self._spelling.open_and_closing(node.text, tokens)
        for token in complete.tolist():
            text = (node.text + self._spelling.bytes_of(token)).decode("utf-8", errors="replace")
            self._add(first_word(text).word, float(probabilities_V[token]))
        self._push(node, longer, probabilities_V, state)

    def _end_word(self, spelled: bytes, probabilities_V: NDArray[np.float64]) -> None:
        """Count the tokens that end the word without adding to it, and clear them."""
        if spelled == self._prompted:
            self._end += float(probabilities_V[self._spelling.end])
        text = spelled.decode("utf-8", errors="replace")
        word = first_word(text)
        if word.progress is WordProgress.INSIDE:
            ending = self._spelling.ending(text)
            self._add(word.word, float(probabilities_V[ending].sum()))
            probabilities_V[ending] = 0.0

    def _likeliest(self, probabilities_V: NDArray[np.float64], tokens: IdArray) -> IdArray:
        tokens = tokens[probabilities_V[tokens] >= MIN_NODE_PROBABILITY * self._possible]
        if len(tokens) <= MAX_BRANCHES:
            return tokens
        return np.sort(tokens[descending(probabilities_V[tokens], MAX_BRANCHES)])

    def _push(
        self, node: Node, tokens: IdArray, probabilities_V: NDArray[np.float64], state: RowState
    ) -> None:
        """Add the children of a node to the frontier. The threshold only rises, so a child below
        it is not added.
        """
        tokens = tokens[probabilities_V[tokens] >= self._threshold_probability()]
        for token, probability in zip(
            tokens.tolist(), probabilities_V[tokens].tolist(), strict=True
        ):
            spelled = self._spelling.bytes_of(token)
            text, required = node.text + spelled, node.required[len(spelled) :]
            child = Node(text, required, probability, token, state)
            first = self._wants_end and text == self._prompted
            priority = math.inf if first else probability
            self._node_count += 1
            heapq.heappush(self._frontier, (-priority, self._node_count, child))

    def _add(self, word: str, probability: float) -> None:
        """Add to a word's probability. Below the threshold it does not change the threshold."""
        if not word or probability <= 0.0:
            return
        total = self._words[word] = self._words.get(word, 0.0) + probability
        if self._threshold is not None and total > self._threshold:
            self._threshold = None

    def _threshold_probability(self) -> float:
        """The probability of the least likely word asked for, among those found so far."""
        if self._threshold is None:
            best = heapq.nlargest(self._top, self._words.values())
            self._threshold = best[-1] if len(best) == self._top else 0.0
        return self._threshold
