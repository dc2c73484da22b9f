"""The sequences of a NextWord task: one row for a word model, several for a search.

Word models: the prompt is read once and one distribution gives the words. If the prompt ends in a
space, the space is removed and the next token must begin with one, since word and bpe tokens carry
their leading space. Char and bpe models: the first worker of a :class:`WordSearch` reads the
prompt, then each worker expands one node per turn. An unfinished word is completed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from model.state import State
from model.tokenization.tokenizer import Tokenizer
from service.engine.api.errors import DeadlineExceeded
from service.engine.api.tasks import Event, Failed, NextWordsFound, Word
from service.engine.scheduling.sequence import RowSequence
from service.engine.sequences.word_boundaries import last_run, unfinished_word
from service.engine.sequences.word_search import Node, SearchResult, WordSearch
from service.engine.sequences.word_tokens import WordVocabulary
from service.engine.states.prompt_reader import CachedPrompt, PrefillChunk, PromptReader
from service.kernel.api.interface import FloatArray, RowResult, RowWork


class WordStart(NamedTuple):
    """The parts of a prompt: the context that is read unchanged, the known part of the next
    word, and the text that the tokens after ``context`` must spell.
    """

    context: str
    known: str
    required: str


def find_word_start(prompt: str, tokenizer: Tokenizer) -> WordStart:
    """The parts of a prompt for this kind of tokenizer."""
    if tokenizer.kind == "char":
        return WordStart(prompt, unfinished_word(prompt), "")
    if prompt.endswith(" "):
        return WordStart(prompt[:-1], "", " ")
    if tokenizer.kind == "word":
        return WordStart(prompt, "", "")
    part = unfinished_word(prompt)
    run = last_run(part)
    context = prompt[: len(prompt) - len(run)]
    if run == part and run and context.endswith(" "):
        return WordStart(context[:-1], "", " " + run)
    return WordStart(context, part[: len(part) - len(run)], run)


class WordQuery(RowSequence):
    """Reads a prompt with a word model and returns one distribution."""

    def __init__(
        self, vocabulary: WordVocabulary, start: WordStart, prompt: CachedPrompt, top: int
    ) -> None:
        super().__init__()
        self._start = start
        self._prompt = prompt
        self._vocabulary = vocabulary
        self._top = top

    def start(self) -> None:
        """Set the row to the initial state and skip what the cache knows."""
        super().start()
        self._prompt.begin(self._kernel, self.row)

    @property
    def urgent(self) -> bool:
        """Always: the task has one answer."""
        return True

    def work(self, steps: int, max_samples: int) -> RowWork | None:  # noqa: ARG002
        """The next tokens of the prompt."""
        chunk = self._prompt.chunk(steps)
        return RowWork(row=self.row, feed=chunk.feed, distribution=not chunk.cut, keep=chunk.keep)

    def take(self, result: RowResult) -> list[Event]:
        """The answer, once the prompt is read."""
        self._prompt.take(result)
        self.prompt_read = self._prompt.newly_read
        if result.logprobs_V is None:
            return []
        self.ended_by = "done"
        start = self._start
        words = self._vocabulary.probabilities(
            result.logprobs_V, start.context, after_space=bool(start.required)
        )
        return [next_words_event(SearchResult(words, 1.0), self._top, self._prompt)]

    def expire(self) -> list[Event]:
        """Fail: there is no partial answer."""
        self.ended_by = "deadline"
        return [Failed(DeadlineExceeded())]


class SharedSearch:
    """A search and its prompt, shared by its workers.

    Nodes are expanded in rounds of up to ``width``, in their order, once all nodes of a round are
    read. The result does not depend on the number of workers with a row.
    """

    def __init__(self, search: WordSearch, prompt: CachedPrompt, top: int, width: int) -> None:
        self.search = search
        self.prompt = prompt
        self.top = top
        self._width = width
        self._round = [search.root]  # the leader reads it with the prompt
        self._taken = 1  # nodes of the round that workers have taken
        self._read: dict[int, tuple[FloatArray, State]] = {}  # by index in the round

    def take_node(self) -> tuple[int, Node] | None:
        """The next node of the round and its index; None if all are taken."""
        if not self._round:
            nodes = (self.search.next_node() for _ in range(self._width))
            self._round = [node for node in nodes if node is not None]
        index = self._taken
        if index == len(self._round):
            return None
        self._taken += 1
        return index, self._round[index]

    def put(self, index: int, logprobs_V: FloatArray, state: State) -> None:
        """Store the distribution after a node. The last one of a round expands the whole round."""
        self._read[index] = logprobs_V, state
        if len(self._read) < len(self._round):
            return
        results = [self._read[key] for key in sorted(self._read)]
        for node, result in zip(self._round, results, strict=True):
            self.search.expand(node, *result)
        self._round, self._taken, self._read = [], 0, {}

    @property
    def is_over(self) -> bool:
        """Whether no node is left to read."""
        return not self._round and self.search.is_over


class SearchWorker(RowSequence):
    """Reads one node per turn. The ``leader`` reads the prompt first."""

    def __init__(self, shared: SharedSearch, *, leader: bool) -> None:
        super().__init__()
        self.counts = leader
        self._shared = shared
        self._leader = leader
        self._index = 0

    def start(self) -> None:
        """Set the row to the initial state. The leader skips what the cache knows."""
        super().start()
        if self._leader:
            self._shared.prompt.begin(self._kernel, self.row)

    @property
    def urgent(self) -> bool:
        """Until the prompt is read; the search itself is not urgent."""
        return self._leader and not self._shared.prompt.done

    def work(self, steps: int, max_samples: int) -> RowWork | None:  # noqa: ARG002
        """The next tokens of the prompt, or the next node of the round."""
        chunk = self._next_chunk(steps)
        if chunk is None:
            return None
        return RowWork(row=self.row, feed=chunk.feed, distribution=not chunk.cut, keep=chunk.keep)

    def _next_chunk(self, steps: int) -> PrefillChunk | None:
        prompt = self._shared.prompt
        if not prompt.done:
            return prompt.chunk(steps) if self._leader else None
        taken = self._shared.take_node()
        if taken is None:
            return None
        self._index, node = taken
        if node.state is not None:
            self._kernel.restore(self.row, node.state)
        return PrefillChunk([node.token], keep=0, cut=False)

    def take(self, result: RowResult) -> list[Event]:
        """Pass the distribution to the search. The last one of the search gives the answer."""
        shared = self._shared
        if not shared.prompt.done:
            shared.prompt.take(result)
            self.prompt_read = shared.prompt.newly_read
        if result.logprobs_V is None:
            return []
        shared.put(self._index, result.logprobs_V, self._kernel.save(self.row))
        if not shared.is_over:
            return []
        self.ended_by = "done"
        return [next_words_event(shared.search.result, shared.top, shared.prompt)]

    def expire(self) -> list[Event]:
        """Fail: the result of an unfinished search is not returned."""
        self.ended_by = "deadline"
        return [Failed(DeadlineExceeded())]


def next_words_event(result: SearchResult, top: int, prompt: PromptReader) -> NextWordsFound:
    """The event for the words found, likeliest first, ties by spelling."""
    possible = max(result.possible, 1e-300)
    words = sorted(
        (Word(word, probability / possible) for word, probability in result.words.items()),
        key=lambda word: (-word.probability, word.word),
    )
    covered = math.fsum(word.probability for word in words)
    shares = [word.probability / covered for word in words if word.probability > 0.0]
    return NextWordsFound(
        words=tuple(words[:top]),
        covered=min(covered, 1.0),
        entropy_bits=max(0.0, -math.fsum(share * math.log2(share) for share in shares)),
        prompt_tokens=len(prompt.tokens) - 1,
    )
